//! One call to the upstream on our own account, over the same kind of connection as the proxy's.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pingora::connectors::http::Connector;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::client::HttpSession;
use pingora::proxy::Session;
use pingora::upstreams::peer::HttpPeer;
use pingora::{ErrorSource, ErrorType};

use super::upstream::Upstream;
use crate::answer::Failure;

/// Connections tried: a pooled one may have died, and a name may have several addresses.
const TRIES: usize = 3;

/// What the upstream said.
pub struct Reply {
    pub header: Box<ResponseHeader>,
    pub body: Body,
}

pub enum Body {
    Whole(Bytes),
    /// Longer than asked for: what was read, and the rest to come.
    Open(Bytes, Rest),
}

/// An answer of which the head is known.
pub struct Opened {
    /// May be an interim one (RFC 9110 §15.2): [`Opened::next_header`] reads the one after it.
    pub header: Box<ResponseHeader>,
    pub rest: Rest,
}

/// The unread part of an answer. Boxed, as all that is large here: it is moved from hand to hand.
pub struct Rest {
    session: Box<HttpSession>,
    peer: Arc<HttpPeer>,
    /// How long the connection is kept once it is silent.
    idle: Option<Duration>,
}

/// One sending of a request.
pub struct Request<'a> {
    pub header: Box<RequestHeader>,
    /// The body, or its beginning.
    pub body: Bytes,
    /// Where the rest of the body comes from.
    pub more: Option<&'a mut Session>,
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
        let broken = |error: Box<pingora::Error>| Unopened::Failed(broke_off(&error));
        let mut opened = self.open(upstream, connector, tries).await?;
        while opened.is_interim() {
            opened.next_header().await.map_err(broken)?;
        }
        let Opened { header, mut rest } = opened;
        // Mostly all of it comes at once, and is not copied.
        let mut body = BytesMut::from(rest.next().await.map_err(broken)?.unwrap_or_default());
        while body.len() <= limit {
            let Some(part) = rest.next().await.map_err(broken)? else {
                rest.done(connector).await;
                return Ok(Reply { header, body: Body::Whole(body.freeze()) });
            };
            body.extend_from_slice(&part);
        }
        Ok(Reply { header, body: Body::Open(body.freeze(), rest) })
    }

    /// Sends it and reads the head of the answer. The header goes with it: who is told
    /// [`Unopened::Again`] makes it anew, which costs less than a copy of each.
    ///
    /// # Errors
    /// [`Unopened`].
    pub async fn open(
        self,
        upstream: &Upstream,
        connector: &Connector,
        Tries(tries): &mut Tries,
    ) -> Result<Opened, Unopened> {
        loop {
            *tries += 1;
            let peer = upstream.peer().await.map_err(Unopened::Failed)?;
            let (session, reused) = match connector.get_http_session(&*peer).await {
                Ok((session, reused)) => (Box::new(session), reused),
                Err(error) => {
                    upstream.connecting_failed();
                    if *tries < upstream.addresses().min(TRIES) {
                        continue;
                    }
                    tracing::warn!(%error, "the upstream cannot be reached");
                    return Err(Unopened::Failed(match failure(&error) {
                        Failure::UpstreamTimeout => Failure::UpstreamTimeout,
                        _ => Failure::UpstreamUnreachable,
                    }));
                }
            };
            let (idempotent, whole) = (self.header.method.is_idempotent(), self.more.is_none());
            return match self.over(session, peer, upstream).await {
                Ok(opened) => Ok(opened),
                Err(broken) => {
                    // A pooled connection the upstream closed meanwhile: nothing was done with the
                    // request if it was not even written, and doing it twice is harmless if it is
                    // idempotent (RFC 9110 §9.2.2).
                    let harmless = !broken.sent || idempotent;
                    if reused && harmless && whole && *tries < TRIES {
                        return Err(Unopened::Again);
                    }
                    Err(Unopened::Failed(broke_off(&broken.error)))
                }
            };
        }
    }

    async fn over(
        self,
        mut session: Box<HttpSession>,
        peer: Arc<HttpPeer>,
        upstream: &Upstream,
    ) -> Result<Opened, Broken> {
        session.set_read_timeout(peer.options.read_timeout);
        session.set_write_timeout(peer.options.write_timeout);
        let unsent = |error| Broken { error, sent: false };
        let sent = |error| Broken { error, sent: true };
        session.write_request_header(self.header).await.map_err(unsent)?;
        if !self.body.is_empty() {
            session.write_request_body(self.body, false).await.map_err(sent)?;
        }
        if let Some(more) = self.more {
            while let Some(part) = more.read_request_body().await.map_err(sent)? {
                session.write_request_body(part, false).await.map_err(sent)?;
            }
        }
        session.finish_request_body().await.map_err(sent)?;
        let header = read_header(&mut session).await.map_err(sent)?;
        upstream.learn_idle(header.headers.get("keep-alive"));
        let idle = upstream.idle_timeout();
        Ok(Opened { header, rest: Rest { session, peer, idle } })
    }
}

async fn read_header(session: &mut HttpSession) -> pingora::Result<Box<ResponseHeader>> {
    session.read_response_header().await?;
    match session.response_header() {
        Some(header) => Ok(Box::new(header.clone())),
        None => Err(pingora::Error::new(ErrorType::InvalidHTTPHeader)),
    }
}

fn broke_off(error: &pingora::Error) -> Failure {
    tracing::warn!(%error, "the upstream's answer broke off");
    match failure(error) {
        Failure::Internal => Failure::UpstreamInvalid,
        other => other,
    }
}

impl Opened {
    /// Whether another head comes before the answer. `101` is an answer.
    pub fn is_interim(&self) -> bool {
        self.header.status.is_informational() && self.header.status != 101
    }

    /// Reads the next head into `header`.
    ///
    /// # Errors
    /// When the answer breaks off.
    pub async fn next_header(&mut self) -> pingora::Result<()> {
        self.header = read_header(&mut self.rest.session).await?;
        Ok(())
    }
}

/// A call that broke off, and how far it had come.
struct Broken {
    error: Box<pingora::Error>,
    sent: bool,
}

impl Rest {
    /// The next part; `None` at the end.
    ///
    /// # Errors
    /// When the answer breaks off.
    pub async fn next(&mut self) -> pingora::Result<Option<Bytes>> {
        self.session.read_response_body().await
    }

    /// Gives the connection back once the answer was read to its end.
    pub async fn done(self, connector: &Connector) {
        connector.release_http_session(*self.session, &*self.peer, self.idle).await;
    }
}

/// What a pingora error means to the client.
pub fn failure(error: &pingora::Error) -> Failure {
    match error.etype() {
        ErrorType::ConnectTimedout
        | ErrorType::TLSHandshakeTimedout
        | ErrorType::ReadTimedout
        | ErrorType::WriteTimedout => {
            if *error.esource() == ErrorSource::Downstream {
                Failure::Slow
            } else {
                Failure::UpstreamTimeout
            }
        }
        ErrorType::ConnectRefused
        | ErrorType::ConnectNoRoute
        | ErrorType::ConnectError
        | ErrorType::ConnectProxyFailure
        | ErrorType::BindError
        | ErrorType::SocketError
        | ErrorType::TLSHandshakeFailure
        | ErrorType::TLSWantX509Lookup
        | ErrorType::InvalidCert
        | ErrorType::HandshakeError => Failure::UpstreamUnreachable,
        _ => match error.esource() {
            ErrorSource::Downstream => Failure::BadRequest,
            ErrorSource::Internal | ErrorSource::Unset => Failure::Internal,
            ErrorSource::Upstream => Failure::UpstreamInvalid,
        },
    }
}
