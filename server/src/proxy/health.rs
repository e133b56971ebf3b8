//! Whether the auth server answers, judged by the requests sent to it. While it fails, a task
//! probes it repeatedly ([`UpstreamHealth::failing`]), because a proxy that is not ready gets no
//! requests.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use parking_lot::Mutex;
use serde::Serialize;

use crate::answer::Failure;
use crate::jose::names::UnixTime;
use crate::status::Fault;

/// Failures are counted in slots of this many seconds. Ten slots are five minutes.
const SLOT: i64 = 30;
const SLOTS: usize = 10;

/// Counts answers and failures. While the upstream is healthy, an answer costs two atomic loads,
/// and one store per second.
#[derive(Debug, Default)]
pub struct UpstreamHealth {
    failing: AtomicBool,
    /// Seconds since 1970. 0 means that it has not answered yet.
    last_answer: AtomicI64,
    log: Mutex<FailureLog>,
}

#[derive(Debug, Default)]
struct FailureLog {
    /// The first failure since the last answer.
    since: Option<UnixTime>,
    last: Option<Fault>,
    /// Each slot's number, and the failures in it.
    slots: [(i64, u64); SLOTS],
}

/// The upstream's state for the status page, `/metrics` and `/readyz`.
#[derive(Debug, Clone, Serialize)]
pub struct UpstreamStatus {
    /// Scheme, host and port.
    pub address: String,
    /// The first failure since the last answer, in seconds since 1970. `None` means that it answers.
    pub failing_since: Option<i64>,
    /// Seconds since 1970. `None` means that it has not answered since the start.
    pub last_answer: Option<i64>,
    /// Failures in the last five minutes.
    pub recent_failures: u64,
    pub last_error: Option<Fault>,
}

impl UpstreamHealth {
    /// Notes an answer, whatever its status.
    pub fn answered(&self, now: UnixTime) {
        if self.last_answer.load(Ordering::Relaxed) != now.secs() {
            self.last_answer.store(now.secs(), Ordering::Relaxed);
        }
        if self.failing() {
            self.log.lock().since = None;
            self.failing.store(false, Ordering::Release);
            tracing::info!("the auth server answers again");
        }
    }

    /// Notes that the upstream did not answer, or that its answer broke off.
    fn failed(&self, code: &'static str, text: String, now: UnixTime) {
        let mut log = self.log.lock();
        let slot = now.secs() / SLOT;
        let (number, count) = &mut log.slots[usize::try_from(slot).unwrap_or(0) % SLOTS];
        if *number != slot {
            (*number, *count) = (slot, 0);
        }
        *count += 1;
        log.last = Some(Fault { code, text, at: now.secs() });
        if log.since.is_none() {
            log.since = Some(now);
            self.failing.store(true, Ordering::Release);
        }
    }

    /// Notes the outcome of a request to the auth server. `code` is the code of our own error
    /// answer, if any.
    pub fn note(&self, code: Option<&'static str>, now: UnixTime) {
        let failures =
            [Failure::UpstreamUnreachable, Failure::UpstreamTimeout, Failure::UpstreamInvalid];
        let Some(code) = code else { return self.answered(now) };
        if let Some(failure) = failures.iter().find(|failure| failure.code() == code) {
            self.failed(code, failure.to_string(), now);
        }
    }

    pub fn failing(&self) -> bool {
        self.failing.load(Ordering::Acquire)
    }

    pub fn status(&self, address: String, now: UnixTime) -> UpstreamStatus {
        let log = self.log.lock();
        let oldest = now.secs() / SLOT - SLOTS as i64;
        let recent = log.slots.iter().filter(|(slot, _)| *slot > oldest);
        UpstreamStatus {
            address,
            last_answer: Some(self.last_answer.load(Ordering::Relaxed)).filter(|at| *at > 0),
            failing_since: log.since.map(UnixTime::secs),
            recent_failures: recent.map(|(_, count)| count).sum(),
            last_error: log.last.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> UnixTime {
        UnixTime::from_secs(1_800_000_000 + secs)
    }

    #[test]
    fn an_answer_ends_a_time_of_failures() {
        let health = UpstreamHealth::default();
        health.note(Some("upstream_unreachable"), at(0));
        health.note(Some("upstream_timeout"), at(10));
        // Our own refusal says nothing about the auth server's health.
        health.note(Some("framing"), at(20));
        let status = health.status("http://a".into(), at(20));
        assert_eq!(status.failing_since, Some(at(0).secs()));
        assert_eq!((status.recent_failures, status.last_answer), (2, None));
        assert_eq!(status.last_error.unwrap().code, "upstream_timeout");
        health.note(None, at(30));
        let status = health.status("http://a".into(), at(30));
        assert_eq!((status.failing_since, status.recent_failures), (None, 2));
        assert_eq!(status.last_answer, Some(at(30).secs()));
        health.note(Some("upstream_invalid"), at(40));
        assert_eq!(health.status(String::new(), at(41)).failing_since, Some(at(40).secs()));
    }

    #[test]
    fn failures_are_forgotten_after_five_minutes() {
        let health = UpstreamHealth::default();
        for secs in 0..600 {
            health.note(Some("upstream_timeout"), at(secs));
        }
        let recent = |secs| health.status(String::new(), at(secs)).recent_failures;
        assert!((270..=300).contains(&recent(599)), "{}", recent(599));
        assert_eq!(recent(599 + 330), 0);
    }
}
