//! All checks of one case, and what came out: findings with cause and fix, a verdict for each way in.

use serde::Serialize;
use url::Url;

use super::custom_jwt::{self, Algorithm, CustomJwt};
use super::finding::{Case, Finding, Level, Verdict, Way};
use super::oidc::{self, Oidc};
use super::{Cause, Refusal, address, fix, generic, headers};
use crate::inspect::inspect;
use crate::inspect::tree::Tree;
use crate::jose::jwks::{self, Normalized};
use crate::jose::jws::CompactJws;
use crate::jose::names::{Issuer, IssuerName, Limits};
use crate::jose::policy::IssuerPolicy;
use crate::jose::verify::{Budget, verify};
use crate::log::scrub::scrub;
use crate::profile::Judge;

#[derive(Debug, Clone, Serialize)]
pub struct Diagnosis {
    /// Whether countersign could make a key set of what was fetched.
    pub readable: bool,
    pub verdicts: Vec<Verdict>,
    pub findings: Vec<Finding>,
    /// The algorithm a `customJwt` provider should be set to.
    pub algorithm: &'static str,
    /// The audience that was checked with.
    pub audience: Option<String>,
}

/// An outcome in the verifier's words, with what to do about it.
fn as_said(about: &'static str, title: String, outcome: Result<(), Refusal>) -> Finding {
    match outcome {
        Ok(()) => Finding::new(about, Level::Good, title),
        Err(refusal) => Finding {
            // It may repeat an answer whole, and secrets in it are none of the reader's.
            says: Some(scrub(&refusal.message).into_owned()),
            fixes: fix::fixes(about, &refusal.causes),
            causes: refusal.causes,
            ..Finding::new(about, Level::Fault, title)
        },
    }
}

impl Diagnosis {
    /// No way in that was asked about takes it.
    pub fn refused(&self) -> bool {
        !self.verdicts.iter().any(|v| v.accepts)
    }
}

/// Runs every check.
pub fn examine(case: &Case) -> Diagnosis {
    let mut findings = Vec::new();
    reach(case, &mut findings);
    let audience = case.audience.clone().or_else(|| token_audience(case));
    let normalized = case.jwks.as_ref().ok().map(|answer| {
        let options = jwks::Options { now: Some(case.now), ..jwks::Options::default() };
        jwks::normalize(&answer.body, &options)
    });
    let algorithm = algorithm(case);
    let mut verdicts = Vec::new();
    if case.profile.judge == Judge::Convex {
        if case.way != Some(Way::Oidc) {
            verdicts.push(custom(case, algorithm, audience.as_deref(), &mut findings));
        }
        if case.way != Some(Way::CustomJwt) {
            verdicts.push(open(case, audience.as_deref(), &mut findings));
        }
    } else {
        let read = normalized.as_ref().and_then(|n| n.as_ref().ok());
        let token = read.and_then(|read| plain_token(case, read));
        verdicts.push(generic::checked(case, normalized.as_ref(), token, &mut findings));
    }
    if let Some(answer) = case.jwks.as_ref().ok().filter(|answer| answer.status == 200) {
        let warn = |cause: Cause| {
            let fixes = fix::fixes("headers", std::slice::from_ref(&cause));
            let title = format!("{}: {}", cause.place, cause.text);
            findings.push(Finding { fixes, ..Finding::new("headers", Level::Warning, title) });
        };
        headers::warnings(answer).into_iter().for_each(warn);
    }
    ours(case, normalized.as_ref(), &mut findings);
    let readable = matches!(normalized, Some(Ok(_)));
    if !readable {
        findings.iter_mut().for_each(fix::without_countersign);
    }
    Diagnosis { readable, verdicts, findings, algorithm: algorithm.name(), audience }
}

fn reach(case: &Case, findings: &mut Vec<Finding>) {
    let mut closed = case.closed.clone();
    for url in [&case.issuer, &case.jwks_url] {
        if let Some(why) = address::unreachable(url) {
            closed.push((url.clone(), why));
        }
    }
    // One host is one trouble.
    let host = |url: &str| Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    closed.dedup_by(|a, b| a == b || (host(&a.0).is_some() && host(&a.0) == host(&b.0)));
    for (url, why) in closed {
        let title = format!("{url}: {why}; a verifier on the internet cannot reach it");
        let fixes = vec!["give it a public address (for a try: a tunnel)".to_owned()];
        findings.push(Finding { fixes, ..Finding::new("address", Level::Warning, title) });
    }
}

fn algorithm(case: &Case) -> Algorithm {
    let provider = |algorithm| CustomJwt {
        issuer: case.issuer.clone(),
        jwks: case.jwks_url.clone(),
        algorithm,
        application_id: None,
    };
    let has = |algorithm| {
        let answer = case.jwks.as_ref();
        answer.is_ok_and(|answer| custom_jwt::has_usable_key(answer, &provider(algorithm)))
    };
    let of_token = case.token.as_deref().and_then(|t| header_member(t, "alg"));
    match of_token.as_deref() {
        Some("ES256") => Algorithm::Es256,
        None if !has(Algorithm::Rs256) && has(Algorithm::Es256) => Algorithm::Es256,
        _ => Algorithm::Rs256,
    }
}

fn custom(
    case: &Case,
    algorithm: Algorithm,
    audience: Option<&str>,
    findings: &mut Vec<Finding>,
) -> Verdict {
    const WAY: &str = "customJwt";
    let before = findings.len();
    let provider = CustomJwt {
        issuer: case.issuer.clone(),
        jwks: case.jwks_url.clone(),
        algorithm,
        application_id: audience.map(str::to_owned),
    };
    let title = format!("key set {}", case.jwks_url);
    match &case.jwks {
        Err(why) => {
            findings.push(as_said(WAY, title, Err(custom_jwt::unfetched(&case.jwks_url, why))));
        }
        Ok(answer) => {
            let read = custom_jwt::key_set(answer, &case.jwks_url);
            let readable = read.is_ok();
            findings.push(as_said(WAY, title, read));
            if readable && !custom_jwt::has_usable_key(answer, &provider) {
                let what = algorithm.name();
                let cause = Cause::new(
                    "no_usable_key",
                    "$.keys",
                    format!("no key for {what} with a `kid`"),
                );
                findings.push(Finding {
                    fixes: fix::fixes(WAY, std::slice::from_ref(&cause)),
                    causes: vec![cause],
                    ..Finding::new(WAY, Level::Fault, format!("key for {what}"))
                });
            }
            if let Some(token) = &case.token {
                let said = custom_jwt::token(answer, &provider, token, case.now);
                findings.push(as_said(WAY, "token".to_owned(), said));
            }
        }
    }
    Verdict::of(WAY, &findings[before..])
}

fn open(case: &Case, audience: Option<&str>, findings: &mut Vec<Finding>) -> Verdict {
    const WAY: &str = "OIDC";
    let before = findings.len();
    let read = oidc::discovery(&case.oidc, &case.spelled);
    let readable = read.is_ok();
    let title = "discovery and key set".to_owned();
    findings.push(as_said(WAY, title, read));
    if readable && !oidc::has_usable_key(&case.oidc, &case.spelled) {
        let cause = Cause::new("no_usable_key", "$.keys", "no key for RS256 or EdDSA");
        findings.push(Finding {
            fixes: fix::fixes(WAY, std::slice::from_ref(&cause)),
            causes: vec![cause],
            ..Finding::new(WAY, Level::Fault, "key for RS256 or EdDSA")
        });
    }
    let skipped = oidc::skipped(&case.oidc, &case.spelled);
    if !skipped.is_empty() {
        let title = format!("skips {} of the keys, silently", skipped.len());
        findings.push(Finding { causes: skipped, ..Finding::new(WAY, Level::Note, title) });
    }
    if let Some(token) = &case.token {
        let application_id = audience.unwrap_or_default().to_owned();
        let provider = Oidc { domain: case.issuer.clone(), application_id };
        let said = oidc::token(&case.oidc, &provider, token, case.now);
        findings.push(as_said(WAY, "token".to_owned(), said));
    }
    Verdict::of(WAY, &findings[before..])
}

/// The token as a verifier by the RFCs takes it, which knows the issuer's keys as they stand.
fn plain_token(case: &Case, normalized: &Normalized) -> Option<Result<(), Cause>> {
    let token = case.token.as_deref()?;
    let said = countersignable(case, normalized, token).and_then(|()| {
        let audiences = token_audiences(token);
        match &case.audience {
            Some(wanted) if !audiences.contains(wanted) => {
                let text = format!("`aud` is {audiences:?}, without {wanted}");
                Err(Cause::new("audience", "claims.aud", text))
            }
            _ => Ok(()),
        }
    });
    Some(said.and_then(|()| as_the_profile(case, token)))
}

/// What the profile says of a token that is good otherwise. By the RFCs a token needs no `kid`.
fn as_the_profile(case: &Case, token: &str) -> Result<(), Cause> {
    let seen = inspect(token, case.now);
    let views = seen.profiles.iter().filter(|view| view.profile == case.profile.name);
    let mut notes = views.flat_map(|view| &view.reasons).filter(|note| note.code != "kid_missing");
    match notes.next() {
        Some(note) => Err(Cause::new(note.code, "token", note.text.clone())),
        None => Ok(()),
    }
}

/// What countersign itself would make of it.
fn ours(
    case: &Case,
    normalized: Option<&Result<Normalized, crate::jose::fault::DocumentRefusal>>,
    findings: &mut Vec<Finding>,
) {
    const WAY: &str = "countersign";
    let normalized = match normalized {
        None => return,
        Some(Err(refusal)) => {
            let cause = Cause::new(refusal.code(), "$", refusal.to_string());
            let title = "cannot make a key set of this";
            findings
                .push(Finding { causes: vec![cause], ..Finding::new(WAY, Level::Fault, title) });
            return;
        }
        Some(Ok(normalized)) => normalized,
    };
    for alarm in &normalized.report.alarms {
        let members = alarm.members.join(", ");
        let title = format!("{}: the issuer publishes a secret ({members})", alarm.path);
        let fixes = vec![
            "replace this key today: whoever fetched the set can sign as the issuer".to_owned(),
        ];
        findings.push(Finding { fixes, ..Finding::new("secret", Level::Alarm, title) });
    }
    let count = normalized.keys.keys().len();
    let changes = normalized.report.changes.len();
    let s = |n: usize| if n == 1 { "" } else { "s" };
    let mut title = format!("reads {count} key{}", s(count));
    if changes > 0 {
        title = format!("{title}, {changes} thing{} put right", s(changes));
    }
    findings.push(Finding::new(WAY, Level::Good, title));
    if let Some(token) = &case.token {
        findings.push(match countersignable(case, normalized, token) {
            Ok(()) => Finding::new(WAY, Level::Good, "verifies the token; it can be countersigned"),
            Err(cause) => {
                let title = "would not countersign the token";
                Finding { causes: vec![cause], ..Finding::new(WAY, Level::Fault, title) }
            }
        });
    }
}

fn countersignable(case: &Case, normalized: &Normalized, token: &str) -> Result<(), Cause> {
    let refused = |e: crate::jose::refusal::Refusal| Cause::new(e.code(), "token", e.to_string());
    let name = |_| Cause::new("issuer", "claims.iss", "it is no valid name");
    let limits = Limits::default();
    let jws = CompactJws::parse(token, &limits, false).map_err(refused)?;
    let issuers = vec![
        Issuer::parse(&case.issuer).map_err(name)?,
        Issuer::parse(&case.spelled).map_err(name)?,
    ];
    let policy = IssuerPolicy::new(IssuerName::parse("doctor").map_err(name)?, issuers);
    let mut budget = Budget::new(&limits);
    verify(&jws, &policy, &normalized.keys, case.now, &mut budget).map(drop).map_err(refused)
}

fn token_audience(case: &Case) -> Option<String> {
    token_audiences(case.token.as_deref()?).into_iter().next()
}

fn token_audiences(token: &str) -> Vec<String> {
    let claims = section(token, 1);
    match claims.as_ref().and_then(|claims| claims.get("aud")) {
        Some(Tree::Text(one)) => vec![one.clone()],
        Some(Tree::List(list)) => list.iter().filter_map(Tree::text).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// A text member of the token's claims, not verified.
pub fn claim(token: &str, name: &str) -> Option<String> {
    section(token, 1)?.get(name)?.text().map(str::to_owned)
}

fn header_member(token: &str, name: &str) -> Option<String> {
    section(token, 0)?.get(name)?.text().map(str::to_owned)
}

fn section(token: &str, nth: usize) -> Option<Tree> {
    use base64::Engine as _;
    let part = token.split('.').nth(nth)?;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).ok()?;
    Tree::parse(&bytes).ok()
}
