//! What goes to the client and comes from it: bounded in time, whatever the version of HTTP, and its
//! failures marked as the client's.

use std::future::Future;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Version, header};
use pingora::http::ResponseHeader;
// Its timers are shared by all who wait for the same 10 ms: a request costs no timer of its own.
use pingora::prelude::timeout;
use pingora::{Error, ErrorType, Result};

use super::Session;
use super::fault;
use super::state::State;
use crate::answer::Failure;

/// A client that has not taken a part of an answer by then has gone.
pub(super) const TAKES: Duration = Duration::from_secs(120);

/// Writes the head of an answer.
///
/// # Errors
/// When the client has gone, or takes nothing.
pub(super) async fn head(session: &mut Session, header: Box<ResponseHeader>) -> Result<()> {
    taken(session.write_response_header(header)).await
}

/// Writes a part of its body.
///
/// # Errors
/// As [`head`].
pub(super) async fn part(session: &mut Session, part: Bytes) -> Result<()> {
    taken(session.write_response_body(part, false)).await
}

/// Writes the last part of its body.
///
/// # Errors
/// As [`head`].
pub(super) async fn last(session: &mut Session, part: Bytes) -> Result<()> {
    taken(session.write_response_body(part, true)).await
}

/// Writes the end of its body.
///
/// # Errors
/// As [`head`].
pub(super) async fn end(session: &mut Session) -> Result<()> {
    taken(session.finish_body()).await
}

/// Ends the connection's way to the client.
pub(super) async fn shut<T>(shutting: impl Future<Output = T>) {
    // Over TLS there is something to write, and it may not be taken.
    let _ = timeout(TAKES, shutting).await;
}

/// Waits for the client to take what is written.
pub(super) async fn taken(writing: impl Future<Output = Result<()>>) -> Result<()> {
    match timeout(TAKES, writing).await {
        Ok(written) => written.map_err(Error::into_down),
        Err(_) => Err(Error::new_down(ErrorType::WriteTimedout)),
    }
}

/// A request's body on its way in.
pub struct Upload<'a> {
    session: &'a mut Session,
    patience: Duration,
}

impl<'a> Upload<'a> {
    pub(super) fn of(session: &'a mut Session, state: &State) -> Self {
        Self { session, patience: state.server.limits.read_timeout }
    }

    /// The next part; `None` at the end.
    ///
    /// # Errors
    /// When the client breaks off, or is silent for too long.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let reading = timeout(self.patience, self.session.read_request_body());
        let read = match reading.await {
            Ok(read) => read.map_err(Error::into_down),
            Err(_) => Err(Error::new_down(ErrorType::ReadTimedout)),
        };
        if read.is_err() {
            // Where the next request begins is not known.
            self.session.set_keepalive(None);
        }
        read
    }

    /// All of it, at most `limit` bytes.
    ///
    /// # Errors
    /// [`Failure::BodyTooLarge`] over the limit; else as [`Upload::beginning`].
    pub(super) async fn whole(mut self, limit: usize) -> Result<Bytes, Failure> {
        let too_large = Failure::BodyTooLarge { limit };
        let announced = self.session.get_header(header::CONTENT_LENGTH);
        let announced = announced.and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|n| n > limit as u64) {
            return Err(too_large);
        }
        match self.beginning(limit).await? {
            (body, false) => Ok(body),
            (_, true) => Err(too_large),
        }
    }

    /// What comes first, up to some bytes more than `limit`, and whether there is more of it.
    ///
    /// # Errors
    /// [`Failure::Slow`], or [`Failure::BadRequest`] when it breaks off.
    pub(super) async fn beginning(&mut self, limit: usize) -> Result<(Bytes, bool), Failure> {
        let failure = |error: Box<Error>| fault::failure(&error);
        if awaits_leave(self.session) {
            taken(self.session.write_continue_response()).await.map_err(failure)?;
        }
        // Mostly all of it comes at once, and is not copied.
        let mut body = BytesMut::from(self.next().await.map_err(failure)?.unwrap_or_default());
        while body.len() <= limit {
            let Some(part) = self.next().await.map_err(failure)? else {
                return Ok((body.freeze(), false));
            };
            body.extend_from_slice(&part);
        }
        Ok((body.freeze(), true))
    }
}

/// Whether the client waits for leave to send its body (RFC 9110 §10.1.1). An interim answer cannot be
/// passed to HTTP/2 by what we build on, nor to HTTP/1.0 by anybody.
pub(super) fn awaits_leave(session: &Session) -> bool {
    let expected = session.get_header(header::EXPECT);
    session.req_header().version == Version::HTTP_11
        && expected.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Does `work`, unless the client gives the stream up meanwhile: one that was reset makes room for
/// another at once, and the work of each would add up. A connection of HTTP/1 has one request at a time.
///
/// # Errors
/// When the client has gone.
pub(super) async fn unless_gone<T>(
    session: &mut Session,
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
