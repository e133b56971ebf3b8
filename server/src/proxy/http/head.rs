//! Reads one HTTP/1.1 request head, limited in size and time, before pingora parses it. pingora's
//! own limits are 1 MiB and one idle time per read, and it drops a `Content-Length` next to
//! `Transfer-Encoding` before anything can refuse it.

use bytes::BytesMut;
// pingora groups its timers in steps of 10 ms: a request does not cost a timer of its own.
use pingora::prelude::timeout;
use pingora::protocols::Stream;
use tokio::io::AsyncReadExt as _;

use crate::proxy::settings::ServerLimits;

/// The result of reading a head.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// A whole head is in the buffer, this many bytes long.
    Head(usize),
    /// The client closed the connection, or sent nothing, between two requests.
    Closed,
    TooLarge,
    /// The head took too long.
    Slow,
}

/// Reads until `buffer` holds a whole head. Bytes after it stay in the buffer.
pub async fn read(stream: &mut Stream, buffer: &mut BytesMut, limits: &ServerLimits) -> Read {
    skip_empty_lines(buffer);
    if buffer.is_empty() {
        let began = timeout(limits.idle_timeout, read_beginning(stream, buffer)).await;
        if !began.unwrap_or(false) {
            return Read::Closed;
        }
    }
    if let Some(read) = head_in(buffer, 0, limits.header) {
        return read;
    }
    let rest = read_rest(stream, buffer, limits.header);
    timeout(limits.read_timeout, rest).await.unwrap_or(Read::Slow)
}

/// The result if `buffer` holds the end of the head, at `searched` or later.
fn head_in(buffer: &[u8], searched: usize, limit: usize) -> Option<Read> {
    let end = end_of_head(buffer, searched)?;
    Some(if end <= limit { Read::Head(end) } else { Read::TooLarge })
}

/// Reads the first bytes of a head, skipping empty lines. `false` means the end of the stream.
async fn read_beginning(stream: &mut Stream, buffer: &mut BytesMut) -> bool {
    while buffer.is_empty() {
        buffer.reserve(2048);
        match stream.read_buf(buffer).await {
            Ok(n) if n > 0 => skip_empty_lines(buffer),
            _ => return false,
        };
    }
    true
}

async fn read_rest(stream: &mut Stream, buffer: &mut BytesMut, limit: usize) -> Read {
    while buffer.len() <= limit {
        // The end may have begun in the last three bytes.
        let searched = buffer.len().saturating_sub(3);
        buffer.reserve(2048);
        match stream.read_buf(buffer).await {
            Ok(n) if n > 0 => {}
            _ => return Read::Closed,
        }
        let searched = if skip_empty_lines(buffer) { 0 } else { searched };
        if let Some(read) = head_in(buffer, searched, limit) {
            return read;
        }
    }
    Read::TooLarge
}

/// Skips empty lines before a request (RFC 9112 §2.2). Otherwise such a line would count as the end
/// of an empty head, and pingora's parser would get the rest without the limits.
fn skip_empty_lines(buffer: &mut BytesMut) -> bool {
    let blank = |b: &[u8]| match b {
        [b'\n', ..] => 1,
        [b'\r', b'\n', ..] => 2,
        _ => 0,
    };
    let mut skipped = false;
    while let length @ 1.. = blank(buffer) {
        let _ = buffer.split_to(length);
        skipped = true;
    }
    skipped
}

/// The end of the head: after an empty line. A bare LF ends a line too (RFC 9112 §2.2), because
/// pingora's parser accepts it.
fn end_of_head(buffer: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(found) = memchr::memchr(b'\n', &buffer[at..]) {
        let next = at + found + 1;
        match buffer.get(next..) {
            Some([b'\n', ..]) => return Some(next + 1),
            Some([b'\r', b'\n', ..]) => return Some(next + 2),
            _ => at = next,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limits(read_timeout: Duration, idle_timeout: Duration) -> ServerLimits {
        ServerLimits { header: 1024, read_timeout, idle_timeout, ..ServerLimits::default() }
    }

    #[tokio::test]
    async fn empty_lines_before_a_request_hide_nothing_of_it() {
        let head = &b"POST / HTTP/1.1\r\nHost: a\r\n\r\n"[..];
        for blank in ["\n", "\r\n", "\n\n", "\n\r\n", "\r\n\n\r\n"] {
            for cut in 0..=blank.len() {
                let (mut client, server) = tokio::io::duplex(64);
                let mut stream: Stream = Box::new(server);
                let mut buffer = BytesMut::from(&blank.as_bytes()[..cut]);
                let rest = [&blank.as_bytes()[cut..], head].concat();
                tokio::io::AsyncWriteExt::write_all(&mut client, &rest).await.unwrap();
                let second = Duration::from_secs(1);
                let limits = limits(second, second);
                let found = read(&mut stream, &mut buffer, &limits).await;
                assert_eq!(found, Read::Head(head.len()), "{blank:?} {cut}");
                assert_eq!(&buffer[..], head, "{blank:?} {cut}");
            }
        }
    }

    #[tokio::test]
    async fn an_empty_line_begins_nothing() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut stream: Stream = Box::new(server);
        let idle = Duration::from_millis(50);
        let limits = limits(Duration::from_secs(600), idle);
        let mut buffer = BytesMut::new();
        let sending = async {
            while tokio::io::AsyncWriteExt::write_all(&mut client, b"\r\n").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let found = tokio::select! {
            found = read(&mut stream, &mut buffer, &limits) => found,
            () = sending => unreachable!(),
        };
        assert_eq!(found, Read::Closed, "silent, not slow, however many there are");
    }

    #[test]
    fn a_head_ends_at_its_empty_line_however_it_is_spelled() {
        for (bytes, end) in [
            (&b"GET / HTTP/1.1\r\nA: b\r\n\r\nbody"[..], Some(24)),
            (b"GET / HTTP/1.1\nA: b\n\nbody", Some(21)),
            (b"GET / HTTP/1.1\r\n\r\n", Some(18)),
            (b"GET / HTTP/1.1\r\nA: b\r\n", None),
            (b"", None),
        ] {
            assert_eq!(end_of_head(bytes, 0), end, "{bytes:?}");
            // The end is also found when the head arrives in pieces: the search starts three bytes
            // back.
            for cut in 0..bytes.len() {
                let early = end_of_head(&bytes[..cut], 0);
                if early.is_none() {
                    assert_eq!(end_of_head(bytes, cut.saturating_sub(3)), end, "{bytes:?} {cut}");
                }
            }
        }
    }
}
