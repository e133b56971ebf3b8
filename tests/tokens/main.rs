//! Which tokens are verified and signed again, and where they are found.

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

mod countersign;
mod exchange;
mod places;
mod profiles;
mod rewrite;
mod security;
mod tenants;
mod tokens;
mod verdict;
mod wycheproof;
