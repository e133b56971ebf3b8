//! The pure core of countersign, without the proxy around it.

#[path = "../src/jose/mod.rs"]
pub mod jose;
#[path = "../src/profile.rs"]
pub mod profile;
