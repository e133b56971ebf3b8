//! An issuer's keys at one moment.

use crate::jose::jwks::{KeySet, Report};
use crate::jose::names::UnixTime;

/// The keys at one moment.
#[derive(Debug)]
pub struct Snapshot {
    pub keys: KeySet,
    /// Grows when the keys change. Results computed with another epoch are void.
    pub epoch: u64,
    /// When the issuer last confirmed them.
    pub fetched: UnixTime,
    pub report: Report,
}
