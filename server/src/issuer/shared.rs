//! What all issuers share: one client, one clock, one bounded memory of unknown kids.

use std::collections::HashSet;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use super::IssuerSettings;
use super::discovery::DiscoveryStatus;
use super::fetch::Fetcher;
use crate::clock::Clock;
use crate::jose::jwks::Options;
use crate::jose::names::{IssuerName, UnixTime};

/// If there are many issuers, one that no request used for this long is not refreshed.
const IDLE: Duration = Duration::from_secs(3600);
/// Unknown kids remembered, over all issuers: some megabytes at most.
const UNKNOWN: u64 = 10_000;
/// The longest time that a kid is remembered as unknown, whatever the issuer's cooldown.
pub(super) const UNKNOWN_FOR: Duration = Duration::from_secs(3600);

/// See the module.
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) fetcher: Fetcher,
    options: Options,
    /// Directory of the last good sets.
    pub(super) store: Option<PathBuf>,
    pub(super) unknown: Unknown,
    /// The state of discovery, if the issuer is learnt from the upstream.
    pub(super) discovery: ArcSwapOption<DiscoveryStatus>,
    /// Whether all issuers are kept fresh all the time: there are not many.
    pub(super) keeps_fresh: AtomicBool,
    runtime: OnceLock<Handle>,
    shutdown: OnceLock<watch::Receiver<bool>>,
    changed: Mutex<HashSet<IssuerName>>,
    notify: Notify,
    random: RandomState,
}

impl Shared {
    pub(super) fn new(
        clock: Clock,
        fetcher: Fetcher,
        options: Options,
        store: Option<PathBuf>,
    ) -> Self {
        Self {
            unknown: Unknown::new(),
            clock,
            fetcher,
            options,
            store,
            discovery: ArcSwapOption::empty(),
            keeps_fresh: AtomicBool::new(true),
            runtime: OnceLock::new(),
            shutdown: OnceLock::new(),
            changed: Mutex::default(),
            notify: Notify::new(),
            random: RandomState::new(),
        }
    }

    /// The normaliser's options for one issuer.
    pub(super) fn options(&self, settings: &IssuerSettings) -> Options {
        let now = Some(self.clock.now());
        Options { limits: settings.limits, now, ..self.options.clone() }
    }

    /// From now on tasks run on this runtime, not on that of the first caller.
    pub(super) fn started(&self, shutdown: watch::Receiver<bool>) {
        let _ = self.runtime.set(Handle::current());
        let _ = self.shutdown.set(shutdown);
    }

    /// Runs a task; without any runtime (a command that only reads) nothing runs.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match self.runtime.get().cloned().map_or_else(Handle::try_current, Ok) {
            Ok(runtime) => drop(runtime.spawn(task)),
            Err(_) => tracing::debug!("no runtime for a background task"),
        }
    }

    pub(super) fn stopped(&self) -> bool {
        self.shutdown.get().is_some_and(|s| *s.borrow())
    }

    /// Sleeps for `wait`, or until shutdown.
    pub(super) async fn pause(&self, wait: Duration) {
        let Some(mut shutdown) = self.shutdown.get().cloned() else {
            return self.clock.sleep(wait).await;
        };
        tokio::select! {
            () = self.clock.sleep(wait) => {}
            _ = shutdown.wait_for(|stop| *stop) => {}
        }
    }

    pub(super) fn may_rest(&self, idle: Duration) -> bool {
        idle > IDLE && !self.keeps_fresh.load(Ordering::Relaxed)
    }

    /// A random number in `0.0..1.0`. It only spreads fetches over time, so it need not be secret.
    pub(super) fn jitter(&self) -> f64 {
        let mut bytes = [0u8; 4];
        match aws_lc_rs::rand::fill(&mut bytes) {
            Ok(()) => f64::from(u32::from_be_bytes(bytes)) / (f64::from(u32::MAX) + 1.0),
            Err(_) => (self.random.hash_one(self.clock.now()) % 1000) as f64 / 1000.0,
        }
    }

    /// Notes that an issuer's keys changed.
    pub(super) fn changed(&self, name: &IssuerName) {
        self.changed.lock().insert(name.clone());
        self.notify.notify_one();
    }

    pub(super) fn changed_all(&self, names: Vec<IssuerName>) {
        self.changed.lock().extend(names);
        self.notify.notify_one();
    }

    /// Waits for changes and takes them. For one caller only.
    pub(super) async fn next_changes(&self) -> Vec<IssuerName> {
        loop {
            let changed = std::mem::take(&mut *self.changed.lock());
            if !changed.is_empty() {
                return changed.into_iter().collect();
            }
            self.notify.notified().await;
        }
    }
}

/// Kids that the issuer's set does not have: a bounded number, for a time, and only for the same set.
pub(super) struct Unknown {
    kids: Cache<u64, UnknownKid>,
    /// Randomly keyed, so that an attacker cannot choose a kid that collides with another.
    hasher: RandomState,
}

#[derive(Clone, Copy)]
struct UnknownKid {
    epoch: u64,
    until: UnixTime,
}

impl Unknown {
    fn new() -> Self {
        // LRU: a flood of made-up kids must not keep out the one that is asked for now.
        let kids = Cache::builder()
            .max_capacity(UNKNOWN)
            .eviction_policy(EvictionPolicy::lru())
            // Frees the memory. Whether an entry still counts is decided by our own clock.
            .time_to_live(UNKNOWN_FOR)
            .build();
        Self { kids, hasher: RandomState::new() }
    }

    pub(super) fn get(&self, issuer: &IssuerName, kid: &str, epoch: u64, now: UnixTime) -> bool {
        let found = self.kids.get(&self.hasher.hash_one((issuer, kid)));
        found.is_some_and(|kept| kept.epoch == epoch && now < kept.until)
    }

    pub(super) fn put(&self, issuer: &IssuerName, kid: &str, epoch: u64, until: UnixTime) {
        self.kids.insert(self.hasher.hash_one((issuer, kid)), UnknownKid { epoch, until });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer() -> IssuerName {
        IssuerName::parse("one").unwrap()
    }

    #[test]
    fn a_kid_is_unknown_for_its_time_and_for_its_set() {
        let clock = Clock::system();
        let (unknown, now) = (Unknown::new(), clock.now());
        let later = |secs| now.plus(Duration::from_secs(secs));
        unknown.put(&issuer(), "a", 1, later(30));
        assert!(unknown.get(&issuer(), "a", 1, now));
        assert!(!unknown.get(&issuer(), "a", 1, later(30)));
        assert!(!unknown.get(&issuer(), "a", 2, now), "another set may have it");
        assert!(!unknown.get(&issuer(), "b", 1, now));
        // A second `put` sets the time anew.
        unknown.put(&issuer(), "a", 1, later(60));
        assert!(unknown.get(&issuer(), "a", 1, later(45)));
    }

    #[test]
    fn a_flood_of_kids_is_bounded_and_does_not_keep_out_the_last() {
        let clock = Clock::system();
        let (unknown, now) = (Unknown::new(), clock.now());
        let until = now.plus(Duration::from_secs(60));
        for n in 0..3 * UNKNOWN {
            unknown.put(&issuer(), &n.to_string(), 1, until);
        }
        unknown.kids.run_pending_tasks();
        assert!(unknown.kids.entry_count() <= UNKNOWN, "{}", unknown.kids.entry_count());
        assert!(unknown.get(&issuer(), &(3 * UNKNOWN - 1).to_string(), 1, now));
    }
}
