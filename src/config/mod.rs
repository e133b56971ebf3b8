//! The configuration: first TOML as written ([`raw`]), then checked types ([`Config`]). Each module owns
//! its settings type; this one only fills them. Later code parses no setting again.

pub mod error;
mod load;
mod overrides;
pub mod raw;
mod resolve;
mod settings;

pub use error::ConfigError;
pub use load::{Found, find, load, load_text};
pub use overrides::{RunOverrides, any_path};
pub use resolve::discovered::{DiscoveredFault, Learnt, fetch_settings, issuer_from_discovery};
pub use settings::Config;

/// The JSON schema of the configuration file, for editors: indented, with a line end. A test makes it from
/// [`raw::RawConfig`], so the program itself does not need the generator.
pub const SCHEMA: &str = include_str!("../../conf/countersign.schema.json");

pub use crate::env;
pub use crate::proxy::settings::HostHeader;
