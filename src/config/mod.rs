//! The configuration: first TOML as written ([`raw`]), then checked types ([`Config`]). Each module owns
//! its settings type; this one only fills them. Later code parses no setting again.

pub mod error;
mod load;
mod overrides;
pub mod raw;
mod resolve;
mod schema;
mod settings;

pub use error::ConfigError;
pub use load::{Found, find, load, load_text};
pub use overrides::{RunOverrides, any_path};
pub use resolve::discovered::{DiscoveredFault, Learnt, issuer_from_discovery, upstream_fetch};
pub use schema::{SCHEMA, generated_schema};
pub use settings::Config;

pub use crate::bridge::BridgeSettings;
pub use crate::env;
pub use crate::proxy::settings::{
    Cors, DiscoverySettings, ExchangeSettings, HostHeader, IntrospectionSettings, ServerSettings,
    SessionSettings, TlsFiles, UpstreamSettings,
};
