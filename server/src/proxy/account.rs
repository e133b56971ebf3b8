//! What is kept of a request that has ended: counters, span, access line.

use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;

use super::http::{reply, response};
use super::request::Ctx;
use super::state::State;
use crate::{log, otel};

/// Counts the request, ends its span, and writes its access line.
pub(super) fn finish(session: &ServerSession, ctx: &mut Ctx, state: &State) {
    let written = answered(session);
    let status = written.map_or(0, |header| header.status.as_u16());
    let code = written.and_then(|header| header.extensions.get::<reply::Code>());
    let code = code.map(|code| code.0).or(ctx.broken);
    let took = ctx.began.elapsed();
    state.finished(ctx.kind, status, code, ctx.permit.is_some());
    // How long a WebSocket lives says nothing about speed.
    if !written.is_some_and(response::switches) {
        state.counters.took(ctx.kind, took);
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

/// The header of the answer, once it was sent. Interim answers (RFC 9110 §15.2) do not count.
pub(super) fn answered(session: &ServerSession) -> Option<&ResponseHeader> {
    session.response_written().filter(|header| !response::is_interim(header))
}
