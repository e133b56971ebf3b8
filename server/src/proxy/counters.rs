//! Request counters of the proxy: plain atomics, which the admin listener renders.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;

use crate::histogram::{Distribution, Histogram};
use crate::status::{self, Counts};

/// Upper bounds of the buckets for request durations, in microseconds.
const BUCKETS_US: [u64; 10] =
    [1_000, 5_000, 10_000, 25_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000];

/// The kind of route that a request took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    Jwks,
    Discovery,
    Exchange,
    Token,
    #[default]
    Forward,
    /// Refused because of its head, before the route was known.
    Refused,
}

impl Kind {
    pub const ALL: [Self; 6] =
        [Self::Jwks, Self::Discovery, Self::Exchange, Self::Token, Self::Forward, Self::Refused];

    pub fn name(self) -> &'static str {
        match self {
            Self::Jwks => "jwks",
            Self::Discovery => "discovery",
            Self::Exchange => "exchange",
            Self::Token => "token",
            Self::Forward => "forward",
            Self::Refused => "refused",
        }
    }
}

pub struct Counters {
    /// By kind and by the first digit of the status. Digit 0 means that no answer was written.
    requests: [[AtomicU64; 6]; Kind::ALL.len()],
    durations: [Histogram<{ BUCKETS_US.len() }>; Kind::ALL.len()],
    /// Error answers that this program wrote itself, by code.
    failures: Mutex<Counts>,
    /// Tokens found in proxied messages, by outcome.
    places: Mutex<Counts>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            requests: Default::default(),
            durations: std::array::from_fn(|_| Histogram::new(&BUCKETS_US)),
            failures: Mutex::default(),
            places: Mutex::default(),
        }
    }
}

impl Counters {
    pub fn request(&self, kind: Kind, status: u16) {
        let class = usize::from(status / 100).min(5);
        self.requests[kind as usize][class].fetch_add(1, Ordering::Relaxed);
    }

    /// `time` is from a request's head to the last byte of its answer.
    pub fn duration(&self, kind: Kind, time: Duration) {
        self.durations[kind as usize].record(time);
    }

    pub fn failure(&self, code: &'static str) {
        *self.failures.lock().entry(code).or_default() += 1;
    }

    /// The outcome is `countersigned`, `as_it_stands`, the code of a refusal, or why a whole answer
    /// was passed on unread: `answer_too_large`, `answer_not_json`, `answer_encoding`.
    pub fn place(&self, outcome: &'static str) {
        *self.places.lock().entry(outcome).or_default() += 1;
    }

    pub fn status(&self, connections: usize, body_memory: usize) -> ProxyStatus {
        let mut requests = Vec::new();
        for kind in Kind::ALL {
            for (status, count) in CLASSES.into_iter().zip(&self.requests[kind as usize]) {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    requests.push(RequestCount { route: kind.name(), status, count });
                }
            }
        }
        let durations = Kind::ALL.map(|kind| RouteDuration {
            route: kind.name(),
            duration: self.durations[kind as usize].snapshot(),
        });
        ProxyStatus {
            connections,
            body_memory,
            requests,
            durations: durations.into(),
            failures: self.failures.lock().clone(),
            places: self.places.lock().clone(),
        }
    }
}

/// Requests on the public listener.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ProxyStatus {
    /// Client connections open now.
    pub connections: usize,
    /// Bytes of bodies held in memory now.
    pub body_memory: usize,
    pub requests: Vec<RequestCount>,
    /// One per kind.
    pub durations: Vec<RouteDuration>,
    /// Error answers that this program wrote itself, by code.
    #[serde(serialize_with = "status::counts")]
    pub failures: Counts,
    /// Tokens found in proxied messages, by outcome.
    #[serde(serialize_with = "status::counts")]
    pub places: Counts,
}

/// Requests of one kind with one class of status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RequestCount {
    /// `jwks`, `discovery`, `exchange`, `token`, `forward`, `refused`.
    pub route: &'static str,
    /// `2xx`, …; `none` where the client closed the connection before an answer.
    pub status: &'static str,
    pub count: u64,
}

/// From a request's head to the last byte of its answer.
#[derive(Debug, Clone, Serialize)]
pub struct RouteDuration {
    pub route: &'static str,
    pub duration: Distribution,
}

const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_own_count() {
        let counters = Counters::default();
        counters.request(Kind::Jwks, 200);
        counters.request(Kind::Jwks, 304);
        counters.request(Kind::Forward, 0);
        counters.failure("framing");
        counters.failure("framing");
        let status = counters.status(0, 0);
        let count = |route, status| RequestCount { route, status, count: 1 };
        let all = [count("jwks", "2xx"), count("jwks", "3xx"), count("forward", "none")];
        assert_eq!(status.requests, all);
        assert_eq!(status.failures["framing"], 2);
    }

    #[test]
    fn each_kind_has_its_own_durations() {
        let counters = Counters::default();
        counters.duration(Kind::Token, Duration::from_millis(3));
        let status = counters.status(0, 0);
        let of = |route| {
            let found = status.durations.iter().find(|row| row.route == route);
            found.map(|row| &row.duration).unwrap()
        };
        assert_eq!(of("token").buckets.iter().position(|bucket| bucket.count == 1), Some(1));
        assert_eq!((of("token").count(), of("token").sum), (1, 0.003));
        assert_eq!(of("forward").count(), 0);
    }
}
