//! `/api/status`: what the page shows, as JSON. Times are seconds since 1970, durations seconds. Nothing
//! here is a command or a secret: key IDs, thumbprints and counts. Most parts are the modules' own status
//! types; only what combines two modules has a type here.

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
    /// `None`: no upstream is configured.
    pub upstream: Option<UpstreamStatus>,
    /// At most [`MAX_ISSUERS`], those with a fault first.
    pub issuers: Vec<IssuerView>,
    pub issuers_total: usize,
    /// If the issuer is learnt from the upstream: which one, why it is believed, and what the last attempt
    /// found.
    pub discovery: Option<DiscoveryStatus>,
    /// What to configure in the verifier.
    pub setup: SetupView,
    /// One for each path of the public listener that answers with a key set.
    pub sets: Vec<SetView>,
    pub signing: Vec<SigningView>,
    /// The store of the signing keys.
    pub store: KeyringStatus,
    /// The issuers' last good key sets are kept only in memory, and are gone after a restart.
    pub key_sets_in_memory: bool,
    pub tokens: BridgeStatus,
    pub traffic: ProxyStatus,
    pub log_lines_lost: u64,
}

/// Most issuers that are listed: the answer must not grow without bound.
pub const MAX_ISSUERS: usize = 500;

/// What clients and the verifier need to know about this proxy.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SetupView {
    /// `None`: `public_url` is not configured.
    pub public_url: Option<String>,
    /// The `iss` of the tokens, if all have the same.
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

/// One issuer, and what was done to its keys.
#[derive(Debug, Clone, Serialize)]
pub struct IssuerView {
    #[serde(flatten)]
    pub issuer: IssuerStatus,
    pub keys: Vec<KeyRow>,
}

/// One entry of the issuer's document: what it was, what was done, what is served.
#[derive(Debug, Clone, Default, Serialize)]
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
    /// When it is removed from the served set.
    pub leaves: Option<i64>,
}
