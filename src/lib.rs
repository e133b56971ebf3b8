//! countersign: a reverse proxy that makes what an auth server issues acceptable to a strict verifier.
//!
//! The modules. Dependencies point inwards only; `tests/project/architecture.rs` checks it.
//!
//! | module | what |
//! |---|---|
//! | [`jose`] | pure: keys, key sets, tokens; only here is a token verified, and only here one is signed |
//! | [`profile`] | verifiers as data |
//! | [`countersign`] | pure pipeline: token in, token out |
//! | [`rewrite`] | pure: where an answer contains tokens, and how they are replaced |
//! | [`issuer`] | an issuer's keys over time: policy (pure), fetch, last good set, snapshot |
//! | [`keyring`] | our own keys over time: schedule (pure), stores |
//! | [`bridge`] | [`countersign`] for async code: cache, unknown kids, crypto threads |
//! | [`proxy`] | pingora: routes and phases; it decides nothing |
//! | [`answer`] | the one place that turns errors into HTTP |
//! | `doctor` (feature `verifier`) | why a verifier refuses an issuer or a token, and the fix |
//! | [`inspect`] | a token decoded without trust, for people |
//! | `verifier` (feature `verifier`) | what Convex says, from the crates it verifies with |
//! | [`net`] | outgoing HTTP: clients, and what they may dial |
//! | [`config`] | the configuration file; fills the settings types of the modules |
//! | [`auth_config`] | Convex's `auth.config.ts`, to copy |
//! | [`admin`], [`cli`], [`clock`], [`coding`], [`env`], [`histogram`], [`setting`] | the rest of the edge |
//! | [`otel`] (feature `otel`) | spans of requests, exported |

#[cfg(feature = "verifier")]
pub use countersign_core::verifier;
pub use net::dns;

pub use countersign_core::{inspect, jose, pipeline, profile, refresh, rewrite, rotation, scrub};

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
