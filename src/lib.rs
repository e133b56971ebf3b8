//! countersign: a reverse proxy that makes what an auth server issues acceptable to a strict verifier.
//!
//! The map. Dependencies point inwards only, and `tests/project/architecture.rs` holds it that way.
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
//! | `doctor` (feature `verifier`) | why a verifier refuses an issuer or a token, and the fix |
//! | [`inspect`] | a token decoded without trust, for people |
//! | `verifier` (feature `verifier`) | what Convex says, by the crates it verifies with |
//! | [`net`] | outgoing HTTP: clients, and what they may dial |
//! | [`config`] | the configuration file; fills the settings types of the rooms |
//! | [`auth_config`] | Convex's `auth.config.ts`, to copy |
//! | [`admin`], [`cli`], [`clock`], [`coding`], [`env`], [`histogram`], [`setting`] | the rest of the edge |
//! | [`otel`] (feature `otel`) | spans of requests, exported |

#[cfg(feature = "verifier")]
pub use countersign_core::verifier;
pub use net::dns;

pub use countersign_core::{inspect, jose, pipeline, profile, refresh, rewrite, rotation};

pub mod admin;
pub mod answer;
pub mod auth_config;
pub mod bridge;
pub mod cli;
pub mod clock;
pub mod coding;
pub mod config;
#[cfg(feature = "verifier")]
pub mod doctor;
pub mod env;
pub mod histogram;
pub mod issuer;
pub mod keyring;
pub mod log;
pub mod net;
pub mod otel;
pub mod proxy;
pub mod serve;
pub mod setting;
pub mod status;
