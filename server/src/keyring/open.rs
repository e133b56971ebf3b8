//! Opens the store that the settings name.

use std::sync::Arc;

use super::file::FileStore;
use super::outside::{EnvStore, ReadOnlyStore, SPREAD};
use super::store::{Access, Store};
use super::{KeyringError, KeyringSettings, StoreSettings};
use crate::clock::Clock;

/// Opens the store of `settings`.
///
/// # Errors
/// [`KeyringError`] for an invalid address.
pub fn store(
    settings: &KeyringSettings,
    clock: &Clock,
    access: Access,
) -> Result<Arc<dyn Store>, KeyringError> {
    let ahead = settings.max_age + settings.skew;
    match &settings.store {
        StoreSettings::File(dir) => Ok(Arc::new(FileStore::new(dir, access))),
        StoreSettings::ReadOnly(dir) => {
            Ok(Arc::new(ReadOnlyStore::new(dir, ahead + SPREAD, clock.clone())))
        }
        StoreSettings::Env { name, keys } => Ok(Arc::new(EnvStore::new(name, keys, ahead, clock))),
        #[cfg(feature = "redis")]
        StoreSettings::Redis { url, encryption_key } => {
            Ok(Arc::new(super::redis::RedisStore::open(url.expose(), encryption_key)?))
        }
        #[cfg(not(feature = "redis"))]
        StoreSettings::Redis { .. } => Err(KeyringError::Unsupported("redis")),
    }
}
