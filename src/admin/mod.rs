//! The admin listener.

pub mod guard;
pub mod page;
pub mod status;
