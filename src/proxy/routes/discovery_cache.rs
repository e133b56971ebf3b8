//! Rewritten discovery documents, kept some seconds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use pingora::http::ResponseHeader;
use tokio::time::Instant;

/// How long an answer is given again. Short: the document says what the upstream says now.
const KEPT: Duration = Duration::from_secs(10);
/// Documents kept; hosts and tenants are few, and a flood of made-up ones must not grow memory.
const MOST: usize = 64;

/// Host, target and every other field that goes to the upstream.
pub(super) type Key = Vec<u8>;

/// Rewritten documents by the requests that led to them.
#[derive(Default)]
pub struct DiscoveryCache {
    kept: ArcSwap<HashMap<Key, Kept>>,
}

#[derive(Clone)]
pub(super) struct Kept {
    until: Instant,
    pub(super) header: ResponseHeader,
    pub(super) body: Bytes,
}

impl DiscoveryCache {
    pub(super) fn get(&self, key: &Key) -> Option<Kept> {
        self.kept.load().get(key).filter(|kept| kept.until > Instant::now()).cloned()
    }

    pub(super) fn put(&self, key: Key, header: &ResponseHeader, body: &Bytes) {
        let now = Instant::now();
        let mut map = HashMap::clone(&self.kept.load());
        map.retain(|_, kept| kept.until > now);
        if map.len() < MOST {
            let kept = Kept { until: now + KEPT, header: header.clone(), body: body.clone() };
            map.insert(key, kept);
            self.kept.store(Arc::new(map));
        }
    }

    /// After a reload nothing old is given.
    pub fn clear(&self) {
        self.kept.store(Arc::default());
    }
}
