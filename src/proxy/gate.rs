//! The phases of pingora's proxy. Each asks a room and does what it says.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderName, Method, Version, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result};

use super::counters::Kind;
use super::jwks::{self, Media};
use super::outbound::{self, Changes};
use super::routes::Route;
use super::state::State;
use super::{call, discovery, exchange, forward, headers, reply, restore, tokens};
use crate::answer::Failure;
use crate::countersign::Ask;
use crate::issuer::NoSet;
use crate::log;
use crate::otel::{self, RequestSpan};
use crate::rewrite::{BearerMode, TokenRule};

/// How long a read of a key set waits for the first fetch of it.
const FIRST_FETCH: Duration = Duration::from_secs(5);

/// The proxy itself.
pub struct Gate {
    state: Arc<State>,
}

/// What is known of one request.
#[derive(Debug, Default)]
pub struct Ctx {
    kind: Kind,
    changes: Changes,
    span: RequestSpan,
    /// Why it failed, where a room said so.
    failure: Option<Failure>,
    /// Why an answer that had begun broke off.
    broken: Option<&'static str>,
    connects: usize,
    upgrade: bool,
    began: Option<tokio::time::Instant>,
}

impl Gate {
    pub fn new(state: Arc<State>) -> Self {
        Self { state }
    }

    async fn jwks(&self, session: &mut Session) -> Result<()> {
        let state = &self.state;
        let any_origin = [(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*".to_owned())];
        let request = session.req_header();
        match request.method {
            Method::GET | Method::HEAD => {}
            Method::OPTIONS => {
                let fields = [
                    (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*".to_owned()),
                    (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD".to_owned()),
                    (header::ACCESS_CONTROL_ALLOW_HEADERS, "*".to_owned()),
                    (header::ACCESS_CONTROL_MAX_AGE, "86400".to_owned()),
                    (header::ALLOW, "GET, HEAD, OPTIONS".to_owned()),
                ];
                return reply::empty(session, 204, &fields).await;
            }
            _ => {
                let failure = Failure::MethodNotAllowed { allow: "GET, HEAD, OPTIONS" };
                return reply::fail(session, state, &failure, &any_origin).await;
            }
        }
        let path = request.uri.path().to_owned();
        if state.ready(&path).is_none() {
            // A cold start: the first fetch is waited for, shared by all who ask.
            let first = state.publisher.wait_for_path(&path);
            if let Ok(Err(reason)) = tokio::time::timeout(FIRST_FETCH, first).await {
                let failure = Failure::NoKeySet(reason);
                return reply::fail(session, state, &failure, &any_origin).await;
            }
        }
        let request = session.req_header();
        let Some(ready) = state.ready(&path) else {
            let reason = state.publisher.for_path(&path).err().unwrap_or(NoSet::NotAPath);
            return reply::fail(session, state, &Failure::NoKeySet(reason), &any_origin).await;
        };
        let joined = |name: HeaderName| {
            let values = request.headers.get_all(name);
            let values: Vec<_> = values.iter().map(|v| v.as_bytes()).collect();
            (!values.is_empty()).then(|| values.join(&b","[..]))
        };
        let media = Media::for_accept(joined(header::ACCEPT).as_deref());
        let same = jwks::has_it(joined(header::IF_NONE_MATCH).as_deref(), &ready.set.etag);
        let mut header = ResponseHeader::build(if same { 304 } else { 200 }, Some(8))?;
        for (name, value) in jwks::headers(&ready.set, media) {
            if !same || !matches!(name, "Content-Type" | "Content-Length") {
                header.insert_header(name, value)?;
            }
        }
        let body = if same { bytes::Bytes::new() } else { ready.set.body.clone() };
        reply::write(session, header, body).await
    }

    /// A token in `Authorization` on its way to the upstream.
    async fn bearer(
        &self,
        session: &Session,
        rule: Option<&TokenRule>,
    ) -> Option<http::HeaderValue> {
        let request = session.req_header();
        let token = outbound::bearer(request)?;
        match rule.and_then(|rule| rule.bearer) {
            Some(BearerMode::Swap) => {
                match self.state.bridge.countersign(token, &Ask::default()).await {
                    Ok(bridged) => {
                        self.state.counters.place(bridged.outcome());
                        outbound::sensitive(&bridged.jwt?)
                    }
                    // The API behind judges what could not be verified here.
                    Err(error) => {
                        self.state.counters.place(error.code());
                        None
                    }
                }
            }
            Some(BearerMode::Restore) | None => {
                outbound::restored_bearer(request, &self.state.bridge)
            }
        }
    }
}

#[async_trait]
impl ProxyHttp for Gate {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        Ctx { began: Some(tokio::time::Instant::now()), ..Ctx::default() }
    }

    /// None: pingora's compression module would cost each request.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
        let state = &self.state;
        let request = session.req_header();
        // RFC 9112 §3.2.
        if request.version == Version::HTTP_11 && !request.headers.contains_key(header::HOST) {
            session.set_keepalive(None);
            return reply::fail(session, state, &Failure::BadRequest, &[]).await.map(|()| true);
        }
        let path = request.uri.path();
        let route = state.routes.load().of(path, |p| state.publisher.is_jwks_path(p));
        ctx.upgrade = session.is_upgrade_req();
        ctx.changes.id = Some(headers::request_id(session.req_header()));
        ctx.span = state.spans.request(&session.req_header().headers);
        ctx.changes.trace = ctx.span.outgoing();
        // Each answer stands in a box of its own: a future is as large as the largest in it, and is
        // moved whole.
        let rule = match route {
            Route::Jwks => {
                ctx.kind = Kind::Jwks;
                return ctx.span.within(Box::pin(self.jwks(session))).await.map(|()| true);
            }
            Route::Exchange => {
                ctx.kind = Kind::Exchange;
                let answer = Box::pin(exchange::answer(session, state));
                return ctx.span.within(answer).await.map(|()| true);
            }
            Route::Discovery => {
                ctx.kind = Kind::Discovery;
                if discovery::is_read(session) {
                    let answer = discovery::answer(session, state, &ctx.changes);
                    return Box::pin(answer).await.map(|()| true);
                }
                None
            }
            Route::Token(rule) => Some(rule),
            Route::Forward => None,
        };
        let Some(upstream) = &state.upstream else {
            return reply::fail(session, state, &Failure::NoUpstream, &[]).await.map(|()| true);
        };
        if session.req_header().headers.contains_key(header::AUTHORIZATION) {
            let bearer = Box::pin(self.bearer(session, rule.as_deref()));
            ctx.changes.authorization = ctx.span.within(bearer).await;
        }
        let Some(rule) = rule else {
            if !forward::is_plain(session) {
                return Ok(false);
            }
            let answer = Box::pin(forward::answer(session, state, upstream, &ctx.changes));
            return answer.await.map(|()| true);
        };
        ctx.kind = Kind::Token;
        ctx.changes.query = restore::query(session.req_header(), state, &rule);
        ctx.changes.cookie = restore::cookies(session.req_header(), state, &rule);
        if ctx.upgrade || !tokens::is_read(session.req_header(), &rule) {
            return Ok(false);
        }
        // The ID stays: the access line names it too.
        let id = ctx.changes.id.clone();
        let changes = std::mem::replace(&mut ctx.changes, Changes { id, ..Changes::default() });
        let answer = Box::pin(tokens::answer(session, state, &rule, changes));
        ctx.span.within(answer).await.map(|()| true)
    }

    async fn upstream_peer(&self, _session: &mut Session, ctx: &mut Ctx) -> Result<Box<HttpPeer>> {
        let peer = match &self.state.upstream {
            Some(upstream) => upstream.peer().await.map(|peer| {
                let mut peer = Box::new(HttpPeer::clone(&peer));
                peer.options.idle_timeout = upstream.idle_timeout();
                peer
            }),
            None => Err(Failure::NoUpstream),
        };
        match peer {
            Ok(mut peer) => {
                // A WebSocket may be silent for longer than an answer may.
                if ctx.upgrade {
                    peer.options.read_timeout = None;
                }
                Ok(peer)
            }
            Err(failure) => {
                ctx.failure = Some(failure);
                Err(Error::new_up(ErrorType::ConnectError))
            }
        }
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        match &self.state.upstream {
            Some(upstream) => {
                outbound::prepare(request, session, &self.state, upstream, &ctx.changes)
            }
            None => Ok(()),
        }
    }

    async fn upstream_response_filter(
        &self,
        _session: &mut Session,
        response: &mut ResponseHeader,
        _ctx: &mut Ctx,
    ) -> Result<()> {
        if let Some(upstream) = &self.state.upstream {
            upstream.learn_idle(response.headers.get("keep-alive"));
        }
        Ok(())
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Ctx,
        mut error: Box<Error>,
    ) -> Box<Error> {
        ctx.connects += 1;
        if let Some(upstream) = &self.state.upstream {
            upstream.connecting_failed();
            error.set_retry(ctx.connects < upstream.addresses().min(3));
        }
        ctx.failure = Some(match call::failure(&error) {
            Failure::UpstreamTimeout => Failure::UpstreamTimeout,
            _ => Failure::UpstreamUnreachable,
        });
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Ctx,
    ) -> FailToProxy {
        let failure = ctx.failure.take().unwrap_or_else(|| call::failure(error));
        let gone = *error.esource() == ErrorSource::Downstream
            && matches!(
                error.etype(),
                ErrorType::WriteError | ErrorType::ReadError | ErrorType::ConnectionClosed
            );
        let mut code = 0;
        if !gone && session.response_written().is_some() {
            ctx.broken = Some(failure.code());
        }
        if !gone && session.response_written().is_none() {
            session.set_keepalive(None);
            code = crate::answer::http(&failure).status;
            if reply::fail(session, &self.state, &failure, &[]).await.is_err() {
                code = 0;
            }
        }
        FailToProxy { error_code: code, can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, _error: Option<&Error>, ctx: &mut Ctx) {
        let written = session.response_written();
        let status = written.map_or(0, |header| header.status.as_u16());
        let code = written.and_then(|header| header.extensions.get::<reply::Code>());
        let code = code.map(|code| code.0).or(ctx.broken);
        let took = ctx.began.map(|began| began.elapsed()).unwrap_or_default();
        self.state.counters.request(ctx.kind, status);
        // How long a WebSocket lives is no matter of speed.
        if !ctx.upgrade {
            self.state.counters.took(ctx.kind, took);
        }
        let route = ctx.kind.name();
        ctx.span.end(&otel::Ended { method: &session.req_header().method, route, status, code });
        if log::access_wanted() {
            let request = session.req_header();
            let access = log::Access {
                request_id: ctx.changes.id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or("-"),
                method: request.method.as_str(),
                path: request.uri.path(),
                status,
                code,
                route,
                bytes: session.body_bytes_sent() as u64,
                seconds: took.as_secs_f64(),
            };
            access.log();
        }
    }

    /// The cause goes to the log once, with the request's ID and without its query, which may hold a
    /// token.
    fn request_summary(&self, session: &Session, ctx: &Ctx) -> String {
        let request = session.req_header();
        let id = ctx.changes.id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or("-");
        format!("{} {} id={id}", request.method, request.uri.path())
    }
}
