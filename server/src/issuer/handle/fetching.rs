//! One fetch of an issuer's keys, and the change of state after it.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use super::super::set;
use super::super::source::{SourceError, SourceRead, SourceReader};
use super::super::{Snapshot, Source};
use super::{Inner, IssuerHandle};
use crate::jose::jwk::PublicJwk;
use crate::jose::jwks::Normalized;
use crate::jose::names::UnixTime;
use crate::otel::{self, Parent, Work};
use crate::refresh::{self, FetchOutcome};
use crate::status::Fault;

/// However often the issuer answers `304`, the whole set is read this often: some servers do not derive
/// their `ETag` from the keys.
const FULL_READ_INTERVAL: Duration = Duration::from_secs(3600);

impl IssuerHandle {
    /// Fetches once and computes the next state. Never two at a time: `in_flight` is set.
    pub(super) async fn fetch(self: Arc<Self>, kid: Option<String>, parent: &Parent) {
        let in_flight = InFlight(&self);
        let work = Work::fetch(parent);
        let settings = self.settings.load_full();
        let etag = self.etag(kid.as_deref());
        let held = self.snapshot.load_full();
        let reader = SourceReader {
            settings: &settings,
            fetcher: &self.shared.fetcher,
            options: &self.shared.options(&settings),
            etag: etag.as_deref(),
            now: self.shared.clock.now(),
        };
        let held = held.as_ref().map(|s| s.keys.keys()).unwrap_or_default();
        let read = match (&settings.source, kid) {
            (Source::UrlPerKid(template), Some(kid)) => {
                let keys = reader.read_kid(template, &kid).await;
                keys.map(|keys| SourceRead::of_keys(self.with_keys_of(held, &kid, keys)))
            }
            _ => reader.read(held).await,
        };
        let failed = read.is_err();
        let code = match &read {
            Ok(read) if read.set.is_some() => "ok",
            Ok(_) => "not_modified",
            Err(error) => error.reason().code,
        };
        work.end(&otel::Outcome { issuer: Some(&self.name), code, failed });
        *self.inner.lock().fetches.entry(code).or_default() += 1;
        self.complete(read, etag.is_some());
        drop(in_flight);
        if !failed {
            self.save().await;
        }
    }

    /// The `ETag` for a conditional request. A request for an unknown kid is unconditional: the set that
    /// has it may have the same tag.
    fn etag(&self, kid: Option<&str>) -> Option<String> {
        let inner = self.inner.lock();
        let now = self.shared.clock.now();
        let due = inner.full_read.is_none_or(|read| now.since(read) >= FULL_READ_INTERVAL);
        if kid.is_some() || due { None } else { inner.etag.clone() }
    }

    /// The keys in use, with the issuer's current keys for `kid`.
    fn with_keys_of(&self, held: &[PublicJwk], kid: &str, new: Vec<PublicJwk>) -> Vec<PublicJwk> {
        self.inner.lock().last_kid_missing = new.is_empty();
        let mut keys = held.to_vec();
        keys.retain(|key| key.kid().is_none_or(|k| k.as_str() != kid));
        keys.extend(new);
        let surplus = keys.len().saturating_sub(self.settings.load().limits.keys);
        keys.drain(..surplus);
        keys
    }

    /// Takes over the result of a fetch. `conditional`: the request had `If-None-Match`.
    fn complete(&self, read: Result<SourceRead, SourceError>, conditional: bool) {
        let now = self.shared.clock.now();
        // A random number in `0.0..1.0`. It only spreads fetches over time, so it need not be secret.
        let jitter = (RandomState::new().hash_one(now) % 1000) as f64 / 1000.0;
        let settings = self.settings.load();
        let refresh = &settings.refresh;
        let mut inner = self.inner.lock();
        let outcome = match &read {
            Ok(read) => FetchOutcome::Good { age: read.age },
            Err(e) => FetchOutcome::Bad { retry_after: e.retry_after() },
        };
        inner.state = refresh::after(&inner.state, outcome, refresh, jitter, now);
        let old = self.snapshot.load_full();
        match read {
            Ok(SourceRead { set: Some(new), etag, unknown_coding, .. }) => {
                inner.last_error = None;
                inner.etag = etag;
                inner.full_read = Some(now);
                if unknown_coding != inner.unknown_coding {
                    if let Some(coding) = &unknown_coding {
                        tracing::warn!(issuer = %self.name, at = settings.source.describe(), coding,
                            "`Content-Encoding` names an unknown content coding; the key set was read \
                             as it came");
                    }
                    inner.unknown_coding = unknown_coding;
                }
                let before = old.as_ref().map(|s| &s.keys);
                let grace = refresh.removed_key_grace;
                let keys = set::merge(before, new.keys, &mut inner.removed, grace, now);
                self.accept(old.as_deref(), Normalized { keys, ..new }, now);
            }
            Ok(_) => {
                inner.last_error = None;
                if let Some(old) = &old {
                    let keys = set::expire(&old.keys, &mut inner.removed, now);
                    let keys = keys.unwrap_or_else(|| old.keys.clone());
                    self.accept(Some(old), Normalized { keys, report: old.report.clone() }, now);
                }
            }
            Err(e) => {
                // Some servers refuse a condition that they do not understand (400, 412).
                if conditional && e.reason().status.is_some_and(|s| (400..500).contains(&s)) {
                    inner.etag = None;
                }
                self.record_fault(&mut inner, &e, now);
                if let Some(old) = &old
                    && let Some(keys) = set::expire(&old.keys, &mut inner.removed, now)
                {
                    let set = Normalized { keys, report: old.report.clone() };
                    self.accept(Some(old), set, old.fetched);
                }
            }
        }
    }

    /// Records a fault. If it lasts, it is logged less and less often.
    fn record_fault(&self, inner: &mut Inner, fault: &SourceError, now: UnixTime) {
        let (reason, failures) = (fault.reason(), inner.state.failures);
        let known = inner.last_error.as_ref().is_some_and(|(last, _)| *last == reason);
        if !known || failures.is_power_of_two() {
            let at = self.settings.load().source.describe();
            tracing::warn!(issuer = %self.name, at, code = reason.code, error = %fault, failures,
                "reading the key set failed");
        }
        let text = fault.to_string();
        inner.last_error = Some((reason, Fault { code: reason.code, text, at: now.secs() }));
    }

    /// Makes `new` the set in use.
    pub(super) fn accept(&self, old: Option<&Snapshot>, new: Normalized, fetched: UnixTime) {
        let Normalized { keys, report } = new;
        let same = old.is_some_and(|old| old.keys.same_keys(&keys));
        let epoch = old.map_or(1, |old| if same { old.epoch } else { old.epoch + 1 });
        let snapshot = Arc::new(Snapshot { keys, epoch, fetched, report });
        self.snapshot.store(Some(Arc::clone(&snapshot)));
        if !same {
            let count = snapshot.keys.keys().len();
            tracing::info!(issuer = %self.name, epoch, keys = count, "new key set");
            self.shared.note_changed([self.name.clone()]);
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
