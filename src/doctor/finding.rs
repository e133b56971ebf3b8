//! What is examined, and what can be found.

use serde::Serialize;

use super::{Answer, Cause};
use crate::jose::jwks::{KeySet, Report};
use crate::jose::names::UnixTime;
use crate::jose::policy::IssuerPolicy;
use crate::profile::Profile;

/// The name of a way in that belongs to no vendor.
pub const BY_THE_RFCS: &str = "by the RFCs";
/// The two ways in of Convex.
pub const CUSTOM_JWT: &str = "customJwt";
pub const OIDC: &str = "OIDC";

/// An answer, or why there is none.
pub type FetchResult = Result<Answer, NoAnswer>;

/// Why a fetch gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoAnswer {
    /// Stable: `dns`, `connect`, `tls`, `timeout`, `private_address`, …
    pub code: &'static str,
    pub why: String,
}

/// What was fetched and asked.
#[derive(Debug, Clone)]
pub struct Case {
    /// `iss` of the tokens, as configured at the verifier.
    pub issuer: String,
    /// `iss` as the issuer itself spells it, where discovery or the token says.
    pub spelled: String,
    pub jwks_url: String,
    pub jwks: FetchResult,
    pub discovery: FetchResult,
    /// What `jwks_uri` of the discovery document answered; `None` without one.
    pub discovery_jwks: Option<FetchResult>,
    pub token: Option<String>,
    pub audience: Option<String>,
    pub now: UnixTime,
    /// Hosts of the addresses above that resolve to addresses nobody can reach, and why.
    pub closed: Vec<(String, &'static str)>,
    pub profile: Profile,
    /// The only way in that counts; `None`: either is enough.
    pub way: Option<Way>,
    pub place: Place,
    pub ours: Ours,
    /// What was found while fetching.
    pub notes: Vec<Finding>,
}

/// How the verifier is configured, where it has two kinds of provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    CustomJwt,
    Oidc,
}

/// What answers at the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// An auth server, as far as anybody can tell.
    AuthServer,
    /// A proxy of ours.
    Countersign,
    /// `*.convex.cloud`: the API of a Convex deployment, which issues no tokens.
    ConvexCloud,
    /// `*.convex.site`: the HTTP actions of a Convex deployment; an auth server may run in them.
    ConvexSite,
    /// A single-page app, whose router answers every path with its page.
    WebApp,
}

/// What `countersign run` would make of the issuer, found by the code that `run` runs.
#[derive(Debug, Clone)]
pub struct Ours {
    pub setup: Setup,
    pub read: Result<ReadKeys, NoAnswer>,
}

/// The configuration it was found with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setup {
    /// `--upstream URL` alone.
    Upstream(String),
    /// A file with an `[[issuer]]`; why `--upstream` alone is not enough.
    Issuer { upstream: String, file: String, why: String },
    /// Neither; there is nothing to begin with.
    None,
}

/// An issuer's keys as countersign reads them.
#[derive(Debug, Clone)]
pub struct ReadKeys {
    pub keys: KeySet,
    pub report: Report,
    pub policy: IssuerPolicy,
}

/// Would this way in take the issuer, and the token where there is one?
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub way: &'static str,
    pub accepts: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Good,
    Fault,
    Warning,
    /// Something must be done today.
    Alarm,
    Note,
}

#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// `customJwt`, `OIDC`, `by the RFCs`, `token`, `address`, `headers`, `secret`, `countersign`.
    pub about: &'static str,
    pub level: Level,
    pub title: String,
    /// The verifier's own words.
    pub says: Option<String>,
    /// What a production deployment shows its clients in their place.
    pub in_production: Option<&'static str>,
    /// What stands in the verifier's log beneath.
    pub detail: Option<String>,
    pub causes: Vec<Cause>,
    pub fixes: Vec<String>,
}

impl Finding {
    pub fn new(about: &'static str, level: Level, title: impl Into<String>) -> Self {
        Self {
            about,
            level,
            title: title.into(),
            says: None,
            in_production: None,
            detail: None,
            causes: Vec::new(),
            fixes: Vec::new(),
        }
    }

    #[must_use]
    pub fn fix(mut self, text: impl Into<String>) -> Self {
        self.fixes.push(text.into());
        self
    }
}

impl Verdict {
    /// A way in takes it when none of its findings is a fault.
    pub(super) fn of(way: &'static str, findings: &[Finding]) -> Self {
        Self { way, accepts: findings.iter().all(|f| f.level != Level::Fault) }
    }
}
