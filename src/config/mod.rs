//! The configuration: TOML as written ([`raw`]), then checked types ([`settings`]). Nothing after
//! this room looks at a string again.

pub mod env;
pub mod error;
mod load;
pub mod raw;
mod resolve;
pub mod settings;
pub mod value;

pub use error::ConfigError;
pub use load::{RunOverrides, load, load_text};
pub use resolve::discovered::{DiscoveredFault, issuer_from_discovery};
pub use settings::*;

/// The JSON schema of the configuration file, for editors.
pub fn schema() -> String {
    let schema = schemars::schema_for!(raw::RawConfig);
    serde_json::to_string_pretty(&schema).unwrap_or_default()
}
