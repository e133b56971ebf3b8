//! Reading from and writing to the client, bounded in time whatever the version of HTTP; failures are
//! marked as downstream's.

use std::future::Future;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Version, header};
use pingora::http::ResponseHeader;
// Its timers are shared by all who wait for the same 10 ms: a request costs no timer of its own.
use pingora::prelude::timeout;
use pingora::protocols::Stream;
use pingora::{Error, ErrorType, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use super::memory::Share;
use super::{ServerSession, fault};
use crate::answer::Failure;
use crate::proxy::settings::ServerLimits;

/// A client that has not taken a part of an answer by then has gone.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(120);
/// At a stop, a connection between two requests stays open this long; and a client that is refused is
/// read from this long.
pub(super) const LINGER: Duration = Duration::from_millis(500);
/// How long the rest of an upload is read after its answer.
const DRAIN: Duration = Duration::from_secs(2);

/// Writes the head of an answer.
///
/// # Errors
/// When the client has gone, or takes nothing.
pub async fn head(session: &mut ServerSession, header: Box<ResponseHeader>) -> Result<()> {
    taken(session.write_response_header(header)).await
}

/// Writes a part of its body.
///
/// # Errors
/// As [`head`].
pub async fn part(session: &mut ServerSession, part: Bytes) -> Result<()> {
    taken(session.write_response_body(part, false)).await
}

/// Writes the last part of its body.
///
/// # Errors
/// As [`head`].
pub async fn last(session: &mut ServerSession, part: Bytes) -> Result<()> {
    taken(session.write_response_body(part, true)).await
}

/// Writes the end of its body.
///
/// # Errors
/// As [`head`].
pub async fn end(session: &mut ServerSession) -> Result<()> {
    taken(session.finish_body()).await
}

/// Ends the connection's way to the client.
pub(super) async fn shutdown<T>(shutting: impl Future<Output = T>) {
    // Over TLS there is something to write, and it may not be taken.
    let _ = timeout(WRITE_TIMEOUT, shutting).await;
}

/// Writes bytes to the bare stream; whether the client took them.
pub(super) async fn write_all(stream: &mut Stream, bytes: &[u8]) -> bool {
    let writing = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    matches!(timeout(WRITE_TIMEOUT, writing).await, Ok(Ok(())))
}

/// Closes our side, and reads on for a moment: upon what is unread a close is a reset, and the answer
/// would be lost with it (RFC 9112 §9.6).
pub(super) async fn linger(stream: &mut Stream) {
    shutdown(stream.shutdown()).await;
    let reading = async {
        let mut read = [0; 4096];
        while stream.read(&mut read).await.is_ok_and(|n| n > 0) {}
    };
    let _ = timeout(LINGER, reading).await;
}

/// Reads on for a moment where an answer came before the end of an upload. Closed upon, the client
/// would be reset, and the answer lost with all else on its way (RFC 9112 §9.6).
pub(super) async fn drain(session: &mut ServerSession) {
    if session.is_http2() || session.is_body_done() {
        return;
    }
    if let Ok(Err(error)) = timeout(DRAIN, session.drain_request_body()).await {
        tracing::debug!(error = %fault::Plain(&error), "the client broke off its upload");
    }
}

/// Waits for the client to take what is written.
pub(super) async fn taken(writing: impl Future<Output = Result<()>>) -> Result<()> {
    match timeout(WRITE_TIMEOUT, writing).await {
        Ok(written) => written.map_err(Error::into_down),
        Err(_) => Err(Error::new_down(ErrorType::WriteTimedout)),
    }
}

/// A request's body on its way in.
pub struct Upload<'a> {
    session: &'a mut ServerSession,
    limits: &'a ServerLimits,
    began: Instant,
    received: u64,
}

impl<'a> Upload<'a> {
    pub fn of(session: &'a mut ServerSession, limits: &'a ServerLimits) -> Self {
        Self { session, limits, began: Instant::now(), received: 0 }
    }

    /// The next part; `None` at the end.
    ///
    /// # Errors
    /// When the client breaks off, or is silent for too long.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let left = self.limits.body_time(self.received).saturating_sub(self.began.elapsed());
        let patience = self.limits.read_timeout.min(left);
        let read = match timeout(patience, self.session.read_request_body()).await {
            Ok(read) => read.map_err(Error::into_down),
            Err(_) => Err(Error::new_down(ErrorType::ReadTimedout)),
        };
        if let Ok(Some(part)) = &read {
            self.received += part.len() as u64;
        }
        if read.is_err() {
            // Where the next request begins is not known.
            self.session.set_keepalive(None);
        }
        read
    }

    /// All of it, at most `limit` bytes, in `share`.
    ///
    /// # Errors
    /// [`Failure::BodyTooLarge`] over the limit; else as [`Upload::beginning`].
    pub async fn whole(mut self, limit: usize, share: &mut Share) -> Result<Bytes, Failure> {
        let too_large = Failure::BodyTooLarge { limit };
        let announced = self.session.get_header(header::CONTENT_LENGTH);
        let announced = announced.and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|n| n > limit as u64) {
            return Err(too_large);
        }
        match self.beginning(limit, share).await? {
            (body, false) => Ok(body),
            (_, true) => Err(too_large),
        }
    }

    /// What comes first, up to some bytes more than `limit`, held in `share`, and whether there is more
    /// of it.
    ///
    /// # Errors
    /// [`Failure::Slow`], [`Failure::BadRequest`] when it breaks off, or [`Failure::BodyMemory`].
    pub async fn beginning(
        &mut self,
        limit: usize,
        share: &mut Share,
    ) -> Result<(Bytes, bool), Failure> {
        let failure = |error: Box<Error>| fault::failure(&error);
        if expects_continue(self.session) {
            taken(self.session.write_continue_response()).await.map_err(failure)?;
        }
        // Mostly all of it comes at once, and is not copied.
        let mut body = BytesMut::from(self.next().await.map_err(failure)?.unwrap_or_default());
        share.take(body.len())?;
        while body.len() <= limit {
            let Some(part) = self.next().await.map_err(failure)? else {
                return Ok((body.freeze(), false));
            };
            share.take(part.len())?;
            body.extend_from_slice(&part);
        }
        Ok((body.freeze(), true))
    }
}

/// Whether the client waits for `100 Continue` before it sends its body (RFC 9110 §10.1.1). pingora
/// sends no interim answer to HTTP/2, and HTTP/1.0 has none.
pub fn expects_continue(session: &ServerSession) -> bool {
    let expected = session.get_header(header::EXPECT);
    session.req_header().version == Version::HTTP_11
        && expected.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Cancels `work` when the HTTP/2 stream is reset: otherwise rapid resets (CVE-2023-44487) pile up
/// work. An HTTP/1 connection has one request at a time.
///
/// # Errors
/// When the client has gone.
pub async fn cancel_on_reset<T>(
    session: &mut ServerSession,
    work: impl Future<Output = T>,
) -> Result<T> {
    if !session.is_http2() {
        return Ok(work.await);
    }
    tokio::select! {
        // A stream may be reset before it is looked at.
        biased;
        gone = session.read_body_or_idle(true) => {
            Err(gone.err().unwrap_or_else(|| Error::new(ErrorType::ConnectionClosed)).into_down())
        }
        done = work => Ok(done),
    }
}
