//! What goes to the client and comes from it: bounded in time, whatever the version of HTTP, and its
//! failures marked as the client's.

use std::future::Future;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header;
use pingora::http::ResponseHeader;
// Its timers are shared by all who wait for the same 10 ms, and made only where there is a wait.
use pingora::prelude::timeout;
use pingora::{Error, ErrorType, Result};

use super::Session;
use super::fault;
use super::state::State;
use crate::answer::Failure;

/// A client that has not taken a part of an answer by then has gone.
const TAKES: Duration = Duration::from_secs(120);

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

async fn taken(writing: impl Future<Output = Result<()>>) -> Result<()> {
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
        sent(self.patience, self.session.read_request_body()).await
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
        self.give_leave().await.map_err(failure)?;
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

    /// RFC 9110 §10.1.1: the client waits for leave to send its body.
    async fn give_leave(&mut self) -> Result<()> {
        if awaits_leave(self.session) && !self.session.is_http2() {
            taken(self.session.write_continue_response()).await?;
        }
        Ok(())
    }
}

/// Whether a request says `Expect: 100-continue` (RFC 9110 §10.1.1).
pub(super) fn awaits_leave(session: &Session) -> bool {
    let expected = session.get_header(header::EXPECT);
    expected.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Waits for what the client is to send, as long as `patience` lasts.
///
/// # Errors
/// When the client breaks off, or is silent for longer.
pub(super) async fn sent<T>(
    patience: Duration,
    reading: impl Future<Output = Result<T>>,
) -> Result<T> {
    match timeout(patience, reading).await {
        Ok(read) => read.map_err(Error::into_down),
        Err(_) => Err(Error::new_down(ErrorType::ReadTimedout)),
    }
}
