//! The request handler: implements pingora's proxy phases, from routing a request to its access
//! line.

use std::io::Cursor;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Version, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::ALPN;
use pingora::protocols::http::ServerSession;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};

use super::account;
use super::counters::Kind;
use super::http::fault::{self, Redacted};
use super::http::headers::{self, TransferCoding};
use super::http::reply::{self, Abort};
use super::http::upstream::Upstream;
use super::http::{call, downstream, max_forwards, response};
use super::outbound;
use super::request::{Ctx, Served, ServedSlot};
use super::routes::{self, Route};
use super::state::State;
use crate::answer::Failure;

/// Answers requests of HTTP/1 and HTTP/2.
pub struct RequestHandler {
    state: Arc<State>,
}

impl RequestHandler {
    pub fn new(state: Arc<State>) -> Self {
        Self { state }
    }

    fn upstream(&self) -> Result<&Upstream> {
        self.state.upstream().map_err(|_| Error::new(ErrorType::InternalError))
    }

    /// Answers the request if this program does so itself. `false` means that the upstream answers
    /// it.
    async fn answer(&self, session: &mut ServerSession, ctx: &mut Ctx) -> Result<bool, Abort> {
        let state = &self.state;
        let request = session.req_header();
        let path = request.uri.path().to_owned();
        let route = state.routes.load().of(&path, |p| state.publisher.is_jwks_path(p));
        ctx.changes.id = Some(headers::request_id(request));
        ctx.span = state.spans.request(&request.headers);
        ctx.changes.trace = ctx.span.outgoing();
        ctx.websocket = headers::is_websocket(request);
        ctx.grpc = headers::is_grpc(request);
        // The request has passed through this process before: the upstream forwards to this program
        // (RFC 9110 §7.6.3).
        if request.headers.get_all(header::VIA).iter().any(|line| state.via.is_in(line)) {
            session.set_keepalive(None);
            return Err(Failure::Loop.into());
        }
        let ours = matches!(route, Route::Jwks | Route::Exchange);
        if !ours && max_forwards::of(request) == Some(0) {
            max_forwards::answer(session).await?;
            return Ok(true);
        }
        if !ours && state.upstream.is_some() {
            let permit = state.upstream_requests.clone().try_acquire_owned();
            ctx.permit = Some(permit.map_err(|_| Failure::Overloaded)?);
        }
        // Each answer's future is boxed: otherwise this future would be as large as the largest of
        // them, and is moved as a whole.
        let rule = match route {
            Route::Jwks => {
                ctx.kind = Kind::Jwks;
                ctx.span.within(Box::pin(routes::jwks::answer(session, state))).await?;
                return Ok(true);
            }
            Route::Exchange => {
                ctx.kind = Kind::Exchange;
                ctx.span.within(Box::pin(routes::exchange::answer(session, state))).await?;
                return Ok(true);
            }
            Route::Discovery => {
                ctx.kind = Kind::Discovery;
                if routes::discovery::handles(session) {
                    Box::pin(routes::discovery::answer(session, state, &ctx.changes)).await?;
                    return Ok(true);
                }
                None
            }
            Route::Token(rule) => Some(rule),
            Route::Forward => None,
        };
        let upstream = state.upstream()?;
        if !upstream.base_path().is_empty() && outbound::climbs_out(&path) {
            return Err(Failure::InvalidTarget.into());
        }
        if session.req_header().headers.contains_key(header::AUTHORIZATION) {
            let bearer = Box::pin(outbound::authorization(session, state, rule.as_deref()));
            ctx.changes.authorization = ctx.span.within(bearer).await;
        }
        if let Some(rule) = rule {
            ctx.kind = Kind::Token;
            ctx.changes.query = routes::restore::query(session.req_header(), state, &rule);
            ctx.changes.at_base = rule.path.is_base();
            ctx.changes.cookie = routes::restore::cookies(session.req_header(), state, &rule);
            let streams = ctx.websocket || ctx.grpc;
            if !streams && routes::tokens::handles(session.req_header(), &rule) {
                let answer = routes::tokens::answer(session, state, &rule, &ctx.changes);
                ctx.span.within(Box::pin(answer)).await?;
                return Ok(true);
            }
            ctx.rule = Some(rule).filter(|rule| rule.reads_header());
        }
        Ok(false)
    }
}

/// Stops waiting for a body that the client will not send, because the final answer came instead of
/// `100 Continue`. Otherwise pingora would wait for the whole read timeout.
fn stop_upload(session: &mut Session, ctx: &mut Ctx) {
    session.set_read_timeout(Some(std::time::Duration::from_millis(1)));
    ctx.complete = true;
}

#[async_trait]
impl ProxyHttp for RequestHandler {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        Ctx::default()
    }

    /// Installs no modules: pingora's compression module would cost time on each request.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    fn on_connection_reuse(
        &self,
        _session: &mut Session,
        ctx: &mut Ctx,
        context: Box<dyn std::any::Any + Send + Sync>,
    ) {
        ctx.slot = context.downcast::<ServedSlot>().ok().map(|slot| *slot);
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
        let session = session.as_downstream_mut();
        session.set_write_timeout(Some(self.state.server.limits.write_timeout));
        session.set_read_timeout(Some(self.state.server.limits.read_timeout));
        let request = session.req_header();
        let http11 = request.version == Version::HTTP_11;
        let chunked = headers::transfer_coding(&request.headers) != TransferCoding::None;
        if !http11 {
            // HTTP/1.0 has no interim answers (RFC 9110 §15.2).
            session.set_ignore_info_resp(true);
        }
        ctx.awaits_continue = downstream::expects_continue(session);
        if chunked {
            // Parsers differ on where a chunk ends. If a proxy before this one saw a second request
            // in this one, that request must get no answer on this connection.
            session.set_keepalive(None);
        }
        match self.answer(session, ctx).await {
            Err(Abort::Failed(failure)) => {
                reply::fail(session, &self.state.counters, &failure, []).await?;
                Ok(true)
            }
            Err(Abort::Broken(error)) => Err(error),
            Ok(answered) => Ok(answered),
        }
    }

    async fn upstream_peer(&self, _session: &mut Session, ctx: &mut Ctx) -> Result<Box<HttpPeer>> {
        let upstream = self.upstream()?;
        let peer = upstream.peer().await.map_err(|failure| {
            ctx.failure = Some(failure);
            Error::new_up(ErrorType::ConnectError)
        })?;
        let mut peer = Box::new(HttpPeer::clone(&peer));
        peer.options.idle_timeout = upstream.idle_timeout();
        if ctx.websocket || ctx.grpc {
            // Both may be silent for longer than an answer may.
            peer.options.read_timeout = None;
        }
        if ctx.grpc {
            // Offer HTTP/2 alone, as gRPC clients do: servers that speak both versions may prefer
            // HTTP/1.1.
            peer.options.alpn = ALPN::H2;
        }
        Ok(peer)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        let upstream = self.upstream()?;
        if ctx.grpc && request.version != Version::HTTP_2 {
            ctx.failure = Some(Failure::UpstreamHttp2);
            return Err(Error::new_up(ErrorType::H2Error));
        }
        let session = session.as_downstream_mut();
        headers::strip_request(request);
        outbound::prepare(request, session, &self.state, upstream, &ctx.changes)?;
        if !downstream::expects_continue(session) || session.is_body_empty() {
            request.remove_header(&header::EXPECT);
        }
        if ctx.grpc {
            // gRPC servers refuse a client that does not send `TE: trailers` (RFC 9113 §8.2.2
            // allows this value).
            request.insert_header(header::TE, "trailers")?;
        } else if ctx.websocket {
            request.insert_header(header::CONNECTION, "Upgrade")?;
            request.insert_header(header::UPGRADE, "websocket")?;
        } else if !session.is_body_empty() {
            // An upstream may answer before it has read the body, and then read the rest of the
            // body as the next request on the connection. So no request may follow on it. pingora
            // decides on reuse by this field, not by whether the request was sent completely before
            // the answer began.
            request.insert_header(header::CONNECTION, "close")?;
        }
        Ok(())
    }

    /// Drops an empty last part: pingora would send it as a second end of a chunked body
    /// (cloudflare/pingora#935).
    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Ctx,
    ) -> Result<()> {
        ctx.received += body.as_ref().map_or(0, |part| part.len() as u64);
        let limit = self.state.server.limits.body_time(ctx.received);
        // The time limit is for bodies. WebSocket frames and the messages of a gRPC call are none.
        if !ctx.websocket && !ctx.grpc && !end_of_stream && ctx.began.0.elapsed() > limit {
            return Err(Error::new_down(ErrorType::ReadTimedout));
        }
        if end_of_stream && body.as_ref().is_some_and(Bytes::is_empty) {
            *body = None;
        }
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        let upstream = self.upstream()?;
        upstream.note_keep_alive(response.headers.get("keep-alive"));
        if response.headers.contains_key(header::TRAILER) && !ctx.grpc {
            tracing::info!(id = ctx.id(), "trailers of the upstream's answer do not pass");
        }
        ctx.interim += usize::from(response::is_interim(response));
        ctx.awaits_continue &= response.status != http::StatusCode::CONTINUE;
        let switches = response::switches(response);
        let unasked = switches && !(ctx.websocket && response::switches_to_websocket(response));
        let fits =
            response::fits(&response.headers, session.as_downstream(), &self.state.server.limits);
        if unasked
            || ctx.interim > response::MAX_INTERIM
            || !response::is_understood(response)
            || fits.is_err()
        {
            return Err(Error::new_up(ErrorType::InvalidHTTPHeader));
        }
        // The version belongs to one hop (RFC 9110 §6.2).
        response.set_version(Version::HTTP_11);
        headers::strip_response(response);
        if switches {
            response.insert_header(header::CONNECTION, "Upgrade")?;
            response.insert_header(header::UPGRADE, "websocket")?;
            return Ok(());
        }
        outbound::replace_inner_addresses(response, session, &self.state, upstream)?;
        routes::issuer_name::in_location(response, &self.state)?;
        if let Some(rule) = &ctx.rule {
            let fields = Box::pin(routes::tokens::fields(response, &self.state, rule));
            ctx.span.within(fields).await?;
        }
        Ok(())
    }

    fn upstream_response_trailer_filter(
        &self,
        session: &mut Session,
        trailers: &mut http::HeaderMap,
        _ctx: &mut Ctx,
    ) -> Result<()> {
        response::fits(trailers, session.as_downstream(), &self.state.server.limits)
            .map_err(|_| Error::new_up(ErrorType::InvalidHTTPHeader))
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        if response::switches(response) {
            session.set_read_timeout(None);
        } else if session.req_header().version < Version::HTTP_11
            && response.headers.contains_key(header::TRANSFER_ENCODING)
        {
            // HTTP/1.0 has no chunked coding: closing the connection ends the answer.
            response.remove_header(&header::TRANSFER_ENCODING);
            session.set_keepalive(None);
        }
        let empty = !response::has_body(session.as_downstream(), response.status)
            || response.headers.get(header::CONTENT_LENGTH).is_some_and(|length| length == "0");
        if ctx.awaits_continue && empty && !response::is_interim(response) {
            stop_upload(session, ctx);
        }
        Ok(())
    }

    fn response_body_filter(
        &self,
        session: &mut Session,
        _body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Ctx,
    ) -> Result<Option<std::time::Duration>> {
        if ctx.awaits_continue && end_of_stream {
            stop_upload(session, ctx);
        }
        Ok(None)
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Ctx,
        mut error: Box<Error>,
    ) -> Box<Error> {
        if ctx.grpc && *error.etype() == ErrorType::TLSHandshakeFailure {
            // The server answers, and does not speak HTTP/2: it has not failed.
            ctx.failure = Some(Failure::UpstreamHttp2);
            error.set_retry(false);
            return error;
        }
        ctx.connects += 1;
        ctx.failure = Some(call::connect_failure(&error));
        let again = self.state.upstream().is_ok_and(|upstream| {
            upstream.connecting_failed();
            ctx.connects < upstream.addresses().min(call::MAX_TRIES)
        });
        error.set_retry(again);
        if !again {
            tracing::warn!(%error, "the upstream cannot be reached");
        }
        error
    }

    /// Repeats a request only if it went out on a pooled connection that the upstream had closed
    /// meanwhile, and only if the method is idempotent (RFC 9110 §9.2.2).
    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        ctx: &mut Ctx,
        client_reused: bool,
    ) -> Box<Error> {
        let idempotent = session.req_header().method.is_idempotent();
        if !idempotent || session.retry_buffer_truncated() || ctx.websocket {
            error.set_retry(false);
        } else {
            error.retry.decide_reuse(client_reused);
        }
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Ctx,
    ) -> FailToProxy {
        let session = session.as_downstream_mut();
        // pingora shows the code only in its log line, which is suppressed.
        let closed = FailToProxy { error_code: 0, can_reuse_downstream: false };
        let failure = match ctx.failure.take().unwrap_or_else(|| fault::failure(error)) {
            Failure::UpstreamInvalid if ctx.grpc => Failure::UpstreamHttp2,
            failure => failure,
        };
        // The log gets the path without its query, which may hold a token.
        let request = session.req_header();
        let (method, path, id) = (&request.method, request.uri.path(), ctx.id());
        let redacted = Redacted(error);
        if ctx.complete {
            return closed;
        }
        if fault::is_client_gone(error) {
            tracing::debug!(error = %redacted, %method, path, id, "the client has gone");
            return closed;
        }
        if !matches!(failure, Failure::UpstreamUnreachable) {
            tracing::warn!(error = %redacted, %method, path, id, "response incomplete");
        }
        if account::answered(session).is_some() {
            ctx.broken = Some(failure.code());
            return closed;
        }
        session.set_keepalive(None);
        ctx.complete = reply::fail(session, &self.state.counters, &failure, []).await.is_ok();
        closed
    }

    /// Suppresses pingora's own error line: it quotes the head of an answer that it cannot parse.
    /// The handler writes its own line.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Ctx, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _ctx: &Ctx,
        _error: &Error,
        _context: ProxyWarnLogContext,
    ) -> bool {
        true
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Ctx) {
        account::finish(session.as_downstream(), ctx, &self.state);
        let Some(slot) = ctx.slot.take() else { return };
        let nothing = Cursor::new(Vec::<u8>::new());
        let ended = Box::new(ServerSession::new_http1(Box::new(nothing)));
        let session = std::mem::replace(&mut session.downstream_session, ended);
        *slot.lock() = Some(Served { session, complete: error.is_none() || ctx.complete });
    }
}
