//! From settings to the store they name.

use std::sync::Arc;

use super::file::FileStore;
use super::readonly::{self, ReadOnlyStore};
use super::store::Store;
use super::{KeyringError, KeyringSettings, StoreSettings};
use crate::clock::Clock;

/// Opens it.
///
/// # Errors
/// [`KeyringError`] for a directory that cannot be made or an address that is none.
pub(crate) fn store(
    settings: &KeyringSettings,
    clock: &Clock,
) -> Result<Arc<dyn Store>, KeyringError> {
    match &settings.store {
        StoreSettings::File(dir) => Ok(Arc::new(FileStore::open(dir)?)),
        StoreSettings::ReadOnly(dir) => {
            let ahead = settings.max_age + settings.skew + readonly::SPREAD;
            Ok(Arc::new(ReadOnlyStore::new(dir, ahead, clock.clone())))
        }
        #[cfg(feature = "redis")]
        StoreSettings::Redis { url, encryption_key } => {
            Ok(Arc::new(super::redis::RedisStore::open(url, encryption_key)?))
        }
        #[cfg(not(feature = "redis"))]
        StoreSettings::Redis { .. } => Err(KeyringError::Unsupported("redis")),
    }
}
