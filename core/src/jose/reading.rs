//! How a key set document is read, and what comes of it.

use super::alg::Alg;
use super::keyset::KeySet;
use super::names::{Limits, UnixTime};
use super::report::Report;

/// How a document is read.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bounds on the document.
    pub limits: Limits,
    /// The `alg` an RSA key without one is published with [RS256].
    pub rsa_alg: Alg,
    /// For `exp` and certificate dates; without it neither is looked at. Keys whose `exp` has passed
    /// are dropped.
    pub now: Option<UnixTime>,
}

impl Default for Options {
    fn default() -> Self {
        Self { limits: Limits::default(), rsa_alg: Alg::Rs256, now: None }
    }
}

/// A document read: the keys and what was done to get them.
#[derive(Debug)]
pub struct Normalized {
    /// Every usable key, whatever a profile publishes.
    pub keys: KeySet,
    /// What was changed, and why.
    pub report: Report,
}
