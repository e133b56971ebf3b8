//! The status of one issuer, as plain values, for people and metrics.

use serde::{Serialize, Serializer};

use crate::jose::jwks::Report;
use crate::net::FetchError;
use crate::status::{self, Counts, Fault};

/// Why a document of the issuer could not be read: a stable code, and the HTTP status if that is the
/// reason.
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

impl From<&FetchError> for Reason {
    fn from(error: &FetchError) -> Self {
        Self { code: error.code(), status: error.status() }
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
    /// Spellings of `iss`.
    pub issuers: Vec<String>,
    /// Where its keys come from, without credentials.
    pub source: String,
    pub state: IssuerState,
    /// When the set in use was read, seconds since 1970.
    pub fetched: Option<i64>,
    pub next_refresh: Option<i64>,
    pub last_error: Option<Fault>,
    /// Fetches since the start, by outcome: `ok`, `not_modified`, or the code of the fault.
    #[serde(serialize_with = "status::counts")]
    pub fetches: Counts,
    /// The last good set cannot be written to disk.
    pub store_error: Option<Fault>,
    /// The report of the set in use. Serialised as its alarms alone: secrets that the issuer publishes.
    #[serde(rename = "alarms", serialize_with = "alarms")]
    pub report: Option<Report>,
}

/// From the worst to the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IssuerState {
    /// No set was ever read.
    Cold,
    /// The last good set is older than it should be.
    Stale,
    /// The last fetch failed; the set is still young enough.
    Failing,
    Fresh,
    /// From the configuration; nothing to fetch.
    Fixed,
}

fn alarms<S: Serializer>(report: &Option<Report>, to: S) -> Result<S::Ok, S::Error> {
    let alarms = report.as_ref().map(|report| report.alarms.as_slice());
    alarms.unwrap_or_default().serialize(to)
}
