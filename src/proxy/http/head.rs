//! One HTTP/1.1 request head, read with a bound on its size and on the time it may take, before
//! pingora parses it: pingora's own bounds are 1 MiB and one idle time per read, and it drops a
//! `Content-Length` that stands beside `Transfer-Encoding` before anybody can refuse it.

use std::time::Duration;

use bytes::BytesMut;
// Its timers are shared by all who wait for the same 10 ms: a request costs no timer of its own.
use pingora::prelude::timeout;
use pingora::protocols::Stream;
use tokio::io::AsyncReadExt as _;

/// How a head is bounded.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes of the request line and the fields.
    pub size: usize,
    /// From its first byte to its last.
    pub time: Duration,
    /// Before its first byte.
    pub idle: Duration,
}

/// What became of reading a head.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// A whole head is in the buffer, this many bytes long.
    Head(usize),
    /// The other side went away, or stayed silent, between two requests.
    Closed,
    TooLarge,
    /// The head took too long.
    Slow,
}

/// Reads until `buffer` holds a whole head. What stands after it stays in the buffer.
pub async fn read(stream: &mut Stream, buffer: &mut BytesMut, bounds: &Bounds) -> Read {
    skip_empty_lines(buffer);
    if buffer.is_empty() && !timeout(bounds.idle, beginning(stream, buffer)).await.unwrap_or(false)
    {
        return Read::Closed;
    }
    match end_of_head(buffer, 0) {
        Some(end) if end <= bounds.size => Read::Head(end),
        Some(_) => Read::TooLarge,
        None => {
            let rest = rest(stream, buffer, bounds.size);
            timeout(bounds.time, rest).await.unwrap_or(Read::Slow)
        }
    }
}

/// Reads something of a head: an empty line is nothing of it. `false` at the end of the stream.
async fn beginning(stream: &mut Stream, buffer: &mut BytesMut) -> bool {
    while buffer.is_empty() {
        buffer.reserve(2048);
        match stream.read_buf(buffer).await {
            Ok(n) if n > 0 => skip_empty_lines(buffer),
            _ => return false,
        };
    }
    true
}

async fn rest(stream: &mut Stream, buffer: &mut BytesMut, size: usize) -> Read {
    while buffer.len() <= size {
        let searched = buffer.len().saturating_sub(3);
        buffer.reserve(2048);
        match stream.read_buf(buffer).await {
            Ok(n) if n > 0 => {}
            _ => return Read::Closed,
        }
        let searched = if skip_empty_lines(buffer) { 0 } else { searched };
        match end_of_head(buffer, searched) {
            Some(end) if end <= size => return Read::Head(end),
            Some(_) => return Read::TooLarge,
            None => {}
        }
    }
    Read::TooLarge
}

/// RFC 9112 §2.2: an empty line before a request is ignored. One left in place would be taken for
/// the end of an empty head, and what follows would reach the next parser without our bounds.
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

/// Where the head ends: after an empty line. A bare LF ends a line too (RFC 9112 §2.2), as the
/// parser behind this one takes it so.
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

/// The fields that decide how a message is read, told apart by length first: mostly none is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    Upgrade,
    Other,
}

impl Field {
    pub fn of(name: &str) -> Self {
        let (known, field) = match name.len() {
            4 => ("host", Self::Host),
            7 => ("upgrade", Self::Upgrade),
            10 => ("connection", Self::Connection),
            14 => ("content-length", Self::ContentLength),
            17 => ("transfer-encoding", Self::TransferEncoding),
            _ => return Self::Other,
        };
        if name.eq_ignore_ascii_case(known) { field } else { Self::Other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
                let bounds = Bounds { size: 1024, time: second, idle: second };
                let found = read(&mut stream, &mut buffer, &bounds).await;
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
        let bounds = Bounds { size: 1024, time: Duration::from_secs(600), idle };
        let mut buffer = BytesMut::new();
        let sending = async {
            while tokio::io::AsyncWriteExt::write_all(&mut client, b"\r\n").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let found = tokio::select! {
            found = read(&mut stream, &mut buffer, &bounds) => found,
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
            // Found in pieces too: the search starts three bytes back.
            for cut in 0..bytes.len() {
                let early = end_of_head(&bytes[..cut], 0);
                if early.is_none() {
                    assert_eq!(end_of_head(bytes, cut.saturating_sub(3)), end, "{bytes:?} {cut}");
                }
            }
        }
    }
}
