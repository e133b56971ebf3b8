//! A request on its way to the upstream: its path, its `Host`, where it came from, and our own
//! tokens in it turned back into the issuer's.

use http::{HeaderValue, Version, header};
use pingora::Result;
use pingora::http::RequestHeader;

use super::Session;
use super::headers::{self, Origin};
use super::state::State;
use super::upstream::Upstream;
use crate::bridge::Bridge;
use crate::otel::Outgoing;

/// What is changed in one request's head.
#[derive(Debug, Default)]
pub struct Changes {
    pub id: Option<HeaderValue>,
    /// The new `Authorization`.
    pub authorization: Option<HeaderValue>,
    /// The new query, without `?`.
    pub query: Option<String>,
    /// The new `Cookie`.
    pub cookie: Option<HeaderValue>,
    /// Our own `traceparent`; without it the client's passes.
    pub trace: Option<Outgoing>,
}

/// Makes `header` ready for `upstream`.
pub(super) fn prepare(
    header: &mut RequestHeader,
    session: &Session,
    state: &State,
    upstream: &Upstream,
    changes: &Changes,
) -> Result<()> {
    let client = session.client_addr().and_then(|a| a.as_inet()).map(std::net::SocketAddr::ip);
    let tls = session.digest().is_some_and(|digest| digest.ssl_digest.is_some());
    // HTTP/2 has the host in `:authority` (RFC 9113 §8.3.1).
    if !header.headers.contains_key(header::HOST)
        && let Some(authority) = session.req_header().uri.authority()
    {
        header.insert_header(header::HOST, authority.as_str())?;
    }
    headers::forward(header, &Origin { client, tls, public: state.server.public_url.as_ref() })?;
    if let Some(name) = upstream.host_header() {
        header.insert_header(header::HOST, name)?;
    } else if !header.headers.contains_key(header::HOST) {
        // A client of HTTP/1.0 need not say one; the upstream is asked in HTTP/1.1 (RFC 9112 §3.2).
        header.insert_header(header::HOST, upstream.authority())?;
    }
    if let Some(id) = &changes.id {
        header.insert_header(headers::X_REQUEST_ID, id.clone())?;
    }
    if let Some(trace) = &changes.trace {
        trace.write(header)?;
    }
    if let Some(authorization) = &changes.authorization {
        header.insert_header(header::AUTHORIZATION, authorization.clone())?;
    }
    if let Some(cookie) = &changes.cookie {
        header.insert_header(header::COOKIE, cookie.clone())?;
    }
    if let Some(target) = target(header, upstream.base_path(), changes.query.as_deref()) {
        header.set_raw_path(target.as_bytes())?;
    }
    Ok(())
}

/// Asks the upstream for a WebSocket where the client does.
pub(super) fn ask_websocket(header: &mut RequestHeader, session: &Session) -> Result<()> {
    if headers::is_websocket(session.req_header()) {
        header.insert_header(header::CONNECTION, "Upgrade")?;
        header.insert_header(header::UPGRADE, "websocket")?;
    }
    Ok(())
}

/// The new request target in origin form; `None` where the old one may stay.
fn target(header: &RequestHeader, base: &str, query: Option<&str>) -> Option<String> {
    // pingora keeps the absolute form (RFC 9112 §3.2.2) apart from the path. Its host would overrule
    // the `Host` set here.
    let path = header.uri.path_and_query().map_or("/", |target| target.as_str());
    let absolute = header.raw_path() != path.as_bytes();
    if (base.is_empty() && query.is_none() && !absolute) || !header.raw_path_is_utf8() {
        return None;
    }
    let mut target = format!("{base}{}", header.uri.path());
    if let Some(query) = query.or(header.uri.query()) {
        target.push('?');
        target.push_str(query);
    }
    Some(target)
}

/// A request head of our own with the fields of the session's, those of the hop left out.
pub(super) fn copy(session: &Session) -> Box<RequestHeader> {
    let mut header = Box::new(session.req_header().clone());
    header.set_version(Version::HTTP_11);
    headers::strip_request(&mut header);
    if header.headers.contains_key(header::EXPECT) {
        header.remove_header(&header::EXPECT);
    }
    header
}

/// `Authorization: Bearer <one of ours>` with the issuer's own token put back (RFC 6750 §2.1).
pub(super) fn restored_bearer(header: &RequestHeader, bridge: &Bridge) -> Option<HeaderValue> {
    let original = bridge.restore(bearer(header)?)?;
    sensitive(&original)
}

/// The bearer token of a request, if it has one that may be a JWS.
pub(super) fn bearer(header: &RequestHeader) -> Option<&str> {
    let value = header.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && token.starts_with("eyJ")).then_some(token)
}

pub(super) fn sensitive(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(path: &str) -> RequestHeader {
        RequestHeader::build("GET", path.as_bytes(), None).unwrap()
    }

    #[test]
    fn the_target_stays_unless_something_changes() {
        assert_eq!(target(&header("/a?b"), "", None), None);
        assert_eq!(target(&header("/a?b"), "/auth", None), Some("/auth/a?b".into()));
        assert_eq!(target(&header("/a?b"), "", Some("c=d")), Some("/a?c=d".into()));
        assert_eq!(target(&header("http://h/a?b"), "", None), Some("/a?b".into()));
    }

    #[test]
    fn only_what_may_be_a_jws_is_a_bearer_token() {
        let with = |value: &str| {
            let mut header = header("/");
            header.insert_header("authorization", value).unwrap();
            bearer(&header).map(str::to_owned)
        };
        assert_eq!(with("Bearer eyJx.y.z"), Some("eyJx.y.z".into()));
        assert_eq!(with("bearer eyJx.y.z"), Some("eyJx.y.z".into()));
        // RFC 9110 §11.4: one space or more.
        assert_eq!(with("Bearer  eyJx.y.z "), Some("eyJx.y.z".into()));
        assert_eq!(with("Bearer opaque"), None);
        assert_eq!(with("Basic eyJx"), None);
        assert_eq!(with("Bearer"), None);
    }
}
