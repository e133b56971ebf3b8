//! One issuer as people and metrics see it: plain values.

use serde::Serialize;

use crate::jose::jwks::Report;
use crate::refresh::Standing;

/// What the status page and the metrics show.
#[derive(Debug, Clone, Serialize)]
pub struct IssuerStatus {
    pub name: String,
    pub issuers: Vec<String>,
    pub source: String,
    pub standing: Standing,
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
    pub code: &'static str,
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
