//! One issuer as people and metrics see it: plain values.

use serde::Serialize;

use crate::jose::jwks::Report;
use crate::refresh::Freshness;

/// Why something of the issuer's could not be read, in short: a stable code, and the status code where
/// that is the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Reason {
    pub code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

impl Reason {
    pub fn of(code: &'static str) -> Self {
        Self { code, status: None }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code)?;
        self.status.map_or(Ok(()), |status| write!(f, " {status}"))
    }
}

/// What the status page and the metrics show.
#[derive(Debug, Clone, Serialize)]
pub struct IssuerStatus {
    pub name: String,
    pub issuers: Vec<String>,
    pub source: String,
    pub freshness: Freshness,
    /// Seconds since the issuer last confirmed the set.
    pub age: Option<u64>,
    pub fetched: Option<i64>,
    pub next_refresh: Option<i64>,
    pub epoch: u64,
    pub keys: usize,
    pub failures: u32,
    pub last_error: Option<LastError>,
    pub fetches: Fetches,
    pub report: Option<Report>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastError {
    #[serde(flatten)]
    pub reason: Reason,
    pub text: String,
    /// Seconds since 1970.
    pub at: i64,
}

/// Fetches by outcome, since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Fetches {
    pub good: u64,
    pub not_modified: u64,
    pub failed: std::collections::BTreeMap<&'static str, u64>,
}
