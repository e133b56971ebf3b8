//! Requests refused because of their head. Like all other answers, each refusal has a JSON body, a
//! counter and an access line.

use std::fmt::Write as _;

use pingora::http::RequestHeader;

use crate::answer::{self, Answer, Failure};
use crate::log;
use crate::proxy::counters::{Counters, Kind};

/// The complete answer to an HTTP/1 request whose head is refused, with `Connection: close`. `head`
/// is the part of the head that was read.
pub(super) fn http1(counters: &Counters, head: &[u8], failure: &Failure) -> Vec<u8> {
    let answer = answer::http(failure);
    let (method, target) = request_line(head);
    counters.failure(answer.code);
    account(counters, method, target, &answer);
    let status = http::StatusCode::from_u16(answer.status).ok();
    let reason = status.and_then(|status| status.canonical_reason()).unwrap_or_default();
    let mut head = format!("HTTP/1.1 {} {reason}\r\n", answer.status);
    for (name, value) in &answer.fields {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head.push_str("Connection: close\r\n\r\n");
    [head.as_bytes(), &answer.body].concat()
}

/// Counts and logs a refused HTTP/2 request.
pub(super) fn http2(counters: &Counters, request: &RequestHeader, failure: &Failure) {
    account(counters, request.method.as_str(), request.uri.path(), &answer::http(failure));
}

fn account(counters: &Counters, method: &str, target: &str, answer: &Answer) {
    counters.request(Kind::Refused, answer.status);
    if !log::access_wanted() {
        return;
    }
    let access = log::Access {
        request_id: "-",
        method,
        path: target.split(['?', '#']).next().unwrap_or_default(),
        status: answer.status,
        code: Some(answer.code),
        route: Kind::Refused.name(),
        bytes: answer.body.len() as u64,
        seconds: 0.0,
    };
    access.log();
}

/// Method and target for the log, as far as the line can be split.
fn request_line(head: &[u8]) -> (&str, &str) {
    let line = head.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = std::str::from_utf8(line).unwrap_or_default().trim_end();
    let mut parts = line.split(' ').filter(|part| !part.is_empty());
    let method = parts.next().unwrap_or("-");
    let is_method = method.len() <= 32 && method.bytes().all(|b| b.is_ascii_alphabetic());
    (if is_method { method } else { "-" }, parts.next().unwrap_or("-"))
}

/// Whether the request target made the parser fail.
pub(super) fn has_bad_target(head: &[u8]) -> bool {
    let line = head.split(|b| *b == b'\n').next().unwrap_or_default();
    let mut parts = line.splitn(2, |b| *b == b' ');
    let method = parts.next().unwrap_or_default();
    let rest = parts.next().unwrap_or_default().trim_ascii_end();
    !method.is_empty()
        && method.iter().all(u8::is_ascii_alphabetic)
        && (rest.ends_with(b" HTTP/1.1") || rest.ends_with(b" HTTP/1.0"))
        && rest[..rest.len() - 9].iter().any(|b| !b.is_ascii_graphic() || b"\"<>".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_refused_request_names_what_can_be_read() {
        assert_eq!(request_line(b"GET /a?token=1 HTTP/1.1\r\n"), ("GET", "/a?token=1"));
        assert_eq!(request_line(b"GET  /x HTTP/1.1\r\n"), ("GET", "/x"));
        assert_eq!(request_line(b"\x16\x03\x01"), ("-", "-"));
        assert_eq!(request_line(b""), ("-", "-"));
    }

    #[test]
    fn a_bad_target_is_distinguished_from_other_faults() {
        assert!(has_bad_target(b"GET /a b HTTP/1.1\r\n"));
        assert!(has_bad_target(b"GET  /x HTTP/1.1\r\n"));
        assert!(has_bad_target(b"GET /\"x HTTP/1.1\r\n"));
        assert!(!has_bad_target(b"GET / HTTP/1.1\r\nbad name: x\r\n"));
        assert!(!has_bad_target(b"nonsense\r\n"));
    }
}
