//! Real issuers, clients, browsers and verifiers around the real program.

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

mod e2e_browser;
mod e2e_convex;
mod e2e_login;
mod matrix;
mod matrix_rotation;
mod recipes;
