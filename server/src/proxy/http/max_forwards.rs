//! `Max-Forwards` of `TRACE` and `OPTIONS` (RFC 9110 §7.6.2): how many proxies may forward the
//! request.

use bytes::Bytes;
use http::{HeaderName, Method};
use pingora::http::RequestHeader;

use super::ServerSession;
use super::reply::{self, Abort};
use crate::answer::Failure;

const NAME: HeaderName = HeaderName::from_static("max-forwards");
/// The methods that are forwarded. `TRACE` is refused.
const ALLOW: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// How many times the request may still be forwarded. `None` where the field is missing or is not a
/// single number; such a field is forwarded unchanged.
pub fn of(request: &RequestHeader) -> Option<u64> {
    if !matches!(request.method, Method::TRACE | Method::OPTIONS) {
        return None;
    }
    let mut lines = request.headers.get_all(NAME).iter();
    let text = lines.next().filter(|_| lines.next().is_none())?.to_str().ok()?.trim();
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // A larger number counts as the maximum.
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Decrements the field of a request that is forwarded.
///
/// # Errors
/// None: a number is a valid value.
pub fn decrement(request: &mut RequestHeader) -> pingora::Result<()> {
    match of(request) {
        Some(left) => request.insert_header(NAME, left.saturating_sub(1)),
        None => Ok(()),
    }
}

/// Answers a request that may not be forwarded. `TRACE` is refused: its answer would echo the
/// client's cookies and tokens (RFC 9110 §9.3.8).
///
/// # Errors
/// [`Failure::MethodNotAllowed`], or when the client has closed the connection.
pub async fn answer(session: &mut ServerSession) -> Result<(), Abort> {
    if session.req_header().method == Method::TRACE {
        return Err(Failure::MethodNotAllowed { allow: ALLOW }.into());
    }
    let header = reply::head(204, [("Allow", ALLOW.to_owned())])?;
    Ok(reply::write(session, header, Bytes::new()).await?)
}
