//! Our own signing keys over time.
//!
//! [`crate::rotation`] decides what is due (a pure function), [`store`] keeps the ring, and [`Keyring`]
//! holds it in memory, does what is due and keeps working while the store fails. A change is visible only
//! once it is stored.

pub mod admit;
pub mod atomic;
mod engine;
pub mod file;
pub mod live;
pub mod outside;
mod presence;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "redis")]
mod redis_fault;
pub mod ring;
pub mod store;
pub mod stored;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use zeroize::Zeroizing;

use self::file::FileStore;
pub use self::live::{Keyring, Uptake};
pub use self::outside::KeySource;
use self::outside::SuppliedStore;
use self::ring::{RingKey, RingState};
use self::store::Store;
pub use self::store::{Access, StoreError};
use crate::clock::Clock;
use crate::jose::alg::Alg;
use crate::jose::jwk::PublicJwk;
use crate::jose::keyset::KeySet;
use crate::jose::names::UnixTime;
use crate::jose::read_back::{self, Probe, ReadBackFault};
use crate::jose::sign::SigningKey;
pub use crate::rotation::KeyState;
use crate::setting::Secret;
use crate::status::Fault;

/// `[signing]`, checked.
#[derive(Debug, Clone)]
pub struct KeyringSettings {
    pub algorithm: Alg,
    pub store: StoreSettings,
    /// Age at which a new key takes over; `None`: by hand only.
    pub rotate_every: Option<Duration>,
    /// `max-age` of the served set: a key signs only after this and `skew` have passed since it was
    /// first published.
    pub max_age: Duration,
    pub skew: Duration,
    /// How long a replica may be cut off from a shared store without a verifier noticing: a new key
    /// waits, and an old one stays, that much longer.
    pub outage: Duration,
}

impl KeyringSettings {
    /// Opens the store.
    ///
    /// # Errors
    /// [`KeyringError`] for an invalid address.
    pub fn open_store(
        &self,
        access: Access,
        clock: &Clock,
    ) -> Result<Arc<dyn Store>, KeyringError> {
        Ok(match &self.store {
            StoreSettings::File(dir) => Arc::new(FileStore::new(dir, access)),
            StoreSettings::Supplied(source) => {
                let max_age = self.max_age + self.skew;
                Arc::new(SuppliedStore::new(source.clone(), max_age, clock.clone()))
            }
            #[cfg(feature = "redis")]
            StoreSettings::Redis { url, encryption_key } => {
                Arc::new(redis::RedisStore::open(url.expose(), encryption_key)?)
            }
            #[cfg(not(feature = "redis"))]
            StoreSettings::Redis { .. } => return Err(KeyringError::Unsupported("redis")),
        })
    }
}

#[derive(Debug, Clone)]
pub enum StoreSettings {
    /// A directory; the ring is `keys.json` in it, mode 0600.
    File(PathBuf),
    /// Keys that are made and rotated elsewhere.
    Supplied(KeySource),
    Redis {
        url: Secret,
        encryption_key: RedisKey,
    },
}

impl StoreSettings {
    /// Whether this process may keep other files: last good key sets, a discovery document. A process that
    /// gets its key by a variable usually has no disk that survives a restart.
    pub fn has_disk(&self) -> bool {
        !matches!(self, Self::Supplied(KeySource::Variables { .. }))
    }
}

/// AES-256-GCM key for private keys in the shared store.
#[derive(Clone)]
pub struct RedisKey(pub Zeroizing<[u8; 32]>);

impl std::fmt::Debug for RedisKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RedisKey(****)")
    }
}

/// Why there is no ring.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("no signing key could be made: {0}")]
    Make(String),
    #[error("gave up after {} conflicting writes to the key store", engine::MAX_TRIES)]
    Contended,
    #[error("the ring has no active key")]
    NoActive,
    #[error("another key is already next; wait until it signs, or run `keys rotate` first")]
    NextIsTaken,
    #[error("the ring has retired this key, so it does not sign again")]
    Retired,
    /// The ring is full of keys that wait for the last token they signed to expire.
    #[error("the ring is full: {0} keys wait for the last token they signed to expire")]
    Full(usize),
    #[error("this build has no support for `{0}`")]
    Unsupported(&'static str),
    #[error("the ring's keys failed their check: {0}")]
    ReadBack(#[from] ReadBackFault),
}

impl KeyringError {
    fn code_and_hint(&self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Store(error) => error.code_and_hint(),
            Self::Make(_) => ("key_make", None),
            Self::Contended => ("store_contended", Some("try again")),
            Self::NoActive => ("no_active_key", None),
            Self::NextIsTaken => ("next_taken", None),
            Self::Retired => ("key_retired", Some("`countersign keys rotate` makes a new key")),
            Self::Full(_) => (
                "key_ring_full",
                Some(
                    "shorter `max_lifetime`s let keys go sooner; `keys rotate --now` changes the key all the same",
                ),
            ),
            Self::Unsupported(_) => ("unsupported", None),
            Self::ReadBack(fault) => (fault.code(), None),
        }
    }

    /// A stable name: status field, metric label.
    pub fn code(&self) -> &'static str {
        self.code_and_hint().0
    }

    /// What to do about it, for people.
    pub fn hint(&self) -> Option<&'static str> {
        self.code_and_hint().1
    }
}

/// The ring at one moment, for signing and publishing.
#[derive(Debug, Clone)]
pub struct Ring {
    /// Grows with every change.
    pub epoch: u64,
    pub active: Arc<SigningKey>,
    /// Every key of the ring: active, next, retired.
    pub public: Vec<PublicJwk>,
    /// A signature of each key, to check that a published set verifies it.
    pub probes: Vec<Probe>,
    pub keys: Vec<KeyView>,
}

/// One key, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyView {
    pub kid: String,
    pub alg: &'static str,
    /// `next`, `active` or `retired`.
    pub state: KeyState,
    /// Times are seconds since 1970.
    pub published: i64,
    pub usable: i64,
    pub activated: Option<i64>,
    pub retired: Option<i64>,
    /// Latest `exp` it may have signed.
    pub latest_exp: i64,
}

/// What the status page and the metrics show.
#[derive(Debug, Clone, Serialize)]
pub struct KeyringStatus {
    pub store: String,
    pub epoch: u64,
    pub active: String,
    pub keys: Vec<KeyView>,
    /// When the next change is due.
    pub next_change: Option<i64>,
    /// A rotation was asked for and waits for cached copies to expire.
    pub rotation_asked: bool,
    /// Too many keys wait for their last token: rotation pauses.
    pub full: bool,
    /// The store's fault, while it lasts; signing continues with what is in memory.
    pub error: Option<Fault>,
}

impl Ring {
    /// # Errors
    /// [`KeyringError::NoActive`]. [`KeyringError::ReadBack`] when another implementation cannot verify, with
    /// the public half of the ring, what each of its keys signed: then none of them may sign.
    fn of(state: &RingState) -> Result<Self, KeyringError> {
        let active = Arc::clone(&state.active().ok_or(KeyringError::NoActive)?.key);
        let rank = |key: &&RingKey| match key.times.state {
            KeyState::Active => 0,
            KeyState::Next => 1,
            KeyState::Retired => 2,
        };
        let mut keys: Vec<&RingKey> = state.keys.iter().collect();
        keys.sort_by_key(|key| (rank(key), std::cmp::Reverse(key.times.retired)));
        let public: Vec<_> = keys.iter().map(|key| key.key.public().clone()).collect();
        let probes: Vec<_> = keys.iter().map(|key| key.key.probe().clone()).collect();
        read_back::probed(&KeySet::new(public.clone()).to_document(), &probes)?;
        Ok(Self {
            epoch: state.epoch,
            active,
            public,
            probes,
            keys: keys.iter().map(|key| KeyView::of(key)).collect(),
        })
    }
}

impl KeyView {
    pub fn of(RingKey { times, key }: &RingKey) -> Self {
        Self {
            kid: times.kid.to_string(),
            alg: key.alg().name(),
            state: times.state,
            published: times.published.secs(),
            usable: times.usable.secs(),
            activated: times.activated.map(UnixTime::secs),
            retired: times.retired.map(UnixTime::secs),
            latest_exp: times.latest_exp.secs(),
        }
    }
}
