//! The proxy's part of the configuration. Defaults are in each type's `Default`.

mod exchange;
mod upstream;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use url::Url;

pub use self::exchange::{
    Cors, ExchangeSettings, IntrospectionSettings, SessionSettings, default_lifetime,
};
pub use self::upstream::{HostHeader, UpstreamSettings, UpstreamTimeouts, UpstreamTls, base_path};
use crate::jose::names::Issuer;
use crate::setting::{self, Listen};

/// The public listener, `[server]`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// Address of the public listener.
    pub listen: Listen,
    /// The proxy's address for clients and verifiers, `https://auth.example.com`.
    #[serde(deserialize_with = "some_url")]
    #[schemars(with = "Option<String>")]
    pub public_url: Option<Url>,
    pub tls: Option<TlsFiles>,
    /// Proxy threads; one per core.
    pub threads: Option<usize>,
    /// `max-age` of the served key set.
    #[serde(with = "setting::Seconds")]
    pub max_age: u32,
    /// How long running requests may take at a stop.
    #[serde(with = "setting::Duration")]
    pub grace: Duration,
    pub limits: ServerLimits,
    /// `[exchange]`, a table of its own.
    #[serde(skip)]
    pub exchange: ExchangeSettings,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)).into(),
            public_url: None,
            tls: None,
            threads: None,
            max_age: 300,
            grace: Duration::from_secs(30),
            limits: ServerLimits::default(),
            exchange: ExchangeSettings::default(),
        }
    }
}

impl ServerSettings {
    /// The number of proxy threads: as configured, else one per core.
    pub fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.unwrap_or_else(cores)
    }

    /// `public_url` without a trailing slash, as a prefix for paths.
    pub fn public_text(&self) -> Option<&str> {
        self.public_url.as_ref().map(|url| url.as_str().trim_end_matches('/'))
    }
}

fn some_url<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Url>, D::Error> {
    setting::Url::deserialize(from).map(Some)
}

/// PEM files; read again when they change.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificate chain.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Bounds of the public listener, `[server.limits]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerLimits {
    /// Largest header of a request.
    #[serde(with = "setting::Size")]
    pub header: usize,
    /// Largest request body that the proxy reads: at the exchange, at token endpoints.
    #[serde(with = "setting::Size")]
    pub body: usize,
    /// Largest answer that is searched for tokens; a longer one passes unchanged.
    #[serde(with = "setting::Size")]
    pub answer: usize,
    /// Memory for the bodies that the proxy holds, of all requests together; beyond it they get `503`.
    #[serde(with = "setting::Size")]
    pub body_memory: usize,
    /// Open client connections.
    pub connections: usize,
    /// After this time without a request, an open connection is closed.
    #[serde(with = "setting::Duration")]
    pub idle_timeout: Duration,
    /// A client must complete its TLS handshake within this time, then send its header, then each part of
    /// its body.
    #[serde(with = "setting::Duration")]
    pub read_timeout: Duration,
    /// A client must accept each part of an answer within this time.
    #[serde(with = "setting::Duration")]
    pub write_timeout: Duration,
    /// A client must send a body within this time, plus a second for each KiB of it.
    #[serde(with = "setting::Duration")]
    pub body_timeout: Duration,
    /// Concurrent requests to the upstream; one more gets `503`.
    pub upstream_connections: usize,
}

impl ServerLimits {
    /// How long a body may have taken when this many bytes have arrived. Without this limit, a body
    /// that trickles in would hold a connection, however short its pauses.
    pub fn body_time(&self, received: u64) -> Duration {
        self.body_timeout + Duration::from_secs(received / 1024)
    }
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            header: 64 * 1024,
            body: 256 * 1024,
            answer: 1024 * 1024,
            body_memory: 64 * 1024 * 1024,
            connections: 10_000,
            idle_timeout: Duration::from_secs(60),
            read_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(120),
            body_timeout: Duration::from_secs(60),
            upstream_connections: 10_000,
        }
    }
}

/// `[discovery]`: how the upstream's discovery document is changed beyond `jwks_uri` and the
/// algorithms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiscoverySettings {
    /// The new `issuer` of the document, and the `iss` of countersigned tokens.
    pub issuer: Option<Issuer>,
    /// Rewrites endpoints below the upstream's URL to ones below `public_url` [true where
    /// `public_url` is set].
    pub endpoints: bool,
}
