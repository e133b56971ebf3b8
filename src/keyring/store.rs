//! Where a ring is kept: one value, changed only by compare-and-set, so that any number of processes
//! on one store make each change once.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::ring::{RingError, RingState};

/// Why a store did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("{at}: {why}")]
    Io { at: String, why: String },
    #[error("{path} may be read by others (mode {mode:o}); `chmod 600` it")]
    Permissions { path: String, mode: u32 },
    #[error("{at} {why}")]
    Ring { at: String, why: RingError },
    #[error("{at} cannot be reached: {why}")]
    Away { at: String, why: String },
    #[error("{at} holds keys from outside and is not written to; change them there")]
    ReadOnly { at: String },
}

impl StoreError {
    /// A stable name: status field, metric label.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "store_io",
            Self::Permissions { .. } => "store_permissions",
            Self::Ring { .. } => "store_corrupt",
            Self::Away { .. } => "store_away",
            Self::ReadOnly { .. } => "store_read_only",
        }
    }
}

/// See the module.
#[async_trait]
pub trait Store: Send + Sync {
    /// The ring, if one was ever written. Keys of `known` need not be parsed again.
    async fn load(&self, known: Option<Arc<RingState>>) -> Result<Option<RingState>, StoreError>;

    /// Writes `ring` if the stored epoch is `expected` (0: nothing stored). False: somebody else was
    /// first, load again.
    async fn replace(&self, expected: u64, ring: Arc<RingState>) -> Result<bool, StoreError>;

    /// Returns when the store may hold another ring than that of epoch `since`.
    async fn changed(&self, since: u64);

    /// How long it takes until every process on this store has heard of a change.
    fn spread(&self) -> Duration;

    /// The kind and place, without any password.
    fn describe(&self) -> String;

    /// Whether replicas on other machines may serve the same ring.
    fn is_shared(&self) -> bool {
        true
    }

    /// Whether keys are made and retired here, or outside.
    fn rotates(&self) -> bool {
        true
    }
}
