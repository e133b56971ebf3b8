//! The bridge's counters. Plain values; the admin module renders them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::Serialize;

use super::results::Results;
use crate::histogram::{Distribution, Histogram};

/// Upper bounds of the latency buckets, in microseconds.
const BUCKETS_US: [u64; 12] =
    [50, 100, 200, 350, 500, 750, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000];

pub(super) struct Stats {
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) restored: AtomicU64,
    /// Time from the request to the result, without cache hits.
    pub(super) latency: Histogram<{ BUCKETS_US.len() }>,
    /// Updated once per signature or refusal, never on a hit.
    outcomes: Mutex<Outcomes>,
}

#[derive(Default)]
struct Outcomes {
    /// By issuer, incoming algorithm and outcome.
    tokens: BTreeMap<(String, &'static str, &'static str), u64>,
    /// By code and issuer.
    refusals: BTreeMap<(&'static str, String), u64>,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            hits: AtomicU64::default(),
            misses: AtomicU64::default(),
            restored: AtomicU64::default(),
            latency: Histogram::new(&BUCKETS_US),
            outcomes: Mutex::default(),
        }
    }
}

impl Stats {
    /// `outcome` is `countersigned`, `as_it_stands` or the code of a refusal.
    pub(super) fn outcome(&self, issuer: &str, alg: &'static str, outcome: &'static str) {
        let refused = !matches!(outcome, "countersigned" | "as_it_stands");
        let mut outcomes = self.outcomes.lock();
        if refused {
            *outcomes.refusals.entry((outcome, issuer.to_owned())).or_default() += 1;
        }
        let outcome = if refused { "refused" } else { outcome };
        *outcomes.tokens.entry((issuer.to_owned(), alg, outcome)).or_default() += 1;
    }

    pub(super) fn status(&self, results: &Results, queue: QueueStatus) -> BridgeStatus {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let outcomes = self.outcomes.lock();
        let total = |name| {
            let counts = outcomes.tokens.iter().filter(|((_, _, outcome), _)| *outcome == name);
            counts.map(|(_, count)| count).sum()
        };
        let tokens = outcomes.tokens.iter();
        let refusals = outcomes.refusals.iter();
        BridgeStatus {
            countersigned: total("countersigned"),
            passed: total("as_it_stands"),
            refused: total("refused"),
            restored: load(&self.restored),
            by: tokens
                .map(|((issuer, alg, outcome), &count)| TokenCount {
                    issuer: issuer.clone(),
                    alg,
                    outcome,
                    count,
                })
                .collect(),
            refusals: refusals
                .map(|((code, issuer), &count)| RefusalCount {
                    issuer: issuer.clone(),
                    code,
                    count,
                })
                .collect(),
            cache: CacheStatus {
                hits: load(&self.hits),
                misses: load(&self.misses),
                entries: results.entry_count(),
                bytes: results.weighted_size(),
            },
            queue,
            latency: self.latency.snapshot(),
        }
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
