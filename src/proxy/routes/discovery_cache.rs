//! Rewritten discovery documents, kept some seconds.

use std::time::Duration;

use bytes::Bytes;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use pingora::http::ResponseHeader;

/// How long an answer is given again. Short: the document says what the upstream says now.
const KEPT: Duration = Duration::from_secs(10);
/// Documents kept; hosts and tenants are few, and a flood of made-up ones must not grow memory.
const MOST: u64 = 64;

/// Host, target and every other field that goes to the upstream.
pub(super) type Key = Vec<u8>;

/// Rewritten documents by the requests that led to them.
pub struct DiscoveryCache(Cache<Key, Kept>);

#[derive(Clone)]
pub(super) struct Kept {
    pub(super) header: ResponseHeader,
    pub(super) body: Bytes,
}

impl Default for DiscoveryCache {
    fn default() -> Self {
        // By age: the newest is what clients ask for, however many made-up ones came before.
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

    /// After a reload nothing old is given.
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
