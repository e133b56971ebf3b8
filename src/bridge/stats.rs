//! What the bridge counts. Plain values; the admin room renders them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::histogram::{Histogram, Latency};

/// Upper bounds of the latency buckets, in microseconds.
const BUCKETS_US: [u64; 12] =
    [50, 100, 200, 350, 500, 750, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000];

pub(super) struct Stats {
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) overloaded: AtomicU64,
    pub(super) restored: AtomicU64,
    /// Time from asking to having a result, cache hits left out.
    latency: Histogram<{ BUCKETS_US.len() }>,
    /// By issuer, algorithm in, outcome. Touched once per signature or refusal, never on a hit.
    outcomes: Mutex<BTreeMap<(String, &'static str, &'static str), u64>>,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            hits: AtomicU64::default(),
            misses: AtomicU64::default(),
            overloaded: AtomicU64::default(),
            restored: AtomicU64::default(),
            latency: Histogram::new(&BUCKETS_US),
            outcomes: Mutex::default(),
        }
    }
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
        self.latency.took(time);
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
            latency: self.latency.snapshot(),
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
