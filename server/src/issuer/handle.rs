//! One issuer: its current keys, one fetch at a time whatever the load, and the last good set during an
//! outage.

mod fetching;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::set::RemovedKeys;
use super::shared::{Shared, UNKNOWN_KID_TTL};
use super::status::{IssuerState, IssuerStatus, Reason};
use super::{IssuerSettings, Source, store};
use crate::jose::jwks::{self, KeySet, Normalized, Report};
use crate::jose::names::{IssuerName, UnixTime};
use crate::jose::policy::IssuerPolicy;
use crate::otel::Parent;
use crate::refresh::{self, Action, Event, Freshness, RefreshState};
use crate::status::{Counts, Fault, Lasting};

/// Without any set, a request waits `total_timeout` and this long: for parsing, on a busy machine.
const COLD_SLACK: Duration = Duration::from_secs(2);

/// How often a file is checked for changes.
const FILE_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// With a URL per kid, a request waits for at most this many fetches of other kids.
const MAX_FETCHES_WAITED_FOR: usize = 8;

/// An issuer's keys at one moment.
#[derive(Debug)]
pub struct Snapshot {
    pub keys: KeySet,
    /// Grows when the keys change. Results computed with another epoch are void.
    pub epoch: u64,
    /// When the issuer last confirmed them.
    pub fetched: UnixTime,
    pub report: Report,
}

/// See the module.
pub struct IssuerHandle {
    name: IssuerName,
    settings: ArcSwap<IssuerSettings>,
    policy: ArcSwap<IssuerPolicy>,
    snapshot: ArcSwapOption<Snapshot>,
    inner: Mutex<Inner>,
    /// Why the set in use could not be written to disk, until it is.
    save_fault: Lasting,
    /// Counts finished fetches. A request that waits for one watches it.
    finished: watch::Sender<u64>,
    shared: Arc<Shared>,
    /// Whether a task refreshes the set.
    refreshing: AtomicBool,
    /// When a request last used this issuer, seconds since 1970.
    last_used: AtomicI64,
}

#[derive(Default)]
struct Inner {
    state: RefreshState,
    in_flight: bool,
    /// `ETag` of the set last read, for conditional requests (RFC 9110 §13.1.2).
    etag: Option<String>,
    /// When the set was last read whole.
    full_read: Option<UnixTime>,
    /// The unknown content coding of the last answer, which is logged once.
    unknown_coding: Option<String>,
    removed: RemovedKeys,
    /// The file last read.
    file_stamp: Option<crate::keyring::file::Stamp>,
    /// With a URL per kid: the issuer had no key for the kid last requested.
    last_kid_missing: bool,
    /// Why the last fetch failed.
    last_error: Option<(Reason, Fault)>,
    /// Fetches by outcome.
    fetches: Counts,
}

impl IssuerHandle {
    /// Loads the last good set from disk; no network.
    pub(super) fn new(settings: IssuerSettings, shared: Arc<Shared>) -> Self {
        let handle = Self {
            name: settings.name().clone(),
            policy: ArcSwap::from_pointee(settings.policy.clone()),
            settings: ArcSwap::from_pointee(settings),
            snapshot: ArcSwapOption::empty(),
            inner: Mutex::default(),
            save_fault: Lasting::default(),
            finished: watch::Sender::new(0),
            shared,
            refreshing: AtomicBool::new(false),
            last_used: AtomicI64::new(i64::MIN),
        };
        handle.load();
        handle
    }

    pub fn name(&self) -> &IssuerName {
        &self.name
    }

    pub fn policy(&self) -> Arc<IssuerPolicy> {
        self.policy.load_full()
    }

    pub fn settings(&self) -> Arc<IssuerSettings> {
        self.settings.load_full()
    }

    /// The keys, unless there are none or they are older than `stale_max`.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        let snapshot = self.snapshot.load_full()?;
        let age = self.shared.clock.now().since(snapshot.fetched);
        (self.is_static() || age <= self.settings.load().refresh.stale_max).then_some(snapshot)
    }

    /// The keys for a token that names `kid`. Without any set it waits for the first fetch. For a kid that is
    /// not in the set it waits a bounded time for one refetch, which all such requests share.
    pub async fn fresh_for(self: &Arc<Self>, kid: Option<&str>) -> Option<Arc<Snapshot>> {
        self.touch();
        let snapshot = self.snapshot();
        let is_unknown = |set: &Snapshot, kid| {
            let now = self.shared.clock.now();
            self.shared.unknown_kids.contains(&self.name, kid, set.epoch, now)
        };
        let (event, timeout) = match (&snapshot, kid) {
            (Some(_), None) => return snapshot,
            (Some(set), Some(kid)) if set.keys.has_kid(kid) => return snapshot,
            (Some(set), Some(kid)) if is_unknown(set, kid) => return snapshot,
            (Some(_), Some(_)) => {
                (Event::UnknownKid, self.settings.load().refresh.unknown_kid_wait)
            }
            (None, _) => (Event::NoKeys, self.settings.load().fetch.total_timeout + COLD_SLACK),
        };
        if self.is_static() {
            return snapshot;
        }
        // A timeout is not an error: the set that is there now is the answer.
        let _ = tokio::time::timeout(timeout, self.wait(event, kid)).await;
        let snapshot = self.snapshot();
        if let (Some(set), Some(kid)) = (&snapshot, kid)
            && !set.keys.has_kid(kid)
        {
            let cooldown = self.settings.load().refresh.cooldown.min(UNKNOWN_KID_TTL);
            let until = self.shared.clock.now().plus(cooldown);
            self.shared.unknown_kids.insert(&self.name, kid, set.epoch, until);
        }
        snapshot
    }

    /// Notes that a request needs this issuer's keys, and starts the task that keeps them fresh.
    pub fn touch(self: &Arc<Self>) {
        self.last_used.store(self.shared.clock.now().secs(), Ordering::Relaxed);
        if self.refreshing.load(Ordering::Relaxed)
            || self.is_static()
            || self.refreshing.swap(true, Ordering::AcqRel)
        {
            return;
        }
        // Between fetches the task does not hold the issuer, which a reload may replace.
        let (handle, shared) = (Arc::downgrade(self), Arc::clone(&self.shared));
        self.shared.spawn(async move {
            while let Some(handle) = handle.upgrade() {
                let Some(pause) = handle.keep_fresh().await else { return };
                shared.pause(pause).await;
            }
        });
    }

    pub fn status(&self) -> IssuerStatus {
        let settings = self.settings.load();
        let snapshot = self.snapshot.load_full();
        let inner = self.inner.lock();
        let now = self.shared.clock.now();
        let freshness = refresh::freshness(&inner.state, &settings.refresh, now);
        IssuerStatus {
            name: self.name.to_string(),
            issuers: settings.policy.spellings().map(ToString::to_string).collect(),
            source: settings.source.describe(),
            state: match (&settings.source, freshness) {
                (Source::File(_) | Source::Inline(_) | Source::Secrets, _) => IssuerState::Fixed,
                (_, Freshness::None | Freshness::Expired) => IssuerState::Cold,
                (_, Freshness::Stale) => IssuerState::Stale,
                (_, Freshness::Fresh) if inner.state.failures > 0 => IssuerState::Failing,
                (_, Freshness::Fresh) => IssuerState::Fresh,
            },
            fetched: snapshot.as_ref().map(|s| s.fetched.secs()),
            next_refresh: inner.state.not_before.max(inner.state.due).map(UnixTime::secs),
            last_error: inner.last_error.as_ref().map(|(_, fault)| fault.clone()),
            fetches: inner.fetches.clone(),
            store_error: self.save_fault.get(),
            report: snapshot.map(|s| s.report.clone()),
        }
    }

    /// Why the last fetch failed; `None` after a good one.
    pub fn last_reason(&self) -> Option<Reason> {
        self.inner.lock().last_error.as_ref().map(|(reason, _)| *reason)
    }

    /// Applies new settings with the same source, so the keys stay. For another source the caller makes a new
    /// handle.
    pub(super) fn update(&self, settings: IssuerSettings) {
        self.policy.store(Arc::new(settings.policy.clone()));
        self.settings.store(Arc::new(settings));
    }

    /// Waits for the fetch under way, or for a new one. With a URL per kid the fetch under way may be for
    /// another kid: then it waits again.
    async fn wait(self: &Arc<Self>, event: Event, kid: Option<&str>) {
        let url_per_kid = matches!(self.settings.load().source, Source::UrlPerKid(_));
        for _ in 0..if url_per_kid { MAX_FETCHES_WAITED_FOR } else { 1 } {
            let mut finished = self.finished.subscribe();
            if !self.join(event, kid) {
                return;
            }
            let _ = finished.changed().await;
            let snapshot = self.snapshot.load();
            if kid.is_some_and(|kid| snapshot.as_ref().is_some_and(|s| s.keys.has_kid(kid))) {
                return;
            }
        }
    }

    /// Joins the fetch under way, or starts one if the policy permits it. False: there is no fetch to wait
    /// for.
    fn join(self: &Arc<Self>, event: Event, kid: Option<&str>) -> bool {
        {
            let mut inner = self.inner.lock();
            if inner.in_flight {
                return true;
            }
            let settings = self.settings.load();
            // With a URL per kid each key is a fetch of its own: after a kid that was found the next one
            // may follow at once, after one that was not found the cooldown applies.
            let at_once =
                matches!(settings.source, Source::UrlPerKid(_)) && !inner.last_kid_missing;
            let event = if at_once && event == Event::UnknownKid { Event::NoKeys } else { event };
            let now = self.shared.clock.now();
            if refresh::decide(&inner.state, event, &settings.refresh, now) != Action::Fetch {
                return false;
            }
            inner.in_flight = true;
        }
        let handle = Arc::clone(self);
        let kid = kid.map(str::to_owned);
        // In a task of its own: a cancelled request must not cancel the fetch.
        let parent = Parent::current();
        self.shared.spawn(async move { handle.fetch(kid, &parent).await });
        true
    }

    /// Writes the set to disk, off the threads that serve.
    async fn save(&self) {
        let (Some(dir), Some(snapshot)) = (self.shared.sets_dir.clone(), self.snapshot.load_full())
        else {
            return;
        };
        let settings = self.settings();
        let write = move || store::save(&dir, &settings, &snapshot);
        match tokio::task::spawn_blocking(write).await {
            Ok(Err(e)) => {
                let (text, at) = (e.to_string(), self.shared.clock.now().secs());
                if self.save_fault.set(Fault { code: "set_not_stored", text, at }) {
                    tracing::warn!(
                        issuer = %self.name, error = %e,
                        "the key set cannot be stored: after a restart while the issuer is down there will be no key set"
                    );
                }
            }
            Ok(Ok(())) => self.save_fault.clear(),
            Err(_) => {}
        }
    }

    fn load(&self) {
        let settings = self.settings.load();
        let now = self.shared.clock.now();
        let options = self.shared.options(&settings);
        let stored = self.shared.sets_dir.as_ref().filter(|_| !self.is_static());
        let stored = stored.and_then(|dir| store::load(dir, &settings, &options));
        // A set from before the restart is served at once and refetched at once.
        if let Some(stored) = stored.filter(|s| now.since(s.fetched) <= settings.refresh.stale_max)
        {
            self.inner.lock().state.fetched = Some(stored.fetched);
            self.snapshot.store(Some(Arc::new(stored)));
            return;
        }
        let set = match &settings.source {
            Source::Inline(text) => jwks::normalize(text.as_bytes(), &options).ok(),
            // With a URL per kid no key is known before a token names one, so the empty set is right.
            Source::Secrets | Source::UrlPerKid(_) => {
                Some(Normalized { keys: KeySet::default(), report: Report::default() })
            }
            Source::Url(_) | Source::File(_) => None,
        };
        if let Some(set) = set {
            self.accept(None, set, now);
        }
    }

    /// Fetches if it is time; returns how long to wait after that. `None`: until the next request.
    async fn keep_fresh(self: Arc<Self>) -> Option<Duration> {
        loop {
            let now = self.shared.clock.now();
            let settings = self.settings.load_full();
            let action =
                refresh::decide(&self.inner.lock().state, Event::Timer, &settings.refresh, now);
            if let Source::File(path) = &settings.source
                && self.file_changed(path)
            {
                continue;
            }
            let idle = now.since(UnixTime::from_secs(self.last_used.load(Ordering::Relaxed)));
            if self.shared.may_pause(idle) || *self.shared.stopped.borrow() {
                // The next request starts a new task.
                self.refreshing.store(false, Ordering::Release);
                return None;
            }
            match action {
                Action::Fetch => self.wait(Event::Timer, None).await,
                Action::Wait(wait) => {
                    let is_file = matches!(settings.source, Source::File(_));
                    return Some(if is_file { wait.min(FILE_POLL_INTERVAL) } else { wait });
                }
                Action::Hold => return Some(FILE_POLL_INTERVAL),
            }
        }
    }

    /// Whether the file has changed. Then it is read at once, whatever the schedule says.
    fn file_changed(&self, path: &Path) -> bool {
        let stamp = crate::keyring::file::stamp(path);
        let mut inner = self.inner.lock();
        if inner.file_stamp == stamp {
            return false;
        }
        inner.file_stamp = stamp;
        inner.state.due = None;
        inner.state.not_before = None;
        true
    }

    /// Whether the keys are in the configuration, where no fetch can change them.
    fn is_static(&self) -> bool {
        matches!(self.settings.load().source, Source::Secrets | Source::Inline(_))
    }
}
