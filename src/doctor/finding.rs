//! The case to examine, and the findings.

use serde::Serialize;

use super::{Answer, Cause};
use crate::jose::jwks::{KeySet, Report};
use crate::jose::names::UnixTime;
use crate::jose::policy::IssuerPolicy;
use crate::profile::Profile;

/// The kind of provider for a verifier of no particular vendor.
pub const BY_THE_RFCS: &str = "by the RFCs";
/// Convex's two kinds of provider.
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

impl NoAnswer {
    pub fn new(code: &'static str, why: impl std::fmt::Display) -> Self {
        Self { code, why: why.to_string() }
    }

    /// No HTTP server answered.
    pub fn is_down(&self) -> bool {
        ["dns", "connect", "tls", "timeout"].contains(&self.code)
    }

    /// The fetch stopped at a private address, because `--allow-private` was not given.
    pub fn is_private(&self) -> bool {
        self.code == "private_address"
    }
}

/// What `doctor` or `init --from` was asked.
#[derive(Debug, Clone, Default)]
pub struct Question {
    pub address: String,
    pub issuer: Option<String>,
    pub audience: Option<String>,
    pub token: Option<String>,
    pub profile: Profile,
    /// The only kind of provider that counts. `None`: either is enough.
    pub kind: Option<ProviderKind>,
}

/// The question, and what was fetched for it.
#[derive(Debug, Clone)]
pub struct Case {
    pub question: Question,
    /// `iss` of the tokens, as configured at the verifier.
    pub issuer: String,
    /// `iss` as the issuer itself spells it, if discovery or the token says.
    pub spelled: String,
    /// `iss` to configure: the token's, if these keys signed it; else as `spelled`.
    pub actual_issuer: String,
    pub jwks_url: String,
    pub jwks: FetchResult,
    pub discovery: FetchResult,
    /// What `jwks_uri` of the discovery document answered; `None` without one.
    pub discovery_jwks: Option<FetchResult>,
    pub now: UnixTime,
    /// URLs from above whose host resolves to addresses that the internet cannot reach, and why.
    pub unreachable: Vec<(String, &'static str)>,
    pub place: Place,
    pub ours: Ours,
    /// What was found while fetching.
    pub notes: Vec<Finding>,
}

/// The kind of provider, for a verifier that has two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ProviderKind {
    CustomJwt,
    Oidc,
}

/// What answers at the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// An auth server, as far as can be told.
    AuthServer,
    /// A countersign proxy.
    Countersign,
    /// `*.convex.cloud`: the API of a Convex deployment, which issues no tokens.
    ConvexCloud,
    /// `*.convex.site`: the HTTP actions of a Convex deployment; an auth server may run in them.
    ConvexSite,
    /// A single-page app, whose router answers every path with its page.
    WebApp,
}

/// What `countersign run` would do with the issuer, as computed by the code of `run`.
#[derive(Debug, Clone)]
pub struct Ours {
    pub setup: Setup,
    pub read: Result<ReadKeys, NoAnswer>,
}

/// The configuration with which countersign reads the issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setup {
    /// `--upstream URL` alone.
    Upstream(String),
    /// A file with an `[[issuer]]`; why `--upstream` alone is not enough.
    Issuer { upstream: String, file: String, why: String },
    /// Neither works.
    None,
}

/// An issuer's keys as countersign reads them.
#[derive(Debug, Clone)]
pub struct ReadKeys {
    pub keys: KeySet,
    pub report: Report,
    pub policy: IssuerPolicy,
}

/// Whether a kind of provider would accept the issuer, and the token if there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub way: &'static str,
    pub accepts: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Good,
    Fault,
    Warning,
    /// The operator must act today.
    Alarm,
    #[default]
    Note,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Finding {
    /// `customJwt`, `OIDC`, `by the RFCs`, `token`, `address`, `headers`, `secret`, `countersign`.
    pub about: &'static str,
    pub level: Level,
    pub title: String,
    /// The verifier's own words.
    pub says: Option<String>,
    /// What a production deployment shows its clients instead.
    pub in_production: Option<&'static str>,
    /// What the verifier's log says in addition.
    pub detail: Option<String>,
    pub causes: Vec<Cause>,
    pub fixes: Vec<String>,
}

impl Finding {
    pub fn new(about: &'static str, level: Level, title: impl Into<String>) -> Self {
        Self { about, level, title: title.into(), ..Self::default() }
    }

    #[must_use]
    pub fn fix(mut self, text: impl Into<String>) -> Self {
        self.fixes.push(text.into());
        self
    }
}
