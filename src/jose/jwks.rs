//! Key sets: a document in, every usable public signature key out, and a report of what was done.

use super::alg::Alg;
use super::collect::Collector;
pub use super::fault::DocumentRefusal;
pub use super::keyset::KeySet;
use super::names::{Limits, UnixTime};
pub use super::report::{Alarm, Change, Effect, Report};
use super::{shape, text};

/// How a document is read.
#[derive(Debug, Clone)]
pub struct Options {
    pub limits: Limits,
    /// The `alg` an RSA key without one is published with [RS256].
    pub rsa_alg: Alg,
    /// A key published with its private part is dropped, instead of reduced to its public part
    /// [off].
    pub drop_leaked_private: bool,
    /// Keys marked `revoked`, or with an `exp` in the past, are dropped [on].
    pub drop_expired: bool,
    /// For `exp` and certificate dates; without it neither is looked at.
    pub now: Option<UnixTime>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            rsa_alg: Alg::Rs256,
            drop_leaked_private: false,
            drop_expired: true,
            now: None,
        }
    }
}

/// A document read: the keys and what was done to get them.
#[derive(Debug)]
pub struct Normalized {
    pub keys: KeySet,
    pub report: Report,
}

/// Reads a key set document of any known shape.
///
/// # Errors
/// [`DocumentRefusal`] when the document as a whole has no single reading.
pub fn normalize(document: &[u8], options: &Options) -> Result<Normalized, DocumentRefusal> {
    let mut changes = Vec::new();
    let text = text::read(document, &options.limits, &mut changes)?;
    let mut collector = Collector::new(options, changes);
    shape::walk(&text, &mut collector)?;
    collector.finish()
}
