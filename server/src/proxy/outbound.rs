//! Prepares a request for the upstream: its path, its `Host`, the forwarding fields, and the tokens
//! of this program in it, which are replaced by the issuer's originals.

use http::{HeaderValue, StatusCode, Version, header};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

use super::http::ServerSession as Session;
use super::http::headers;
use super::http::inner_address::InnerAddress;
use super::http::reply::Abort;
use super::http::upstream::Upstream;
use super::http::{max_forwards, response};
use super::state::State;
use crate::otel::Outgoing;
use crate::pipeline::Ask;
use crate::rewrite::{BearerMode, TokenRule};

/// The changes to one request's head.
#[derive(Debug, Default)]
pub struct Changes {
    pub id: Option<HeaderValue>,
    /// The new `Authorization`.
    pub authorization: Option<HeaderValue>,
    /// The new query, without `?`.
    pub query: Option<String>,
    /// The new `Cookie`.
    pub cookie: Option<HeaderValue>,
    /// The path is exactly the upstream's base path: no slash is appended.
    pub at_base: bool,
    /// Our own `traceparent`. `None` passes on the client's.
    pub trace: Option<Outgoing>,
}

/// Prepares `header` for `upstream`. [`headers::strip_request`] must have been applied.
pub(super) fn prepare(
    header: &mut RequestHeader,
    session: &Session,
    state: &State,
    upstream: &Upstream,
    changes: &Changes,
) -> Result<()> {
    let client = session.client_addr().and_then(|a| a.as_inet()).map(std::net::SocketAddr::ip);
    let tls = headers::is_tls(session);
    // HTTP/2 carries the host in `:authority` (RFC 9113 §8.3.1).
    if !header.headers.contains_key(header::HOST)
        && let Some(authority) = session.req_header().uri.authority()
    {
        header.insert_header(header::HOST, authority.as_str())?;
    }
    headers::forward(header, client, tls, state.server.public_url.as_ref())?;
    if let Some(name) = upstream.host_header() {
        header.insert_header(header::HOST, name)?;
    } else if !header.headers.contains_key(header::HOST) {
        // An HTTP/1.0 client may omit `Host`, but the request to the upstream is HTTP/1.1, which
        // requires it (RFC 9112 §3.2).
        header.insert_header(header::HOST, upstream.authority())?;
    }
    max_forwards::decrement(header)?;
    state.via.add(header)?;
    if let Some(trace) = &changes.trace {
        trace.write(header)?;
    }
    for (name, value) in [
        ("X-Request-Id", &changes.id),
        ("Authorization", &changes.authorization),
        ("Cookie", &changes.cookie),
    ] {
        if let Some(value) = value {
            header.insert_header(name, value.clone())?;
        }
    }
    if let Some(target) = target(header, upstream.base_path(), changes) {
        header.set_raw_path(target.as_bytes())?;
    }
    Ok(())
}

/// Prepares the head of an answer that was read from the upstream: checks its size, removes
/// hop-by-hop fields, and replaces the inner server's addresses.
pub(super) fn accept_fetched(
    header: &mut ResponseHeader,
    session: &Session,
    state: &State,
    upstream: &Upstream,
) -> Result<(), Abort> {
    response::fits(&header.headers, session, &state.server.limits)?;
    headers::strip_response(header);
    // It does not describe what is sent.
    if header.status == StatusCode::NOT_MODIFIED {
        header.remove_header(&header::CONTENT_LENGTH);
    }
    Ok(replace_inner_addresses(header, session, state, upstream)?)
}

/// Replaces the inner server's addresses in an answer's header fields with the public address.
pub(super) fn replace_inner_addresses(
    response: &mut ResponseHeader,
    session: &Session,
    state: &State,
    upstream: &Upstream,
) -> Result<()> {
    let found = [header::LOCATION, header::SET_COOKIE, header::CONTENT_LOCATION];
    if !found.iter().any(|name| response.headers.contains_key(name)) {
        return Ok(());
    }
    let public = state.server.public_text().map(str::to_owned);
    let Some(public) = public.or_else(|| headers::client_origin(session)) else { return Ok(()) };
    let inner = InnerAddress { upstream: &upstream.url, public: &public };
    if let Some(path) = inner.outside(response) {
        static WARNED: std::sync::Once = std::sync::Once::new();
        WARNED.call_once(|| {
            tracing::warn!(
                path = %String::from_utf8_lossy(path),
                "the auth server redirects out of the path of `upstream`, {}, where clients \
                 of this proxy cannot follow: set `upstream` to the server's root, and name its \
                 issuer in an [[issuer]]",
                upstream.base_path()
            );
        });
    }
    inner.replace(response)
}

/// The `Authorization` field to send upstream, where its token is replaced.
pub(super) async fn authorization(
    session: &Session,
    state: &State,
    rule: Option<&TokenRule>,
) -> Option<HeaderValue> {
    let (scheme, token) = credentials(session.req_header())?;
    match rule.and_then(|rule| rule.bearer) {
        // A countersigned token is a bearer token. A DPoP-bound token needs a proof with it, so it
        // is passed on unchanged.
        Some(BearerMode::Swap) if scheme == DPOP => None,
        // An unverifiable token is passed on too: the API behind this proxy judges it.
        Some(BearerMode::Swap) => {
            let bridged = state.countersign(token, &Ask::default()).await.ok()?;
            field(scheme, &bridged.jwt?)
        }
        Some(BearerMode::Restore) | None => field(scheme, &state.bridge.restore(token)?),
    }
}

/// The new request target in origin form; `None` where the old one is sent unchanged.
fn target(header: &RequestHeader, base: &str, changes: &Changes) -> Option<String> {
    let query = changes.query.as_deref();
    // pingora keeps an absolute form (RFC 9112 §3.2.2) apart from the path, and its host would
    // override the `Host` that is set here.
    let path = header.uri.path_and_query().map_or("/", |target| target.as_str());
    let absolute = header.raw_path() != path.as_bytes();
    let asterisk = header.raw_path() == b"*";
    if (base.is_empty() && query.is_none() && !absolute) || asterisk || !header.raw_path_is_utf8() {
        return None;
    }
    // `OPTIONS` with an absolute form that has no path means `*` (RFC 9112 §3.2.4).
    if header.method == http::Method::OPTIONS && is_bare_origin(header.raw_path()) {
        return Some("*".to_owned());
    }
    let path = if changes.at_base { "" } else { header.uri.path() };
    let mut target = format!("{base}{path}");
    if let Some(query) = query.or(header.uri.query()) {
        target.push('?');
        target.push_str(query);
    }
    Some(target)
}

/// `http://host` without a path or a query.
fn is_bare_origin(target: &[u8]) -> bool {
    let after = memchr::memmem::find(target, b"://").map(|at| &target[at + 3..]);
    after.is_some_and(|rest| !rest.iter().any(|b| matches!(b, b'/' | b'?')))
}

/// Whether a path leaves its base path by dot segments (RFC 3986 §5.2.4) in any spelling:
/// `/a/../../b`, `/%2e%2e/b`, `/..\\b`.
pub(super) fn climbs_out(path: &str) -> bool {
    let mut depth = 0_i32;
    let decoded = percent_encoding::percent_decode_str(path).collect::<Vec<u8>>();
    // Decoded twice: some servers decode again after routing.
    let decoded = percent_encoding::percent_decode(&decoded).collect::<Vec<u8>>();
    for segment in decoded.split(|b| matches!(b, b'/' | b'\\')) {
        // Servlet containers read `..;x` as `..`.
        match segment.split(|b| *b == b';').next().unwrap_or_default() {
            b"" | b"." => {}
            b".." => depth -= 1,
            _ => depth += 1,
        }
        if depth < 0 {
            return true;
        }
    }
    false
}

/// A copy of the session's request head without its hop-by-hop fields.
pub(super) fn copy(session: &Session) -> Box<RequestHeader> {
    let mut header = Box::new(session.req_header().clone());
    header.set_version(Version::HTTP_11);
    headers::strip_request(&mut header);
    header.remove_header(&header::EXPECT);
    header
}

/// The schemes of an `Authorization` field that carries a token: RFC 6750 §2.1, RFC 9449 §7.1.
const BEARER: &str = "Bearer";
const DPOP: &str = "DPoP";

fn field(scheme: &str, token: &str) -> Option<HeaderValue> {
    headers::sensitive(format!("{scheme} {token}").as_bytes())
}

/// Scheme and token of the request's `Authorization`, if the token may be a JWS.
fn credentials(header: &RequestHeader) -> Option<(&'static str, &str)> {
    let value = header.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (name, token) = value.trim().split_once(' ')?;
    let token = token.trim();
    let scheme = [BEARER, DPOP].into_iter().find(|scheme| scheme.eq_ignore_ascii_case(name))?;
    token.starts_with("eyJ").then_some((scheme, token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(path: &str) -> RequestHeader {
        RequestHeader::build("GET", path.as_bytes(), None).unwrap()
    }

    #[test]
    fn the_target_stays_unless_something_changes() {
        let none = Changes::default();
        assert_eq!(target(&header("/a?b"), "", &none), None);
        assert_eq!(target(&header("/a?b"), "/auth", &none), Some("/auth/a?b".into()));
        let query = Changes { query: Some("c=d".into()), ..Changes::default() };
        assert_eq!(target(&header("/a?b"), "", &query), Some("/a?c=d".into()));
        assert_eq!(target(&header("http://h/a?b"), "", &none), Some("/a?b".into()));
        let at_base = Changes { at_base: true, ..Changes::default() };
        assert_eq!(target(&header("/?b"), "/auth", &at_base), Some("/auth?b".into()));
        assert_eq!(target(&header("/?b"), "/auth", &none), Some("/auth/?b".into()));
        let mut options = header("http://h");
        options.set_method(http::Method::OPTIONS);
        assert_eq!(target(&options, "/auth", &none), Some("*".into()));
    }

    #[test]
    fn no_path_climbs_out_of_the_base() {
        for out in [
            "/../admin",
            "/%2e%2e/admin",
            "/..%2fadmin",
            "/x/../../admin",
            "/..\\\\admin",
            "/.%2e/a",
            "/%252e%252e/a",
            "/..;x/a",
            "/..",
            "/a/%5c../../../b",
        ] {
            assert!(climbs_out(out), "{out}");
        }
        for inside in
            ["/", "/a/../b", "/a/b/../..", "/...", "/..a", "/a;..", "/.well-known/x", "/a%2fb"]
        {
            assert!(!climbs_out(inside), "{inside}");
        }
        assert_eq!(target(&header("*"), "/auth", &Changes::default()), None);
    }

    #[test]
    fn only_what_may_be_a_jws_is_a_token() {
        let with = |value: &str| {
            let mut header = header("/");
            header.insert_header("authorization", value).unwrap();
            credentials(&header).map(|(scheme, token)| (scheme, token.to_owned()))
        };
        let token = |scheme| Some((scheme, "eyJx.y.z".to_owned()));
        assert_eq!(with("Bearer eyJx.y.z"), token(BEARER));
        assert_eq!(with("bearer eyJx.y.z"), token(BEARER));
        assert_eq!(with("dpop eyJx.y.z"), token(DPOP));
        // RFC 9110 §11.4 allows more than one space.
        assert_eq!(with("bearer  eyJx.y.z "), token(BEARER));
        assert_eq!(with("Bearer opaque"), None);
        assert_eq!(with("Basic eyJx"), None);
        assert_eq!(with("Bearer"), None);
    }
}
