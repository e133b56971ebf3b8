//! Writes answers of this program to a pingora session.

use bytes::Bytes;
use http::{Method, Version, header};
use pingora::Result;
use pingora::http::ResponseHeader;

use super::{ServerSession, downstream, response};
use crate::answer::{self, Failure};
use crate::proxy::counters::Counters;

/// Why a request is not answered as planned.
#[derive(Debug, thiserror::Error)]
pub enum Abort {
    /// The client gets an error answer.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The client can get no other answer: it has gone, or the answer has begun.
    #[error(transparent)]
    Broken(#[from] Box<pingora::Error>),
}

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
    downstream::in_time(session.write_response_header(header.into())).await?;
    if session.req_header().method == Method::HEAD || body.is_empty() {
        return Ok(());
    }
    downstream::in_time(session.write_response_body(body, true)).await
}

/// Writes an answer that was read whole from the upstream, with the length of its body.
pub async fn write_unchanged(
    session: &mut ServerSession,
    header: impl Into<Box<ResponseHeader>>,
    body: Bytes,
) -> Result<()> {
    let mut header = header.into();
    if response::has_body(session, header.status) {
        header.insert_header(header::CONTENT_LENGTH, body.len())?;
    }
    write(session, header, body).await
}

/// A header field of an answer. pingora does not copy a static name.
pub type Field = (&'static str, String);

/// The head of an answer of this program.
pub fn head(status: u16, fields: impl IntoIterator<Item = Field>) -> Result<ResponseHeader> {
    let fields = fields.into_iter();
    let mut header = ResponseHeader::build(status, Some(fields.size_hint().0))?;
    for (name, value) in fields {
        header.insert_header(name, value)?;
    }
    Ok(header)
}

/// The head of a `200` with this JSON body.
pub fn json_head(body: &Bytes, fields: impl IntoIterator<Item = Field>) -> Result<ResponseHeader> {
    let json = [
        ("Content-Type", "application/json".to_owned()),
        ("Content-Length", body.len().to_string()),
    ];
    head(200, json.into_iter().chain(fields))
}

/// The code of our own error answer, kept in the extensions of its header for the access line.
#[derive(Debug, Clone, Copy)]
pub struct Code(pub &'static str);

/// Answers with an error, and adds the fields of `extra`.
pub async fn fail(
    session: &mut ServerSession,
    counters: &Counters,
    failure: &Failure,
    extra: impl IntoIterator<Item = Field>,
) -> Result<()> {
    let answer = answer::http(failure);
    counters.failure(answer.code);
    let mut header = head(answer.status, answer.fields.into_iter().chain(extra))?;
    header.extensions_mut().insert(Code(answer.code));
    write(session, header, answer.body).await
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
    downstream::in_time(session.write_response_header(header)).await
}
