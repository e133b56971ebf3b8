//! What operators see: admin listener, status page, metrics, logs, traces.

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

mod admin;
mod admin_live;
mod log_pipe;
mod logs;
mod otel;
mod page;
