//! The way of one request: its route, the room that answers it, its line in the log.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{Method, Version, header};
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::timeout;
use pingora::protocols::http::ReusableHttpStream;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::server::ShutdownWatch;
use pingora::{Error, ErrorType, Result};
use tokio::time::Instant;

use super::counters::Kind;
use super::fault::{self, Plain};
use super::headers::Coding;
use super::outbound::{self, Changes};
use super::routes::Route;
use super::state::State;
use super::{
    Session, call, client, discovery, exchange, forward, headers, jwks, reply, restore, tokens,
};
use crate::answer::Failure;
use crate::log;
use crate::otel::{self, RequestSpan};
use crate::pipeline::Ask;
use crate::rewrite::{BearerMode, TokenRule};

/// How long the rest of an upload is read after its answer.
const LINGER: Duration = Duration::from_secs(2);

/// What answers requests, of HTTP/1 and of HTTP/2.
pub struct Gate {
    state: Arc<State>,
    h2: H2Options,
    options: HttpServerOptions,
}

/// What is known of one request.
#[derive(Debug)]
struct Ctx {
    began: Instant,
    kind: Kind,
    changes: Changes,
    span: RequestSpan,
    /// Why an answer that had begun broke off.
    broken: Option<&'static str>,
}

impl Ctx {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            kind: Kind::default(),
            changes: Changes::default(),
            span: RequestSpan::default(),
            broken: None,
        }
    }

    fn id(&self) -> &str {
        self.changes.id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or("-")
    }
}

impl Gate {
    pub fn new(state: Arc<State>) -> Self {
        let limits = &state.server.limits;
        let mut h2 = default_h2_options();
        h2.max_header_list_size(u32::try_from(limits.header).unwrap_or(u32::MAX));
        let mut options = HttpServerOptions::default();
        // The door has told the two apart; over TLS, ALPN has.
        options.h2c = true;
        options.h2_idle_timeout = Some(limits.idle_timeout);
        Self { state, h2, options }
    }

    /// Answers one request. Given back is a connection on which another may follow.
    pub(super) async fn serve(
        &self,
        session: Session,
        stopping: bool,
    ) -> Option<ReusableHttpStream> {
        // Boxed: it lives across every wait below.
        let mut session = Box::new(session);
        if !read(&mut session).await {
            return None;
        }
        if stopping {
            session.set_keepalive(None);
        }
        let mut ctx = Ctx::new();
        let told = match self.answer(&mut session, &mut ctx).await {
            Ok(()) => true,
            Err(error) => self.failed(&mut session, &error, &mut ctx).await,
        };
        self.account(&session, &mut ctx);
        if !told {
            return None;
        }
        linger(&mut session).await;
        timeout(client::TAKES, session.finish()).await.ok()?.ok()?
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

    /// Answers the request, or says why it could not be answered to its end.
    async fn answer(&self, session: &mut Session, ctx: &mut Ctx) -> Result<()> {
        let state = &self.state;
        match framing(session.req_header()) {
            Ok(Coding::None) => {}
            // Readers differ on where a chunk ends: should one before us have read another request
            // in this one, it gets no answer here.
            Ok(_) => session.set_keepalive(None),
            Err(failure) => {
                session.set_keepalive(None);
                return reply::fail(session, state, &failure, &[]).await;
            }
        }
        let request = session.req_header();
        let path = request.uri.path();
        let route = state.routes.load().of(path, |p| state.publisher.is_jwks_path(p));
        ctx.changes.id = Some(headers::request_id(request));
        ctx.span = state.spans.request(&request.headers);
        ctx.changes.trace = ctx.span.outgoing();
        // Each answer stands in a box of its own: a future is as large as the largest in it, and is
        // moved whole.
        let rule = match route {
            Route::Jwks => {
                ctx.kind = Kind::Jwks;
                return ctx.span.within(Box::pin(jwks::answer(session, state))).await;
            }
            Route::Exchange => {
                ctx.kind = Kind::Exchange;
                return ctx.span.within(Box::pin(exchange::answer(session, state))).await;
            }
            Route::Discovery => {
                ctx.kind = Kind::Discovery;
                if discovery::is_read(session) {
                    return Box::pin(discovery::answer(session, state, &ctx.changes)).await;
                }
                None
            }
            Route::Token(rule) => Some(rule),
            Route::Forward => None,
        };
        let Some(upstream) = &state.upstream else {
            return reply::fail(session, state, &Failure::NoUpstream, &[]).await;
        };
        if session.req_header().headers.contains_key(header::AUTHORIZATION) {
            let bearer = Box::pin(self.bearer(session, rule.as_deref()));
            ctx.changes.authorization = ctx.span.within(bearer).await;
        }
        if let Some(rule) = rule {
            ctx.kind = Kind::Token;
            ctx.changes.query = restore::query(session.req_header(), state, &rule);
            ctx.changes.cookie = restore::cookies(session.req_header(), state, &rule);
            if tokens::is_read(session.req_header(), &rule) {
                // The ID stays: the access line names it too.
                let id = ctx.changes.id.clone();
                let changes =
                    std::mem::replace(&mut ctx.changes, Changes { id, ..Changes::default() });
                let answer = Box::pin(tokens::answer(session, state, &rule, changes));
                return ctx.span.within(answer).await;
            }
        }
        Box::pin(forward::answer(session, state, upstream, &ctx.changes)).await
    }

    /// After an error: tells the client what it can still be told. Whether it was told.
    async fn failed(&self, session: &mut Session, error: &Error, ctx: &mut Ctx) -> bool {
        let request = session.req_header();
        // Without its query, which may hold a token.
        let (method, path, id) = (&request.method, request.uri.path(), ctx.id());
        let plain = Plain(error);
        if fault::has_gone(error) {
            tracing::debug!(error = %plain, %method, path, id, "the client has gone");
            return false;
        }
        tracing::warn!(error = %plain, %method, path, id, "a request was not answered to its end");
        let failure = fault::failure(error);
        if answered(session).is_some() {
            ctx.broken = Some(failure.code());
            return false;
        }
        session.set_keepalive(None);
        reply::fail(session, &self.state, &failure, &[]).await.is_ok()
    }

    /// Counts the request, ends its span, and writes its access line.
    fn account(&self, session: &Session, ctx: &mut Ctx) {
        let written = answered(session);
        let status = written.map_or(0, |header| header.status.as_u16());
        let code = written.and_then(|header| header.extensions.get::<reply::Code>());
        let code = code.map(|code| code.0).or(ctx.broken);
        let took = ctx.began.elapsed();
        self.state.finished(ctx.kind, status, code);
        // How long a WebSocket lives is no matter of speed.
        if !written.is_some_and(call::switches) {
            self.state.counters.took(ctx.kind, took);
        }
        let route = ctx.kind.name();
        ctx.span.end(&otel::Ended { method: &session.req_header().method, route, status, code });
        if log::access_wanted() {
            let request = session.req_header();
            let access = log::Access {
                request_id: ctx.id(),
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
}

/// How the body of a request comes, whatever it asks.
fn framing(request: &RequestHeader) -> Result<Coding, Failure> {
    // RFC 9112 §3.2.
    if request.version == Version::HTTP_11 && !request.headers.contains_key(header::HOST) {
        return Err(Failure::BadRequest);
    }
    // Only `chunked` is undone here, and none is passed on (RFC 9112 §6.1).
    match headers::coding(&request.headers) {
        Coding::Other => Err(Failure::Framing),
        coding => Ok(coding),
    }
}

/// The head of the answer, once it was written: an interim one (RFC 9110 §15.2) is none.
fn answered(session: &Session) -> Option<&ResponseHeader> {
    session.response_written().filter(|header| !call::is_interim(header))
}

/// Reads the request's head; `false` where there is none to answer.
async fn read(session: &mut Session) -> bool {
    let refused = match session.read_request().await {
        // A tunnel to anywhere is not what this is for.
        Ok(true) if session.req_header().method == Method::CONNECT => 405,
        Ok(read) => return read,
        Err(error) if *error.etype() == ErrorType::InvalidHTTPHeader => 400,
        Err(error) => {
            tracing::debug!(error = %Plain(&error), "a connection ended within a request's head");
            return false;
        }
    };
    if let Err(error) = client::taken(session.respond_error(refused)).await {
        tracing::debug!(error = %Plain(&error), "a client that is refused has gone");
    }
    client::shut(session.shutdown()).await;
    false
}

/// Reads on for a moment where an answer came before the end of an upload. Closed upon, the client
/// would be reset, and the answer lost with all else on its way (RFC 9112 §9.6).
async fn linger(session: &mut Session) {
    if session.is_http2() || session.is_body_done() {
        return;
    }
    if let Ok(Err(error)) = timeout(LINGER, session.drain_request_body()).await {
        tracing::debug!(error = %Plain(&error), "the client broke off its upload");
    }
}

#[async_trait]
impl HttpServerApp for Gate {
    /// For streams of HTTP/2: none is used again.
    async fn process_new_http(
        self: &Arc<Self>,
        session: Session,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let stopping = *shutdown.borrow();
        self.serve(session, stopping).await;
        None
    }

    fn h2_options(&self) -> Option<H2Options> {
        Some(self.h2.clone())
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }
}
