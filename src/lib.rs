//! countersign: a reverse proxy that makes what an auth server issues acceptable to a strict verifier.
//!
//! This crate is the program: command line, configuration, status page. It runs [`countersign_server`],
//! which asks [`countersign_core`]. The modules of all three are here under one name. Dependencies point
//! inwards only; `tests/project/architecture.rs` checks it.
//!
//! | module | what |
//! |---|---|
//! | core: [`jose`] | pure: keys, key sets, tokens; only here is a token verified, and only here one is signed |
//! | core: [`profile`] | verifiers as data |
//! | core: [`pipeline`] | pure: token in, token out |
//! | core: [`rewrite`] | pure: where an answer contains tokens, and how they are replaced |
//! | core: [`inspect`] | a token decoded without trust, for people |
//! | core: `verifier` (feature `verifier`) | what Convex says, from the crates it verifies with |
//! | server: [`issuer`] | an issuer's keys over time: fetch, last good set, snapshot |
//! | server: [`keyring`] | our own keys over time: stores |
//! | server: [`bridge`] | [`pipeline`] for async code: cache, unknown kids, crypto threads |
//! | server: [`proxy`] | pingora: routes and phases; it decides nothing |
//! | server: [`answer`] | the one place that turns errors into HTTP |
//! | server: [`net`] | outgoing HTTP: clients, and what they may dial |
//! | server: [`log`], [`otel`] | lines; with the feature `otel`, spans of requests |
//! | server: [`clock`], [`coding`], [`env`], [`histogram`], [`setting`], [`status`] | small parts |
//! | [`config`] | the configuration file; fills the settings types of the modules |
//! | [`serve`] | starts the server, reloads it and stops it |
//! | `doctor` (feature `verifier`) | why a verifier refuses an issuer or a token, and the fix |
//! | [`auth_config`] | Convex's `auth.config.ts`, to copy |
//! | [`admin`], [`cli`] | health, status page and metrics; the commands |

#[cfg(feature = "verifier")]
pub use countersign_core::verifier;
pub use countersign_core::{inspect, jose, pipeline, profile, refresh, rewrite, rotation, scrub};
pub use countersign_server::{
    answer, bridge, clock, coding, dns, env, histogram, issuer, keyring, log, net, otel, proxy,
    setting, status,
};

pub mod admin;
pub mod auth_config;
pub mod cli;
pub mod config;
#[cfg(feature = "verifier")]
pub mod doctor;
pub mod serve;
