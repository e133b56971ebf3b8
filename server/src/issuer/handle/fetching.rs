//! One fetch of an issuer's keys, and the change of state after it.

use std::sync::Arc;
use std::time::Duration;

use super::super::set;
use super::super::source::{Got, NewSet, Reading, SourceError};
use super::super::{IssuerSettings, Snapshot, Source};
use super::{Inner, IssuerHandle};
use crate::jose::jwk::PublicJwk;
use crate::jose::jwks::{KeySet, Report};
use crate::jose::names::UnixTime;
use crate::otel::{self, Parent, Work};
use crate::refresh::{self, FetchOutcome};
use crate::status::Fault;

/// However often the issuer answers `304`, the whole set is read this often: some servers do not derive
/// their `ETag` from the keys.
const FULL_READ: Duration = Duration::from_secs(3600);

impl IssuerHandle {
    /// Fetches once and computes the next state. Never two at a time: `in_flight` is set.
    pub(super) async fn fetch(self: Arc<Self>, kid: Option<String>, asked_by: &Parent) {
        let in_flight = InFlight(&self);
        let work = Work::fetch(asked_by);
        let settings = self.settings.load_full();
        let etag = self.etag(kid.as_deref());
        let held = self.snapshot.load_full();
        let reading = Reading {
            settings: &settings,
            fetcher: &self.shared.fetcher,
            options: &self.shared.options(&settings),
            etag: etag.as_deref(),
            now: self.shared.clock.now(),
        };
        let held = held.as_ref().map(|s| &s.keys);
        let got = match (&settings.source, kid) {
            (Source::UrlPerKid(template), Some(kid)) => {
                let one = reading.one(template, &kid).await;
                one.map(|new| self.with_one(held, &kid, new))
            }
            _ => reading.set(held).await,
        };
        let good = got.is_ok();
        let code = match &got {
            Ok(got) if got.set.is_some() => "ok",
            Ok(_) => "not_modified",
            Err(error) => error.code(),
        };
        work.end(&otel::Outcome { issuer: Some(&self.name), code, failed: !good });
        self.complete(got, &settings, etag.is_some());
        drop(in_flight);
        if good {
            self.save();
        }
    }

    /// The `ETag` for a conditional request. A request for an unknown kid is unconditional: the set that
    /// has it may have the same tag.
    fn etag(&self, kid: Option<&str>) -> Option<String> {
        let inner = self.inner.lock();
        let now = self.shared.clock.now();
        let due = inner.read.is_none_or(|read| now.since(read) >= FULL_READ);
        if kid.is_some() || due { None } else { inner.etag.clone() }
    }

    /// The set in use, with the issuer's current keys for `kid`.
    fn with_one(&self, held: Option<&KeySet>, kid: &str, new: Vec<PublicJwk>) -> Got {
        self.inner.lock().missed = new.is_empty();
        let mut keys = held.map(|set| set.keys().to_vec()).unwrap_or_default();
        keys.retain(|key| key.kid().is_none_or(|k| k.as_str() != kid));
        keys.extend(new);
        let surplus = keys.len().saturating_sub(self.settings.load().limits.keys);
        keys.drain(..surplus);
        let set = NewSet::new(KeySet::new(keys), Report::default());
        Got { set: Some(Box::new(set)), age: None }
    }

    /// Takes over the result of a fetch. `conditional`: the request had `If-None-Match`.
    fn complete(
        &self,
        got: Result<Got, SourceError>,
        settings: &IssuerSettings,
        conditional: bool,
    ) {
        let now = self.shared.clock.now();
        let jitter = self.shared.jitter();
        let refresh = &settings.refresh;
        let mut inner = self.inner.lock();
        let outcome = match &got {
            Ok(got) => FetchOutcome::Good { age: got.age },
            Err(e) => FetchOutcome::Bad { retry_after: e.retry_after() },
        };
        inner.state = refresh::after(&inner.state, outcome, refresh, jitter, now);
        let old = self.snapshot.load_full();
        match got.map(|got| got.set) {
            Ok(Some(new)) => {
                inner.fetches.good += 1;
                inner.last_error = None;
                inner.etag = new.etag;
                inner.read = Some(now);
                if new.unknown_coding != inner.unknown_coding {
                    if let Some(coding) = &new.unknown_coding {
                        tracing::warn!(issuer = %self.name, at = settings.source.describe(), coding,
                            "`Content-Encoding` names an unknown content coding; the key set was read \
                             as it came");
                    }
                    inner.unknown_coding = new.unknown_coding;
                }
                let before = old.as_ref().map(|s| &s.keys);
                let grace = refresh.removed_key_grace;
                let keys = set::merge(before, new.keys, &mut inner.removed, grace, now);
                self.accept(old.as_deref(), keys, new.report, now);
            }
            Ok(None) => {
                inner.fetches.not_modified += 1;
                inner.last_error = None;
                if let Some(old) = &old {
                    let keys = set::expire(&old.keys, &mut inner.removed, now);
                    let keys = keys.unwrap_or_else(|| old.keys.clone());
                    self.accept(Some(old), keys, old.report.clone(), now);
                }
            }
            Err(e) => {
                // Some servers refuse a condition that they do not understand (400, 412).
                if conditional && e.reason().status.is_some_and(|s| (400..500).contains(&s)) {
                    inner.etag = None;
                }
                self.record_fault(&mut inner, &e, settings, now);
                if let Some(old) = &old
                    && let Some(keys) = set::expire(&old.keys, &mut inner.removed, now)
                {
                    self.accept(Some(old), keys, old.report.clone(), old.fetched);
                }
            }
        }
    }

    /// Records a fault. If it lasts, it is logged less and less often.
    fn record_fault(
        &self,
        inner: &mut Inner,
        fault: &SourceError,
        settings: &IssuerSettings,
        now: UnixTime,
    ) {
        let (reason, failures) = (fault.reason(), inner.state.failures);
        *inner.fetches.failed.entry(reason.code).or_default() += 1;
        let known = inner.last_error.as_ref().is_some_and(|(last, _)| *last == reason);
        if !known || failures.is_power_of_two() {
            let at = settings.source.describe();
            tracing::warn!(issuer = %self.name, at, code = reason.code, error = %fault, failures,
                "reading the key set failed");
        }
        let text = fault.to_string();
        inner.last_error = Some((reason, Fault { code: reason.code, text, at: now.secs() }));
    }

    /// Makes `keys` the set in use.
    pub(super) fn accept(
        &self,
        old: Option<&Snapshot>,
        keys: KeySet,
        report: Report,
        fetched: UnixTime,
    ) {
        let same = old.is_some_and(|old| old.keys.same_keys(&keys));
        let epoch = old.map_or(1, |old| if same { old.epoch } else { old.epoch + 1 });
        let snapshot = Arc::new(Snapshot { keys, epoch, fetched, report });
        self.snapshot.store(Some(Arc::clone(&snapshot)));
        if !same {
            let count = snapshot.keys.keys().len();
            tracing::info!(issuer = %self.name, epoch, keys = count, "new key set");
            self.shared.changed(&self.name);
        }
    }
}

/// Ends the fetch when it is dropped: even after a panic, the issuer must not stay in flight for ever.
struct InFlight<'a>(&'a IssuerHandle);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.inner.lock().in_flight = false;
        self.0.finished.send_modify(|n| *n += 1);
    }
}
