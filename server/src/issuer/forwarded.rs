//! Our own requests to the upstream have the same `Host` and forwarding fields as clients' requests. So a
//! server that finds its tenant by the name, or refuses requests without TLS in front, answers us as it
//! answers clients.

use url::{Position, Url};

use crate::net::TlsOptions;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarded {
    /// Where the upstream is, base path included.
    pub upstream: Url,
    /// `Host`: the public name, the upstream's own, or a configured one.
    pub host: String,
    /// The public URL, for `X-Forwarded-Host` and `X-Forwarded-Proto`.
    pub public: Option<Url>,
    pub tls: TlsOptions,
}

impl Forwarded {
    /// Whether the upstream gets the name in its own URL. Then the request needs no other `Host`, and may use
    /// HTTP/2.
    pub(super) fn is_own_name(&self) -> bool {
        self.tls.sni.is_none() && self.host == authority(&self.upstream)
    }

    /// The URL at the upstream for `url`, if clients know the upstream by the name in `url`.
    pub fn at_upstream(&self, url: &Url) -> Option<Url> {
        let public = self.public.as_ref().map(authority);
        let named = [Some(self.host.as_str()), public].contains(&Some(authority(url)));
        named.then(|| below(&self.upstream, url))
    }
}

/// `host` or `host:port`, as a `Host` field wants it.
pub fn authority(url: &Url) -> &str {
    &url[Position::BeforeHost..Position::AfterPort]
}

/// `url` at `upstream`. The upstream of `https://host/oidc` may be `http://localhost:3001/oidc` or
/// `http://localhost:3001`: its base path is not added a second time.
pub fn below(upstream: &Url, url: &Url) -> Url {
    let base = upstream.path().trim_end_matches('/');
    let has_base = url.path().strip_prefix(base).is_some_and(|rest| rest.starts_with('/'));
    let mut at = upstream.clone();
    match has_base {
        true => at.set_path(url.path()),
        false => at.set_path(&format!("{base}{}", url.path())),
    }
    at.set_query(url.query());
    at.set_fragment(None);
    at
}
