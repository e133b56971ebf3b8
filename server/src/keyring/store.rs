//! Where a ring is stored: one value, changed only by compare-and-set, so that however many processes run on
//! one store, each change happens once.

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::ring::RingState;
use super::stored::RingError;

/// Why a store did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("{at}: {why}")]
    Io { at: String, why: String },
    #[error("{path} may be read by others (mode {mode:o}); `chmod 600` it")]
    Permissions { path: String, mode: u32 },
    #[error("the folder {path} may be written by others (mode {mode:o}); `chmod 700` it")]
    Folder { path: String, mode: u32 },
    #[error("{path} belongs to user {owner}, and this process is user {user}")]
    Owner { path: String, owner: u32, user: u32 },
    #[error("{path} is not a folder, and the signing keys need one")]
    NotAFolder { path: String },
    #[error("{path} is {what}")]
    NotAFile { path: String, what: &'static str },
    #[error("another process holds {path}")]
    Locked { path: String },
    #[error("{at} {why}")]
    Ring { at: String, why: RingError },
    /// A store over the network; only it knows what to do about its errors.
    #[error("{at} {why}")]
    Away { at: String, why: String, hint: &'static str },
    #[error("{at} is read-only; change the keys at their source")]
    ReadOnly { at: String },
}

impl StoreError {
    /// For `map_err`: a fault of the file system at `path`.
    pub(super) fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        |e| Self::Io { at: path.display().to_string(), why: e.to_string() }
    }

    /// For `map_err`: what is stored at this place is not a valid ring.
    pub(super) fn ring(at: impl Display) -> impl Fn(RingError) -> Self {
        move |why| Self::Ring { at: at.to_string(), why }
    }

    /// A stable name (status field, metric label), and what to do about it, for people.
    pub fn code_and_hint(&self) -> (&'static str, Option<&'static str>) {
        let (code, hint) = match self {
            Self::Io { .. } => (
                "store_io",
                "nothing was changed; --data-dir (COUNTERSIGN_DATA_DIR) names a folder this user may write",
            ),
            Self::Permissions { .. } => ("store_permissions", "nothing was changed"),
            Self::Folder { .. } => (
                "store_permissions",
                "others could replace the signing key there; or name a folder inside it by --data-dir",
            ),
            Self::Owner { .. } => (
                "store_owner",
                "its owner can read the keys: run as that user, or `chown` it to this one if it is yours",
            ),
            Self::NotAFolder { .. } => (
                "store_not_a_folder",
                "--data-dir (COUNTERSIGN_DATA_DIR) names a folder this user may write",
            ),
            Self::NotAFile { .. } => (
                "store_not_a_file",
                "nothing was changed; put the ring back, or move this away to start with a new key",
            ),
            Self::Locked { .. } => return ("store_locked", None),
            Self::Ring { .. } => (
                "store_corrupt",
                "nothing was changed; restore the ring from a backup, or move it away to start anew",
            ),
            Self::Away { hint, .. } => ("store_away", *hint),
            Self::ReadOnly { .. } => (
                "store_read_only",
                "publish the new key as `next` there, then swap it with the old one",
            ),
        };
        (code, Some(hint))
    }
}

/// For whom a store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The proxy, which signs with what it finds.
    Serve,
    /// A person at the command line, who as root may work on another user's ring.
    Operate,
}

/// See the module.
#[async_trait]
pub trait Store: Send + Sync {
    /// The ring, if one was ever written. Keys of `known` need not be parsed again.
    async fn load(&self, known: Option<Arc<RingState>>) -> Result<Option<RingState>, StoreError>;

    /// Writes `ring` if the stored epoch is `expected` (0: nothing stored). False: another process was
    /// faster, load again.
    async fn replace(&self, expected: u64, ring: Arc<RingState>) -> Result<bool, StoreError>;

    /// Returns when the store may hold another ring than now.
    async fn changed(&self);

    /// How long it takes until every process on this store knows of a change.
    fn propagation_delay(&self) -> Duration;

    /// The kind and place, without any password.
    fn describe(&self) -> String;

    /// Whether replicas on other machines may serve the same ring.
    fn is_shared(&self) -> bool {
        true
    }

    /// Whether keys are made and retired here. False: outside.
    fn rotates(&self) -> bool {
        true
    }

    /// Tells other processes that this one serves the ring of `epoch`, until it ends or calls
    /// [`Store::withdraw`]. To be called again at least every few seconds.
    ///
    /// # Errors
    /// [`StoreError`]. Other processes then do not know it; nothing else is affected.
    async fn announce(&self, _epoch: u64) -> Result<(), StoreError> {
        Ok(())
    }

    /// Reverses [`Store::announce`].
    async fn withdraw(&self) {}

    /// The epochs that running processes serve from this store; `None` where it cannot tell.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn served(&self) -> Result<Option<Vec<u64>>, StoreError> {
        Ok(None)
    }
}
