//! Our own signing keys over time.

use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::jose::alg::Alg;

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
}

#[derive(Clone, Debug)]
pub enum StoreSettings {
    /// A directory; the ring is `keys.json` in it, mode 0600.
    File(PathBuf),
    /// PEM or JWK files mounted read-only (a Kubernetes Secret), reloaded when they change.
    ReadOnly(PathBuf),
    Redis {
        url: String,
        encryption_key: RedisKey,
    },
}

/// AES-256-GCM key for private keys in the shared store.
#[derive(Clone)]
pub struct RedisKey(pub Zeroizing<[u8; 32]>);

impl std::fmt::Debug for RedisKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RedisKey(****)")
    }
}
