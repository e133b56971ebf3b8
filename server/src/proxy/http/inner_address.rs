//! Replaces the inner server's address in an answer's header fields with the public one: in
//! `Location` and `Content-Location`, and in the `Domain` and `Path` of cookies.

use http::{HeaderName, HeaderValue, header};
use pingora::http::ResponseHeader;
use url::Url;

use super::headers;
use crate::proxy::settings::base_path;

/// Fields that hold an address (RFC 9110 §8.7, §10.2.2).
const ADDRESSES: [HeaderName; 2] = [header::LOCATION, header::CONTENT_LOCATION];

/// The inner server's address, and the public one.
pub struct InnerAddress<'a> {
    /// Its path is prepended to every request's path.
    pub upstream: &'a Url,
    /// Public scheme, host, port and path prefix, without a slash at the end.
    pub public: &'a str,
}

impl InnerAddress<'_> {
    /// Replaces the addresses in an answer's fields.
    ///
    /// # Errors
    /// None in practice: the new value comes from a valid field value.
    pub fn replace(&self, response: &mut ResponseHeader) -> pingora::Result<()> {
        for name in ADDRESSES {
            let value = response.headers.get(&name);
            if let Some(new) = value.and_then(|value| self.address(value.as_bytes()))
                && let Ok(new) = HeaderValue::from_bytes(&new)
            {
                response.insert_header(name, new)?;
            }
        }
        let cookies = response.headers.get_all(header::SET_COOKIE);
        let public: Vec<_> = cookies.iter().map(|line| self.cookie(line)).collect();
        if public.iter().any(Option::is_some) {
            let lines = cookies.iter().zip(public);
            let lines =
                lines.map(|(line, public)| public.unwrap_or_else(|| line.clone())).collect();
            headers::set_lines(response, "Set-Cookie", lines)?;
        }
        Ok(())
    }

    /// The path of a redirect that leads outside the base path on the inner server. Clients cannot
    /// reach it through this proxy.
    pub fn outside<'r>(&self, response: &'r ResponseHeader) -> Option<&'r [u8]> {
        let value = response.headers.get(header::LOCATION)?.as_bytes();
        let origin = self.upstream.origin().ascii_serialization();
        let target = value.strip_prefix(origin.as_bytes()).unwrap_or(value);
        let path = target.split(|b| matches!(b, b'?' | b'#')).next()?;
        let is_outside = !self.base_path().is_empty() && self.below_base(path).is_none();
        (is_path(path) && is_outside).then_some(path)
    }

    /// The public form of an address; `None` where it is not changed.
    fn address(&self, value: &[u8]) -> Option<Vec<u8>> {
        if is_path(value) {
            let below = self.below_base(value)?;
            return Some([self.public_path().as_bytes(), below].concat());
        }
        let text = value.split(|b| !b.is_ascii()).next()?;
        let text = std::str::from_utf8(text).ok()?;
        let after_scheme = text.find("://")? + 3;
        let end =
            text[after_scheme..].find(['/', '?', '#']).map_or(text.len(), |n| after_scheme + n);
        let origin = Url::parse(&text[..end]).ok()?.origin();
        let is_public = Url::parse(self.public).is_ok_and(|public| public.origin() == origin);
        if origin != self.upstream.origin() || is_public {
            return None;
        }
        let rest = &value[end..];
        let rest = self.below_base(rest).unwrap_or(rest);
        Some([self.public.as_bytes(), rest].concat())
    }

    /// The public form of a `Set-Cookie` line; `None` where it is not changed.
    fn cookie(&self, line: &HeaderValue) -> Option<HeaderValue> {
        let mut parts = Vec::new();
        let mut changed = false;
        for (number, part) in line.as_bytes().split(|b| *b == b';').enumerate() {
            let (name, value) = match part.iter().position(|b| *b == b'=') {
                Some(at) if number > 0 => (part[..at].trim_ascii(), part[at + 1..].trim_ascii()),
                _ => (&b""[..], &b""[..]),
            };
            if name.eq_ignore_ascii_case(b"domain") && self.is_inner_domain(value) {
                // A cookie without `Domain` belongs to the host that sets it: the public one
                // (RFC 6265 §4.1.2.3).
                changed = true;
                continue;
            }
            if name.eq_ignore_ascii_case(b"path")
                && let Some(below) = self.below_base(value)
            {
                let path = [self.public_path().as_bytes(), below].concat();
                let path = if path.is_empty() { b"/".to_vec() } else { path };
                parts.push([b" Path=".as_slice(), &path].concat());
                changed = true;
                continue;
            }
            parts.push(part.to_vec());
        }
        if !changed {
            return None;
        }
        HeaderValue::from_bytes(&parts.join(&b';')).ok()
    }

    /// The rest of a path below the base path, where there is a base path.
    fn below_base<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        let rest = path.strip_prefix(self.base_path().as_bytes())?;
        let is_below = matches!(rest.first(), None | Some(b'/' | b'?' | b'#'));
        (is_below && !self.base_path().is_empty()).then_some(rest)
    }

    fn base_path(&self) -> &str {
        base_path(self.upstream)
    }

    fn public_path(&self) -> &str {
        let host = self.public.split_once("://").map_or(self.public, |(_, host)| host);
        host.find('/').map_or("", |at| &host[at..])
    }

    /// Whether a cookie's domain is the inner host or a parent of it, and does not cover the public
    /// host.
    fn is_inner_domain(&self, domain: &[u8]) -> bool {
        let domain = String::from_utf8_lossy(domain).to_ascii_lowercase();
        let domain = domain.trim_start_matches('.');
        let covers = |host: Option<&str>| {
            let rest = host.and_then(|host| host.strip_suffix(domain));
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        let public = Url::parse(self.public).ok();
        !domain.is_empty()
            && covers(self.upstream.host_str())
            && !covers(public.as_ref().and_then(Url::host_str))
    }
}

/// Whether an address is a path on the same server. `//host/path` is none.
fn is_path(address: &[u8]) -> bool {
    address.starts_with(b"/") && !address.starts_with(b"//")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(upstream: &str, public: &str, name: &'static str, value: &str) -> String {
        let upstream = Url::parse(upstream).unwrap();
        let inner = InnerAddress { upstream: &upstream, public };
        let mut response = ResponseHeader::build(302, None).unwrap();
        response.append_header(name, value).unwrap();
        inner.replace(&mut response).unwrap();
        String::from_utf8(response.headers[name].as_bytes().to_vec()).unwrap()
    }

    const PUBLIC: &str = "https://login.example.com";

    #[test]
    fn a_redirect_to_the_inner_server_leads_to_us() {
        for (upstream, location, expected) in [
            ("http://inner:3000", "http://inner:3000/a?b#c", "https://login.example.com/a?b#c"),
            ("http://inner:3000", "HTTP://INNER:3000", "https://login.example.com"),
            ("http://inner", "http://inner:80/é", "https://login.example.com/é"),
            ("http://inner:3000", "http://inner:3001/a", "http://inner:3001/a"),
            ("http://inner:3000", "https://app.example.com/cb", "https://app.example.com/cb"),
            ("http://inner:3000", "/a", "/a"),
            ("http://inner:3000", "//inner:3000/a", "//inner:3000/a"),
            ("http://inner:3000", "myapp://callback", "myapp://callback"),
            ("http://inner/oidc", "/oidc/auth?x", "/auth?x"),
            ("http://inner/oidc", "/oidcx/auth", "/oidcx/auth"),
            ("http://inner/oidc", "http://inner/oidc/auth", "https://login.example.com/auth"),
        ] {
            assert_eq!(with(upstream, PUBLIC, "location", location), expected, "{location}");
        }
        let path = with("http://inner/oidc", "https://a.example/x", "location", "/oidc/auth");
        assert_eq!(path, "/x/auth");
    }

    #[test]
    fn a_redirect_out_of_the_base_path_is_seen() {
        for (upstream, location, expected) in [
            ("http://inner/oidc", "/sign-in?x=1#y", Some("/sign-in")),
            ("http://inner/oidc", "http://inner/sign-in?x", Some("/sign-in")),
            ("http://inner/oidc", "/oidcx", Some("/oidcx")),
            ("http://inner/oidc", "/oidc/auth", None),
            ("http://inner/oidc", "/oidc", None),
            ("http://inner/oidc", "http://inner.example/sign-in", None),
            ("http://inner/oidc", "//inner/sign-in", None),
            ("http://inner/oidc", "https://app.example.com/cb", None),
            ("http://inner", "/sign-in", None),
        ] {
            let upstream = Url::parse(upstream).unwrap();
            let inner = InnerAddress { upstream: &upstream, public: PUBLIC };
            let mut response = ResponseHeader::build(302, None).unwrap();
            response.append_header("location", location).unwrap();
            let outside = inner.outside(&response).map(|path| std::str::from_utf8(path).unwrap());
            assert_eq!(outside, expected, "{location}");
        }
    }

    #[test]
    fn a_cookie_of_the_inner_server_is_ours() {
        for (upstream, cookie, expected) in [
            ("http://auth.inner.corp", "a=b; Domain=inner.corp; Secure", "a=b; Secure"),
            ("http://auth.inner.corp", "a=b; domain=.auth.inner.corp", "a=b"),
            ("http://auth.inner.corp", "a=b; Domain=example.com", "a=b; Domain=example.com"),
            ("http://auth.example.com", "a=b; Domain=example.com", "a=b; Domain=example.com"),
            ("http://inner/oidc", "a=b; Path=/oidc/x; HttpOnly", "a=b; Path=/x; HttpOnly"),
            ("http://inner/oidc", "a=b; Path=/oidc", "a=b; Path=/"),
            ("http://inner/oidc", "path=/oidc; Path=/", "path=/oidc; Path=/"),
            ("http://inner", "a=b; Path=/oidc", "a=b; Path=/oidc"),
        ] {
            assert_eq!(with(upstream, PUBLIC, "set-cookie", cookie), expected, "{cookie}");
        }
    }
}
