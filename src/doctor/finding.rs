//! What is examined, and what can be found.

use serde::Serialize;

use super::oidc::Fetched;
use super::{Answer, Cause};
use crate::jose::names::UnixTime;
use crate::profile::Profile;

/// The name of a way in that is no vendor's.
pub(super) const BY_THE_RFCS: &str = "by the RFCs";

/// What was fetched and asked.
#[derive(Debug, Clone)]
pub struct Case {
    /// `iss` of the tokens, as configured at the verifier.
    pub issuer: String,
    /// `iss` as the issuer itself spells it, where discovery or the token says.
    pub spelled: String,
    pub jwks_url: String,
    pub jwks: Result<Answer, String>,
    pub oidc: Fetched,
    pub token: Option<String>,
    pub audience: Option<String>,
    pub now: UnixTime,
    /// Hosts of the addresses above that resolve to addresses nobody can reach, and why.
    pub closed: Vec<(String, &'static str)>,
    pub profile: Profile,
    /// The only way in that counts; `None`: either is enough.
    pub way: Option<Way>,
}

/// How the verifier is configured, where it has two kinds of provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    CustomJwt,
    Oidc,
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
    /// `customJwt`, `OIDC`, `address`, `headers`, `countersign`.
    pub about: &'static str,
    pub level: Level,
    pub title: String,
    /// The verifier's own words.
    pub says: Option<String>,
    pub causes: Vec<Cause>,
    pub fixes: Vec<String>,
}

impl Finding {
    pub(super) fn new(about: &'static str, level: Level, title: impl Into<String>) -> Self {
        let (causes, fixes) = (Vec::new(), Vec::new());
        Self { about, level, title: title.into(), says: None, causes, fixes }
    }
}

impl Verdict {
    /// A way in takes it when none of its findings is a fault.
    pub(super) fn of(way: &'static str, findings: &[Finding]) -> Self {
        Self { way, accepts: findings.iter().all(|f| f.level != Level::Fault) }
    }
}
