//! What the head of an upstream's answer means, and whether it can be forwarded.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use pingora::http::ResponseHeader;

use super::headers::{self, TransferCoding};
use super::{ServerSession, validate};
use crate::answer::Failure;
use crate::proxy::settings::ServerLimits;

/// The most interim answers (RFC 9110 §15.2) before the final one.
pub const MAX_INTERIM: usize = 32;

/// Whether the client accepts this many fields. A field section above the client's limit ends an
/// HTTP/2 connection with all its streams. pingora does not report the client's limit, so our own
/// limit is used.
///
/// # Errors
/// [`Failure::UpstreamInvalid`] where the answer cannot be sent to this client.
pub fn fits(
    fields: &HeaderMap,
    session: &ServerSession,
    limits: &ServerLimits,
) -> Result<(), Failure> {
    // The size of a field as `SETTINGS_MAX_HEADER_LIST_SIZE` counts it (RFC 9113 §6.5.2).
    let size = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 32;
    match session.is_http2() && fields.iter().map(size).sum::<usize>() > limits.header {
        true => Err(Failure::UpstreamInvalid),
        false => Ok(()),
    }
}

/// Whether every parser would find the same end of the answer. pingora decodes only the transfer
/// coding `chunked` (RFC 9112 §6.1). HTTP/1.0 has no transfer codings and no protocol upgrades.
pub fn is_understood(header: &ResponseHeader) -> bool {
    let version = match headers::transfer_coding(&header.headers) {
        TransferCoding::Other => false,
        TransferCoding::None if !switches(header) => true,
        TransferCoding::None | TransferCoding::Chunked => header.version != Version::HTTP_10,
    };
    version && has_one_length(&header.headers)
}

/// Whether there is at most one distinct `Content-Length`, and the next parser cannot overflow on
/// it (RFC 9110 §8.6).
fn has_one_length(headers: &HeaderMap) -> bool {
    let mut known = None;
    let mut lines = headers.get_all(header::CONTENT_LENGTH).iter();
    lines.all(|line| validate::content_length(line.as_bytes(), &mut known).is_ok())
}

/// Whether another head follows this one. `101` is a final answer.
pub fn is_interim(header: &ResponseHeader) -> bool {
    header.status.is_informational() && !switches(header)
}

/// Whether the status is `101`: the connection switches to another protocol.
pub fn switches(header: &ResponseHeader) -> bool {
    header.status == StatusCode::SWITCHING_PROTOCOLS
}

/// Whether a `101` switches to WebSocket only (RFC 6455 §4.1).
pub fn switches_to_websocket(header: &ResponseHeader) -> bool {
    switches(header) && headers::upgrades_to_websocket(&header.headers)
}

/// Whether an answer with this status to this request has a body (RFC 9112 §6.3).
pub fn has_body(session: &ServerSession, status: StatusCode) -> bool {
    session.req_header().method != http::Method::HEAD
        && !status.is_informational()
        && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(version: Version, fields: &[(&'static str, &str)]) -> bool {
        let mut header = ResponseHeader::build(200, None).unwrap();
        header.set_version(version);
        for (name, value) in fields {
            header.append_header(*name, *value).unwrap();
        }
        is_understood(&header)
    }

    #[test]
    fn an_answer_ends_where_every_reader_says() {
        let one = |name, value| understood(Version::HTTP_11, &[(name, value)]);
        assert!(one("content-length", "5") && one("content-length", "5, 5"));
        assert!(one("transfer-encoding", "chunked"));
        for length in ["9223372036854775808", "18446744073709551615", "-1", "5, 6", "5x", ""] {
            assert!(!one("content-length", length), "{length}");
        }
        assert!(!one("transfer-encoding", "gzip, chunked"));
        assert!(!understood(Version::HTTP_10, &[("transfer-encoding", "chunked")]));
        assert!(understood(Version::HTTP_10, &[]));
    }
}
