//! One call to the upstream on our own account, over the same kind of connection as the proxy's.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{StatusCode, Version};
use pingora::connectors::http::Connector;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::timeout;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType};

use super::client::Upload;
use super::fault::{self, Plain};
use super::headers::{self, Coding};
use super::upstream::Upstream;
use crate::answer::Failure;

/// Interim answers (RFC 9110 §15.2) before an answer.
const INTERIM: usize = 32;
/// Connections tried: a pooled one may have died, and a name may have several addresses.
const TRIES: usize = 3;

/// What the upstream said.
pub struct Reply {
    pub header: Box<ResponseHeader>,
    pub body: Body,
}

pub enum Body {
    Whole(Bytes),
    /// Longer than asked for, or of another protocol: what was read, and the rest to come.
    Open(Bytes, Connection),
}

/// An answer of which the head is known.
pub struct Opened {
    /// May be an interim one (RFC 9110 §15.2): [`Connection::head`] reads the one after it.
    pub header: Box<ResponseHeader>,
    pub connection: Connection,
}

/// A connection on which the head of a request was written. Boxed, as all that is large here: it is
/// moved from hand to hand.
pub struct Connection {
    session: Box<HttpSession>,
    peer: Arc<HttpPeer>,
    /// How long the connection is kept once it is silent.
    idle: Option<Duration>,
    /// Where it breaks off before an answer: whether the request may be sent again.
    repeatable: bool,
    /// Whether the request was sent to its end: else no other may follow it here.
    sent: Option<bool>,
    interim: usize,
}

/// One sending of a request.
pub struct Request<'a> {
    pub header: Box<RequestHeader>,
    /// The body, or its beginning.
    pub body: Bytes,
    /// Where the rest of the body comes from.
    pub more: Option<Upload<'a>>,
}

/// Asks with a request that has no body, as often as it may, and reads the whole answer, up to
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
        let request = Request::bodiless(Box::new(header.clone()));
        match request.whole(limit, upstream, connector, &mut tries).await {
            Ok(reply) => return Ok(reply),
            Err(Unopened::Again) => {}
            Err(Unopened::Failed(failure)) => return Err(failure),
        }
    }
}

/// Connections tried for one request.
#[derive(Debug, Default)]
pub struct Tries(usize);

/// Why a request was not answered.
#[derive(Debug)]
pub enum Unopened {
    /// The connection was an old one that had ended meanwhile: the same once more.
    Again,
    Failed(Failure),
}

impl Request<'_> {
    pub fn bodiless(header: Box<RequestHeader>) -> Self {
        Self { header, body: Bytes::new(), more: None }
    }

    /// Sends it and reads the whole answer, up to `limit` bytes.
    ///
    /// # Errors
    /// As [`Request::open`], and when the answer breaks off.
    pub async fn whole(
        self,
        limit: usize,
        upstream: &Upstream,
        connector: &Connector,
        tries: &mut Tries,
    ) -> Result<Reply, Unopened> {
        let broken = |error: Box<Error>| Unopened::Failed(broke_off(&error));
        let Opened { header, mut connection } = self.open(upstream, connector, tries).await?;
        if switches(&header) {
            return Ok(Reply { header, body: Body::Open(Bytes::new(), connection) });
        }
        // Mostly all of it comes at once, and is not copied.
        let first = connection.next().await.map_err(broken)?;
        let mut body = BytesMut::from(first.unwrap_or_default());
        while body.len() <= limit {
            let Some(part) = connection.next().await.map_err(broken)? else {
                connection.done(connector).await;
                return Ok(Reply { header, body: Body::Whole(body.freeze()) });
            };
            body.extend_from_slice(&part);
        }
        Ok(Reply { header, body: Body::Open(body.freeze(), connection) })
    }

    /// Sends it and reads the head of the answer, past all interim ones.
    ///
    /// # Errors
    /// [`Unopened`].
    async fn open(
        self,
        upstream: &Upstream,
        connector: &Connector,
        tries: &mut Tries,
    ) -> Result<Opened, Unopened> {
        let mut connection = connect(self.header, upstream, connector, tries).await?;
        if self.more.is_some() {
            connection.repeatable = false;
        }
        let answered = match connection.send(self.body, self.more).await {
            Ok(()) => connection.final_head(upstream).await,
            Err(error) if !has_ended(&error) => Err(error),
            // It may have answered before, and taken no more: what counts is what it says.
            Err(error) => connection.final_head(upstream).await.map_err(|_| error),
        };
        match answered {
            Ok(header) => Ok(Opened { header, connection }),
            Err(error) => Err(connection.unopened(&error)),
        }
    }
}

/// Finds a connection, a pooled one or a new one, and writes the head of a request on it. The head
/// goes with it: who is told [`Unopened::Again`] makes it anew, which costs less than a copy of each.
///
/// # Errors
/// [`Unopened`].
pub async fn connect(
    header: Box<RequestHeader>,
    upstream: &Upstream,
    connector: &Connector,
    Tries(tries): &mut Tries,
) -> Result<Connection, Unopened> {
    loop {
        *tries += 1;
        let peer = upstream.peer().await.map_err(Unopened::Failed)?;
        let (mut session, reused) = match connector.get_http_session(&*peer).await {
            Ok((session, reused)) => (Box::new(session), reused),
            Err(error) => {
                upstream.connecting_failed();
                if *tries < upstream.addresses().min(TRIES) {
                    continue;
                }
                tracing::warn!(%error, "the upstream cannot be reached");
                return Err(Unopened::Failed(match fault::failure(&error) {
                    Failure::UpstreamTimeout => Failure::UpstreamTimeout,
                    _ => Failure::UpstreamUnreachable,
                }));
            }
        };
        session.set_read_timeout(peer.options.read_timeout);
        session.set_write_timeout(peer.options.write_timeout);
        // A pooled connection may be one the upstream closed meanwhile. What was not written was not
        // acted on; what was may be sent twice where that does no harm (RFC 9110 §9.2.2).
        let again = reused && *tries < TRIES;
        let repeatable = again && header.method.is_idempotent();
        return match session.write_request_header(header).await {
            Ok(()) => {
                Ok(Connection { session, peer, idle: None, repeatable, sent: None, interim: 0 })
            }
            Err(_) if again => Err(Unopened::Again),
            Err(error) => Err(Unopened::Failed(broke_off(&error))),
        };
    }
}

impl Connection {
    /// Sends `body` and what follows it, to its end.
    async fn send(&mut self, body: Bytes, more: Option<Upload<'_>>) -> pingora::Result<()> {
        self.put(body).await?;
        if let Some(mut more) = more {
            while let Some(part) = more.next().await? {
                self.put(part).await?;
            }
        }
        self.finish().await
    }

    /// Sends a part of a body that nobody else holds: the request cannot be sent again.
    ///
    /// # Errors
    /// When the upstream takes no more.
    pub async fn write(&mut self, part: Bytes) -> pingora::Result<()> {
        self.repeatable = false;
        self.put(part).await
    }

    async fn put(&mut self, part: Bytes) -> pingora::Result<()> {
        // To pingora an empty part is the end of a chunked body.
        if part.is_empty() {
            return Ok(());
        }
        self.session.write_request_body(part, false).await.map_err(Error::into_up)
    }

    /// Sends the end of a body.
    ///
    /// # Errors
    /// When the upstream takes no more.
    pub async fn finish(&mut self) -> pingora::Result<()> {
        // Of the writes, pingora bounds all but this one.
        let finishing = self.session.finish_request_body();
        let finished = match self.peer.options.write_timeout {
            Some(time) => timeout(time, finishing)
                .await
                .unwrap_or_else(|_| Err(Error::new(ErrorType::WriteTimedout))),
            None => finishing.await,
        };
        // The first outcome counts: asked once more after a body that fell short, pingora is content.
        self.sent.get_or_insert(finished.is_ok());
        finished.map_err(Error::into_up)
    }

    /// Reads a head of the answer: an interim one (RFC 9110 §15.2), or the last.
    ///
    /// # Errors
    /// When the answer breaks off.
    pub async fn head(&mut self, upstream: &Upstream) -> pingora::Result<Box<ResponseHeader>> {
        self.session.read_response_header().await.map_err(Error::into_up)?;
        self.repeatable = false;
        let header = self.session.response_header().filter(|header| is_understood(header));
        let Some(header) = header else {
            return Err(Error::new_up(ErrorType::InvalidHTTPHeader));
        };
        upstream.learn_idle(header.headers.get("keep-alive"));
        self.idle = upstream.idle_timeout();
        let mut header = Box::new(header.clone());
        self.interim += usize::from(is_interim(&header));
        if self.interim > INTERIM {
            return Err(Error::new_up(ErrorType::InvalidHTTPHeader));
        }
        // A version is of one hop (RFC 9110 §6.2).
        header.set_version(Version::HTTP_11);
        Ok(header)
    }

    async fn final_head(&mut self, upstream: &Upstream) -> pingora::Result<Box<ResponseHeader>> {
        loop {
            let header = self.head(upstream).await?;
            if !is_interim(&header) {
                return Ok(header);
            }
        }
    }

    /// What is to be done about a connection that broke off before its answer. One that is slow, or
    /// answers what nobody can read, has not ended.
    pub fn unopened(&self, error: &Error) -> Unopened {
        if *error.esource() == ErrorSource::Downstream {
            return Unopened::Failed(fault::failure(error));
        }
        match self.repeatable && has_ended(error) {
            true => Unopened::Again,
            false => Unopened::Failed(broke_off(error)),
        }
    }

    /// The next part; `None` at the end.
    ///
    /// # Errors
    /// When the answer breaks off.
    pub async fn next(&mut self) -> pingora::Result<Option<Bytes>> {
        self.session.read_response_body().await.map_err(Error::into_up)
    }

    /// After `101`: what is written and read from here on is of another protocol, and may be silent
    /// for longer than an answer may.
    pub fn switch_protocol(&mut self) {
        self.session.set_read_timeout(None);
        if let HttpSession::H1(session) = &mut *self.session {
            session.maybe_upgrade_body_writer();
        }
    }

    /// Gives the connection back once the answer was read to its end.
    pub async fn done(self, connector: &Connector) {
        if self.sent != Some(true) {
            return;
        }
        connector.release_http_session(*self.session, &*self.peer, self.idle).await;
    }
}

/// Whether it can be told where the answer ends. Of codings only `chunked` is undone by what we build
/// on (RFC 9112 §6.1); HTTP/1.0 has none, and switches to nothing.
fn is_understood(header: &ResponseHeader) -> bool {
    match headers::coding(&header.headers) {
        Coding::Other => false,
        Coding::None if !switches(header) => true,
        Coding::None | Coding::Chunked => header.version == Version::HTTP_11,
    }
}

/// Whether another head comes after this one. `101` is an answer.
pub fn is_interim(header: &ResponseHeader) -> bool {
    header.status.is_informational() && !switches(header)
}

/// Whether the upstream has closed the connection: it is not slow, nor is the client the cause.
fn has_ended(error: &Error) -> bool {
    use ErrorType as T;
    let ended = matches!(error.etype(), T::ConnectionClosed | T::ReadError | T::WriteError);
    ended && *error.esource() != ErrorSource::Downstream
}

/// `101`: from here on the connection speaks what the client asked for.
pub fn switches(header: &ResponseHeader) -> bool {
    header.status == StatusCode::SWITCHING_PROTOCOLS
}

fn broke_off(error: &Error) -> Failure {
    tracing::warn!(error = %Plain(error), "the upstream's answer broke off");
    match fault::failure(error) {
        Failure::Internal => Failure::UpstreamInvalid,
        other => other,
    }
}
