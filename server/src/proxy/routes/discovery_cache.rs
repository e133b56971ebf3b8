//! A cache of rewritten discovery documents, which keeps them for seconds.

use std::time::Duration;

use bytes::Bytes;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use pingora::http::ResponseHeader;

/// How long a document is reused. It is short so that a change at the upstream shows soon.
const KEPT: Duration = Duration::from_secs(10);
/// The most documents kept. Real hosts and tenants are few, and a flood of invented hosts must not
/// fill the memory.
const MOST: u64 = 64;

/// Host, target and all other fields that are sent to the upstream.
pub(super) type Key = Vec<u8>;

/// Rewritten documents by cache key.
pub struct DiscoveryCache(Cache<Key, Kept>);

#[derive(Clone)]
pub(super) struct Kept {
    pub(super) header: ResponseHeader,
    pub(super) body: Bytes,
}

impl Default for DiscoveryCache {
    fn default() -> Self {
        // LRU keeps what clients asked for last, however many invented hosts came before.
        let policy = EvictionPolicy::lru();
        Self(Cache::builder().max_capacity(MOST).time_to_live(KEPT).eviction_policy(policy).build())
    }
}

impl DiscoveryCache {
    pub(super) fn get(&self, key: &Key) -> Option<Kept> {
        self.0.get(key)
    }

    pub(super) fn put(&self, key: Key, header: &ResponseHeader, body: &Bytes) {
        self.0.insert(key, Kept { header: header.clone(), body: body.clone() });
    }

    /// Empties the cache, so that a reload takes effect at once.
    pub fn clear(&self) {
        self.0.invalidate_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_kept_until_cleared_and_a_flood_is_bounded() {
        let cache = DiscoveryCache::default();
        let header = ResponseHeader::build(200, None).unwrap();
        let key = |n: u64| n.to_le_bytes().to_vec();
        for n in 0..10 * MOST {
            cache.put(key(n), &header, &Bytes::from(n.to_string()));
        }
        cache.0.run_pending_tasks();
        assert!(cache.0.entry_count() <= MOST, "{}", cache.0.entry_count());
        let last = 10 * MOST - 1;
        assert_eq!(cache.get(&key(last)).unwrap().body, last.to_string());
        cache.clear();
        assert!(cache.get(&key(last)).is_none());
    }
}
