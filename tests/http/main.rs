//! How messages are forwarded: framing, header fields, connections, limits.

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

mod clients;
mod floods;
mod forward;
mod frames;
mod gateways;
mod heads;
mod hops;
mod overload;
mod process;
mod proxy;
mod streaming;
mod uploads;
mod upstream_tls;
