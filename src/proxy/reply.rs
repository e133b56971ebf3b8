//! Answers of our own, written to a pingora session.

use bytes::{Bytes, BytesMut};
use http::{StatusCode, Version, header};
use pingora::Result;
use pingora::http::ResponseHeader;

use super::Session;
use super::state::State;
use crate::answer::{self, Failure};

/// Writes header and body; with `HEAD`, the header alone.
pub(super) async fn write(
    session: &mut Session,
    header: impl Into<Box<ResponseHeader>>,
    body: Bytes,
) -> Result<()> {
    // What is left of an unread request body would be read as the next request.
    if !session.is_body_done() {
        session.set_keepalive(None);
    }
    let bare = session.req_header().method == http::Method::HEAD || body.is_empty();
    session.write_response_header(header.into()).await?;
    if !bare {
        session.write_response_body(body, true).await?;
    }
    Ok(())
}

/// The code of an error answer of ours, in the extensions of its header: for the access line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Code(pub(super) &'static str);

/// Answers with an error. `extra` fields are added to it.
pub(super) async fn fail(
    session: &mut Session,
    state: &State,
    failure: &Failure,
    extra: &[(http::HeaderName, String)],
) -> Result<()> {
    let answer = answer::http(failure);
    state.counters.failure(answer.code);
    let mut header = ResponseHeader::build(answer.status, Some(6 + extra.len()))?;
    header.extensions_mut().insert(Code(answer.code));
    header.insert_header(header::CONTENT_TYPE, "application/json")?;
    header.insert_header(header::CONTENT_LENGTH, answer.body.len())?;
    header.insert_header(header::CACHE_CONTROL, "no-store")?;
    if let Some(seconds) = answer.retry_after {
        header.insert_header(header::RETRY_AFTER, seconds)?;
    }
    if let Some(allow) = answer.allow {
        header.insert_header(header::ALLOW, allow)?;
    }
    for (name, value) in extra {
        header.insert_header(name, value.as_str())?;
    }
    write(session, header, answer.body).await
}

/// RFC 9112 §6.3.
pub(super) fn has_body(session: &Session, status: StatusCode) -> bool {
    session.req_header().method != http::Method::HEAD
        && !status.is_informational()
        && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The head of an answer whose length may be unknown.
pub(super) async fn open_head(
    session: &mut Session,
    mut header: Box<ResponseHeader>,
) -> Result<()> {
    if !header.headers.contains_key(header::CONTENT_LENGTH) {
        match session.req_header().version {
            Version::HTTP_11 => header.insert_header(header::TRANSFER_ENCODING, "chunked")?,
            Version::HTTP_2 => {}
            _ => session.set_keepalive(None),
        }
    }
    session.write_response_header(header).await
}

/// `204` to an OPTIONS request that asks nothing of another origin, and the like.
pub(super) async fn empty(
    session: &mut Session,
    status: u16,
    fields: &[(http::HeaderName, String)],
) -> Result<()> {
    let mut header = ResponseHeader::build(status, Some(fields.len() + 1))?;
    for (name, value) in fields {
        header.insert_header(name, value.as_str())?;
    }
    write(session, header, Bytes::new()).await
}

/// Reads a whole request body of at most `limit` bytes.
///
/// # Errors
/// [`Failure::BodyTooLarge`] over the limit, [`Failure::BadRequest`] when it breaks off.
pub(super) async fn body(session: &mut Session, limit: usize) -> Result<Bytes, Failure> {
    let too_large = Failure::BodyTooLarge { limit };
    let announced = session.get_header(header::CONTENT_LENGTH);
    let announced = announced.and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    if announced.is_some_and(|n| n > limit as u64) {
        return Err(too_large);
    }
    expect(session).await?;
    // Mostly all of it comes at once, and is not copied.
    let mut whole = BytesMut::from(part(session).await?.unwrap_or_default());
    while whole.len() <= limit {
        let Some(part) = part(session).await? else { return Ok(whole.freeze()) };
        whole.extend_from_slice(&part);
    }
    Err(too_large)
}

/// The next part of a request body; `None` at its end.
///
/// # Errors
/// [`Failure::Slow`], or [`Failure::BadRequest`] when it breaks off.
pub(super) async fn part(session: &mut Session) -> Result<Option<Bytes>, Failure> {
    session.read_request_body().await.map_err(|error| match error.etype() {
        pingora::ErrorType::ReadTimedout => Failure::Slow,
        _ => Failure::BadRequest,
    })
}

/// RFC 9110 §10.1.1: the client waits for leave to send its body.
pub(super) async fn expect(session: &mut Session) -> Result<(), Failure> {
    let waits = session
        .get_header(header::EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if waits && !session.is_http2() {
        session.write_continue_response().await.map_err(|_| Failure::BadRequest)?;
    }
    Ok(())
}
