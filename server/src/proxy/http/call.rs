//! Requests that this program makes to the upstream itself, for answers that it must read whole
//! before it passes any part on. pingora's body filters cannot wait (cloudflare/pingora#922).

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Version;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::timeout;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType};

use super::downstream::{Upload, WRITE_TIMEOUT};
use super::fault::{self, Redacted};
use super::headers;
use super::memory::Share;
use super::response::{self, MAX_INTERIM};
use super::upstream::Upstream;
use crate::answer::Failure;

/// Memory reserved for an answer before the request is sent. Most answers with tokens are smaller.
const RESERVED: usize = 8 * 1024;

/// Connections tried for one request: a pooled one may be dead, and a name may have several
/// addresses.
pub const MAX_TRIES: usize = 3;

/// The upstream's answer.
pub struct Reply {
    pub header: Box<ResponseHeader>,
    /// The whole body, or its first part.
    pub body: Bytes,
    /// The connection with the rest of the body, where it is longer than `limit` or an event stream.
    pub rest: Option<Connection>,
}

/// A connection on which a request was sent.
pub struct Connection {
    session: Box<HttpSession>,
    peer: std::sync::Arc<HttpPeer>,
    /// How long an idle connection is kept in the pool.
    idle: Option<Duration>,
    /// Whether the request may be sent again if the connection breaks off before an answer.
    repeatable: bool,
    /// Whether the request was sent completely before the answer. If not, no other request may
    /// follow it.
    reusable: bool,
}

/// A request to send.
pub struct Request<'a> {
    pub header: Box<RequestHeader>,
    /// The body, or its first part.
    pub body: Bytes,
    /// The source of the rest of the body.
    pub more: Option<Upload<'a>>,
}

/// Connections tried for one request.
#[derive(Debug, Default)]
pub struct Tries(usize);

/// Why a request was not answered.
#[derive(Debug)]
pub enum Unanswered {
    /// The upstream had closed the pooled connection meanwhile: send the request again.
    Again,
    Failed(Failure),
}

/// Sends a request without a body, with retries where these are safe, and reads the whole answer,
/// up to `limit` bytes, counted in `share`.
///
/// # Errors
/// [`Failure`] naming what the upstream did wrong.
pub async fn ask(
    header: &RequestHeader,
    limit: usize,
    upstream: &Upstream,
    share: &mut Share,
) -> Result<Reply, Failure> {
    let mut tries = Tries::default();
    loop {
        let header = Box::new(header.clone());
        let request = Request { header, body: Bytes::new(), more: None };
        match request.send(limit, upstream, &mut tries, share).await {
            Ok(reply) => return Ok(reply),
            Err(Unanswered::Again) => {}
            Err(Unanswered::Failed(failure)) => return Err(failure),
        }
    }
}

impl Request<'_> {
    /// Sends the request and reads the answer, up to `limit` bytes, counted in `share`.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn send(
        self,
        limit: usize,
        upstream: &Upstream,
        tries: &mut Tries,
        share: &mut Share,
    ) -> Result<Reply, Unanswered> {
        let broken = |error: Box<Error>| Unanswered::Failed(broke_off(&error));
        // Reserve memory before sending: if a login's answer is dropped, the login cannot be
        // repeated.
        let mut reserved = RESERVED.min(limit);
        share.take(reserved).map_err(Unanswered::Failed)?;
        let (header, mut connection) = self.open(upstream, tries).await?;
        // An answer that is not meant to end (HTML, Server-sent events).
        if headers::media_type(&header.headers) == "text/event-stream" {
            return Ok(Reply { header, body: Bytes::new(), rest: Some(connection) });
        }
        // Usually the whole body arrives in one part, which is then not copied.
        let first = connection.next().await.map_err(broken)?;
        let mut body = BytesMut::from(first.unwrap_or_default());
        while body.len() <= limit {
            if body.len() > reserved {
                share.take(body.len() - reserved).map_err(Unanswered::Failed)?;
                reserved = body.len();
            }
            let Some(part) = connection.next().await.map_err(broken)? else {
                connection.release(upstream).await;
                return Ok(Reply { header, body: body.freeze(), rest: None });
            };
            body.extend_from_slice(&part);
        }
        Ok(Reply { header, body: body.freeze(), rest: Some(connection) })
    }

    /// Sends the request and reads the head of the final answer, after any interim answers.
    async fn open(
        self,
        upstream: &Upstream,
        tries: &mut Tries,
    ) -> Result<(Box<ResponseHeader>, Connection), Unanswered> {
        let Self { header, body, more } = self;
        // For methods that give a body no meaning, an upstream may leave the body unread and then
        // parse it as the next request (RFC 9110 §9.3.1).
        let has_body = !body.is_empty() || more.is_some();
        let undefined = has_body && !defines_body(&header.method);
        let mut connection = connect(header, upstream, tries).await?;
        connection.reusable = more.is_none() && !undefined;
        connection.repeatable &= more.is_none();
        let answered = match connection.write_body(body, more).await {
            Ok(()) => connection.final_head(upstream).await,
            Err(error) if !has_ended(&error) => Err(error),
            // The upstream may have answered early and stopped reading. Then its answer counts.
            Err(error) => {
                connection.reusable = false;
                connection.final_head(upstream).await.map_err(|_| error)
            }
        };
        match answered {
            Ok(header) => {
                // The upstream may refuse without reading the body, and then parse the body as the
                // next request on the connection.
                connection.reusable &= !has_body || header.status.as_u16() < 400;
                Ok((header, connection))
            }
            Err(error) => Err(connection.unanswered(&error)),
        }
    }
}

/// Takes a pooled connection or makes a new one, and writes the request's head to it.
async fn connect(
    header: Box<RequestHeader>,
    upstream: &Upstream,
    Tries(tries): &mut Tries,
) -> Result<Connection, Unanswered> {
    loop {
        *tries += 1;
        let peer = upstream.peer().await.map_err(Unanswered::Failed)?;
        let (mut session, reused) = match upstream.connector.get_http_session(&*peer).await {
            Ok((session, reused)) => (Box::new(session), reused),
            Err(error) => {
                upstream.connecting_failed();
                if *tries < upstream.addresses().min(MAX_TRIES) {
                    continue;
                }
                tracing::warn!(%error, "the upstream cannot be reached");
                return Err(Unanswered::Failed(connect_failure(&error)));
            }
        };
        session.set_read_timeout(peer.options.read_timeout);
        session.set_write_timeout(peer.options.write_timeout);
        // The upstream may have closed a pooled connection meanwhile. A head that could not be
        // written was not acted on. One that was written may be repeated for idempotent methods
        // (RFC 9110 §9.2.2).
        let again = reused && *tries < MAX_TRIES;
        let repeatable = again && header.method.is_idempotent();
        return match session.write_request_header(header).await {
            Ok(()) => Ok(Connection { session, peer, idle: None, repeatable, reusable: true }),
            Err(_) if again => Err(Unanswered::Again),
            Err(error) => Err(Unanswered::Failed(broke_off(&error))),
        };
    }
}

/// Why a connection to the upstream could not be made.
pub fn connect_failure(error: &Error) -> Failure {
    match fault::failure(error) {
        Failure::UpstreamTimeout => Failure::UpstreamTimeout,
        _ => Failure::UpstreamUnreachable,
    }
}

/// Whether the method defines a meaning for a request body (RFC 9110 §9.3).
fn defines_body(method: &http::Method) -> bool {
    use http::Method;
    !matches!(*method, Method::GET | Method::HEAD | Method::DELETE | Method::TRACE)
}

impl Connection {
    async fn write_body(&mut self, body: Bytes, more: Option<Upload<'_>>) -> pingora::Result<()> {
        self.write(body).await?;
        if let Some(mut more) = more {
            while let Some(part) = more.next().await? {
                self.write(part).await?;
            }
        }
        // pingora applies a time limit to all writes but this one.
        let limit = self.peer.options.write_timeout.unwrap_or(WRITE_TIMEOUT);
        match timeout(limit, self.session.finish_request_body()).await {
            Ok(finished) => finished.map_err(Error::into_up),
            Err(_) => Err(Error::new_up(ErrorType::WriteTimedout)),
        }
    }

    async fn write(&mut self, part: Bytes) -> pingora::Result<()> {
        // pingora takes an empty part as the end of a chunked body.
        if part.is_empty() {
            return Ok(());
        }
        self.session.write_request_body(part, false).await.map_err(Error::into_up)
    }

    /// Reads the head of the final answer, after any interim answers (RFC 9110 §15.2).
    async fn final_head(&mut self, upstream: &Upstream) -> pingora::Result<Box<ResponseHeader>> {
        let invalid = || Error::new_up(ErrorType::InvalidHTTPHeader);
        for _ in 0..=MAX_INTERIM {
            self.session.read_response_header().await.map_err(Error::into_up)?;
            self.repeatable = false;
            let header = self.session.response_header().filter(|h| response::is_understood(h));
            let header = header.ok_or_else(invalid)?;
            upstream.note_keep_alive(header.headers.get("keep-alive"));
            self.idle = upstream.idle_timeout();
            // These requests never ask to switch protocols.
            if response::switches(header) {
                return Err(invalid());
            }
            if !response::is_interim(header) {
                let mut header = Box::new(header.clone());
                // The version belongs to one hop (RFC 9110 §6.2).
                header.set_version(Version::HTTP_11);
                return Ok(header);
            }
        }
        Err(invalid())
    }

    /// Whether a request may be repeated after its connection broke off before an answer. A slow
    /// upstream, or an answer that cannot be parsed, is not a broken connection.
    fn unanswered(&self, error: &Error) -> Unanswered {
        if *error.esource() == ErrorSource::Downstream {
            return Unanswered::Failed(fault::failure(error));
        }
        if self.repeatable && has_ended(error) {
            return Unanswered::Again;
        }
        Unanswered::Failed(broke_off(error))
    }

    /// The next part of the answer; `None` at its end.
    ///
    /// # Errors
    /// When the answer breaks off before its end.
    pub async fn next(&mut self) -> pingora::Result<Option<Bytes>> {
        self.session.read_response_body().await.map_err(Error::into_up)
    }

    /// Returns the connection to the pool, once the answer was read to its end.
    pub async fn release(self, upstream: &Upstream) {
        if self.reusable {
            upstream.connector.release_http_session(*self.session, &*self.peer, self.idle).await;
        }
    }
}

/// Whether the upstream closed the connection. Timeouts and errors of the client do not count.
fn has_ended(error: &Error) -> bool {
    use ErrorType as T;
    let ended = matches!(error.etype(), T::ConnectionClosed | T::ReadError | T::WriteError);
    ended && *error.esource() != ErrorSource::Downstream
}

fn broke_off(error: &Error) -> Failure {
    tracing::warn!(error = %Redacted(error), "the upstream's answer broke off");
    match fault::failure(error) {
        Failure::Internal => Failure::UpstreamInvalid,
        other => other,
    }
}
