//! A request to the upstream made by this program itself: for answers that must be read whole before
//! any of them is passed on. pingora's body filters cannot wait (cloudflare/pingora#922).

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Version;
use pingora::connectors::http::Connector;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::timeout;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType};

use super::downstream::Upload;
use super::fault::{self, Plain};
use super::headers;
use super::response::{self, MAX_INTERIM};
use super::upstream::Upstream;
use crate::answer::Failure;

/// Connections tried: a pooled one may have died, and a name may have several addresses.
pub const TRIES: usize = 3;

/// What the upstream answered.
pub struct Reply {
    pub header: Box<ResponseHeader>,
    pub body: Body,
}

pub enum Body {
    Whole(Bytes),
    /// Longer than asked for, or an event stream: what was read, and the rest to come.
    Open(Bytes, Connection),
}

/// A connection on which a request was sent.
pub struct Connection {
    session: Box<HttpSession>,
    peer: std::sync::Arc<HttpPeer>,
    /// How long the connection is kept once it is silent.
    idle: Option<Duration>,
    /// Where it breaks off before an answer: whether the request may be sent again.
    repeatable: bool,
    /// Whether the request was sent whole before its answer: otherwise no other may follow it.
    reusable: bool,
}

/// A request attempt.
pub struct Request<'a> {
    pub header: Box<RequestHeader>,
    /// The body, or its beginning.
    pub body: Bytes,
    /// Where the rest of the body comes from.
    pub more: Option<Upload<'a>>,
}

/// Connections tried for one request.
#[derive(Debug, Default)]
pub struct Tries(usize);

/// Why a request was not answered.
#[derive(Debug)]
pub enum Unanswered {
    /// The pooled connection had been closed meanwhile: send the request again.
    Again,
    Failed(Failure),
}

/// Sends a request without a body, as often as it may be sent, and reads the whole answer, up to
/// `limit` bytes.
///
/// # Errors
/// [`Failure`] naming what the upstream did wrong.
pub async fn ask(
    header: &RequestHeader,
    limit: usize,
    upstream: &Upstream,
    connector: &Connector,
) -> Result<Reply, Failure> {
    let mut tries = Tries::default();
    loop {
        let header = Box::new(header.clone());
        let request = Request { header, body: Bytes::new(), more: None };
        match request.send(limit, upstream, connector, &mut tries).await {
            Ok(reply) => return Ok(reply),
            Err(Unanswered::Again) => {}
            Err(Unanswered::Failed(failure)) => return Err(failure),
        }
    }
}

impl Request<'_> {
    /// Sends the request and reads the answer, up to `limit` bytes.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn send(
        self,
        limit: usize,
        upstream: &Upstream,
        connector: &Connector,
        tries: &mut Tries,
    ) -> Result<Reply, Unanswered> {
        let broken = |error: Box<Error>| Unanswered::Failed(broke_off(&error));
        let (header, mut connection) = self.open(upstream, connector, tries).await?;
        if is_event_stream(&header) {
            return Ok(Reply { header, body: Body::Open(Bytes::new(), connection) });
        }
        // Mostly all of it comes at once, and is not copied.
        let first = connection.next().await.map_err(broken)?;
        let mut body = BytesMut::from(first.unwrap_or_default());
        while body.len() <= limit {
            let Some(part) = connection.next().await.map_err(broken)? else {
                connection.release(connector).await;
                return Ok(Reply { header, body: Body::Whole(body.freeze()) });
            };
            body.extend_from_slice(&part);
        }
        Ok(Reply { header, body: Body::Open(body.freeze(), connection) })
    }

    /// Sends the request and reads the head of the answer, past all interim ones.
    async fn open(
        self,
        upstream: &Upstream,
        connector: &Connector,
        tries: &mut Tries,
    ) -> Result<(Box<ResponseHeader>, Connection), Unanswered> {
        let Self { header, body, more } = self;
        // RFC 9110 §9.3.1: a body that has no meaning may be left unread, and be read as a request.
        let has_body = !body.is_empty() || more.is_some();
        let undefined = has_body && !defines_body(&header.method);
        let mut connection = connect(header, upstream, connector, tries).await?;
        connection.reusable = more.is_none() && !undefined;
        connection.repeatable &= more.is_none();
        let answered = match connection.write_body(body, more).await {
            Ok(()) => connection.final_head(upstream).await,
            Err(error) if !has_ended(&error) => Err(error),
            // It may have answered before, and read no more: what counts is its answer.
            Err(error) => {
                connection.reusable = false;
                connection.final_head(upstream).await.map_err(|_| error)
            }
        };
        match answered {
            Ok(header) => {
                // A refusal may have come without a look at the body, which is then left on the
                // connection and read as the next request.
                connection.reusable &= !has_body || header.status.as_u16() < 400;
                Ok((header, connection))
            }
            Err(error) => Err(connection.unanswered(&error)),
        }
    }
}

/// Finds a connection, a pooled one or a new one, and writes the head of a request on it.
async fn connect(
    header: Box<RequestHeader>,
    upstream: &Upstream,
    connector: &Connector,
    Tries(tries): &mut Tries,
) -> Result<Connection, Unanswered> {
    loop {
        *tries += 1;
        let peer = upstream.peer().await.map_err(Unanswered::Failed)?;
        let (mut session, reused) = match connector.get_http_session(&*peer).await {
            Ok((session, reused)) => (Box::new(session), reused),
            Err(error) => {
                upstream.connecting_failed();
                if *tries < upstream.addresses().min(TRIES) {
                    continue;
                }
                tracing::warn!(%error, "the upstream cannot be reached");
                return Err(Unanswered::Failed(connect_failure(&error)));
            }
        };
        session.set_read_timeout(peer.options.read_timeout);
        session.set_write_timeout(peer.options.write_timeout);
        // A pooled connection may be one the upstream closed meanwhile. What was not written was not
        // acted on; what was may be sent twice where that does no harm (RFC 9110 §9.2.2).
        let again = reused && *tries < TRIES;
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

/// Whether the method gives a request's body a meaning (RFC 9110 §9.3).
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
        // pingora bounds all writes but this one.
        let finishing = self.session.finish_request_body();
        let finished = match self.peer.options.write_timeout {
            Some(time) => timeout(time, finishing)
                .await
                .unwrap_or_else(|_| Err(Error::new(ErrorType::WriteTimedout))),
            None => finishing.await,
        };
        finished.map_err(Error::into_up)
    }

    async fn write(&mut self, part: Bytes) -> pingora::Result<()> {
        // To pingora an empty part is the end of a chunked body.
        if part.is_empty() {
            return Ok(());
        }
        self.session.write_request_body(part, false).await.map_err(Error::into_up)
    }

    /// Reads the head of the answer, past all interim ones (RFC 9110 §15.2).
    async fn final_head(&mut self, upstream: &Upstream) -> pingora::Result<Box<ResponseHeader>> {
        let invalid = || Error::new_up(ErrorType::InvalidHTTPHeader);
        for _ in 0..=MAX_INTERIM {
            self.session.read_response_header().await.map_err(Error::into_up)?;
            self.repeatable = false;
            let header = self.session.response_header().filter(|h| response::is_understood(h));
            let header = header.ok_or_else(invalid)?;
            upstream.note_keep_alive(header.headers.get("keep-alive"));
            self.idle = upstream.idle_timeout();
            // No other protocol is asked for here.
            if response::switches(header) {
                return Err(invalid());
            }
            if !response::is_interim(header) {
                let mut header = Box::new(header.clone());
                // A version is of one hop (RFC 9110 §6.2).
                header.set_version(Version::HTTP_11);
                return Ok(header);
            }
        }
        Err(invalid())
    }

    /// What is to be done about a connection that broke off before its answer. One that is slow, or
    /// answers what nobody can read, has not ended.
    fn unanswered(&self, error: &Error) -> Unanswered {
        if *error.esource() == ErrorSource::Downstream {
            return Unanswered::Failed(fault::failure(error));
        }
        match self.repeatable && has_ended(error) {
            true => Unanswered::Again,
            false => Unanswered::Failed(broke_off(error)),
        }
    }

    /// The next part of the answer; `None` at its end.
    ///
    /// # Errors
    /// When the answer breaks off.
    pub async fn next(&mut self) -> pingora::Result<Option<Bytes>> {
        self.session.read_response_body().await.map_err(Error::into_up)
    }

    /// Gives the connection back once the answer was read to its end.
    pub async fn release(self, connector: &Connector) {
        if self.reusable {
            connector.release_http_session(*self.session, &*self.peer, self.idle).await;
        }
    }
}

/// An answer that is not meant to end (HTML, Server-sent events).
fn is_event_stream(header: &ResponseHeader) -> bool {
    headers::media_type(&header.headers) == "text/event-stream"
}

/// Whether the upstream has closed the connection: it is not slow, nor is the client the cause.
fn has_ended(error: &Error) -> bool {
    use ErrorType as T;
    let ended = matches!(error.etype(), T::ConnectionClosed | T::ReadError | T::WriteError);
    ended && *error.esource() != ErrorSource::Downstream
}

fn broke_off(error: &Error) -> Failure {
    tracing::warn!(error = %Plain(error), "the upstream's answer broke off");
    match fault::failure(error) {
        Failure::Internal => Failure::UpstreamInvalid,
        other => other,
    }
}
