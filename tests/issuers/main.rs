//! How key sets and discovery documents are read and served.

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

mod discovery;
mod documents;
mod fetch;
mod issuer;
mod upstream_discovery;
