//! `POST /_countersign/token`: RFC 8693 token exchange.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{Method, header};
use pingora::Result;

use super::form::{self, ExchangeRequest, TokenType};
use crate::answer::{ExchangeFailure, Failure};
use crate::bridge::Bridged;
use crate::jose::jws::CompactJws;
use crate::jose::{base64url, json};
use crate::pipeline::Ask;
use crate::proxy::http::downstream::{self, Upload};
use crate::proxy::http::memory::Share;
use crate::proxy::http::reply::{self, Field};
use crate::proxy::http::{ServerSession, headers};
use crate::proxy::settings::{Cors, ExchangeSettings};
use crate::proxy::state::State;
use crate::rewrite::is_jws;

const ALLOW: &str = "POST, OPTIONS";
const ALLOW_ORIGIN: &str = "Access-Control-Allow-Origin";
/// Fields that web pages send: the form's media type, and what tracing libraries add to each
/// request (W3C Trace Context, Sentry).
const ALLOW_HEADERS: &str = "Content-Type, traceparent, tracestate, baggage, sentry-trace";

/// Answers the request completely.
pub(in crate::proxy) async fn answer(session: &mut ServerSession, state: &State) -> Result<()> {
    let cors = cors(session, &state.server.exchange);
    if session.req_header().method == Method::OPTIONS {
        return preflight(session, cors).await;
    }
    let mut share = state.bodies.share();
    let exchanged = match read_form(session, state, &mut share).await {
        Ok(body) => {
            let cookies = state.opaque.as_ref().and_then(|opaque| opaque.cookies(session));
            let exchanging = std::pin::pin!(exchange(&body, cookies, state));
            downstream::cancel_on_reset(session, exchanging).await?
        }
        Err(failure) => Err(failure),
    };
    // No caching (RFC 6749 §5.1).
    let no_store = [("Cache-Control", "no-store".to_owned()), ("Pragma", "no-cache".to_owned())];
    let fields = no_store.into_iter().chain(cors);
    match exchanged {
        Ok(body) => reply::write(session, reply::json_head(&body, fields)?, body).await,
        Err(failure) => reply::fail(session, &state.counters, &failure, fields).await,
    }
}

/// Reads the body with the form.
async fn read_form(
    session: &mut ServerSession,
    state: &State,
    share: &mut Share,
) -> Result<Bytes, Failure> {
    let request = session.req_header();
    if request.method != Method::POST {
        return Err(Failure::MethodNotAllowed { allow: ALLOW });
    }
    let encoded = request.headers.get(header::CONTENT_ENCODING);
    if headers::media_type(&request.headers) != form::MEDIA_TYPE
        || encoded.is_some_and(|v| v != "identity")
    {
        return Err(ExchangeFailure::MediaType.into());
    }
    Upload::of(session, &state.server.limits).whole(state.server.limits.body, share).await
}

async fn exchange(body: &[u8], cookies: Option<String>, state: &State) -> Result<Bytes, Failure> {
    let request = match ExchangeRequest::parse(body) {
        Err(ExchangeFailure::Missing("subject_token")) => return by_cookie(cookies, state).await,
        other => other?,
    };
    let token = request.subject_token.as_str();
    let by_bridge = state.opaque.is_none() || is_jws(token);
    if request.subject_type == TokenType::IdToken && by_bridge {
        not_an_access_token(token, state)?;
    }
    // Tries the audiences in order and takes the first that is allowed (RFC 8693 §2.1), because a
    // verifier expects exactly one.
    let mut wanted = request.audiences.iter().map(Some).collect::<Vec<_>>();
    if wanted.is_empty() {
        wanted.push(None);
    }
    let mut refused = None;
    for audience in wanted {
        let ask = Ask { audience, downscope: true, ..Ask::default() };
        let exchanged = match &state.opaque {
            Some(opaque) if !is_jws(token) => opaque.token(token, &ask).await,
            _ => state.bridge.countersign(token, &ask).await,
        };
        match exchanged.map_err(ExchangeFailure::from) {
            Ok(bridged) => {
                let scope = request.scope.as_deref();
                return Ok(token_response(state, &bridged, token, request.issued_type, scope));
            }
            Err(failure) if failure.is_target() => refused = Some(failure),
            Err(failure) => return Err(failure.into()),
        }
    }
    Err(refused.unwrap_or(ExchangeFailure::Audience).into())
}

/// Refuses access tokens (RFC 9068 §2.1): they say less about the login than an ID token does.
fn not_an_access_token(token: &str, state: &State) -> Result<(), ExchangeFailure> {
    let Ok(jws) = CompactJws::parse(token.to_owned(), &state.bridge.limits, true) else {
        return Ok(());
    };
    let is = |typ: &str| {
        let typ = typ.to_ascii_lowercase();
        typ.strip_prefix("application/").unwrap_or(&typ) == "at+jwt"
    };
    if jws.unverified_header().typ.as_deref().is_some_and(is) {
        Err(ExchangeFailure::TokenKind)
    } else {
        Ok(())
    }
}

/// Exchanges a session cookie, where cookies are configured as the subject.
async fn by_cookie(cookies: Option<String>, state: &State) -> Result<Bytes, Failure> {
    let Some((opaque, cookies)) = state.opaque.as_ref().zip(cookies) else {
        return Err(ExchangeFailure::Missing("subject_token").into());
    };
    let bridged = opaque.session(&cookies, &Ask::default()).await;
    let bridged = bridged.map_err(ExchangeFailure::from)?;
    Ok(token_response(state, &bridged, "", TokenType::Jwt, None))
}

/// The answer (RFC 8693 §2.2.1). `scope` is in it where it differs from the requested one.
fn token_response(
    state: &State,
    bridged: &Bridged,
    original: &str,
    issued_type: TokenType,
    requested_scope: Option<&str>,
) -> Bytes {
    let token = bridged.jwt.as_deref().unwrap_or(original);
    let scope = requested_scope
        .and_then(|requested| scope_of(token).filter(|scope| !same_scope(requested, scope)));
    let expires_in = bridged.expires.since(state.clock.now()).as_secs();
    // The token needs no escaping: a compact JWS consists of base64url and dots (RFC 7515 §7.1).
    let mut body = format!(
        r#"{{"access_token":"{token}","issued_token_type":"{}","token_type":"Bearer","expires_in":{expires_in}"#,
        issued_type.uri(),
    );
    if let Some(scope) = scope {
        body.push_str(r#","scope":"#);
        body.push_str(&json::quote(&scope));
    }
    body.push_str("}\n");
    Bytes::from(body)
}

/// The `scope` claim (RFC 8693 §4.2) of a token that was verified or signed just now.
fn scope_of(token: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Scoped {
        scope: Option<String>,
    }
    let payload = base64url::decode(token.split('.').nth(1)?).ok()?;
    let scoped: Scoped = serde_json::from_slice(&payload).ok()?;
    Some(scoped.scope.unwrap_or_default())
}

/// Compares scopes without regard to the order of the words (RFC 6749 §3.3).
fn same_scope(a: &str, b: &str) -> bool {
    let words =
        |text| -> BTreeSet<&str> { str::split(text, ' ').filter(|w| !w.is_empty()).collect() };
    words(a) == words(b)
}

/// The CORS fields for the request's origin. Empty for an origin that is not allowed.
fn cors(session: &ServerSession, settings: &ExchangeSettings) -> Vec<Field> {
    let cors = &settings.cors;
    let mut fields = Vec::new();
    if matches!(cors, Cors::Origins(_)) {
        fields.push(("Vary", "Origin".to_owned()));
    }
    let origin = session.get_header(header::ORIGIN).and_then(|v| v.to_str().ok());
    if let Some(origin) = origin.filter(|origin| cors.allows(origin)) {
        let allowed = if *cors == Cors::Any { "*" } else { origin };
        fields.push((ALLOW_ORIGIN, allowed.to_owned()));
        // Without it, a page cannot read `Retry-After`.
        fields.push(("Access-Control-Expose-Headers", "Retry-After".to_owned()));
        // Only where cookies are accepted, and never with `*`: the configuration refuses that
        // combination.
        let cookies = settings.session.as_ref().is_some_and(|session| !session.cookies.is_empty());
        if cookies && allowed != "*" {
            fields.push(("Access-Control-Allow-Credentials", "true".to_owned()));
        }
    }
    fields
}

/// Answers a CORS preflight (Fetch §3.2.2). Without an allowed origin the answer has no CORS
/// fields, and the browser stops.
async fn preflight(session: &mut ServerSession, mut fields: Vec<Field>) -> Result<()> {
    if fields.iter().any(|(name, _)| *name == ALLOW_ORIGIN) {
        fields.push(("Access-Control-Allow-Methods", "POST".to_owned()));
        fields.push(("Access-Control-Allow-Headers", ALLOW_HEADERS.to_owned()));
        fields.push(("Access-Control-Max-Age", "600".to_owned()));
    }
    fields.push(("Allow", ALLOW.to_owned()));
    reply::write(session, reply::head(204, fields)?, Bytes::new()).await
}
