//! The part of countersign that runs while requests pass. The crate `countersign` reads the
//! configuration, starts this one and shows its state; the crate `countersign_core` decides.
//!
//! It is a crate of its own so that it can be optimised for speed and the rest for size
//! (`docs/decisions.md`, the release profile).
//!
//! | module | what |
//! |---|---|
//! | [`proxy`] | pingora: routes and phases; it decides nothing |
//! | [`answer`] | the one place that turns errors into HTTP |
//! | [`bridge`] | [`pipeline`] for async code: cache, unknown kids, crypto threads |
//! | [`issuer`] | an issuer's keys over time: fetch, last good set, snapshot, served sets |
//! | [`keyring`] | our own keys over time: stores |
//! | [`net`] | outgoing HTTP: clients, and what they may dial |
//! | [`log`] | text and JSON lines, without secrets |
//! | [`otel`] (feature `otel`) | spans of requests, exported |
//! | [`status`], [`histogram`] | what the status page and the metrics show |
//! | [`clock`], [`coding`], [`env`], [`setting`] | time, content codings, environment, values of the configuration |

use countersign_core::{jose, pipeline, profile, refresh, rewrite, rotation, scrub};

pub use self::net::dns;

pub mod answer;
pub mod bridge;
pub mod clock;
pub mod coding;
pub mod env;
pub mod histogram;
pub mod issuer;
pub mod keyring;
pub mod log;
pub mod net;
pub mod otel;
pub mod proxy;
pub mod setting;
pub mod status;
