//! Writes answers of this program to a pingora session.

use bytes::Bytes;
use http::{StatusCode, Version, header};
use pingora::Result;
use pingora::http::ResponseHeader;

use super::{ServerSession, downstream, response};
use crate::answer::{self, Failure};
use crate::proxy::counters::Counters;

/// Writes header and body. For `HEAD` it writes the header alone.
pub async fn write(
    session: &mut ServerSession,
    header: impl Into<Box<ResponseHeader>>,
    body: Bytes,
) -> Result<()> {
    // The rest of an unread request body would be parsed as the next request.
    if !session.is_body_done() {
        session.set_keepalive(None);
    }
    let bare = session.req_header().method == http::Method::HEAD || body.is_empty();
    downstream::head(session, header.into()).await?;
    match bare {
        true => Ok(()),
        false => downstream::last(session, body).await,
    }
}

/// Writes an answer that was read whole from the upstream, with the length of its body.
pub async fn write_unchanged(
    session: &mut ServerSession,
    header: impl Into<Box<ResponseHeader>>,
    body: Bytes,
) -> Result<()> {
    let mut header = header.into();
    if has_body(session, header.status) {
        header.insert_header(header::CONTENT_LENGTH, body.len())?;
    }
    write(session, header, body).await
}

/// The code of our own error answer, kept in the extensions of its header for the access line.
#[derive(Debug, Clone, Copy)]
pub struct Code(pub &'static str);

/// Answers with an error, and adds the fields of `extra`.
pub async fn fail(
    session: &mut ServerSession,
    counters: &Counters,
    failure: &Failure,
    extra: &[(http::HeaderName, String)],
) -> Result<()> {
    let answer = answer::http(failure);
    counters.failure(answer.code);
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

/// Whether an answer with this status to this request has a body (RFC 9112 §6.3).
pub fn has_body(session: &ServerSession, status: StatusCode) -> bool {
    response::has_body(&session.req_header().method, status)
}

/// Writes the head of an answer whose length may be unknown.
pub async fn open_head(session: &mut ServerSession, mut header: Box<ResponseHeader>) -> Result<()> {
    if !header.headers.contains_key(header::CONTENT_LENGTH) {
        match session.req_header().version {
            Version::HTTP_11 => header.insert_header(header::TRANSFER_ENCODING, "chunked")?,
            Version::HTTP_2 => {}
            _ => session.set_keepalive(None),
        }
    }
    downstream::head(session, header).await
}

/// Writes an answer without a body, such as `204` to `OPTIONS`.
pub async fn empty(
    session: &mut ServerSession,
    status: u16,
    fields: &[(http::HeaderName, String)],
) -> Result<()> {
    let mut header = ResponseHeader::build(status, Some(fields.len() + 1))?;
    for (name, value) in fields {
        header.insert_header(name, value.as_str())?;
    }
    write(session, header, Bytes::new()).await
}
