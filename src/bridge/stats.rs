//! What the bridge counts. Plain values; the admin room renders them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the latency buckets, in microseconds.
pub const BUCKETS_US: [u64; 12] =
    [50, 100, 200, 350, 500, 750, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000];

#[derive(Default)]
pub(super) struct Stats {
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) overloaded: AtomicU64,
    pub(super) restored: AtomicU64,
    buckets: [AtomicU64; BUCKETS_US.len() + 1],
    sum_us: AtomicU64,
    /// By issuer, algorithm in, outcome. Touched once per signature or refusal, never on a hit.
    outcomes: Mutex<BTreeMap<(String, &'static str, &'static str), u64>>,
}

impl Stats {
    pub(super) fn outcome(&self, issuer: &str, alg: &'static str, outcome: &'static str) {
        let mut map = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = map.get_mut(&(issuer.to_owned(), alg, outcome)) {
            *count += 1;
        } else {
            map.insert((issuer.to_owned(), alg, outcome), 1);
        }
    }

    pub(super) fn took(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let slot = BUCKETS_US.iter().position(|&top| us <= top).unwrap_or(BUCKETS_US.len());
        self.buckets[slot].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    pub(super) fn status(&self) -> BridgeStatus {
        let outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        BridgeStatus {
            cache_hits: self.hits.load(Ordering::Relaxed),
            cache_misses: self.misses.load(Ordering::Relaxed),
            cache_entries: 0,
            cache_bytes: 0,
            queue_depth: 0,
            threads: 0,
            overloaded: self.overloaded.load(Ordering::Relaxed),
            restored: self.restored.load(Ordering::Relaxed),
            latency: Latency {
                buckets_us: BUCKETS_US.to_vec(),
                counts: self.buckets.iter().map(|b| b.load(Ordering::Relaxed)).collect(),
                sum_us: self.sum_us.load(Ordering::Relaxed),
            },
            outcomes: outcomes
                .iter()
                .map(|((issuer, alg, outcome), count)| Outcome {
                    issuer: issuer.clone(),
                    alg,
                    outcome,
                    count: *count,
                })
                .collect(),
        }
    }
}

/// A snapshot of the bridge's counters.
#[derive(Debug, Clone, serde::Serialize)]
pub struct BridgeStatus {
    pub cache_hits: u64,
    pub cache_misses: u64,
    pub cache_entries: u64,
    pub cache_bytes: u64,
    /// Jobs waiting for a crypto thread.
    pub queue_depth: usize,
    pub threads: usize,
    pub overloaded: u64,
    /// Originals put together again on the way back to their issuer.
    pub restored: u64,
    pub latency: Latency,
    pub outcomes: Vec<Outcome>,
}

/// Time from asking to having a result, cache hits left out.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Latency {
    /// Upper bounds in microseconds; one more count than bounds.
    pub buckets_us: Vec<u64>,
    pub counts: Vec<u64>,
    pub sum_us: u64,
}

#[derive(Debug, Clone, serde::Serialize)]
pub struct Outcome {
    /// The configured name; `-` when no issuer was found.
    pub issuer: String,
    /// The algorithm of the incoming token; `-` when unknown.
    pub alg: &'static str,
    /// `countersigned`, `as_it_stands`, or the code of the refusal.
    pub outcome: &'static str,
    pub count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_holds_it() {
        let stats = Stats::default();
        stats.took(Duration::from_micros(50));
        stats.took(Duration::from_micros(51));
        stats.took(Duration::from_secs(9));
        let latency = stats.status().latency;
        assert_eq!((latency.counts[0], latency.counts[1]), (1, 1));
        assert_eq!(latency.counts[BUCKETS_US.len()], 1);
        assert_eq!(latency.sum_us, 9_000_101);
    }
}
