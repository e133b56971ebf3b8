//! `[upstream]`.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use url::Url;

use super::TlsFiles;
use crate::setting::{self, Invalid, nearest};

/// The auth server.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamSettings {
    /// Its address, `https://auth.internal:3001`, with its base path if it has one.
    #[serde(with = "setting::Url")]
    pub url: Url,
    /// The `Host` header sent to it: the one the client used (`client`), its own name (`upstream`), or
    /// another name, `auth.example.com`.
    #[schemars(with = "Option<String>", extend("examples" = ["client", "upstream", "auth.example.com"]))]
    pub host: Option<HostHeader>,
    #[serde(default)]
    pub tls: UpstreamTls,
    #[serde(default)]
    pub timeouts: UpstreamTimeouts,
}

impl UpstreamSettings {
    /// The path prefix of every request: `""` or `/auth`.
    pub fn base_path(&self) -> &str {
        base_path(&self.url)
    }

    /// The upstream's own name, if clients use another one as `Host` and the operator has not
    /// configured `host`. A hosted auth server selects the tenant by `Host`, and answers to no other
    /// name. `public` is this proxy's public URL.
    pub fn own_name_not_sent(&self, public: Option<&Url>) -> Option<&str> {
        let name = self.url.domain().filter(|_| self.url.scheme() == "https")?;
        let same = public.is_some_and(|public| public.domain() == Some(name));
        (self.host.is_none() && !same).then_some(name)
    }
}

/// The path of a base URL, without a slash at the end: `""` or `/auth`.
pub fn base_path(url: &Url) -> &str {
    url.path().trim_end_matches('/')
}

/// The `Host` header sent to the upstream. `X-Forwarded-Host` and `X-Forwarded-Proto` always carry
/// what the client used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostHeader {
    /// The name the client used.
    Client,
    /// The upstream's own name.
    Upstream,
    /// Another name, as `name` or `name:port`.
    Name(String),
}

impl HostHeader {
    fn parse(text: &str) -> Result<Self, Invalid> {
        const WORDS: [&str; 2] = ["client", "upstream"];
        match text {
            "client" => return Ok(Self::Client),
            "upstream" => return Ok(Self::Upstream),
            _ => {}
        }
        if let Some(meant) = nearest(text, WORDS).filter(|_| !text.contains(['.', ':'])) {
            return Err(Invalid::new(format_args!(
                "`{text}` is neither `client`, `upstream` nor a host's name"
            ))
            .hint(format_args!("did you mean `{meant}`?")));
        }
        // A host and an optional port, without credentials (RFC 9110 §7.2).
        match text.parse::<http::uri::Authority>() {
            Ok(name) if !text.contains('@') && !name.host().is_empty() => {
                Ok(Self::Name(text.to_owned()))
            }
            _ => Err(Invalid::new(format_args!("invalid host name `{text}`"))
                .hint("write `client`, `upstream`, or a name like `auth.example.com`")),
        }
    }
}

impl<'de> Deserialize<'de> for HostHeader {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        setting::text(from, Self::parse)
    }
}

/// TLS towards the auth server, `[upstream.tls]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamTls {
    /// A PEM file with additional CA certificates.
    pub ca: Option<PathBuf>,
    /// A PEM file with the client's certificate (mTLS).
    pub client_cert: Option<PathBuf>,
    /// A PEM file with the client's private key (mTLS).
    pub client_key: Option<PathBuf>,
    /// The name to request and check in TLS, instead of the URL's host.
    pub sni: Option<String>,
    /// Whether the certificate is checked; `false` for experiments only.
    pub verify: bool,
}

impl UpstreamTls {
    /// The client certificate and its key, where both are configured.
    pub fn client(&self) -> Option<TlsFiles> {
        let (cert, key) = self.client_cert.clone().zip(self.client_key.clone())?;
        Some(TlsFiles { cert, key })
    }
}

impl Default for UpstreamTls {
    fn default() -> Self {
        Self { ca: None, client_cert: None, client_key: None, sni: None, verify: true }
    }
}

/// `[upstream.timeouts]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamTimeouts {
    /// TCP and TLS.
    #[serde(with = "setting::Duration")]
    pub connect: Duration,
    /// Between two reads; long answers (server-sent events) may take any time in total.
    #[serde(with = "setting::Duration")]
    pub read: Duration,
    /// Between two writes.
    #[serde(with = "setting::Duration")]
    pub write: Duration,
    /// A pooled connection is kept this long.
    #[serde(with = "setting::Duration")]
    pub idle: Duration,
}

impl Default for UpstreamTimeouts {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self { connect: Duration::from_secs(5), read: minute, write: minute, idle: minute }
    }
}
