//! The checked configuration. Every value here is valid.

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

/// The whole configuration. Each module owns its part.
#[derive(Debug, Clone)]
pub struct Config {
    pub server: ServerSettings,
    pub admin: AdminSettings,
    /// The auth server behind the proxy. `None`: only the key sets and the exchange are served.
    pub upstream: Option<UpstreamSettings>,
    pub profile: Profile,
    pub keyring: KeyringSettings,
    pub issuers: Vec<IssuerSettings>,
    /// No issuer is configured: issuer, JWKS path and token endpoints come from the upstream's
    /// discovery document ([`super::issuer_from_discovery`]).
    pub discover: bool,
    /// Where answers contain tokens. Empty: [`TokenRule::defaults`] over the upstream's discovery document.
    pub tokens: Vec<TokenRule>,
    pub discovery: DiscoverySettings,
    pub bridge: BridgeSettings,
    pub log: LogSettings,
    pub otel: OtelSettings,
    /// The folder for last good key sets and, by default, the signing keys.
    pub data_dir: PathBuf,
}

impl Config {
    /// The route table, with `tokens` as configured or discovered.
    pub fn routes(&self, tokens: Vec<TokenRule>) -> Routes {
        Routes::new(tokens, self.discovery.clone(), self.server.exchange.enabled)
    }
}
