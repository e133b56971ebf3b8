//! The configuration: TOML as written ([`raw`]), then checked types ([`settings`]). Nothing after
//! this room looks at a string again.

pub mod env;
pub mod error;
mod load;
mod overrides;
pub mod raw;
mod resolve;
mod schema;
pub mod settings;
pub mod value;

pub use error::ConfigError;
pub use load::{Found, find, load, load_text};
pub use overrides::RunOverrides;
pub use resolve::discovered::{DiscoveredFault, issuer_from_discovery};
pub use schema::{SCHEMA, generated_schema};
pub use settings::*;
