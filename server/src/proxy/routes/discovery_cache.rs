//! A cache of rewritten discovery documents, which keeps them for seconds.

use std::time::Duration;

use bytes::Bytes;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use pingora::http::ResponseHeader;

/// How long a document is reused. It is short so that a change at the upstream shows soon.
const TIME_TO_LIVE: Duration = Duration::from_secs(10);
/// Real hosts and tenants are few, and a flood of invented hosts must not fill the memory.
const MAX_DOCUMENTS: u64 = 64;

/// Host, target and all other fields that are sent to the upstream.
pub(super) type Key = Vec<u8>;

/// Heads and bodies of rewritten documents.
pub type DiscoveryCache = Cache<Key, (ResponseHeader, Bytes)>;

pub fn new() -> DiscoveryCache {
    Cache::builder()
        .max_capacity(MAX_DOCUMENTS)
        .time_to_live(TIME_TO_LIVE)
        // LRU keeps what clients asked for last, however many invented hosts came before.
        .eviction_policy(EvictionPolicy::lru())
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_stays_until_the_cache_is_emptied_and_a_flood_is_bounded() {
        let cache = new();
        let header = ResponseHeader::build(200, None).unwrap();
        let key = |n: u64| n.to_le_bytes().to_vec();
        for n in 0..10 * MAX_DOCUMENTS {
            cache.insert(key(n), (header.clone(), Bytes::from(n.to_string())));
        }
        cache.run_pending_tasks();
        assert!(cache.entry_count() <= MAX_DOCUMENTS, "{}", cache.entry_count());
        let last = 10 * MAX_DOCUMENTS - 1;
        assert_eq!(cache.get(&key(last)).unwrap().1, last.to_string());
        cache.invalidate_all();
        assert!(cache.get(&key(last)).is_none());
    }
}
