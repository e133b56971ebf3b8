//! A request without a body, passed on as it came. Pingora's own way runs two directions at once,
//! over channels between two tasks; where one direction has nothing to say, asking and then passing
//! the answer on part by part does the same for less. All else goes pingora's way.

use bytes::{Bytes, BytesMut};
use futures::FutureExt as _;
use http::{Method, StatusCode, Version, header};
use pingora::proxy::Session;
use pingora::{Error, Result};

use super::call::{Opened, Request, Rest, Tries, Unopened};
use super::outbound::{self, Changes};
use super::state::State;
use super::upstream::Upstream;
use super::{headers, reply};
use crate::answer::Failure;

/// A part from this size on is one of a long body, and waits for what has come after it.
const LARGE: usize = 16 * 1024;
/// Written at once at most, give or take one part.
const GATHERED: usize = 192 * 1024;

/// Whether a request may go this way: HTTP/1, no body, no upgrade, nothing it waits for.
pub(super) fn is_plain(session: &mut Session) -> bool {
    let request = session.req_header();
    matches!(request.version, Version::HTTP_10 | Version::HTTP_11)
        && request.method != Method::CONNECT
        && !request.headers.contains_key(header::EXPECT)
        && !request.headers.contains_key(header::UPGRADE)
        && !request.headers.contains_key(header::CONTENT_LENGTH)
        && !request.headers.contains_key(header::TRANSFER_ENCODING)
        && session.is_body_done()
}

/// Answers the request with what the upstream says.
pub(super) async fn answer(
    session: &mut Session,
    state: &State,
    upstream: &Upstream,
    changes: &Changes,
) -> Result<()> {
    let mut tries = Tries::default();
    loop {
        let mut request = outbound::copy(session);
        outbound::prepare(&mut request, session, state, upstream, changes)?;
        let opened = tokio::select! {
            biased;
            opened = Request::bodiless(request).open(upstream, &state.connector, &mut tries) => opened,
            error = gone(session) => return Err(error),
        };
        match opened {
            Ok(opened) => return pass(session, state, opened).await,
            Err(Unopened::Again) => {}
            Err(Unopened::Failed(failure)) => {
                return reply::fail(session, state, &failure, &[]).await;
            }
        }
    }
}

async fn pass(session: &mut Session, state: &State, mut opened: Opened) -> Result<()> {
    while opened.is_interim() {
        // RFC 9110 §15.2: a proxy forwards them; a client of HTTP/1.0 does not know them.
        if session.req_header().version == Version::HTTP_11 {
            session.write_response_header(opened.header.clone(), false).await?;
        }
        opened.next_header().await?;
    }
    let Opened { mut header, mut rest } = opened;
    // Nobody asked for another protocol.
    if header.status == StatusCode::SWITCHING_PROTOCOLS {
        return reply::fail(session, state, &Failure::UpstreamInvalid, &[]).await;
    }
    headers::strip_response(&mut header);
    if !reply::has_body(session, header.status) {
        session.write_response_header(header, true).await?;
        rest.done(&state.connector).await;
        return Ok(());
    }
    reply::open_head(session, header).await?;
    loop {
        let part = tokio::select! {
            biased;
            part = rest.next() => part?,
            error = gone(session) => return Err(error),
        };
        let Some(part) = part else { break };
        let Gathered { bytes, end } = gather(part, &mut rest);
        session.write_response_body(Some(bytes), false).await?;
        match end {
            End::NotYet => {}
            End::Whole => break,
            End::Broken(error) => return Err(error),
        }
    }
    session.write_response_body(None, true).await?;
    rest.done(&state.connector).await;
    Ok(())
}

/// What could be read without waiting, and how it ended.
struct Gathered {
    bytes: Bytes,
    end: End,
}

enum End {
    NotYet,
    Whole,
    Broken(Box<Error>),
}

/// Adds to a large part what has come already: fewer and larger writes for a long body. A small part
/// goes on at once, somebody may be waiting for just that.
fn gather(first: Bytes, rest: &mut Rest) -> Gathered {
    if first.len() < LARGE {
        return Gathered { bytes: first, end: End::NotYet };
    }
    let mut bytes = BytesMut::from(first);
    while bytes.len() < GATHERED {
        // Unconstrained: it would else be told to yield, which looks like nothing to read.
        match tokio::task::unconstrained(rest.next()).now_or_never() {
            None => break,
            Some(Ok(Some(part))) => bytes.extend_from_slice(&part),
            Some(Ok(None)) => return Gathered { bytes: bytes.freeze(), end: End::Whole },
            Some(Err(error)) => {
                return Gathered { bytes: bytes.freeze(), end: End::Broken(error) };
            }
        }
    }
    Gathered { bytes: bytes.freeze(), end: End::NotYet }
}

/// Ends when the client is no longer there to be answered: what the upstream does for it is given up.
async fn gone(session: &mut Session) -> Box<Error> {
    loop {
        if let Err(error) = session.as_downstream_mut().read_body_or_idle(true).await {
            return error.into_down();
        }
    }
}
