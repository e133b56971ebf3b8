//! The command line: arguments, configuration, texts and exit codes.

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

mod cli;
mod cli_tokens;
mod config;
mod demo;
mod doctor_cli;
mod doctor_places;
mod doctor_verdict;
mod inspect_cli;
mod mistakes;
mod terminal;
