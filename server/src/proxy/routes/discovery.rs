//! Serves the upstream's discovery document, with the addresses and algorithms that apply behind
//! this proxy.

use std::borrow::Cow;
use std::pin::pin;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use pingora::http::{RequestHeader, ResponseHeader};

use super::discovery_cache::Key;
use super::tokens;
use crate::answer::Failure;
use crate::issuer::publisher::COMMON_PATH;
use crate::proxy::http::memory::Share;
use crate::proxy::http::reply::{self, Abort};
use crate::proxy::http::upstream::Upstream;
use crate::proxy::http::{ServerSession, call, downstream, headers};
use crate::proxy::outbound::{self, Changes};
use crate::proxy::state::State;
use crate::rewrite::discovery::{self, Discovered, DiscoveryRewrite, EndpointRewrite};

/// The path of the discovery document (OpenID Connect Discovery 1.0 §4).
const OPENID_CONFIGURATION: &str = "/.well-known/openid-configuration";
/// The size limit of a document.
const LIMIT: usize = 256 * 1024;

/// The most redirects followed within the upstream.
const MAX_REDIRECTS: usize = 3;

/// Fields that are left out of the cache key, because they do not change the upstream's answer:
/// this program sets or removes them, or they differ with each request.
const NOT_KEYED: [&str; 11] = [
    "accept-encoding",
    "cache-control",
    "cf-ray",
    "content-length",
    "if-modified-since",
    "if-none-match",
    "pragma",
    "range",
    "traceparent",
    "tracestate",
    "x-request-id",
];

/// Fields that differ with each client. With a public URL they do not change the rewritten
/// document.
const CLIENT_FIELDS: [&str; 4] = ["cf-connecting-ip", "user-agent", "x-forwarded-for", "x-real-ip"];

/// Whether the request reads the document. Other methods are forwarded unchanged.
pub fn handles(session: &ServerSession) -> bool {
    matches!(session.req_header().method, Method::GET | Method::HEAD)
}

/// Answers the request completely.
pub(in crate::proxy) async fn answer(
    session: &mut ServerSession,
    state: &State,
    changes: &Changes,
) -> Result<(), Abort> {
    let Ok(upstream) = state.upstream() else {
        let path = session.req_header().uri.path();
        let document = minimal(path, state).ok_or(Failure::NoUpstream)?;
        let mut header = reply::json_head(&document, [])?;
        set_caching_and_cors(&mut header, state)?;
        return Ok(reply::write(session, header, document).await?);
    };
    // The cache key is made from the request as it is forwarded: hop-by-hop fields do not count.
    let request = outbound::copy(session);
    let key = key(&request, state.server.public_url.is_some());
    if let Some((header, body)) = key.as_ref().and_then(|key| state.discovery.get(key)) {
        return Ok(reply::write(session, header, body).await?);
    }
    let mut share = state.bodies.share();
    let (mut header, body) = fetch(session, state, upstream, request, changes, &mut share).await?;
    outbound::accept_fetched(&mut header, session, state, upstream)?;
    let plain = tokens::decoded(&header, &body, LIMIT).unwrap_or(Cow::Borrowed(&body));
    let found = match header.status {
        StatusCode::OK => discovery::read(&plain).ok(),
        _ => None,
    };
    let is_known = |found: &&Discovered| state.bridge.issuers.by_iss(&found.issuer).is_some();
    let new = match found.as_ref().filter(is_known) {
        Some(found) => rewritten(session, state, upstream, &plain, found),
        // The upstream answered something else: a web page, a login form, `null`, another issuer's
        // document. If an issuer has our public URL as its name, its document must be at this path
        // (OpenID Connect Discovery 1.0 §4.3).
        None if has_no_document(header.status) => {
            let new = minimal(session.req_header().uri.path(), state);
            if let Some(new) = &new {
                header = reply::json_head(new, [])?;
            }
            new
        }
        None => None,
    };
    let Some(new) = new else {
        return Ok(reply::write_unchanged(session, header, body).await?);
    };
    headers::set_new_body(&mut header, new.len())?;
    // With a cookie, strict caches would not store the document (RFC 9111 §7.3).
    header.remove_header(&header::SET_COOKIE);
    header.insert_header(header::CONTENT_TYPE, "application/json")?;
    set_caching_and_cors(&mut header, state)?;
    if let Some(key) = key {
        state.discovery.insert(key, (header.clone(), new.clone()));
    }
    Ok(reply::write(session, header, new).await?)
}

/// Whether a server without a document answers with this status. A failing server, or one that
/// demands authorization, does not.
fn has_no_document(status: StatusCode) -> bool {
    status.is_success()
        || status.is_redirection()
        || matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED)
}

/// Sets caching and CORS fields as for the key set, which verifiers and browsers read in the same
/// way.
fn set_caching_and_cors(header: &mut ResponseHeader, state: &State) -> pingora::Result<()> {
    let fresh = header.headers.get(header::CACHE_CONTROL).map(|v| v.as_bytes());
    if fresh.is_none_or(|value| memchr::memmem::find(value, b"max-age").is_none()) {
        let value = format!("public, max-age={}", state.server.max_age);
        header.insert_header(header::CACHE_CONTROL, value)?;
    }
    if !header.headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        header.insert_header(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")?;
    }
    Ok(())
}

async fn fetch(
    session: &mut ServerSession,
    state: &State,
    upstream: &Upstream,
    mut request: Box<RequestHeader>,
    changes: &Changes,
    share: &mut Share,
) -> Result<(ResponseHeader, Bytes), Abort> {
    request.set_method(Method::GET);
    outbound::prepare(&mut request, session, state, upstream, changes)?;
    request.insert_header(header::ACCEPT_ENCODING, "identity")?;
    let removed =
        [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::RANGE, header::CONTENT_LENGTH];
    for name in &removed {
        request.remove_header(name);
    }
    for left in (0..=MAX_REDIRECTS).rev() {
        let reply = {
            let asking = pin!(call::ask(&request, LIMIT, upstream, share));
            downstream::cancel_on_reset(session, asking).await??
        };
        if reply.rest.is_some() {
            break;
        }
        match redirected(&reply.header, &request, upstream).filter(|_| left > 0) {
            Some(target) => request.set_raw_path(target.as_bytes())?,
            None => return Ok((*reply.header, reply.body)),
        }
    }
    Err(Failure::UpstreamInvalid.into())
}

/// The target of a redirect to another discovery path on the upstream. It is followed here: a
/// verifier that followed it itself would read a document that was not rewritten.
fn redirected(
    header: &ResponseHeader,
    request: &RequestHeader,
    upstream: &Upstream,
) -> Option<String> {
    if !header.status.is_redirection() {
        return None;
    }
    let location = header.headers.get(header::LOCATION)?.to_str().ok()?;
    let from = upstream.url.join(std::str::from_utf8(request.raw_path()).ok()?).ok()?;
    let to = from.join(location).ok()?;
    let is_document = super::is_discovery(to.path().trim_end_matches('/'));
    let same = to.origin() == upstream.url.origin() && is_document;
    same.then(|| to[url::Position::BeforePath..url::Position::AfterQuery].to_owned())
}

/// The rewritten document of an issuer that this program serves.
fn rewritten(
    session: &ServerSession,
    state: &State,
    upstream: &Upstream,
    body: &[u8],
    found: &Discovered,
) -> Option<Bytes> {
    let routes = state.routes.load();
    let base = base(session, state, upstream, found)?;
    let renamed = routes.discovery.issuer.as_ref();
    let renamed = renamed.filter(|to| {
        found.issuer == to.as_str() || state.bridge.names_of(to).contains(&found.issuer)
    });
    let public = state.server.public_text();
    let to = DiscoveryRewrite {
        jwks_uri: Some(format!("{base}{}", jwks_path(state, upstream, found))),
        algs: vec![state.bridge.signing_alg()],
        issuer: renamed.map(|issuer| issuer.as_str().to_owned()),
        endpoints: public
            .filter(|_| routes.discovery.endpoints)
            .map(|public| EndpointRewrite::to_public(&found.issuer, &upstream.url, public)),
    };
    discovery::rewrite(body, &to).ok().map(Bytes::from)
}

/// A document for an issuer whose name is our public URL and whose server has none. Without it,
/// relying parties that find keys only by discovery could not verify its tokens.
fn minimal(path: &str, state: &State) -> Option<Bytes> {
    let base = state.server.public_text()?;
    if path != OPENID_CONFIGURATION {
        return None;
    }
    let (issuer, path) = state.bridge.issuing_as(base)?;
    let algs = [state.bridge.signing_alg()];
    let document = discovery::minimal(issuer.as_str(), base, &format!("{base}{path}"), &algs);
    Some(Bytes::from(document))
}

/// The path of the normalised key set: the issuer's own `jwks_uri` path where this program serves
/// that path.
fn jwks_path(state: &State, upstream: &Upstream, found: &Discovered) -> String {
    let uri = found.jwks_uri.as_deref().and_then(|uri| url::Url::parse(uri).ok());
    let own = uri.as_ref().map(url::Url::path);
    let below_base = own.and_then(|path| path.strip_prefix(upstream.base_path()));
    let mut paths = [own, below_base].into_iter().flatten();
    paths.find(|path| state.publisher.is_jwks_path(path)).unwrap_or(COMMON_PATH).to_owned()
}

/// The public base URL: the configured one; else the issuer's origin, if it differs from the
/// upstream's, because then the provider already uses our name; else the host that the client used
/// (the answer is cached for that host only).
fn base(
    session: &ServerSession,
    state: &State,
    upstream: &Upstream,
    found: &Discovered,
) -> Option<String> {
    if let Some(public) = state.server.public_text() {
        return Some(public.to_owned());
    }
    let origin = url::Url::parse(&found.issuer).ok().map(|issuer| issuer.origin());
    match origin.filter(|origin| origin.is_tuple() && *origin != upstream.url.origin()) {
        Some(origin) => Some(origin.ascii_serialization()),
        None => headers::client_origin(session),
    }
}

/// The cache key of a document. Any field of a request may change what the upstream answers: some
/// upstreams build their addresses from `X-Forwarded-Host` or `Forwarded`. So a cached answer is
/// reused only for requests that would have got the same one. Otherwise one client could choose the
/// answer that all others read.
///
/// `None` means that the answer is not cached.
fn key(request: &RequestHeader, public: bool) -> Option<Key> {
    let target = request.uri.path_and_query().map_or("/", |p| p.as_str());
    // The host as the client sent it, because that is what the upstream gets.
    let host = headers::host(request).filter(|host| host.len() <= 255)?;
    let mut key = [host, b"\n", target.as_bytes(), b"\n"].concat();
    let keyed = |name: &str| {
        let of_client = public && CLIENT_FIELDS.contains(&name);
        name != "host" && !NOT_KEYED.contains(&name) && !of_client
    };
    let fields = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let mut fields: Vec<_> = fields.filter(|(name, _)| keyed(name)).collect();
    // The sort is stable, so that the order of repeated fields still counts.
    fields.sort_by_key(|(name, _)| *name);
    for (name, value) in fields {
        // Neither names nor values can contain a line end.
        for part in [name.as_bytes(), b":", value, b"\n"] {
            key.extend_from_slice(part);
        }
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyed(fields: &[(&'static str, &str)]) -> Key {
        let mut request = RequestHeader::build("GET", b"/.well-known/x?a", None).unwrap();
        for (name, value) in [("host", "auth.example")].iter().chain(fields) {
            request.append_header(*name, *value).unwrap();
        }
        key(&request, true).unwrap()
    }

    #[test]
    fn no_client_chooses_the_answer_of_another() {
        let plain = keyed(&[]);
        for field in [
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-proto", "http"),
            ("forwarded", "host=evil.example"),
            ("x-original-host", "evil.example"),
            ("origin", "https://evil.example"),
            ("cookie", "tenant=evil"),
            ("authorization", "Basic eA=="),
        ] {
            assert_ne!(keyed(&[field]), plain, "{field:?}");
        }
        let mut request = RequestHeader::build("GET", b"/.well-known/x?a", None).unwrap();
        assert_eq!(key(&request, true), None, "without a Host it is not cached");
        request.append_header("host", "a".repeat(256)).unwrap();
        assert_eq!(key(&request, true), None, "a Host that is too long");
        request.insert_header("host", "auth.example").unwrap();
        let plain = key(&request, false);
        request.insert_header("host", "AUTH.example").unwrap();
        assert_ne!(key(&request, false), plain, "as it is sent");
        request.insert_header("host", "auth.example").unwrap();
        for field in CLIENT_FIELDS {
            request.insert_header(field, "evil").unwrap();
            assert_ne!(key(&request, false), plain, "{field}");
            request.remove_header(field);
        }
        assert_ne!(keyed(&[("a", "1"), ("a", "2")]), keyed(&[("a", "2"), ("a", "1")]));
    }

    #[test]
    fn what_differs_with_each_request_is_one_answer() {
        let plain = keyed(&[]);
        assert_eq!(keyed(&[("user-agent", "x"), ("x-request-id", "1")]), plain);
        assert_eq!(keyed(&[("x-forwarded-for", "6.6.6.6"), ("range", "bytes=0-1")]), plain);
        assert_eq!(keyed(&[("a", "1"), ("b", "2")]), keyed(&[("b", "2"), ("a", "1")]));
    }
}
