//! Accounts for a request that has ended: counters, span, access line.

use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;

use super::counters::Kind;
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
    let duration = ctx.began.0.elapsed();
    state.counters.request(ctx.kind, status);
    // Only these requests show the upstream's health: others may be answered without it.
    let by_upstream = ctx.permit.is_some() && matches!(ctx.kind, Kind::Forward | Kind::Token);
    if by_upstream && (status > 0 || code.is_some()) {
        state.health.note(code, state.clock.now());
    }
    // How long a WebSocket lives says nothing about speed.
    if !written.is_some_and(response::switches) {
        state.counters.duration(ctx.kind, duration);
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
            seconds: duration.as_secs_f64(),
        };
        access.log();
    }
}

/// The header of the answer, once it was sent. Interim answers (RFC 9110 §15.2) do not count.
pub(super) fn answered(session: &ServerSession) -> Option<&ResponseHeader> {
    session.response_written().filter(|header| !response::is_interim(header))
}
