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

use super::set::Removed;
use super::shared::{Shared, UNKNOWN_FOR};
use super::snapshot::Snapshot;
use super::status::{Fetches, IssuerState, IssuerStatus, Reason};
use super::{IssuerSettings, Source, store};
use crate::jose::jwks::{KeySet, Report};
use crate::jose::names::{IssuerName, UnixTime};
use crate::jose::policy::IssuerPolicy;
use crate::otel::Parent;
use crate::refresh::{self, Action, Event, Freshness, RefreshState};
use crate::status::{Fault, Lasting};

/// Without any set, a request waits `total_timeout` and this long: for parsing, on a busy machine.
const COLD_SLACK: Duration = Duration::from_secs(2);

/// How often a file is checked for changes.
const FILE_LOOK: Duration = Duration::from_secs(1);

/// See the module.
pub struct IssuerHandle {
    name: IssuerName,
    settings: ArcSwap<IssuerSettings>,
    policy: ArcSwap<IssuerPolicy>,
    snapshot: ArcSwapOption<Snapshot>,
    inner: Mutex<Inner>,
    /// Why the set in use could not be written to disk, until it is.
    unsaved: Lasting,
    /// Counts finished fetches. A request that waits for one watches it.
    finished: watch::Sender<u64>,
    shared: Arc<Shared>,
    /// Whether a task refreshes the set.
    refreshing: AtomicBool,
    /// When a request last used this issuer, seconds since 1970.
    used: AtomicI64,
}

#[derive(Default)]
struct Inner {
    state: RefreshState,
    in_flight: bool,
    /// `ETag` of the set last read, for conditional requests (RFC 9110 §13.1.2).
    etag: Option<String>,
    /// When the set was last read whole.
    read: Option<UnixTime>,
    /// The unknown content coding of the last answer, which is logged once.
    unknown_coding: Option<String>,
    removed: Vec<Removed>,
    /// The file last read.
    stamp: Option<crate::keyring::file::Stamp>,
    /// With a URL per kid: the issuer had no key for the kid last asked for.
    missed: bool,
    /// Why the last fetch failed.
    last_error: Option<(Reason, Fault)>,
    fetches: Fetches,
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
            unsaved: Lasting::default(),
            finished: watch::Sender::new(0),
            shared,
            refreshing: AtomicBool::new(false),
            used: AtomicI64::new(i64::MIN),
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
        let (event, patience) = match (&snapshot, kid) {
            (Some(_), None) => return snapshot,
            (Some(set), Some(kid)) if set.keys.has_kid(kid) => return snapshot,
            (Some(_), Some(kid)) if self.known_unknown(kid) => return snapshot,
            (Some(_), Some(_)) => {
                (Event::UnknownKid, self.settings.load().refresh.unknown_kid_wait)
            }
            (None, _) => (Event::NoKeys, self.settings.load().fetch.total_timeout + COLD_SLACK),
        };
        if self.is_static() {
            return snapshot;
        }
        // A timeout is not an error: the set that is there now is the answer.
        let _ = tokio::time::timeout(patience, self.wait(event, kid)).await;
        let snapshot = self.snapshot();
        if let (Some(set), Some(kid)) = (&snapshot, kid)
            && !set.keys.has_kid(kid)
        {
            self.remember_unknown(kid);
        }
        snapshot
    }

    /// Notes that a request needs this issuer's keys, and starts the task that keeps them fresh.
    pub fn touch(self: &Arc<Self>) {
        self.used.store(self.shared.clock.now().secs(), Ordering::Relaxed);
        if !self.refreshing.load(Ordering::Relaxed) && !self.is_static() {
            self.start_refreshing();
        }
    }

    pub fn status(&self) -> IssuerStatus {
        let settings = self.settings.load();
        let now = self.shared.clock.now();
        let snapshot = self.snapshot.load_full();
        let inner = self.inner.lock();
        let freshness = match self.is_static() {
            true => Freshness::Fresh,
            false => refresh::freshness(&inner.state, &settings.refresh, now),
        };
        IssuerStatus {
            name: self.name.to_string(),
            issuers: settings.policy.spellings().map(ToString::to_string).collect(),
            source: settings.source.describe(),
            state: match settings.source {
                Source::File(_) | Source::Inline(_) | Source::Secrets => IssuerState::Fixed,
                _ => IssuerState::of(freshness, inner.state.failures),
            },
            freshness,
            age: snapshot.as_ref().map(|s| now.since(s.fetched).as_secs()),
            fetched: snapshot.as_ref().map(|s| s.fetched.secs()),
            next_refresh: inner.state.not_before.max(inner.state.due).map(UnixTime::secs),
            epoch: snapshot.as_ref().map_or(0, |s| s.epoch),
            keys: snapshot.as_ref().map_or(0, |s| s.keys.keys().len()),
            failures: inner.state.failures,
            last_error: inner.last_error.as_ref().map(|(_, fault)| fault.clone()),
            fetches: inner.fetches.clone(),
            store_error: self.unsaved.get(),
            report: snapshot.map(|s| s.report.clone()),
        }
    }

    /// Why the last fetch failed; `None` after a good one.
    pub fn last_reason(&self) -> Option<Reason> {
        self.inner.lock().last_error.as_ref().map(|(reason, _)| *reason)
    }

    /// Takes new settings with the same source, so the keys stay. For another source the caller makes a new
    /// handle.
    pub(super) fn update(&self, settings: &IssuerSettings) {
        self.policy.store(Arc::new(settings.policy.clone()));
        self.settings.store(Arc::new(settings.clone()));
    }

    /// Waits for the fetch under way, or for a new one. With a URL per kid the fetch under way may be for
    /// another kid: then it waits again, for eight fetches at most.
    async fn wait(self: &Arc<Self>, event: Event, kid: Option<&str>) {
        let each = matches!(self.settings.load().source, Source::UrlPerKid(_));
        for _ in 0..if each { 8 } else { 1 } {
            let mut finished = self.finished.subscribe();
            if !self.join(event, kid) {
                return;
            }
            let _ = finished.changed().await;
            let there = self.snapshot.load();
            if kid.is_some_and(|kid| there.as_ref().is_some_and(|s| s.keys.has_kid(kid))) {
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
            let each = matches!(settings.source, Source::UrlPerKid(_)) && !inner.missed;
            let event = if each && event == Event::UnknownKid { Event::NoKeys } else { event };
            let refresh = &settings.refresh;
            if refresh::decide(&inner.state, event, refresh, self.shared.clock.now())
                != Action::Fetch
            {
                return false;
            }
            inner.in_flight = true;
        }
        let handle = Arc::clone(self);
        let kid = kid.map(str::to_owned);
        // In a task of its own: a cancelled request must not cancel the fetch.
        let asked_by = Parent::current();
        self.shared.spawn(async move { handle.fetch(kid, &asked_by).await });
        true
    }

    /// Writes the set to disk, off the threads that serve.
    fn save(self: &Arc<Self>) {
        let (Some(dir), Some(snapshot)) = (self.shared.store.clone(), self.snapshot.load_full())
        else {
            return;
        };
        let handle = Arc::clone(self);
        self.shared.spawn(async move {
            let writer = Arc::clone(&handle);
            let write =
                move || store::save(&dir, &writer.name, &writer.settings.load().source, &snapshot);
            match tokio::task::spawn_blocking(write).await {
                Ok(Err(e)) => {
                    let at = handle.shared.clock.now().secs();
                    let text = e.to_string();
                    if handle.unsaved.set(Fault { code: "set_not_stored", text, at }) {
                        tracing::warn!(
                            issuer = %handle.name, error = %e,
                            "the key set cannot be stored: after a restart while the issuer is down there will be no key set"
                        );
                    }
                }
                Ok(Ok(())) => handle.unsaved.clear(),
                Err(_) => {}
            }
        });
    }

    fn load(&self) {
        let settings = self.settings.load();
        let now = self.shared.clock.now();
        let options = self.shared.options(&settings);
        match &settings.source {
            Source::Secrets => self.accept(None, KeySet::default(), Report::default(), now),
            Source::Inline(text) => {
                if let Ok(read) = crate::jose::jwks::normalize(text.as_bytes(), &options) {
                    self.accept(None, read.keys, read.report, now);
                }
            }
            Source::Url(_) | Source::File(_) | Source::UrlPerKid(_) => {
                let dir = self.shared.store.as_ref();
                let last = dir.and_then(|dir| store::load(dir, &self.name, &settings, &options));
                match last {
                    // A set from before the restart is served at once and refetched at once.
                    Some(last) if now.since(last.fetched) <= settings.refresh.stale_max => {
                        self.inner.lock().state.fetched = Some(last.fetched);
                        self.snapshot.store(Some(Arc::new(last)));
                    }
                    // With a URL per kid no key is known before a token names one, so the empty set is right.
                    _ if matches!(settings.source, Source::UrlPerKid(_)) => {
                        self.accept(None, KeySet::default(), Report::default(), now);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Starts the task that keeps the set fresh while requests use it.
    fn start_refreshing(self: &Arc<Self>) {
        if !self.refreshing.swap(true, Ordering::AcqRel) {
            // Between fetches it does not hold the issuer, which a reload may replace.
            let (handle, shared) = (Arc::downgrade(self), Arc::clone(&self.shared));
            self.shared.spawn(async move {
                while let Some(handle) = handle.upgrade() {
                    let Some(pause) = handle.keep_fresh().await else { return };
                    shared.pause(pause).await;
                }
            });
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
            let idle = now.since(UnixTime::from_secs(self.used.load(Ordering::Relaxed)));
            if self.shared.may_rest(idle) || self.shared.stopped() {
                // The next request starts a new task.
                self.refreshing.store(false, Ordering::Release);
                return None;
            }
            match action {
                Action::Fetch => {
                    let mut finished = self.finished.subscribe();
                    if self.join(Event::Timer, None) {
                        let _ = finished.changed().await;
                    }
                }
                Action::Wait(wait) => {
                    let file = matches!(settings.source, Source::File(_));
                    return Some(if file { wait.min(FILE_LOOK) } else { wait });
                }
                Action::Hold => return Some(FILE_LOOK),
            }
        }
    }

    /// Whether the file has changed. Then it is read at once, whatever the schedule says.
    fn file_changed(&self, path: &Path) -> bool {
        let stamp = crate::keyring::file::stamp(path);
        let mut inner = self.inner.lock();
        if inner.stamp == stamp {
            return false;
        }
        inner.stamp = stamp;
        inner.state.due = None;
        inner.state.not_before = None;
        true
    }

    /// Whether the keys are in the configuration, where no fetch can change them.
    fn is_static(&self) -> bool {
        matches!(self.settings.load().source, Source::Secrets | Source::Inline(_))
    }

    fn known_unknown(&self, kid: &str) -> bool {
        self.shared.unknown.get(&self.name, kid, self.epoch(), self.shared.clock.now())
    }

    fn remember_unknown(&self, kid: &str) {
        let cooldown = self.settings.load().refresh.cooldown.min(UNKNOWN_FOR);
        let until = self.shared.clock.now().plus(cooldown);
        self.shared.unknown.put(&self.name, kid, self.epoch(), until);
    }

    fn epoch(&self) -> u64 {
        self.snapshot.load().as_ref().map_or(0, |s| s.epoch)
    }
}
