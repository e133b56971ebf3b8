//! The bridge's counters. Plain values; the admin module renders them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::histogram::{Distribution, Histogram};

/// Upper bounds of the latency buckets, in microseconds.
const BUCKETS_US: [u64; 12] =
    [50, 100, 200, 350, 500, 750, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000];

pub(super) struct Stats {
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) overloaded: AtomicU64,
    pub(super) restored: AtomicU64,
    /// Time from the request to the result, without cache hits.
    latency: Histogram<{ BUCKETS_US.len() }>,
    /// By issuer, incoming algorithm and outcome. Updated once per signature or refusal, never on a
    /// hit.
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

    /// The bridge itself adds the values of its cache and its threads.
    pub(super) fn status(&self) -> BridgeStatus {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let mut status = BridgeStatus {
            restored: load(&self.restored),
            cache: CacheStatus {
                hits: load(&self.hits),
                misses: load(&self.misses),
                ..CacheStatus::default()
            },
            queue: QueueStatus { overloaded: load(&self.overloaded), ..QueueStatus::default() },
            latency: self.latency.snapshot(),
            ..BridgeStatus::default()
        };
        let outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut by: BTreeMap<(&str, &'static str, &'static str), u64> = BTreeMap::new();
        let mut refusals: BTreeMap<(&'static str, &str), u64> = BTreeMap::new();
        for ((issuer, alg, outcome), count) in outcomes.iter() {
            let (total, outcome) = match *outcome {
                "countersigned" => (&mut status.countersigned, "countersigned"),
                "as_it_stands" => (&mut status.passed, "as_it_stands"),
                code => {
                    *refusals.entry((code, issuer)).or_default() += count;
                    (&mut status.refused, "refused")
                }
            };
            *total += count;
            *by.entry((issuer, alg, outcome)).or_default() += count;
        }
        let token = |((issuer, alg, outcome), count): ((&str, _, _), _)| TokenCount {
            issuer: issuer.to_owned(),
            alg,
            outcome,
            count,
        };
        status.by = by.into_iter().map(token).collect();
        let refusal = |((code, issuer), count): ((_, &str), _)| RefusalCount {
            issuer: issuer.to_owned(),
            code,
            count,
        };
        status.refusals = refusals.into_iter().map(refusal).collect();
        status
    }
}

/// The outcomes of tokens since the process started.
#[derive(Debug, Clone, Default, Serialize)]
pub struct BridgeStatus {
    pub countersigned: u64,
    /// Accepted unchanged.
    pub passed: u64,
    pub refused: u64,
    /// Originals that were restored for their issuer.
    pub restored: u64,
    pub by: Vec<TokenCount>,
    pub refusals: Vec<RefusalCount>,
    pub cache: CacheStatus,
    pub queue: QueueStatus,
    pub latency: Distribution,
}

#[derive(Debug, Clone, Serialize)]
pub struct TokenCount {
    /// The configured name; `-` when no issuer was found.
    pub issuer: String,
    /// The algorithm of the incoming token; `-` when unknown.
    pub alg: &'static str,
    /// `countersigned`, `as_it_stands` or `refused`.
    pub outcome: &'static str,
    pub count: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct RefusalCount {
    pub issuer: String,
    pub code: &'static str,
    pub count: u64,
}

/// The cache of results.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct CacheStatus {
    pub hits: u64,
    pub misses: u64,
    pub entries: u64,
    pub bytes: u64,
}

/// The jobs of the crypto threads.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct QueueStatus {
    /// Waiting now.
    pub depth: usize,
    /// The limit of waiting jobs.
    pub limit: usize,
    pub threads: usize,
    /// Requests refused because the queue was full.
    pub overloaded: u64,
}
