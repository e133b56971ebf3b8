//! The normaliser against the corpus (`tests/corpus/`, one document a case), against random faults,
//! and against the crates and npm packages that read what it writes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    dead_code,
    reason = "a test stops at the first surprise"
)]

mod cli;
mod corpus;
mod documented;
mod hostile;
mod keys;
mod npm;
mod published;
mod random;
mod readers;

use std::collections::HashMap;

use countersign::jose::jwks::{DocumentRefusal, Normalized, Options, normalize};
use countersign::jose::names::UnixTime;
use countersign::jose::publish::{Input, PublishedDocument, publish};
use countersign::profile::Profile;

pub fn options() -> Options {
    Options { now: Some(UnixTime::from_secs(1_764_000_000)), ..Options::default() }
}

pub fn read(document: &[u8]) -> Result<Normalized, DocumentRefusal> {
    normalize(document, &options())
}

/// The set of one issuer, as `profile` wants it.
pub fn serve(normalized: &Normalized, profile: &Profile) -> PublishedDocument {
    let remembered = HashMap::new();
    let upstream = [&normalized.keys];
    publish(&Input { own: &[], upstream: &upstream, profile, remembered: &remembered })
}

pub fn profiles() -> [Profile; 2] {
    [Profile::convex(), Profile::standard()]
}
