//! Runs all checks of one case: findings with cause and fix, and a verdict for each kind of provider.

use futures::FutureExt as _;
use serde::Serialize;
use url::Url;

use super::finding::{CUSTOM_JWT, Case, FetchResult, Finding, Level, NoAnswer, OIDC, Verdict, Way};
use super::{Answer, Cause, address, fix, generic, headers, ours};
use crate::inspect::{inspect, words};
use crate::jose::base64url;
use crate::jose::names::UnixTime;
use crate::jose::tree::Json;
use crate::profile::Judge;
use crate::scrub::scrub;
use crate::verifier::convex::{self, Algorithm, CustomJwt, Oidc};
use crate::verifier::{Refusal, RefusalReason, explain};

/// [`Finding::title`] for what a verifier makes of the token.
const TOKEN: &str = "token";

#[derive(Debug, Clone, Serialize)]
pub struct Diagnosis {
    /// Whether countersign could make a key set of what the issuer answers.
    pub readable: bool,
    pub verdicts: Vec<Verdict>,
    pub findings: Vec<Finding>,
    /// The algorithm a `customJwt` provider should be set to.
    pub algorithm: &'static str,
    /// The audience that was checked with.
    pub audience: Option<String>,
}

impl Diagnosis {
    /// No kind of provider in question accepts.
    pub fn refused(&self) -> bool {
        !self.verdicts.iter().any(|v| v.accepts)
    }

    pub fn accepts(&self, way: &str) -> bool {
        self.verdicts.iter().any(|v| v.way == way && v.accepts)
    }
}

/// Runs every check.
pub fn examine(case: &Case) -> Diagnosis {
    let mut findings = case.notes.clone();
    reach(case, &mut findings);
    let expired = expired(case);
    let audience = case.audience.clone().or_else(|| token_audience(case));
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
        let token = plain_token(case);
        verdicts.push(generic::checked(case, token, &mut findings));
    }
    if let Some(finding) = expired {
        // First: other faults of an expired token may not be in a fresh one.
        findings.insert(0, finding);
        verdicts.iter_mut().for_each(|verdict| verdict.accepts = false);
    }
    if let Some(answer) = case.jwks.as_ref().ok().filter(|answer| answer.status == 200) {
        let warn = |cause: Cause| {
            let title = format!("{}: {}", cause.place, cause.text);
            let finding = fix::finding("headers", Level::Warning, title, vec![cause], case);
            findings.push(Finding { causes: Vec::new(), ..finding });
        };
        headers::warnings(answer).into_iter().for_each(warn);
    }
    ours::findings(case, &mut findings);
    if verdicts.iter().all(|verdict| !verdict.accepts) {
        ours::first(&mut findings);
    }
    let readable = case.ours.read.is_ok();
    Diagnosis { readable, verdicts, findings, algorithm: algorithm.name(), audience }
}

fn reach(case: &Case, findings: &mut Vec<Finding>) {
    let mut closed = case.closed.clone();
    for url in [&case.issuer, &case.jwks_url] {
        if let Some(why) = address::unreachable(url) {
            closed.push((url.clone(), why));
        }
    }
    // Report each host once.
    let host = |url: &str| Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    closed.dedup_by(|a, b| a == b || (host(&a.0).is_some() && host(&a.0) == host(&b.0)));
    for (url, why) in closed {
        let title = format!("{url}: {why}; a verifier on the internet cannot reach it");
        let finding = Finding::new("address", Level::Warning, title);
        findings.push(finding.fix("give it a public address (for a try: a tunnel)"));
    }
}

/// The finding for an expired token, whatever else is wrong with it.
fn expired(case: &Case) -> Option<Finding> {
    let exp = section(case.token.as_deref()?, 1)?.get("exp")?.seconds()?;
    let late = case.now.secs().checked_sub(exp).filter(|late| *late > 5)?;
    let text = format!("the token expired {} ago", words::span(late));
    let causes = vec![Cause::new("expired", "claims.exp", text)];
    Some(fix::finding("token", Level::Fault, "the token has expired", causes, case))
}

fn algorithm(case: &Case) -> Algorithm {
    let has = |algorithm| {
        let answer = case.jwks.as_ref();
        answer.is_ok_and(|a| convex::custom_jwt_has_usable_key(a, &case.jwks_url, algorithm))
    };
    let of_token = case.token.as_deref().and_then(|t| header_member(t, "alg"));
    match of_token.as_deref() {
        Some("ES256") => Algorithm::Es256,
        Some("RS256") => Algorithm::Rs256,
        // Otherwise the algorithm that a countersigned token will have, from the keys in the set.
        _ if !has(Algorithm::Rs256) && has(Algorithm::Es256) => Algorithm::Es256,
        _ => Algorithm::Rs256,
    }
}

/// A refusal with its causes and fixes, or a good finding.
fn told(
    about: &'static str,
    title: String,
    outcome: Result<(), (Refusal, Vec<Cause>)>,
    case: &Case,
) -> Finding {
    let Err((refusal, mut causes)) = outcome else {
        return Finding::new(about, Level::Good, title);
    };
    if let Some(damage) = ours::refusal(case).filter(|c| title == TOKEN && ours::is_damage(c)) {
        causes = vec![damage];
    }
    Finding {
        // The message may repeat a whole answer, so secrets in it are removed.
        says: Some(scrub(&refusal.message).into_owned()),
        in_production: refusal.in_production(),
        detail: refusal.detail.as_deref().map(|detail| scrub(detail).into_owned()),
        ..fix::finding(about, Level::Fault, title, causes, case)
    }
}

/// The cause for a document that was not fetched, with the code of the fetch.
fn unfetched(no_answer: &NoAnswer, url: &str) -> Cause {
    Cause::new(no_answer.code, "address", format!("{url}: {}", no_answer.why))
}

/// The finding that a kind of provider has no key for its algorithms.
fn no_key(about: &'static str, what: &str, case: &Case) -> Finding {
    let cause = Cause::new("no_usable_key", "$.keys", format!("the set has no key for {what}"));
    fix::finding(about, Level::Fault, format!("key for {what}"), vec![cause], case)
}

fn custom(
    case: &Case,
    algorithm: Algorithm,
    audience: Option<&str>,
    findings: &mut Vec<Finding>,
) -> Verdict {
    let before = findings.len();
    let provider = CustomJwt {
        issuer: case.issuer.clone(),
        jwks: case.jwks_url.clone(),
        algorithm,
        application_id: audience.map(str::to_owned),
    };
    let title = format!("key set {}", case.jwks_url);
    match &case.jwks {
        Err(no_answer) => {
            let refusal = convex::custom_jwt_fetch_failed(&case.jwks_url, &no_answer.why);
            let causes = vec![unfetched(no_answer, &case.jwks_url)];
            findings.push(told(CUSTOM_JWT, title, Err((refusal, causes)), case));
        }
        Ok(answer) => {
            let explained = |refusal: Refusal, token| {
                let causes = explain::custom_jwt(&refusal, answer, &provider, token);
                (refusal, causes)
            };
            let read = convex::custom_jwt_key_set(answer, &case.jwks_url);
            let readable = read.is_ok();
            let read = read.map_err(|refusal| explained(refusal, None));
            findings.push(told(CUSTOM_JWT, title, read, case));
            if readable && !convex::custom_jwt_has_usable_key(answer, &case.jwks_url, algorithm) {
                findings.push(no_key(CUSTOM_JWT, algorithm.name(), case));
            }
            if let Some(token) = &case.token {
                let ask = |now| convex::custom_jwt(answer, &provider, token, now);
                let said = without_time(ask(case.now), ask, token);
                // There is a finding already that the set cannot be read.
                let again = said.as_ref().is_err_and(|refusal| {
                    !readable
                        && matches!(
                            refusal.reason,
                            RefusalReason::Status
                                | RefusalReason::MediaType
                                | RefusalReason::KeySet
                        )
                });
                if !again {
                    let said = said.map_err(|refusal| explained(refusal, Some(token)));
                    findings.push(told(CUSTOM_JWT, TOKEN.to_owned(), said, case));
                }
            }
        }
    }
    Verdict::of(CUSTOM_JWT, &findings[before..])
}

/// The verdict on a token without its expiry, which has one finding for all kinds of provider.
fn without_time(
    said: Result<(), Refusal>,
    at: impl Fn(UnixTime) -> Result<(), Refusal>,
    token: &str,
) -> Result<(), Refusal> {
    match &said {
        Err(refusal) if refusal.reason == RefusalReason::Expired => {
            let exp = section(token, 1).and_then(|claims| claims.get("exp")?.seconds());
            exp.map_or(said, |exp| at(UnixTime::from_secs(exp.saturating_sub(1))))
        }
        _ => said,
    }
}

fn open(case: &Case, audience: Option<&str>, findings: &mut Vec<Finding>) -> Verdict {
    let before = findings.len();
    let text = |fetched: &FetchResult| fetched.clone().map_err(|no_answer| no_answer.why);
    let discovery_url = convex::discovery_url(&case.spelled).unwrap_or_default();
    let fetch = |url: String| {
        let found = if url == discovery_url {
            text(&case.discovery)
        } else {
            match &case.discovery_jwks {
                Some(fetched) => text(fetched),
                None => Err("it was not fetched".to_owned()),
            }
        };
        std::future::ready(found)
    };
    let provider = Oidc {
        domain: case.issuer.clone(),
        application_id: audience.unwrap_or_default().to_owned(),
    };
    // All answers were fetched before, so these futures are ready at once.
    let pending = || Refusal {
        code: "Internal",
        message: "not asked".to_owned(),
        detail: None,
        reason: RefusalReason::Other,
    };
    let explained = |refusal: Refusal, token: Option<&str>| {
        let keys = case.discovery_jwks.as_ref();
        let lost = match (&case.discovery, keys) {
            (Err(no_answer), _) => Some((no_answer, discovery_url.as_str())),
            (Ok(_), Some(Err(no_answer))) => Some((no_answer, case.jwks_url.as_str())),
            _ => None,
        };
        let causes = match (&refusal.reason, lost) {
            (RefusalReason::Fetch, Some((no_answer, url))) => vec![unfetched(no_answer, url)],
            _ => {
                let discovery = case.discovery.as_ref().ok();
                let keys = keys.and_then(|keys| keys.as_ref().ok());
                // If the discovery document itself was refused, that is the fault, whatever was fetched next.
                let keys = keys.filter(|_| is_document(discovery, &case.spelled));
                explain::oidc(&refusal, discovery, keys, &provider, token)
            }
        };
        (refusal, causes)
    };
    let read = convex::oidc_discovery(fetch, &case.spelled).now_or_never();
    let read = read.unwrap_or_else(|| Err(pending()));
    let readable = read.is_ok();
    let read = read.map_err(|refusal| explained(refusal, None));
    findings.push(told(OIDC, "discovery and key set".to_owned(), read, case));
    let usable = convex::oidc_has_usable_key(fetch, &case.spelled).now_or_never();
    if readable && !matches!(usable, Some(Ok(true))) {
        findings.push(no_key(OIDC, "RS256 or EdDSA", case));
    }
    if let (true, Some(Ok(set))) = (readable, &case.discovery_jwks) {
        let causes = explain::skipped(set);
        if !causes.is_empty() {
            let title = format!("skips {} of the keys, silently", causes.len());
            findings.push(Finding { causes, ..Finding::new(OIDC, Level::Note, title) });
        }
    }
    if let Some(token) = case.token.as_deref().filter(|_| readable) {
        let ask = |now| {
            let said = convex::oidc(fetch, &provider, token, now).now_or_never();
            said.unwrap_or_else(|| Err(pending()))
        };
        let said = without_time(ask(case.now), ask, token);
        let said = said.map_err(|refusal| explained(refusal, Some(token)));
        findings.push(told(OIDC, TOKEN.to_owned(), said, case));
    }
    Verdict::of(OIDC, &findings[before..])
}

/// Whether the discovery document itself is accepted, with this issuer.
fn is_document(answer: Option<&Answer>, issuer: &str) -> bool {
    let typed = |answer: &Answer| {
        let given = answer.content_type.as_deref().unwrap_or("application/json");
        given.to_ascii_lowercase().starts_with("application/json")
    };
    answer.is_some_and(|answer| {
        answer.status == 200
            && typed(answer)
            && Json::parse(&answer.body)
                .is_ok_and(|document| document.get("issuer").and_then(Json::text) == Some(issuer))
    })
}

/// What a verifier that follows the RFCs, with the issuer's own keys, says of the token.
fn plain_token(case: &Case) -> Option<Result<(), Cause>> {
    let token = case.token.as_deref()?;
    if case.ours.read.is_err() {
        return None;
    }
    let said = ours::refusal(case).map_or(Ok(()), Err).and_then(|()| {
        let audiences = token_audiences(token);
        match &case.audience {
            Some(wanted) if !audiences.contains(wanted) => {
                let text = format!("`aud` is {audiences:?}, without {wanted}");
                Err(Cause::new("audience", "claims.aud", text))
            }
            _ => Ok(()),
        }
    });
    // The expiry has a finding of its own.
    let said = said.and_then(|()| as_the_profile(case, token));
    Some(said.or_else(|cause| if cause.code == "expired" { Ok(()) } else { Err(cause) }))
}

/// What the profile says of an otherwise valid token. The RFCs do not require a `kid`.
fn as_the_profile(case: &Case, token: &str) -> Result<(), Cause> {
    let seen = inspect(token, case.now);
    let views = seen.profiles.iter().filter(|view| view.profile == case.profile.name);
    let mut notes = views.flat_map(|view| &view.reasons).filter(|note| note.code != "kid_missing");
    match notes.next() {
        Some(note) => Err(Cause::new(note.code, "token", note.text.clone())),
        None => Ok(()),
    }
}

fn token_audience(case: &Case) -> Option<String> {
    token_audiences(case.token.as_deref()?).into_iter().next()
}

/// The token's `aud`, not verified; empty without one.
pub fn token_audiences(token: &str) -> Vec<String> {
    let claims = section(token, 1);
    match claims.as_ref().and_then(|claims| claims.get("aud")) {
        Some(Json::String(one)) => vec![one.clone()],
        Some(Json::Array(list)) => list.iter().filter_map(Json::text).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// A text member of the token's claims, not verified.
pub fn claim(token: &str, name: &str) -> Option<String> {
    section(token, 1)?.get(name)?.text().map(str::to_owned)
}

pub(super) fn header_member(token: &str, name: &str) -> Option<String> {
    section(token, 0)?.get(name)?.text().map(str::to_owned)
}

/// Header (0) or claims (1) of a token, not verified.
pub(super) fn section(token: &str, nth: usize) -> Option<Json> {
    let bytes = base64url::decode(token.split('.').nth(nth)?).ok()?;
    Json::parse(&bytes).ok()
}
