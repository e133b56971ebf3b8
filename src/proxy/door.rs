//! What stands first on a connection: the count of connections, the bounds on a request head, and
//! the answer to the one question that is asked most, `GET` of a key set, which is one write of
//! prepared bytes. Everything else goes through pingora's HTTP to the [`Gate`], as it came.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::FutureExt as _;
use pingora::apps::ServerApp;
use pingora::prelude::timeout;
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4::stream::Stream as TcpStream;
use pingora::protocols::{ALPN, Stream};
use pingora::server::ShutdownWatch;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::client;
use super::counters::Kind;
use super::date;
use super::gate::Gate;
use super::head::{self, Bounds, Read};
use super::jwks::Ask;
use super::state::State;
use crate::answer::{self, Failure};

/// RFC 9113 §3.4.
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Header fields of a request answered here; one with more goes the long way.
const FIELDS: usize = 32;

/// At a stop, a connection between two requests stays open this long; and a client that is refused is
/// listened to.
const LINGER: Duration = Duration::from_millis(500);

/// The application pingora's listeners hand connections to.
pub struct Door {
    gate: Arc<Gate>,
    state: Arc<State>,
    bounds: Bounds,
    /// Between two requests of a connection, seconds.
    keepalive: u64,
}

impl Door {
    pub fn new(state: Arc<State>) -> Self {
        let limits = &state.server.limits;
        let bounds =
            Bounds { size: limits.header, time: limits.read_timeout, idle: limits.idle_timeout };
        Self {
            gate: Arc::new(Gate::new(state.clone())),
            keepalive: bounds.idle.as_secs().max(1),
            bounds,
            state,
        }
    }

    async fn http1(&self, mut stream: Stream, mut buffer: BytesMut, shutdown: &ShutdownWatch) {
        // One for the connection: each request would else register with the stop anew.
        let stop = told_to_stop(shutdown).fuse();
        tokio::pin!(stop);
        loop {
            let read = tokio::select! {
                biased;
                read = head::read(&mut stream, &mut buffer, &self.bounds) => read,
                // Between two requests a connection may be closed; within one it is served.
                () = &mut stop => match self.last_read(&mut stream, &mut buffer).await {
                    Some(read) => read,
                    None => return,
                },
            };
            let end = match read {
                Read::Head(end) => end,
                Read::Closed => return,
                Read::Slow => return refuse(&mut stream, &self.state, &Failure::Slow).await,
                Read::TooLarge => {
                    let failure = Failure::HeaderTooLarge { limit: self.bounds.size };
                    return refuse(&mut stream, &self.state, &failure).await;
                }
            };
            let stopping = *shutdown.borrow();
            match self.look(&buffer[..end], stopping) {
                Look::Framing => return refuse(&mut stream, &self.state, &Failure::Framing).await,
                Look::Answer { bytes, last } => {
                    let _ = buffer.split_to(end);
                    if !write(&mut stream, &bytes).await || last {
                        return client::shut(stream.shutdown()).await;
                    }
                }
                Look::Pass { alone } => {
                    let mut session = ServerSession::new_http1(stream);
                    session.set_keepalive((!stopping).then_some(self.keepalive));
                    // What comes before its time is kept, and comes back below.
                    session.set_pipelining_enabled(true);
                    // Split off, a buffer becomes a shared one; mostly there is nothing to keep.
                    session.set_pipelined_prefix(match alone && buffer.len() > end {
                        true => buffer.split_to(end),
                        false => std::mem::take(&mut buffer),
                    });
                    let Some(next) = self.gate.serve(session, stopping).await else { return };
                    let (reused, early) = next.into_parts();
                    stream = reused;
                    buffer.extend_from_slice(&early.unwrap_or_default());
                }
            }
        }
    }

    /// At a stop a request may be on its way on this connection: closed now, it would be lost. It is
    /// awaited a moment, and answered with `Connection: close`. `None`: there was none.
    async fn last_read(&self, stream: &mut Stream, buffer: &mut BytesMut) -> Option<Read> {
        let reading = head::read(stream, buffer, &self.bounds);
        match tokio::time::timeout(LINGER, reading).await {
            Ok(read) => Some(read),
            Err(_) if buffer.is_empty() => {
                client::shut(stream.shutdown()).await;
                None
            }
            Err(_) => Some(head::read(stream, buffer, &self.bounds).await),
        }
    }

    /// Looks at a whole head without consuming it.
    fn look(&self, bytes: &[u8], stopping: bool) -> Look {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        let whole = request.parse(bytes).is_ok_and(|status| status.is_complete());
        if !whole {
            // Malformed, or with more fields than are looked at: pingora judges it, but two lengths
            // are refused wherever they stand.
            let two = two_lengths_anywhere(bytes);
            return if two { Look::Framing } else { Look::Pass { alone: false } };
        }
        if head::has_two_lengths(&request) {
            return Look::Framing;
        }
        let ready = match (request.method, request.path, request.version) {
            (Some("GET" | "HEAD"), Some(path), Some(1)) => self.state.ready(path),
            _ => None,
        };
        let has = |name: &str| request.headers.iter().any(|h| h.name.eq_ignore_ascii_case(name));
        let alone = !(has("content-length") || has("transfer-encoding") || has("upgrade"));
        let pass = Look::Pass { alone };
        let Some(ready) = ready.filter(|_| alone) else { return pass };
        let mut ask = Ask { head: request.method == Some("HEAD"), ..Ask::default() };
        let (mut hosts, mut last, mut repeated) = (0, stopping, false);
        for field in request.headers.iter() {
            // Repeated or unusual fields go the long way.
            match field.name.len() {
                4 if field.name.eq_ignore_ascii_case("host") => hosts += 1,
                6 if field.name.eq_ignore_ascii_case("accept") => {
                    repeated |= ask.accept.replace(field.value).is_some();
                }
                13 if field.name.eq_ignore_ascii_case("if-none-match") => {
                    repeated |= ask.if_none_match.replace(field.value).is_some();
                }
                10 if field.name.eq_ignore_ascii_case("connection") => match field.value {
                    b"keep-alive" | b"Keep-Alive" => {}
                    b"close" => last = true,
                    _ => return pass,
                },
                6 if field.name.eq_ignore_ascii_case("expect") => return pass,
                _ => {}
            }
        }
        if hosts != 1 || repeated {
            return pass;
        }
        let mut out = BytesMut::with_capacity(512 + ready.set.body.len());
        let status = date::with(|date| ready.write(&ask, date, last, &mut out));
        self.state.counters.request(Kind::Jwks, status);
        Look::Answer { bytes: out.freeze(), last }
    }
}

async fn told_to_stop(shutdown: &ShutdownWatch) {
    // The value's lock must not be held across the caller's next wait.
    let _ = shutdown.clone().wait_for(|stop| *stop).await;
}

enum Look {
    Answer {
        bytes: Bytes,
        last: bool,
    },
    Framing,
    /// For the gate. `alone`: the request is its head and nothing more.
    Pass {
        alone: bool,
    },
}

/// For heads too long to be parsed here: names at line starts are enough to tell.
fn two_lengths_anywhere(head: &[u8]) -> bool {
    let has = |name: &[u8]| {
        head.split(|b| *b == b'\n').skip(1).any(|line| {
            line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
        })
    };
    has(b"content-length") && has(b"transfer-encoding")
}

/// Answers and closes: after a head that cannot be trusted, nothing on the connection can be.
async fn refuse(stream: &mut Stream, state: &State, failure: &Failure) {
    let answer = answer::http(failure);
    state.counters.failure(answer.code);
    let status = answer.status;
    let reason = http::StatusCode::from_u16(status).ok();
    let reason = reason.and_then(|s| s.canonical_reason()).unwrap_or_default();
    let again = answer.retry_after.map(|seconds| format!("Retry-After: {seconds}\r\n"));
    let again = again.unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         {again}Cache-Control: no-store\r\nConnection: close\r\n\r\n",
        answer.body.len()
    );
    let bytes = [head.as_bytes(), &answer.body].concat();
    if write(stream, &bytes).await {
        linger(stream).await;
    }
}

/// Whether the client took it.
async fn write(stream: &mut Stream, bytes: &[u8]) -> bool {
    let writing = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    matches!(timeout(client::TAKES, writing).await, Ok(Ok(())))
}

/// Closes our side, and reads on for a moment: upon what is unread a close is a reset, and the answer
/// would be lost with it (RFC 9112 §9.6).
async fn linger(stream: &mut Stream) {
    client::shut(stream.shutdown()).await;
    let reading = async {
        let mut read = [0; 4096];
        while stream.read(&mut read).await.is_ok_and(|n| n > 0) {}
    };
    let _ = timeout(LINGER, reading).await;
}

#[async_trait]
impl ServerApp for Door {
    async fn process_new(
        self: &Arc<Self>,
        mut stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let Some(_entered) = self.state.connections.enter() else {
            refuse(&mut stream, &self.state, &Failure::Overloaded).await;
            return None;
        };
        if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
            return self.gate.process_new(stream, shutdown).await;
        }
        let mut buffer = BytesMut::with_capacity(2048);
        let preface = tokio::select! {
            biased;
            preface = preface(&mut stream, &mut buffer, self.bounds.idle) => preface,
            () = async { told_to_stop(shutdown).await; tokio::time::sleep(LINGER).await } => {
                Preface::Closed
            }
        };
        match preface {
            Preface::Http2 => {
                let stream = rewound(stream, &buffer)?;
                self.gate.process_new(stream, shutdown).await
            }
            Preface::Http1 => {
                self.http1(stream, buffer, shutdown).await;
                None
            }
            Preface::Closed => None,
        }
    }
}

enum Preface {
    Http1,
    Http2,
    Closed,
}

/// Reads as far as it takes to tell HTTP/2 with prior knowledge (RFC 9113 §3.3) from HTTP/1.
async fn preface(stream: &mut Stream, buffer: &mut BytesMut, idle: Duration) -> Preface {
    let reading = async {
        loop {
            if buffer.starts_with(H2_PREFACE) {
                return Preface::Http2;
            }
            if !buffer.is_empty() && !H2_PREFACE.starts_with(buffer) {
                return Preface::Http1;
            }
            match stream.read_buf(buffer).await {
                Ok(n) if n > 0 => {}
                _ => return Preface::Closed,
            }
        }
    };
    tokio::time::timeout(idle, reading).await.unwrap_or(Preface::Closed)
}

/// The stream as if nothing had been read. Only plain TCP comes here: over TLS, ALPN has decided.
fn rewound(stream: Stream, read: &[u8]) -> Option<Stream> {
    let mut tcp = stream.into_any().downcast::<TcpStream>().ok()?;
    tcp.rewind(read);
    Some(tcp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_lengths_are_seen_in_a_head_of_any_length() {
        let mut head = b"POST / HTTP/1.1\r\n".to_vec();
        for i in 0..200 {
            head.extend(format!("X-{i}: y\r\n").bytes());
        }
        head.extend(b"CONTENT-LENGTH: 3\r\n");
        assert!(!two_lengths_anywhere(&head));
        head.extend(b"transfer-Encoding: chunked\r\n\r\n");
        assert!(two_lengths_anywhere(&head));
    }
}
