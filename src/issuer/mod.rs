//! One issuer's keys over time.

pub mod discovery;
pub mod fetch;
pub mod forwarded;
mod handle;
mod headers;
pub mod issuers;
mod propagation;
pub mod publisher;
mod set;
mod shared;
mod snapshot;
mod source;
mod status;
mod store;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

pub use self::forwarded::Forwarded;
pub use self::handle::IssuerHandle;
pub use self::issuers::{IssuerDeps, IssuerError, Issuers};
pub use self::publisher::{NoSet, PublishedSet, Publisher};
pub use self::snapshot::Snapshot;
pub use self::source::SourceError;
pub use self::status::{Fetches, IssuerStatus, LastError, Reason};
use crate::jose::names::{IssuerName, Limits};
use crate::jose::policy::IssuerPolicy;
pub use crate::refresh::RefreshSettings;

/// One `[[issuer]]`, checked.
#[derive(Debug, Clone)]
pub struct IssuerSettings {
    pub policy: IssuerPolicy,
    pub source: Source,
    /// Paths on the public listener that answer with this issuer's set.
    pub jwks_paths: Vec<String>,
    pub refresh: RefreshSettings,
    pub fetch: FetchSettings,
    pub limits: Limits,
}

impl IssuerSettings {
    pub fn name(&self) -> &IssuerName {
        &self.policy.name
    }
}

/// Where an issuer's keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A JWKS by address.
    Url(Url),
    /// An address with `{kid}` in it, one key each, as AWS ALB serves them.
    UrlPerKid(String),
    File(PathBuf),
    Inline(String),
    /// HMAC secrets alone: no key set.
    Secrets,
}

impl Source {
    /// For people: kind and place, without passwords or queries.
    pub fn describe(&self) -> String {
        match self {
            Self::Url(url) => {
                format!("{}{}", url.origin().ascii_serialization(), url.path())
            }
            Self::UrlPerKid(template) => {
                template.split(['?', '#']).next().unwrap_or_default().to_owned()
            }
            Self::File(path) => format!("file:{}", path.display()),
            Self::Inline(_) => "inline".to_owned(),
            Self::Secrets => "secrets".to_owned(),
        }
    }
}

/// The bounds of one HTTP GET.
#[derive(Clone)]
pub struct FetchSettings {
    pub connect_timeout: Duration,
    pub total_timeout: Duration,
    /// Redirects followed, same origin only [3].
    pub redirects: u8,
    /// Status codes whose body is read [200].
    pub status: Vec<u16>,
    /// Link-local and metadata addresses are dialled (only where the operator named the host).
    pub allow_link_local: bool,
    /// Loopback and private addresses are dialled: not for a host that only a discovery document
    /// names [true].
    pub inside: bool,
    /// Extra CA certificates, PEM.
    pub ca: Option<PathBuf>,
    pub headers: Vec<(String, String)>,
    /// The server is the upstream: it is asked as its clients' requests reach it.
    pub forwarded: Option<Arc<Forwarded>>,
}

impl std::fmt::Debug for FetchSettings {
    /// Header names only: their values may be credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FetchSettings")
            .field("connect_timeout", &self.connect_timeout)
            .field("total_timeout", &self.total_timeout)
            .field("redirects", &self.redirects)
            .field("status", &self.status)
            .field("allow_link_local", &self.allow_link_local)
            .field("inside", &self.inside)
            .field("ca", &self.ca)
            .field("forwarded", &self.forwarded)
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .finish()
    }
}

impl Default for FetchSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            total_timeout: Duration::from_secs(10),
            redirects: 3,
            status: vec![200],
            allow_link_local: false,
            inside: true,
            ca: None,
            headers: Vec::new(),
            forwarded: None,
        }
    }
}
