//! Replaces the inner server's address in an answer's header fields with the public one: in
//! `Location` and `Content-Location`, and in the `Domain` and `Path` of cookies.

use http::{HeaderName, HeaderValue, header};
use pingora::http::ResponseHeader;
use url::Url;

/// Fields that hold an address (RFC 9110 §8.7, §10.2.2).
const ADDRESSES: [HeaderName; 2] = [header::LOCATION, header::CONTENT_LOCATION];

/// The inner server's address, and the public one.
pub struct InnerAddress<'a> {
    pub upstream: &'a Url,
    /// Its base path, which is prepended to every request's path: `""` or `/auth`.
    pub base_path: &'a str,
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
        if cookies.iter().any(|line| self.cookie(line.as_bytes()).is_some()) {
            let lines: Vec<_> = cookies.iter().cloned().collect();
            response.remove_header(&header::SET_COOKIE);
            for line in lines {
                let new = self.cookie(line.as_bytes());
                let new = new.and_then(|new| HeaderValue::from_bytes(&new).ok());
                response.append_header(header::SET_COOKIE, new.unwrap_or(line))?;
            }
        }
        Ok(())
    }

    /// The path of a redirect that leads outside the base path on the inner server. Clients cannot
    /// reach it through this proxy.
    pub fn outside<'r>(&self, response: &'r ResponseHeader) -> Option<&'r [u8]> {
        let value = response.headers.get(header::LOCATION)?.as_bytes();
        let origin = self.upstream.origin().ascii_serialization();
        let target = value.strip_prefix(origin.as_bytes()).unwrap_or(value);
        let end = target.iter().position(|b| matches!(b, b'?' | b'#')).unwrap_or(target.len());
        let path = &target[..end];
        let is_path = path.first() == Some(&b'/') && path.get(1) != Some(&b'/');
        let is_outside = !self.base_path.is_empty() && self.below_base(path).is_none();
        (is_path && is_outside).then_some(path)
    }

    /// The public form of an address; `None` where it is not changed.
    fn address(&self, value: &[u8]) -> Option<Vec<u8>> {
        if value.first() == Some(&b'/') && value.get(1) != Some(&b'/') {
            let below = self.below_base(value)?;
            return Some([self.public_path().as_bytes(), below].concat());
        }
        let text = std::str::from_utf8(
            &value[..value.iter().position(|b| !b.is_ascii()).unwrap_or(value.len())],
        )
        .ok()?;
        let after_scheme = text.find("://")? + 3;
        let end =
            text[after_scheme..].find(['/', '?', '#']).map_or(text.len(), |n| after_scheme + n);
        let origin = Url::parse(&text[..end]).ok()?.origin();
        if origin != self.upstream.origin() || self.is_public(&origin) {
            return None;
        }
        let rest = &value[end..];
        let rest = self.below_base(rest).unwrap_or(rest);
        Some([self.public.as_bytes(), rest].concat())
    }

    /// The public form of a `Set-Cookie` line; `None` where it is not changed.
    fn cookie(&self, line: &[u8]) -> Option<Vec<u8>> {
        let mut parts = Vec::new();
        let mut changed = false;
        for (number, part) in line.split(|b| *b == b';').enumerate() {
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
        changed.then(|| parts.join(&b';'))
    }

    /// The rest of a path below the base path, where there is a base path.
    fn below_base<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        if self.base_path.is_empty() {
            return None;
        }
        let rest = path.strip_prefix(self.base_path.as_bytes())?;
        matches!(rest.first(), None | Some(b'/' | b'?' | b'#')).then_some(rest)
    }

    fn public_path(&self) -> &str {
        let after_scheme = self.public.find("://").map_or(0, |at| at + 3);
        let host = &self.public[after_scheme..];
        host.find('/').map_or("", |at| &host[at..])
    }

    fn is_public(&self, origin: &url::Origin) -> bool {
        Url::parse(self.public).is_ok_and(|public| public.origin() == *origin)
    }

    /// Whether a cookie's domain is the inner host or a parent of it, and does not cover the public
    /// host.
    fn is_inner_domain(&self, domain: &[u8]) -> bool {
        let domain = String::from_utf8_lossy(domain).to_ascii_lowercase();
        let domain = domain.trim_start_matches('.');
        let covers = |host: Option<&str>| {
            host.is_some_and(|host| {
                host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            })
        };
        let public = Url::parse(self.public).ok();
        !domain.is_empty()
            && covers(self.upstream.host_str())
            && !covers(public.as_ref().and_then(Url::host_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(upstream: &str, public: &str, name: &'static str, value: &str) -> String {
        let upstream = Url::parse(upstream).unwrap();
        let base = upstream.path().trim_end_matches('/').to_owned();
        let inner = InnerAddress { upstream: &upstream, base_path: &base, public };
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
            let base = upstream.path().trim_end_matches('/').to_owned();
            let inner = InnerAddress { upstream: &upstream, base_path: &base, public: PUBLIC };
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
