//! `/api/status`: what the page shows, as JSON. Times are seconds since 1970, durations seconds.
//! Nothing here is a command, and nothing here is secret: key IDs, thumbprints and counts. Most of it
//! are the status types of the rooms as they are; what joins two rooms has a type here.

use serde::Serialize;

use super::health::Readiness;
use crate::bridge::BridgeStatus;
use crate::issuer::IssuerStatus;
use crate::issuer::discovery::DiscoveryStatus;
use crate::jose::jwks::Change;
use crate::keyring::KeyringStatus;
use crate::proxy::counters::ProxyStatus;
use crate::proxy::health::UpstreamStatus;

/// The whole answer.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    pub version: &'static str,
    pub now: i64,
    pub started: i64,
    pub ready: Readiness,
    pub profile: ProfileStatus,
    /// `None`: none is configured.
    pub upstream: Option<UpstreamStatus>,
    /// At most [`MAX_ISSUERS`], those in trouble first.
    pub issuers: Vec<IssuerView>,
    pub issuers_total: usize,
    /// Where the issuer is learnt from the upstream: who it is, why that is believed, and what the last
    /// look gave.
    pub discovery: Option<DiscoveryStatus>,
    /// What is set in the verifier.
    pub setup: SetupView,
    /// One for each path of the public listener that answers with a key set.
    pub sets: Vec<SetView>,
    pub signing: Vec<SigningView>,
    /// Where the ring of signing keys lives.
    pub store: KeyringStatus,
    /// The issuers' last good key sets are kept in memory alone, and are gone after a restart.
    pub key_sets_in_memory: bool,
    pub tokens: BridgeStatus,
    pub traffic: ProxyStatus,
    pub log_lines_lost: u64,
}

/// Issuers listed one by one; with more the answer would grow without bound.
pub const MAX_ISSUERS: usize = 500;

/// What clients and the verifier are told about this proxy.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SetupView {
    /// `None`: `public_url` is not configured.
    pub public_url: Option<String>,
    /// What the tokens' `iss` is, if there is one alone.
    pub issuer: Option<String>,
    /// `convex/auth.config.ts`, for the profile `convex` once an issuer is known.
    pub auth_config: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ProfileStatus {
    pub name: String,
    pub accepts: Vec<&'static str>,
    pub publish: Vec<&'static str>,
}

/// One issuer, and what became of its keys.
#[derive(Debug, Clone, Serialize)]
pub struct IssuerView {
    #[serde(flatten)]
    pub issuer: IssuerStatus,
    pub keys: Vec<KeyRow>,
}

/// One entry of the issuer's document: what stood there, what was done, what is served.
#[derive(Debug, Clone, Serialize)]
pub struct KeyRow {
    /// JSON path, `$.keys[2]`.
    pub path: String,
    pub kid_before: Option<String>,
    pub effect: &'static str,
    /// The `kid` under which a verifier finds it.
    pub served_as: Option<String>,
    pub alg: Option<&'static str>,
    pub changes: Vec<Change>,
}

/// A served set.
#[derive(Debug, Clone, Serialize)]
pub struct SetView {
    pub path: String,
    pub max_age: u32,
    /// Empty while there is no set yet.
    pub keys: Vec<ServedKey>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ServedKey {
    pub kid: String,
    /// `RSA` or the curve.
    pub kind: String,
    pub alg: String,
    /// `own` or `issuer`.
    pub origin: String,
}

/// One of our signing keys.
#[derive(Debug, Clone, Serialize)]
pub struct SigningView {
    pub kid: String,
    pub alg: &'static str,
    /// `next`, `active` or `retired`.
    pub state: &'static str,
    pub published: Option<i64>,
    pub signs_from: Option<i64>,
    pub signs_until: Option<i64>,
    /// When it leaves the served set.
    pub leaves: Option<i64>,
}
