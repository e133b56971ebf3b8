//! The configuration, checked. Every value here may be used as it stands.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;
use zeroize::Zeroizing;

use crate::issuer::IssuerSettings;
use crate::jose::names::{Audience, Issuer, IssuerName, Limits};
use crate::keyring::KeyringSettings;
use crate::log;
use crate::profile::Profile;
use crate::rewrite::{JsonPath, TokenRule};
use crate::serve::Listen;

/// All of it. Defaults in brackets.
#[derive(Debug, Clone)]
pub struct Config {
    pub server: ServerSettings,
    pub admin: AdminSettings,
    /// What is proxied; `None`: only the key sets and the exchange are answered.
    pub upstream: Option<UpstreamSettings>,
    pub profile: Profile,
    pub keyring: KeyringSettings,
    pub issuers: Vec<IssuerSettings>,
    /// No issuer is configured: issuer, JWKS path and token endpoints come from the upstream's
    /// discovery document ([`super::issuer_from_discovery`]).
    pub discover: bool,
    /// Where tokens stand. Empty: [`TokenRule::defaults`] over the upstream's discovery document.
    pub tokens: Vec<TokenRule>,
    pub discovery: DiscoverySettings,
    pub bridge: BridgeSettings,
    pub log: LogSettings,
    /// `None`: no span is made.
    pub otel: Option<OtelSettings>,
    /// Where last good key sets are kept (and, by default, the signing keys).
    pub data_dir: PathBuf,
}

/// `[server]`
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// The public listener [127.0.0.1:8080].
    pub listen: Listen,
    /// What clients and verifiers call this proxy; without a trailing slash in
    /// [`ServerSettings::public_text`].
    pub public_url: Option<Url>,
    pub tls: Option<TlsFiles>,
    /// Proxy threads [one per core].
    pub threads: usize,
    /// `max-age` of the served set, seconds [300].
    pub max_age: u32,
    /// How long running requests may take at a stop [30 s].
    pub grace: Duration,
    pub limits: ServerLimits,
    pub exchange: ExchangeSettings,
}

impl ServerSettings {
    /// `public_url` as text without a trailing slash: a prefix for paths.
    pub fn public_text(&self) -> Option<&str> {
        self.public_url.as_ref().map(|url| url.as_str().trim_end_matches('/'))
    }
}

/// PEM files; read again when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// `[server.limits]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerLimits {
    /// Bytes of a request's header [64 KiB].
    pub header: usize,
    /// Bytes of a request body that is read: exchange and token requests [256 KiB].
    pub body: usize,
    /// Bytes of an answer that is searched for tokens; a longer one passes unchanged [1 MiB].
    pub answer: usize,
    /// Client connections at once [10,000].
    pub connections: usize,
    /// A kept-alive client connection without a request is closed [60 s].
    pub idle_timeout: Duration,
    /// A client must have sent its header, then each part of its body, within this [30 s].
    pub read_timeout: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            header: 64 * 1024,
            body: 256 * 1024,
            answer: 1024 * 1024,
            connections: 10_000,
            idle_timeout: Duration::from_secs(60),
            read_timeout: Duration::from_secs(30),
        }
    }
}

/// `[admin]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSettings {
    /// `None`: off [127.0.0.1:9090].
    pub listen: Option<Listen>,
    /// Names a browser may reach it by, beside addresses, names without a dot and `localhost`.
    pub hosts: Vec<String>,
}

/// `[upstream]`
#[derive(Debug, Clone)]
pub struct UpstreamSettings {
    /// Scheme, host, port and, where the auth server lives below one, a path without a trailing
    /// slash in [`UpstreamSettings::base_path`].
    pub url: Url,
    /// `None`: nothing was said, so the client's.
    pub host: Option<HostHeader>,
    pub tls: UpstreamTls,
    pub timeouts: UpstreamTimeouts,
}

impl UpstreamSettings {
    /// The path prefix every request gets, `""` or `/auth`.
    pub fn base_path(&self) -> &str {
        self.url.path().trim_end_matches('/')
    }

    /// The upstream's name, where it will hear another one that nobody chose: a hosted auth server
    /// finds its tenant by the name, and answers to no other. `public` is what clients call us.
    pub fn unheard_name(&self, public: Option<&Url>) -> Option<&str> {
        let name = self.url.domain().filter(|_| self.url.scheme() == "https")?;
        let same = public.is_some_and(|public| public.domain() == Some(name));
        (self.host.is_none() && !same).then_some(name)
    }
}

/// The `Host` header the upstream sees. `X-Forwarded-Host` and `-Proto` always say what the client
/// used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostHeader {
    /// The name the client used.
    Client,
    /// The upstream's own name.
    Upstream,
    /// This one, `name` or `name:port`.
    Name(String),
}

/// `[upstream.tls]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Extra CA certificates, PEM.
    pub ca: Option<PathBuf>,
    pub client: Option<TlsFiles>,
    /// The name asked for and checked [the host of the URL].
    pub sni: Option<String>,
    /// Whether the certificate is checked; off for experiments only [true].
    pub verify: bool,
}

impl Default for UpstreamTls {
    fn default() -> Self {
        Self { ca: None, client: None, sni: None, verify: true }
    }
}

/// `[upstream.timeouts]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTimeouts {
    /// TCP and TLS [5 s].
    pub connect: Duration,
    /// Between two reads; long answers (server-sent events) may take any time in total [60 s].
    pub read: Duration,
    pub write: Duration,
    /// A pooled connection is kept this long [60 s].
    pub idle: Duration,
}

impl Default for UpstreamTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            read: Duration::from_secs(60),
            write: Duration::from_secs(60),
            idle: Duration::from_secs(60),
        }
    }
}

/// `[discovery]`: how the upstream's discovery document is changed beyond `jwks_uri` and the
/// algorithms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiscoverySettings {
    /// What `issuer` becomes, and the `iss` of countersigned tokens with it.
    pub issuer: Option<Issuer>,
    /// Endpoints below the upstream's URL become those below `public_url` [true where
    /// `public_url` is set].
    pub endpoints: bool,
}

/// `[exchange]`
#[derive(Debug, Clone)]
pub struct ExchangeSettings {
    /// `POST /_countersign/token` is answered [true].
    pub enabled: bool,
    pub cors: Cors,
    pub introspection: Vec<IntrospectionSettings>,
    pub session: Option<SessionSettings>,
}

impl Default for ExchangeSettings {
    fn default() -> Self {
        Self { enabled: true, cors: Cors::default(), introspection: Vec::new(), session: None }
    }
}

/// Which pages of other origins may read the exchange's answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cors {
    #[default]
    Off,
    /// `*`; safe only as long as the exchange takes no cookie, so refused together with a session.
    Any,
    /// Origins, `https://app.example.com`, without a trailing slash.
    Origins(Vec<String>),
}

impl Cors {
    /// Whether a page of `origin` (an `Origin` header) may read the answer.
    pub fn allows(&self, origin: &str) -> bool {
        match self {
            Self::Off => false,
            Self::Any => true,
            Self::Origins(list) => list.iter().any(|allowed| allowed == origin),
        }
    }
}

/// A secret from the configuration: never printed, wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(****)")
    }
}

/// `[[exchange.introspection]]`: opaque tokens by RFC 7662.
#[derive(Debug, Clone)]
pub struct IntrospectionSettings {
    /// The issuer whose policy the answer's claims are held to.
    pub issuer: IssuerName,
    pub url: Url,
    pub client_id: String,
    pub client_secret: Secret,
    /// Credentials go in the form instead of the `Authorization` header (RFC 6749 §2.3.1) [false].
    pub credentials_in_body: bool,
    /// The `aud` where the answer has none.
    pub audience: Option<Audience>,
    /// The new token lives at most this long; an answer without `exp` gets exactly this [300 s].
    pub lifetime: Duration,
}

/// `[exchange.session]`: a session cookie or opaque bearer, shown to a URL of the auth server whose
/// JSON answer becomes claims.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    pub url: Url,
    /// Cookies that are passed on; empty: none.
    pub cookies: Vec<String>,
    /// An opaque `subject_token` is passed on as `Authorization: Bearer` [true].
    pub bearer: bool,
    /// `iss` of the new token.
    pub issuer: Issuer,
    /// `aud` of the new token.
    pub audience: Audience,
    /// `exp` − now of the new token [300 s].
    pub lifetime: Duration,
    /// Claim and where its value stands in the answer; `sub` is always among them.
    pub claims: Vec<(String, JsonPath)>,
}

/// `[bridge]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeSettings {
    /// Bytes of countersigned tokens kept [32 MiB]; 0: none.
    pub cache_bytes: u64,
    /// Threads that sign and verify [half the cores, at least one].
    pub threads: usize,
    /// Tokens that wait for a thread; above it 503 [1024].
    pub queue: usize,
    pub limits: Limits,
}

impl BridgeSettings {
    /// The defaults on a machine of `cores`.
    pub fn for_cores(cores: usize) -> Self {
        Self {
            cache_bytes: 32 * 1024 * 1024,
            threads: cores.div_ceil(2).max(1),
            queue: 1024,
            limits: Limits::default(),
        }
    }
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LogSettings {
    pub format: log::Format,
    pub filter: log::Filter,
}

/// `[otel]`
#[derive(Debug, Clone)]
pub struct OtelSettings {
    /// Where spans are posted, path and all.
    pub endpoint: Url,
    pub service_name: String,
    /// Of the requests that begin a trace here, `0.0..=1.0`.
    pub sample_ratio: f64,
    pub headers: Vec<(String, Secret)>,
    /// Extra CA certificates, PEM.
    pub ca: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        let secret = Secret::new("hunter2".into());
        assert!(!format!("{secret:?}").contains("hunter"));
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn an_origin_is_compared_whole() {
        let cors = Cors::Origins(vec!["https://a.example".into()]);
        assert!(cors.allows("https://a.example"));
        for other in ["https://a.example.evil.com", "http://a.example", "null", ""] {
            assert!(!cors.allows(other), "{other}");
        }
        assert!(!Cors::Off.allows("https://a.example"));
    }
}
