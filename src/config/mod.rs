//! The configuration: TOML as written ([`raw`]), then checked types ([`settings`]). Nothing after
//! this room looks at a string again.

pub mod env;
pub mod error;
mod load;
pub mod raw;
mod resolve;
mod schema;
pub mod settings;
pub mod value;

pub use error::ConfigError;
pub use load::{RunOverrides, load, load_text};
pub use resolve::discovered::{DiscoveredFault, issuer_from_discovery};
pub use schema::schema;
pub use settings::*;
