//! What the head of an upstream's answer says, and whether it can be passed on.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use pingora::http::ResponseHeader;

use super::headers::{self, TransferCoding};
use super::{ServerSession, validate};
use crate::answer::Failure;
use crate::proxy::settings::ServerLimits;

/// Interim answers (RFC 9110 §15.2) before an answer, at most.
pub const MAX_INTERIM: usize = 32;

/// A list of fields that is larger than the client's bound ends an HTTP/2 connection with all its
/// streams. pingora does not tell that bound; ours stands for it.
///
/// # Errors
/// [`Failure::UpstreamInvalid`] where the answer cannot be given to this client.
pub fn fits(
    header: &ResponseHeader,
    session: &ServerSession,
    limits: &ServerLimits,
) -> Result<(), Failure> {
    // RFC 9113 §6.5.2.
    let size = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 32;
    match session.is_http2() && header.headers.iter().map(size).sum::<usize>() > limits.header {
        true => Err(Failure::UpstreamInvalid),
        false => Ok(()),
    }
}

/// Whether it can be told where the answer ends, by every reader alike. Of the transfer codings only
/// `chunked` is undone by pingora (RFC 9112 §6.1); HTTP/1.0 has none, and switches to nothing.
pub fn is_understood(header: &ResponseHeader) -> bool {
    let version = match headers::transfer_coding(&header.headers) {
        TransferCoding::Other => false,
        TransferCoding::None if !switches(header) => true,
        TransferCoding::None | TransferCoding::Chunked => header.version != Version::HTTP_10,
    };
    version && has_one_length(&header.headers)
}

/// A length that may overflow in the next reader is no length (RFC 9110 §8.6).
fn has_one_length(headers: &HeaderMap) -> bool {
    let mut known = None;
    let mut lines = headers.get_all(header::CONTENT_LENGTH).iter();
    lines.all(|line| validate::content_length(line.as_bytes(), &mut known).is_ok())
}

/// Whether another head comes after this one. `101` is an answer.
pub fn is_interim(header: &ResponseHeader) -> bool {
    header.status.is_informational() && !switches(header)
}

/// `101`: from here on the connection speaks another protocol.
pub fn switches(header: &ResponseHeader) -> bool {
    header.status == StatusCode::SWITCHING_PROTOCOLS
}

/// Whether a `101` switches to a WebSocket and to nothing else (RFC 6455 §4.1).
pub fn switches_to_websocket(header: &ResponseHeader) -> bool {
    switches(header) && headers::upgrades_to_websocket(&header.headers)
}

/// Whether an answer with this status to this method has a body (RFC 9112 §6.3).
pub fn has_body(method: &http::Method, status: StatusCode) -> bool {
    *method != http::Method::HEAD
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
