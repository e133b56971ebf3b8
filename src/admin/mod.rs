//! The admin listener.

pub mod guard;
pub mod metrics;
pub mod page;
pub mod status;
