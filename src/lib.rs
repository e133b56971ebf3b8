//! countersign: a reverse proxy that makes what an auth server issues acceptable to a strict verifier.
//!
//! The map. Dependencies point inwards only, and `tests/architecture.rs` holds it that way.
//!
//! | room | what |
//! |---|---|
//! | [`jose`] | pure: keys, key sets, tokens; the only maker of a verified token; the one signature |
//! | [`profile`] | verifiers as data |
//! | [`countersign`] | pure pipeline: token in, token out |
//! | [`rewrite`] | pure: where tokens stand in an answer, and how they are spliced |
//! | [`issuer`] | an issuer's keys over time: policy (pure), fetch, last good set, snapshot |
//! | [`keyring`] | our own keys over time: schedule (pure), stores |
//! | [`bridge`] | the async face of [`countersign`]: cache, unknown kids, crypto threads |
//! | [`proxy`] | pingora: routes and phases, no decision |
//! | [`answer`] | the one place that turns errors into HTTP |
//! | [`doctor`] | why a strict verifier refuses an issuer or a token |
//! | [`inspect`] | a token decoded without trust, for people |
//! | `verdict` (feature `demo`) | what the strict verifier itself says, for `demo` and the tests |
//! | [`config`] | the configuration file; fills the settings types of the rooms |
//! | [`admin`], [`cli`], [`clock`], [`coding`], [`dns`], [`env`], [`histogram`], [`setting`] | the rest of the edge |
//! | [`otel`] (feature `otel`) | spans of requests, exported |

pub use countersign_core::{inspect, jose, pipeline, profile, refresh, rewrite, rotation};

pub mod admin;
pub mod answer;
pub mod bridge;
pub mod cli;
pub mod clock;
pub mod coding;
pub mod config;
pub mod dns;
pub mod doctor;
pub mod env;
pub mod histogram;
pub mod issuer;
pub mod keyring;
pub mod log;
pub mod otel;
pub mod proxy;
pub mod serve;
pub mod setting;
pub mod status;
#[cfg(feature = "demo")]
pub mod verdict;
