//! One call to the upstream on our own account, over the same kind of connection as the proxy's.

use bytes::Bytes;
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
    pub header: ResponseHeader,
    pub body: Body,
}

pub enum Body {
    Whole(Bytes),
    /// Longer than asked for: what was read, and the rest to come.
    Open(Vec<u8>, Box<Rest>),
}

/// The unread part of an answer.
pub struct Rest {
    session: HttpSession,
    peer: HttpPeer,
}

/// A request.
pub struct Call<'a> {
    pub header: RequestHeader,
    /// The body, or its beginning.
    pub body: Bytes,
    /// Where the rest of the body comes from.
    pub more: Option<&'a mut Session>,
    /// Bytes of the answer's body read at most.
    pub limit: usize,
}

impl Call<'_> {
    /// # Errors
    /// [`Failure`] naming what the upstream did wrong.
    pub async fn send(
        mut self,
        upstream: &Upstream,
        connector: &Connector,
    ) -> Result<Reply, Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            let peer = upstream.peer().await?;
            let (session, reused) = match connector.get_http_session(&peer).await {
                Ok(session) => session,
                Err(error) => {
                    upstream.connecting_failed();
                    if tries < upstream.addresses().min(TRIES) {
                        continue;
                    }
                    tracing::warn!(%error, "the upstream cannot be reached");
                    return Err(match failure(&error) {
                        Failure::UpstreamTimeout => Failure::UpstreamTimeout,
                        _ => Failure::UpstreamUnreachable,
                    });
                }
            };
            match self.over(session, peer, connector).await {
                Ok(reply) => {
                    upstream.learn_idle(reply.header.headers.get("keep-alive"));
                    return Ok(reply);
                }
                Err(broken) => {
                    // A pooled connection the upstream closed meanwhile: nothing was done with the
                    // request if it was not even written, and doing it twice is harmless if it is
                    // idempotent (RFC 9110 §9.2.2).
                    let harmless = !broken.sent || self.header.method.is_idempotent();
                    let again = reused && harmless && !broken.answered && self.more.is_none();
                    if again && tries < TRIES {
                        continue;
                    }
                    tracing::warn!(error = %broken.error, "the upstream's answer broke off");
                    return Err(match failure(&broken.error) {
                        Failure::Internal => Failure::UpstreamInvalid,
                        other => other,
                    });
                }
            }
        }
    }

    async fn over(
        &mut self,
        mut session: HttpSession,
        peer: HttpPeer,
        connector: &Connector,
    ) -> Result<Reply, Broken> {
        session.set_read_timeout(peer.options.read_timeout);
        session.set_write_timeout(peer.options.write_timeout);
        let unsent = |error| Broken { error, sent: false, answered: false };
        let sent = |error| Broken { error, sent: true, answered: false };
        session.write_request_header(Box::new(self.header.clone())).await.map_err(unsent)?;
        if !self.body.is_empty() {
            session.write_request_body(self.body.clone(), false).await.map_err(sent)?;
        }
        if let Some(more) = &mut self.more {
            while let Some(part) = more.read_request_body().await.map_err(sent)? {
                session.write_request_body(part, false).await.map_err(sent)?;
            }
        }
        session.finish_request_body().await.map_err(sent)?;
        let header = loop {
            session.read_response_header().await.map_err(sent)?;
            match session.response_header() {
                // RFC 9110 §15.2: interim answers come before the one that counts.
                Some(header) if header.status.is_informational() && header.status != 101 => {}
                Some(header) => break header.clone(),
                None => return Err(sent(pingora::Error::new(ErrorType::InvalidHTTPHeader))),
            }
        };
        let answered = |error| Broken { error, sent: true, answered: true };
        let mut body = Vec::new();
        while let Some(part) = session.read_response_body().await.map_err(answered)? {
            body.extend_from_slice(&part);
            if body.len() > self.limit {
                let rest = Box::new(Rest { session, peer });
                return Ok(Reply { header, body: Body::Open(body, rest) });
            }
        }
        let idle = peer.options.idle_timeout;
        connector.release_http_session(session, &peer, idle).await;
        Ok(Reply { header, body: Body::Whole(Bytes::from(body)) })
    }
}

/// A call that broke off, and how far it had come.
struct Broken {
    error: Box<pingora::Error>,
    sent: bool,
    answered: bool,
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
        let idle = self.peer.options.idle_timeout;
        connector.release_http_session(self.session, &self.peer, idle).await;
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
