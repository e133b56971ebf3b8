//! What the proxy counts. Plain atomics; the admin room renders them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Where a request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    Jwks,
    Discovery,
    Exchange,
    Token,
    #[default]
    Forward,
}

impl Kind {
    pub const ALL: [Self; 5] =
        [Self::Jwks, Self::Discovery, Self::Exchange, Self::Token, Self::Forward];

    pub fn name(self) -> &'static str {
        match self {
            Self::Jwks => "jwks",
            Self::Discovery => "discovery",
            Self::Exchange => "exchange",
            Self::Token => "token",
            Self::Forward => "forward",
        }
    }
}

#[derive(Default)]
pub struct Counters {
    /// By kind and first digit of the status; 0: no answer was written.
    requests: [[AtomicU64; 6]; Kind::ALL.len()],
    /// Our own error answers by code.
    failures: Mutex<BTreeMap<&'static str, u64>>,
    /// Places where a token stood, by what became of it.
    places: Mutex<BTreeMap<&'static str, u64>>,
}

impl Counters {
    pub fn request(&self, kind: Kind, status: u16) {
        let class = usize::from(status / 100).min(5);
        self.requests[kind as usize][class].fetch_add(1, Ordering::Relaxed);
    }

    pub fn failure(&self, code: &'static str) {
        let mut map = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        *map.entry(code).or_default() += 1;
    }

    /// `countersigned`, `as_it_stands`, the code of a refusal, or why a whole answer passed unread:
    /// `answer_too_large`, `answer_not_json`, `answer_encoding`.
    pub fn place(&self, outcome: &'static str) {
        let mut map = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        *map.entry(outcome).or_default() += 1;
    }

    pub fn status(&self) -> ProxyStatus {
        let map = |m: &Mutex<BTreeMap<&'static str, u64>>| {
            m.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        let mut requests = Vec::new();
        for kind in Kind::ALL {
            for (class, count) in self.requests[kind as usize].iter().enumerate() {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    requests.push(RequestCount {
                        kind: kind.name(),
                        status: CLASSES[class],
                        count,
                    });
                }
            }
        }
        ProxyStatus {
            requests,
            failures: map(&self.failures),
            places: map(&self.places),
            connections: 0,
        }
    }
}

/// A snapshot of the proxy's counters.
#[derive(Debug, Clone, serde::Serialize)]
pub struct ProxyStatus {
    pub requests: Vec<RequestCount>,
    pub failures: BTreeMap<&'static str, u64>,
    pub places: BTreeMap<&'static str, u64>,
    /// Client connections open now.
    pub connections: usize,
}

/// Requests of one kind with one class of status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct RequestCount {
    /// `jwks`, `discovery`, `exchange`, `token`, `forward`.
    pub kind: &'static str,
    /// `2xx`, …; `none` where the client went away before an answer.
    pub status: &'static str,
    pub count: u64,
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
        let status = counters.status();
        let count = |kind, status| RequestCount { kind, status, count: 1 };
        let all = [count("jwks", "2xx"), count("jwks", "3xx"), count("forward", "none")];
        assert_eq!(status.requests, all);
        assert_eq!(status.failures["framing"], 2);
    }
}
