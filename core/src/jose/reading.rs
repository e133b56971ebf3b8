//! Options and result of reading a key set document.

use super::alg::Alg;
use super::keyset::KeySet;
use super::names::{Limits, UnixTime};
use super::report::Report;

/// How a document is read.
#[derive(Debug, Clone)]
pub struct Options {
    /// Limits of the document.
    pub limits: Limits,
    /// The published `alg` of an RSA key without one [RS256].
    pub rsa_alg: Alg,
    /// The time for `exp` and certificate dates; without it neither is checked. Keys with a past
    /// `exp` are dropped.
    pub now: Option<UnixTime>,
}

impl Default for Options {
    fn default() -> Self {
        Self { limits: Limits::default(), rsa_alg: Alg::Rs256, now: None }
    }
}

/// A document that was read: the keys, and the repairs.
#[derive(Debug)]
pub struct Normalized {
    /// Every usable key, also those that no profile publishes.
    pub keys: KeySet,
    /// What was changed, and why.
    pub report: Report,
}
