//! The configuration, checked. Every value here may be used as it stands.

use std::path::PathBuf;

use crate::admin::AdminSettings;
use crate::bridge::BridgeSettings;
use crate::issuer::IssuerSettings;
use crate::keyring::KeyringSettings;
use crate::log::LogSettings;
use crate::otel::OtelSettings;
use crate::profile::Profile;
use crate::proxy::routes::Routes;
use crate::proxy::settings::{DiscoverySettings, ServerSettings, UpstreamSettings};
use crate::rewrite::TokenRule;

/// All of it; each room owns its own part.
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

impl Config {
    /// The route table; `tokens` as configured or discovered.
    pub fn routes(&self, tokens: Vec<TokenRule>) -> Routes {
        Routes::new(tokens, self.discovery.clone(), self.server.exchange.enabled)
    }
}
