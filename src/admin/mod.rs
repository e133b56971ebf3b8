//! The admin listener.

pub mod collect;
pub mod guard;
pub mod metrics;
pub mod page;
pub mod status;
