//! A request passed on as it came, and its answer passed back: both directions in one task, so that
//! an upload may be answered before it ends and a WebSocket may speak either way.

use bytes::{Bytes, BytesMut};
use futures::FutureExt as _;
use http::{StatusCode, Version, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{Error, Result};

use super::call::{self, Connection, Tries, Unopened};
use super::client::{self, Upload};
use super::fault::Plain;
use super::outbound::{self, Changes};
use super::state::State;
use super::upstream::Upstream;
use super::{Session, headers, reply};
use crate::answer::Failure;

/// A part from this size on is one of a long body, and waits for what has come after it.
const LARGE: usize = 16 * 1024;
/// Written at once at most, give or take one part.
const GATHERED: usize = 192 * 1024;

/// Answers the request with what the upstream says.
pub(super) async fn answer(
    session: &mut Session,
    state: &State,
    upstream: &Upstream,
    changes: &Changes,
) -> Result<()> {
    let mut tries = Tries::default();
    loop {
        let request = head(session, state, upstream, changes)?;
        let client = Client::of(session);
        let connection = tokio::select! {
            biased;
            connection = call::connect(request, upstream, &state.connector, &mut tries) => connection,
            gone = client.next(session, state), if client == Client::Waiting => {
                gone?;
                continue;
            }
        };
        let answered = match connection {
            Ok(connection) => {
                Passing { session, state, connection, client }.answer(upstream).await?
            }
            Err(unopened) => Err(unopened),
        };
        match answered {
            Ok(()) => return Ok(()),
            Err(Unopened::Again) => {}
            Err(Unopened::Failed(failure)) => {
                return reply::fail(session, state, &failure, &[]).await;
            }
        }
    }
}

/// Passes on what is left of an answer whose head was written, to a request that was sent whole.
pub(super) async fn rest(
    session: &mut Session,
    state: &State,
    connection: Connection,
) -> Result<()> {
    let mut passing = Passing { session, state, connection, client: Client::Waiting };
    passing.body().await?;
    client::end(passing.session).await?;
    passing.connection.done(&state.connector).await;
    Ok(())
}

/// The request's head as the upstream is to have it.
fn head(
    session: &mut Session,
    state: &State,
    upstream: &Upstream,
    changes: &Changes,
) -> Result<Box<RequestHeader>> {
    let mut header = outbound::copy(session);
    outbound::prepare(&mut header, session, state, upstream, changes)?;
    outbound::ask_websocket(&mut header, session)?;
    if !session.is_body_done() {
        if !header.headers.contains_key(header::CONTENT_LENGTH) {
            header.insert_header(header::TRANSFER_ENCODING, "chunked")?;
        }
        // The upstream gives the leave, or its answer instead.
        if client::awaits_leave(session) {
            header.insert_header(header::EXPECT, "100-continue")?;
        }
    }
    Ok(header)
}

/// What may still come from the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    /// Parts of the request's body.
    Sending,
    /// Nothing. Should it go, what the upstream does for it is given up.
    Waiting,
    /// Nothing that anybody would take: the upstream has stopped reading.
    Unheard,
}

impl Client {
    fn of(session: &mut Session) -> Self {
        if session.is_body_done() { Self::Waiting } else { Self::Sending }
    }

    /// The next part, `None` at the end.
    async fn next(self, session: &mut Session, state: &State) -> Result<Option<Bytes>> {
        match self {
            Self::Sending => Upload::of(session, state).next().await,
            Self::Waiting => loop {
                session.read_body_or_idle(true).await.map_err(Error::into_down)?;
            },
            Self::Unheard => std::future::pending().await,
        }
    }
}

/// A request under way.
struct Passing<'a> {
    session: &'a mut Session,
    state: &'a State,
    connection: Connection,
    client: Client,
}

impl Passing<'_> {
    /// Passes both bodies and the answer's head. The inner error is for what may be tried again, or
    /// answered otherwise.
    async fn answer(mut self, upstream: &Upstream) -> Result<Result<(), Unopened>> {
        if self.client == Client::Waiting
            && let Err(error) = self.connection.finish().await
        {
            return Ok(Err(self.connection.unopened(&error)));
        }
        let mut leave = !client::awaits_leave(self.session);
        let mut header = loop {
            let mut header = match self.head(upstream).await? {
                Ok(header) => header,
                Err(unopened) => return Ok(Err(unopened)),
            };
            if !call::is_interim(&header) {
                break header;
            }
            leave |= header.status == StatusCode::CONTINUE;
            // RFC 9110 §15.2: a proxy forwards them; a client of HTTP/1.0 does not know them.
            if self.session.req_header().version == Version::HTTP_11 {
                headers::strip_bodiless(&mut header);
                client::head(self.session, header).await?;
            }
        };
        if call::switches(&header) {
            return switch(self.session, self.state, header, self.connection).await.map(Ok);
        }
        match header.status {
            StatusCode::NO_CONTENT => headers::strip_bodiless(&mut header),
            _ => headers::strip_response(&mut header),
        }
        if reply::has_body(self.session, header.status) {
            reply::open_head(self.session, header).await?;
            self.body().await?;
        } else {
            client::head(self.session, header).await?;
        }
        client::end(self.session).await?;
        if leave {
            self.rest_of_upload().await;
        }
        self.connection.done(&self.state.connector).await;
        Ok(Ok(()))
    }

    /// The next head of the answer, the request's body passed on meanwhile.
    async fn head(&mut self, upstream: &Upstream) -> Result<Result<Box<ResponseHeader>, Unopened>> {
        loop {
            tokio::select! {
                biased;
                header = self.connection.head(upstream) => {
                    return Ok(header.map_err(|error| self.connection.unopened(&error)));
                }
                part = self.client.next(self.session, self.state) => self.up(part?).await,
            }
        }
    }

    /// The answer's body, the request's passed on meanwhile.
    async fn body(&mut self) -> Result<()> {
        loop {
            let part = tokio::select! {
                biased;
                part = self.connection.next() => part?,
                part = self.client.next(self.session, self.state) => {
                    self.up(part?).await;
                    continue;
                }
            };
            let Some(part) = part else { return Ok(()) };
            let Gathered { bytes, end } = gather(part, &mut self.connection);
            client::part(self.session, bytes).await?;
            match end {
                End::NotYet => {}
                End::Whole => return Ok(()),
                End::Broken(error) => return Err(error),
            }
        }
    }

    /// An answer may come before the end of an upload that the upstream still reads.
    async fn rest_of_upload(&mut self) {
        while self.client == Client::Sending {
            match self.client.next(self.session, self.state).await {
                Ok(part) => self.up(part).await,
                // The client has its answer: that it goes, or is slow, is nobody's failure.
                Err(_) => self.client = Client::Unheard,
            }
        }
    }

    /// Passes a part of the request's body on; `None` is its end.
    async fn up(&mut self, part: Option<Bytes>) {
        let last = part.is_none() || self.session.is_body_done();
        let mut sent = match part {
            Some(part) => self.connection.write(part).await,
            None => Ok(()),
        };
        if last && sent.is_ok() {
            sent = self.connection.finish().await;
        }
        match sent {
            Ok(()) if last => self.client = Client::Waiting,
            Ok(()) => {}
            Err(error) => {
                // It may have answered before: what counts is what it says.
                tracing::debug!(error = %Plain(&error), "the upstream takes no more of the request");
                self.client = Client::Unheard;
            }
        }
    }
}

/// Passes on `101`, and then what either side says, until either ends it: a WebSocket (RFC 6455 §4).
pub(super) async fn switch(
    session: &mut Session,
    state: &State,
    mut header: Box<ResponseHeader>,
    mut connection: Connection,
) -> Result<()> {
    if !headers::is_websocket(session.req_header()) {
        // Nobody asked for another protocol.
        return reply::fail(session, state, &Failure::UpstreamInvalid, &[]).await;
    }
    headers::strip_response(&mut header);
    header.insert_header(header::CONNECTION, "Upgrade")?;
    header.insert_header(header::UPGRADE, "websocket")?;
    client::head(session, header).await?;
    connection.switch_protocol();
    loop {
        tokio::select! {
            part = connection.next() => match part? {
                Some(part) => client::part(session, part).await?,
                None => break,
            },
            part = session.read_body_or_idle(false) => match part.map_err(Error::into_down)? {
                Some(part) => connection.write(part).await?,
                None => break,
            },
        }
    }
    // Either end is the end of both.
    let _ = connection.finish().await;
    client::end(session).await
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
fn gather(first: Bytes, connection: &mut Connection) -> Gathered {
    if first.len() < LARGE {
        return Gathered { bytes: first, end: End::NotYet };
    }
    let mut bytes = BytesMut::from(first);
    while bytes.len() < GATHERED {
        // Unconstrained: it would else be told to yield, which looks like nothing to read.
        match tokio::task::unconstrained(connection.next()).now_or_never() {
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
