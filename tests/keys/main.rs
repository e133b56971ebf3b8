//! The signing keys and their stores, restarts and outages.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    unreachable_pub,
    dead_code,
    reason = "a test stops at the first surprise, some print their figures"
)]

#[path = "../support/mod.rs"]
mod support;

mod chaos;
#[cfg(feature = "redis")]
mod chaos_redis;
mod disk_full;
mod keyring;
mod redis;
#[cfg(feature = "redis")]
mod redis_mistakes;
mod restart;
