//! The admin listener.

pub mod app;
pub mod collect;
pub mod guard;
pub mod health;
pub mod metrics;
pub mod page;
mod settings;
pub mod status;

pub use self::app::{App, StatusSource};
pub use self::settings::AdminSettings;
