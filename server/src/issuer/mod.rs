//! One issuer's keys over time.

pub mod conflicts;
pub mod discovery;
pub mod fetch;
pub mod forwarded;
mod handle;
mod headers;
pub mod issuers;
pub mod jwks_answer;
mod propagation;
pub mod publisher;
mod set;
mod shared;
mod source;
mod status;
mod store;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

pub use self::forwarded::Forwarded;
pub use self::handle::{IssuerHandle, Snapshot};
pub use self::issuers::{IssuerDeps, IssuerError, Issuers};
pub use self::publisher::{NoSet, PublishedSet, Publisher};
pub use self::status::{IssuerState, IssuerStatus, Reason};
use crate::jose::names::{IssuerName, Limits};
use crate::jose::policy::IssuerPolicy;
pub use crate::refresh::RefreshSettings;
use crate::setting::{self, Secret};

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
    /// The source as people read it: kind and place, without passwords or queries.
    pub fn describe(&self) -> String {
        match self {
            Self::Url(url) => format!("{}{}", url.origin().ascii_serialization(), url.path()),
            Self::UrlPerKid(template) => {
                template.split(['?', '#']).next().unwrap_or_default().to_owned()
            }
            Self::File(path) => format!("file:{}", path.display()),
            Self::Inline(_) => "inline".to_owned(),
            Self::Secrets => "secrets".to_owned(),
        }
    }
}

/// How an issuer's key set is fetched, `[issuer.fetch]`: the bounds of one HTTP GET.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FetchSettings {
    #[serde(with = "setting::Duration")]
    pub connect_timeout: Duration,
    #[serde(with = "setting::Duration")]
    pub total_timeout: Duration,
    /// Redirects followed within the origin, at most 10.
    pub redirects: u8,
    /// Status codes whose body is read.
    pub status: Vec<u16>,
    /// Link-local and cloud metadata addresses may be dialled.
    pub allow_link_local: bool,
    /// Loopback and private addresses may be dialled: not for a host that only a discovery document names.
    /// Not a setting: where the configuration names the host, the default applies.
    #[serde(skip)]
    #[schemars(skip)]
    pub inside: bool,
    /// A PEM file with further CA certificates.
    pub ca: Option<PathBuf>,
    /// Header lines to send.
    pub headers: BTreeMap<String, Secret>,
    /// The server is the upstream: our request looks like those that the proxy forwards.
    #[serde(skip)]
    #[schemars(skip)]
    pub forwarded: Option<Arc<Forwarded>>,
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
            headers: BTreeMap::new(),
            forwarded: None,
        }
    }
}
