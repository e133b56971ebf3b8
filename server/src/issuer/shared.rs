//! What all issuers share: one client, one clock, one bounded cache of unknown kids.

use std::collections::HashSet;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::fetch::Fetcher;
use super::issuers::{IssuerDeps, IssuerError};
use super::{IssuerSettings, store};
use crate::clock::Clock;
use crate::jose::jwks::Options;
use crate::jose::names::{IssuerName, UnixTime};

/// If there are many issuers, one that no request used for this long is not refreshed.
const IDLE: Duration = Duration::from_secs(3600);
/// Unknown kids remembered, over all issuers: some megabytes at most.
const MAX_UNKNOWN_KIDS: u64 = 10_000;
/// The longest time that a kid is remembered as unknown, whatever the issuer's cooldown.
pub(super) const UNKNOWN_KID_TTL: Duration = Duration::from_secs(3600);

/// See the module.
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) fetcher: Fetcher,
    options: Options,
    /// Directory of the last good sets.
    pub(super) sets_dir: Option<PathBuf>,
    pub(super) unknown_kids: UnknownKids,
    /// Whether all issuers are kept fresh all the time: there are not many.
    pub(super) keeps_fresh: AtomicBool,
    /// Where background tasks run, once [`Issuers::run`](super::Issuers::run) was called.
    pub(super) runtime: OnceLock<Handle>,
    /// The process shuts down.
    pub(super) stopped: watch::Sender<bool>,
    /// Issuers whose keys changed, until they are taken.
    pub(super) changed: watch::Sender<HashSet<IssuerName>>,
}

impl Shared {
    pub(super) fn new(deps: IssuerDeps) -> Result<Self, IssuerError> {
        let sets_dir = deps
            .data_dir
            .map(|dir| store::prepare(&dir).map_err(|why| IssuerError::DataDir { path: dir, why }));
        Ok(Self {
            clock: deps.clock,
            fetcher: Fetcher::new(deps.resolver),
            options: deps.options,
            sets_dir: sets_dir.transpose()?,
            unknown_kids: UnknownKids::new(),
            keeps_fresh: AtomicBool::new(true),
            runtime: OnceLock::new(),
            stopped: watch::Sender::new(false),
            changed: watch::Sender::default(),
        })
    }

    /// The normaliser's options for one issuer.
    pub(super) fn options(&self, settings: &IssuerSettings) -> Options {
        let now = Some(self.clock.now());
        Options { limits: settings.limits, now, ..self.options.clone() }
    }

    /// Runs a task; without any runtime (a command that only reads) nothing runs.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match self.runtime.get().cloned().map_or_else(Handle::try_current, Ok) {
            Ok(runtime) => drop(runtime.spawn(task)),
            Err(_) => tracing::debug!("no runtime for a background task"),
        }
    }

    /// Sleeps for `wait`, or until shutdown.
    pub(super) async fn pause(&self, wait: Duration) {
        let mut stopped = self.stopped.subscribe();
        tokio::select! {
            () = self.clock.sleep(wait) => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    }

    /// Whether an issuer that was not used for `idle` need not be kept fresh.
    pub(super) fn may_pause(&self, idle: Duration) -> bool {
        idle > IDLE && !self.keeps_fresh.load(Ordering::Relaxed)
    }

    /// Notes that the keys of these issuers changed.
    pub(super) fn note_changed(&self, issuers: impl IntoIterator<Item = IssuerName>) {
        self.changed.send_modify(|changed| changed.extend(issuers));
    }
}

/// Kids that the issuer's set does not have: a bounded number, for a time, and only for the same set.
pub(super) struct UnknownKids {
    /// A hash of issuer, kid and epoch, and until when the entry counts. The hash is randomly keyed, so that
    /// an attacker cannot choose a kid that collides with another.
    until: Cache<u64, UnixTime>,
    hasher: RandomState,
}

impl UnknownKids {
    fn new() -> Self {
        // LRU: a flood of made-up kids must not keep out the kid of the current request.
        let until = Cache::builder()
            .max_capacity(MAX_UNKNOWN_KIDS)
            .eviction_policy(EvictionPolicy::lru())
            // Frees the memory. Whether an entry still counts is decided by our own clock.
            .time_to_live(UNKNOWN_KID_TTL)
            .build();
        Self { until, hasher: RandomState::new() }
    }

    pub(super) fn contains(&self, name: &IssuerName, kid: &str, epoch: u64, now: UnixTime) -> bool {
        let until = self.until.get(&self.hasher.hash_one((name, kid, epoch)));
        until.is_some_and(|until| now < until)
    }

    pub(super) fn insert(&self, name: &IssuerName, kid: &str, epoch: u64, until: UnixTime) {
        self.until.insert(self.hasher.hash_one((name, kid, epoch)), until);
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
        let (unknown, now) = (UnknownKids::new(), clock.now());
        let later = |secs| now.plus(Duration::from_secs(secs));
        unknown.insert(&issuer(), "a", 1, later(30));
        assert!(unknown.contains(&issuer(), "a", 1, now));
        assert!(!unknown.contains(&issuer(), "a", 1, later(30)));
        assert!(!unknown.contains(&issuer(), "a", 2, now), "another set may have it");
        assert!(!unknown.contains(&issuer(), "b", 1, now));
        // A second `insert` sets the time anew.
        unknown.insert(&issuer(), "a", 1, later(60));
        assert!(unknown.contains(&issuer(), "a", 1, later(45)));
    }

    #[test]
    fn a_flood_of_kids_is_bounded_and_does_not_keep_out_the_last() {
        let clock = Clock::system();
        let (unknown, now) = (UnknownKids::new(), clock.now());
        let until = now.plus(Duration::from_secs(60));
        for n in 0..3 * MAX_UNKNOWN_KIDS {
            unknown.insert(&issuer(), &n.to_string(), 1, until);
        }
        unknown.until.run_pending_tasks();
        assert!(unknown.until.entry_count() <= MAX_UNKNOWN_KIDS, "{}", unknown.until.entry_count());
        assert!(unknown.contains(&issuer(), &(3 * MAX_UNKNOWN_KIDS - 1).to_string(), 1, now));
    }
}
