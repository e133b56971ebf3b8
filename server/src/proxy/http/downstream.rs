//! Reads from and writes to the client within time limits, for every version of HTTP. Failures are
//! marked as downstream errors.

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Version, header};
// pingora groups its timers in steps of 10 ms: a request does not cost a timer of its own.
use pingora::prelude::timeout;
use pingora::protocols::Stream;
use pingora::{Error, ErrorType, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use super::memory::Share;
use super::{ServerSession, fault};
use crate::answer::Failure;
use crate::proxy::settings::ServerLimits;

/// A client that has not taken a part of an answer within this time counts as gone.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(120);
/// At a stop, a connection between two requests stays open this long. After a refusal, the client's
/// bytes are read this long.
pub(super) const LINGER: Duration = Duration::from_millis(500);
/// How long the rest of an upload is read after the answer.
const DRAIN: Duration = Duration::from_secs(2);

/// Applies the write timeout to a write.
///
/// # Errors
/// When the client has closed the connection, or reads nothing.
pub async fn in_time(writing: impl Future<Output = Result<()>>) -> Result<()> {
    match timeout(WRITE_TIMEOUT, pin!(writing)).await {
        Ok(written) => written.map_err(Error::into_down),
        Err(_) => Err(Error::new_down(ErrorType::WriteTimedout)),
    }
}

/// Shuts down the write side of the connection.
pub(super) async fn shutdown<T>(shutting: impl Future<Output = T>) {
    // Over TLS this writes a message, and the client may not read it.
    let _ = timeout(WRITE_TIMEOUT, shutting).await;
}

/// Writes to the raw stream. Returns whether the client took the bytes.
pub(super) async fn write_all(stream: &mut Stream, bytes: &[u8]) -> bool {
    let writing = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    matches!(timeout(WRITE_TIMEOUT, writing).await, Ok(Ok(())))
}

/// Shuts down the write side, and reads on for a moment. Closing a socket with unread bytes resets
/// the connection, and the client may lose the answer (RFC 9112 §9.6).
pub(super) async fn linger(stream: &mut Stream) {
    shutdown(stream.shutdown()).await;
    let reading = async {
        let mut read = [0; 4096];
        while stream.read(&mut read).await.is_ok_and(|n| n > 0) {}
    };
    let _ = timeout(LINGER, reading).await;
}

/// Reads on for a moment if the answer was written before the end of an upload. Otherwise closing
/// would reset the connection, and the client could lose the answer (RFC 9112 §9.6).
pub(super) async fn drain(session: &mut ServerSession) {
    if session.is_http2() || session.is_body_done() {
        return;
    }
    if let Ok(Err(error)) = timeout(DRAIN, session.drain_request_body()).await {
        tracing::debug!(error = %fault::Redacted(&error), "the client broke off its upload");
    }
}

/// A request's body as it arrives.
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
    /// When the client closes the connection, or sends nothing for too long.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let left = self.limits.body_time(self.received).saturating_sub(self.began.elapsed());
        let limit = self.limits.read_timeout.min(left);
        let read = match timeout(limit, self.session.read_request_body()).await {
            Ok(read) => read.map_err(Error::into_down),
            Err(_) => Err(Error::new_down(ErrorType::ReadTimedout)),
        };
        match &read {
            Ok(part) => self.received += part.as_ref().map_or(0, |part| part.len() as u64),
            // It is unknown where the next request begins.
            Err(_) => self.session.set_keepalive(None),
        }
        read
    }

    /// Reads the whole body, at most `limit` bytes, counted in `share`.
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

    /// Reads the beginning of the body, up to a little more than `limit` bytes, counted in `share`.
    /// Returns it, and whether more follows.
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
            in_time(self.session.write_continue_response()).await.map_err(failure)?;
        }
        // Usually the whole body arrives in one part, which is then not copied.
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
/// sends no interim answers over HTTP/2, and HTTP/1.0 has none.
pub fn expects_continue(session: &ServerSession) -> bool {
    let expected = session.get_header(header::EXPECT);
    session.req_header().version == Version::HTTP_11
        && expected.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Cancels `work` when the client resets the HTTP/2 stream: otherwise rapid resets (CVE-2023-44487)
/// pile up work. An HTTP/1 connection has one request at a time.
///
/// Callers pin `work`: a future that is passed by value is copied into this one.
///
/// # Errors
/// When the client has closed the stream or connection.
pub async fn cancel_on_reset<T>(
    session: &mut ServerSession,
    work: Pin<&mut impl Future<Output = T>>,
) -> Result<T> {
    if !session.is_http2() {
        return Ok(work.await);
    }
    tokio::select! {
        // Look for a reset first: the stream may be reset before `work` starts.
        biased;
        gone = session.read_body_or_idle(true) => {
            Err(gone.err().unwrap_or_else(|| Error::new(ErrorType::ConnectionClosed)).into_down())
        }
        done = work => Ok(done),
    }
}
