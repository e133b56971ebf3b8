//! The discovery document: the upstream's own, with the addresses and algorithms that hold once
//! everything comes through here.

use bytes::Bytes;
use http::{Method, StatusCode, header};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

use super::Routes;
use super::discovery_cache::Key;
use crate::answer::Failure;
use crate::issuer::publisher::COMMON_PATH;
use crate::jose::alg::Alg;
use crate::proxy::http::call::{self, Body, Reply};
use crate::proxy::http::upstream::Upstream;
use crate::proxy::http::{ServerSession, downstream, headers, reply};
use crate::proxy::outbound::{self, Changes};
use crate::proxy::state::State;
use crate::rewrite::discovery::{self, Discovered, DiscoveryRewrite, EndpointRewrite};

/// OpenID Connect Discovery 1.0 §4.
const OPENID_CONFIGURATION: &str = "/.well-known/openid-configuration";
/// Bytes of a document.
const LIMIT: usize = 256 * 1024;

/// Fields that do not change what the upstream says: those set or taken out on the way to it, and
/// those that differ with each request or client.
const UNKEYED: [&str; 15] = [
    "accept-encoding",
    "cache-control",
    "cf-connecting-ip",
    "cf-ray",
    "content-length",
    "if-modified-since",
    "if-none-match",
    "pragma",
    "range",
    "traceparent",
    "tracestate",
    "user-agent",
    "x-forwarded-for",
    "x-real-ip",
    "x-request-id",
];

/// Whether a request is one this room answers; others go to the upstream as they are.
pub fn is_read(session: &ServerSession) -> bool {
    matches!(session.req_header().method, Method::GET | Method::HEAD)
}

/// Answers the request whole.
pub(in crate::proxy) async fn answer(
    session: &mut ServerSession,
    state: &State,
    changes: &Changes,
) -> Result<()> {
    let Some(upstream) = &state.upstream else {
        return match made_up(session.req_header().uri.path(), state) {
            Some(new) => reply::write(session, json(&new)?, new).await,
            None => reply::fail(session, &state.counters, &Failure::NoUpstream, &[]).await,
        };
    };
    // Of what is sent on: a field that ends here decides nothing.
    let request = outbound::copy(session);
    let key = key(&request);
    if let Some(kept) = state.discovery.get(&key) {
        return reply::write(session, kept.header, kept.body).await;
    }
    let (mut header, body) = match fetch(session, state, upstream, request, changes).await? {
        Ok(found) => found,
        Err(failure) => return reply::fail(session, &state.counters, &failure, &[]).await,
    };
    match header.status {
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => headers::strip_bodiless(&mut header),
        _ => headers::strip_response(&mut header),
    }
    outbound::point_at_us(&mut header, session, state, upstream)?;
    let new = match header.status {
        StatusCode::OK => rewritten(session, state, upstream, &body),
        StatusCode::NOT_FOUND => {
            let new = made_up(session.req_header().uri.path(), state);
            if let Some(new) = &new {
                header = json(new)?;
            }
            new
        }
        _ => None,
    };
    let Some(new) = new else {
        if reply::has_body(session, header.status) {
            header.insert_header(header::CONTENT_LENGTH, body.len())?;
        }
        return reply::write(session, header, body).await;
    };
    headers::of_new_body(&mut header, new.len())?;
    // A cookie keeps strict caches from keeping the document (RFC 9111 §7.3).
    header.remove_header(&header::SET_COOKIE);
    header.insert_header(header::CONTENT_TYPE, "application/json")?;
    state.discovery.put(key, &header, &new);
    reply::write(session, header, new).await
}

async fn fetch(
    session: &mut ServerSession,
    state: &State,
    upstream: &Upstream,
    mut request: Box<RequestHeader>,
    changes: &Changes,
) -> Result<Result<(ResponseHeader, Bytes), Failure>> {
    request.set_method(Method::GET);
    outbound::prepare(&mut request, session, state, upstream, changes)?;
    request.insert_header(header::ACCEPT_ENCODING, "identity")?;
    for name in [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::RANGE] {
        request.remove_header(&name);
    }
    request.remove_header(&header::CONTENT_LENGTH);
    let asking = call::ask(&request, LIMIT, upstream, &state.connector);
    Ok(match downstream::cancel_on_reset(session, asking).await? {
        Ok(Reply { header, body: Body::Whole(body) }) => Ok((*header, body)),
        Ok(Reply { body: Body::Open(..), .. }) => Err(Failure::UpstreamInvalid),
        Err(failure) => Err(failure),
    })
}

/// The new document; `None` where it is none.
fn rewritten(
    session: &ServerSession,
    state: &State,
    upstream: &Upstream,
    body: &Bytes,
) -> Option<Bytes> {
    let found = discovery::read(body).ok()?;
    let routes = state.routes.load();
    let base = base(session, state, upstream, &found)?;
    let public = state.server.public_text();
    let to = DiscoveryRewrite {
        jwks_uri: Some(format!("{base}{}", jwks_path(state, upstream, &found))),
        algs: algs(state, &found),
        issuer: routes.discovery.issuer.as_ref().map(|issuer| issuer.as_str().to_owned()),
        endpoints: endpoints(&routes, upstream, &found, public),
    };
    discovery::rewrite(body, &to).ok().map(Bytes::from)
}

/// A document for an issuer that goes by our public URL and whose server has none: relying parties
/// that find the keys by discovery alone could not verify its tokens otherwise.
fn made_up(path: &str, state: &State) -> Option<Bytes> {
    let base = state.server.public_text()?;
    if path != OPENID_CONFIGURATION {
        return None;
    }
    let (issuer, path) = state.bridge.issuing_as(base)?;
    let algs = [state.bridge.signing_alg()];
    let document = discovery::minimal(issuer.as_str(), base, &format!("{base}{path}"), &algs);
    Some(Bytes::from(document))
}

fn json(body: &Bytes) -> Result<ResponseHeader> {
    let mut header = ResponseHeader::build(StatusCode::OK, Some(2))?;
    header.insert_header(header::CONTENT_TYPE, "application/json")?;
    header.insert_header(header::CONTENT_LENGTH, body.len())?;
    Ok(header)
}

fn endpoints(
    routes: &Routes,
    upstream: &Upstream,
    found: &Discovered,
    public: Option<&str>,
) -> Option<EndpointRewrite> {
    let public = public.filter(|_| routes.discovery.endpoints)?;
    Some(EndpointRewrite::to_public(&found.issuer, upstream.url(), public))
}

/// What ID tokens may be signed with once they came through: our own algorithm, and those of the
/// issuer's that pass as they stand.
fn algs(state: &State, found: &Discovered) -> Vec<Alg> {
    let mut algs = vec![state.bridge.signing_alg()];
    for name in &found.id_token_signing_algs {
        if let Some(alg) = Alg::from_name(name)
            && state.bridge.accepts(alg)
            && !algs.contains(&alg)
        {
            algs.push(alg);
        }
    }
    algs
}

/// The path the normalised set is served at: the issuer's own where it is one of ours.
fn jwks_path(state: &State, upstream: &Upstream, found: &Discovered) -> String {
    let own = found.jwks_uri.as_deref().and_then(|uri| url::Url::parse(uri).ok());
    let own = own.map(|url| url.path().to_owned());
    let below = |path: &String| path.strip_prefix(upstream.base_path()).map(str::to_owned);
    own.iter()
        .flat_map(|path| [Some(path.clone()), below(path)])
        .flatten()
        .find(|path| state.publisher.is_jwks_path(path))
        .unwrap_or_else(|| COMMON_PATH.to_owned())
}

/// Where clients find us: the configured public URL; else the issuer's own origin, where that is not
/// the upstream's, because then the provider already calls itself by our name; else the host the
/// client used, since there is nothing better (the answer is kept for that host alone).
fn base(
    session: &ServerSession,
    state: &State,
    upstream: &Upstream,
    found: &Discovered,
) -> Option<String> {
    if let Some(public) = state.server.public_text() {
        return Some(public.to_owned());
    }
    if let Ok(issuer) = url::Url::parse(&found.issuer)
        && issuer.origin().is_tuple()
        && issuer.origin() != upstream.url().origin()
    {
        return Some(issuer.origin().ascii_serialization());
    }
    headers::client_origin(session)
}

/// Whatever a client sends may decide what the upstream answers: one that believes
/// `X-Forwarded-Host` or `Forwarded` writes its addresses by it. An answer is given again only to
/// requests that would have got the same, or one client could choose what all others read.
fn key(request: &RequestHeader) -> Key {
    let target = request.uri.path_and_query().map_or("/", |p| p.as_str());
    let mut key = format!("{}\n{target}\n", host(request).unwrap_or_default()).into_bytes();
    let keyed = |name: &str| name != "host" && !UNKEYED.contains(&name);
    let fields = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let mut fields: Vec<_> = fields.filter(|(name, _)| keyed(name)).collect();
    // Stable, so that the order of repeated fields still counts.
    fields.sort_by_key(|(name, _)| *name);
    for (name, value) in fields {
        // Neither part can hold a line end.
        key.extend([name.as_bytes(), b":", value, b"\n"].concat());
    }
    key
}

fn host(request: &RequestHeader) -> Option<String> {
    let field = request.headers.get(header::HOST).and_then(|v| v.to_str().ok());
    let host = field.or(request.uri.authority().map(|a| a.as_str()))?;
    (host.len() <= 255).then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyed(fields: &[(&'static str, &str)]) -> Key {
        let mut request = RequestHeader::build("GET", b"/.well-known/x?a", None).unwrap();
        for (name, value) in [("host", "auth.example")].iter().chain(fields) {
            request.append_header(*name, *value).unwrap();
        }
        key(&request)
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
