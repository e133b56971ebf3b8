//! Runs all checks of one case: findings with cause and fix, and a verdict for each kind of provider.

use futures::FutureExt as _;
use serde::Serialize;
use url::Url;

use super::finding::{
    BY_THE_RFCS, CUSTOM_JWT, Case, Finding, Level, NoAnswer, OIDC, ProviderKind, Verdict,
};
use super::{Answer, Cause, address, fix, generic, headers, ours};
use crate::inspect::{inspect, words};
use crate::jose::names::UnixTime;
use crate::jose::tree::Json;
use crate::profile::Judge;
use crate::scrub::scrub;
use crate::verifier::convex::{self, Algorithm, CustomJwt, Oidc};
use crate::verifier::explain::{self, CLAIMS, HEADER, section, text_member};
use crate::verifier::{Refusal, RefusalReason};

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
    findings.extend(unreachable(case));
    let audience = case.question.audience.clone().or_else(|| {
        let token = case.question.token.as_deref()?;
        token_audiences(token).into_iter().next()
    });
    let algorithm = algorithm(case);
    let mut verdicts = Vec::new();
    let mut judged = |way, found: Vec<Finding>| {
        let accepts = found.iter().all(|finding| finding.level != Level::Fault);
        verdicts.push(Verdict { way, accepts });
        findings.extend(found);
    };
    if case.question.profile.judge == Judge::Convex {
        if case.question.kind != Some(ProviderKind::Oidc) {
            judged(CUSTOM_JWT, custom_jwt(case, algorithm, audience.as_deref()));
        }
        if case.question.kind != Some(ProviderKind::CustomJwt) {
            judged(OIDC, oidc(case, audience.as_deref()));
        }
    } else {
        judged(BY_THE_RFCS, generic::findings(case, token_by_the_rfcs(case)));
    }
    if let Some(finding) = expired(case) {
        // First: other faults of an expired token may not be in a fresh one.
        findings.insert(0, finding);
        verdicts.iter_mut().for_each(|verdict| verdict.accepts = false);
    }
    if let Some(answer) = case.jwks.as_ref().ok().filter(|answer| answer.status == 200) {
        findings.extend(headers::warnings(answer).into_iter().map(|cause| {
            let title = format!("{}: {}", cause.place, cause.text);
            let finding = fix::finding("headers", Level::Warning, title, vec![cause], case);
            Finding { causes: Vec::new(), ..finding }
        }));
    }
    findings.extend(ours::findings(case));
    if verdicts.iter().all(|verdict| !verdict.accepts) {
        ours::promote(&mut findings);
    }
    let readable = case.ours.read.is_ok();
    Diagnosis { readable, verdicts, findings, algorithm: algorithm.name(), audience }
}

/// The addresses that a verifier on the internet cannot reach.
fn unreachable(case: &Case) -> impl Iterator<Item = Finding> {
    let mut unreachable = case.unreachable.clone();
    for url in [&case.issuer, &case.jwks_url] {
        if let Some(why) = address::unreachable(url) {
            unreachable.push((url.clone(), why));
        }
    }
    // Report each host once.
    let host = |url: &str| Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    unreachable.dedup_by(|a, b| a == b || (host(&a.0).is_some() && host(&a.0) == host(&b.0)));
    unreachable.into_iter().map(|(url, why)| {
        let title = format!("{url}: {why}; a verifier on the internet cannot reach it");
        let finding = Finding::new("address", Level::Warning, title);
        finding.fix("give it a public address (for a try: a tunnel)")
    })
}

/// The finding for an expired token, whatever else is wrong with it.
fn expired(case: &Case) -> Option<Finding> {
    let exp = exp(case.question.token.as_deref()?)?;
    let late = case.now.secs().checked_sub(exp).filter(|late| *late > 5)?;
    let text = format!("the token expired {} ago", words::span(late));
    let causes = vec![Cause::new("expired", "claims.exp", text)];
    Some(fix::finding("token", Level::Fault, "the token has expired", causes, case))
}

fn exp(token: &str) -> Option<i64> {
    section(token, CLAIMS)?.get("exp")?.seconds()
}

fn algorithm(case: &Case) -> Algorithm {
    let has = |algorithm| {
        let answer = case.jwks.as_ref();
        answer.is_ok_and(|a| convex::custom_jwt_key_set(a, &case.jwks_url, algorithm) == Ok(true))
    };
    let of_token =
        case.question.token.as_deref().and_then(|token| text_member(token, HEADER, "alg"));
    match of_token.as_deref() {
        Some("ES256") => Algorithm::Es256,
        Some("RS256") => Algorithm::Rs256,
        // Otherwise the algorithm that a countersigned token will have, from the keys in the set.
        _ if !has(Algorithm::Rs256) && has(Algorithm::Es256) => Algorithm::Es256,
        _ => Algorithm::Rs256,
    }
}

/// A refusal with its causes and fixes, or a good finding.
fn checked<T>(
    about: &'static str,
    title: &str,
    outcome: &Result<T, Refusal>,
    causes: impl FnOnce(&Refusal) -> Vec<Cause>,
    case: &Case,
) -> Finding {
    let Err(refusal) = outcome else { return Finding::new(about, Level::Good, title) };
    let damage = ours::refusal(case).filter(|cause| title == TOKEN && ours::is_damage(cause));
    let causes = damage.map_or_else(|| causes(refusal), |damage| vec![damage]);
    Finding {
        // The message may repeat a whole answer, so secrets in it are removed.
        says: Some(scrub(&refusal.message).into_owned()),
        in_production: refusal.in_production(),
        detail: refusal.detail.as_deref().map(|detail| scrub(detail).into_owned()),
        ..fix::finding(about, Level::Fault, title, causes, case)
    }
}

/// The cause for a document that was not fetched, with the code of the fetch.
fn unfetched(no_answer: &NoAnswer, url: &str) -> Vec<Cause> {
    vec![Cause::new(no_answer.code, "address", format!("{url}: {}", no_answer.why))]
}

/// The finding that a kind of provider has no key for its algorithms.
fn no_key(about: &'static str, algorithms: &str, case: &Case) -> Finding {
    let text = format!("the set has no key for {algorithms}");
    let causes = vec![Cause::new("no_usable_key", "$.keys", text)];
    fix::finding(about, Level::Fault, format!("key for {algorithms}"), causes, case)
}

/// What a `customJwt` provider says of the key set and the token.
fn custom_jwt(case: &Case, algorithm: Algorithm, audience: Option<&str>) -> Vec<Finding> {
    let title = format!("key set {}", case.jwks_url);
    let answer = match &case.jwks {
        Ok(answer) => answer,
        Err(no_answer) => {
            let refusal = convex::custom_jwt_fetch_failed(&case.jwks_url, &no_answer.why);
            let causes = |_: &Refusal| unfetched(no_answer, &case.jwks_url);
            return vec![checked::<()>(CUSTOM_JWT, &title, &Err(refusal), causes, case)];
        }
    };
    let provider = CustomJwt {
        issuer: case.issuer.clone(),
        jwks: case.jwks_url.clone(),
        algorithm,
        application_id: audience.map(str::to_owned),
    };
    let usable = convex::custom_jwt_key_set(answer, &case.jwks_url, algorithm);
    let causes = |refusal: &Refusal| explain::custom_jwt(refusal, answer, &provider, None);
    let mut findings = vec![checked(CUSTOM_JWT, &title, &usable, causes, case)];
    if usable == Ok(false) {
        findings.push(no_key(CUSTOM_JWT, algorithm.name(), case));
    }
    if let Some(token) = &case.question.token {
        let judge = |now| convex::custom_jwt(answer, &provider, token, now);
        let outcome = without_expiry(token, case.now, judge);
        let of_key_set = [RefusalReason::Status, RefusalReason::MediaType, RefusalReason::KeySet];
        // There is a finding already that the set cannot be read.
        let repeated = usable.is_err()
            && outcome.as_ref().is_err_and(|refusal| of_key_set.contains(&refusal.reason));
        if !repeated {
            let causes =
                |refusal: &Refusal| explain::custom_jwt(refusal, answer, &provider, Some(token));
            findings.push(checked(CUSTOM_JWT, TOKEN, &outcome, causes, case));
        }
    }
    findings
}

/// The verdict on a token without its expiry, which has one finding for all kinds of provider.
fn without_expiry(
    token: &str,
    now: UnixTime,
    judge: impl Fn(UnixTime) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let outcome = judge(now);
    let expired = outcome.as_ref().is_err_and(|refusal| refusal.reason == RefusalReason::Expired);
    match exp(token).filter(|_| expired) {
        Some(exp) => judge(UnixTime::from_secs(exp.saturating_sub(1))),
        None => outcome,
    }
}

/// What an OIDC provider says of the discovery document, the key set and the token.
fn oidc(case: &Case, audience: Option<&str>) -> Vec<Finding> {
    let discovery_url = convex::discovery_url(&case.spelled).unwrap_or_default();
    let fetch = |url: String| {
        let fetched = match url == discovery_url {
            true => Some(&case.discovery),
            false => case.discovery_jwks.as_ref(),
        };
        std::future::ready(match fetched {
            Some(fetched) => fetched.clone().map_err(|no_answer| no_answer.why),
            None => Err("it was not fetched".to_owned()),
        })
    };
    let provider = Oidc {
        domain: case.issuer.clone(),
        application_id: audience.unwrap_or_default().to_owned(),
    };
    let explained = |refusal: &Refusal, token: Option<&str>| {
        let lost = match (&case.discovery, &case.discovery_jwks) {
            (Err(no_answer), _) => Some((no_answer, &discovery_url)),
            (Ok(_), Some(Err(no_answer))) => Some((no_answer, &case.jwks_url)),
            _ => None,
        };
        if let (RefusalReason::Fetch, Some((no_answer, url))) = (&refusal.reason, lost) {
            return unfetched(no_answer, url);
        }
        let discovery = case.discovery.as_ref().ok();
        // If the discovery document itself was refused, that is the fault, whatever was fetched next.
        let keys = match discovery.is_some_and(|answer| is_document(answer, &case.spelled)) {
            true => case.discovery_jwks.as_ref().and_then(|fetched| fetched.as_ref().ok()),
            false => None,
        };
        explain::oidc(refusal, discovery, keys, &provider, token)
    };
    let usable = ready(convex::oidc_discovery(fetch, &case.spelled));
    let causes = |refusal: &Refusal| explained(refusal, None);
    let mut findings = vec![checked(OIDC, "discovery and key set", &usable, causes, case)];
    let Ok(usable) = usable else { return findings };
    if !usable {
        findings.push(no_key(OIDC, "RS256 or EdDSA", case));
    }
    if let Some(Ok(set)) = &case.discovery_jwks {
        let causes = explain::skipped(set);
        if !causes.is_empty() {
            let title = format!("skips {} of the keys, silently", causes.len());
            findings.push(Finding { causes, ..Finding::new(OIDC, Level::Note, title) });
        }
    }
    if let Some(token) = &case.question.token {
        let judge = |now| ready(convex::oidc(fetch, &provider, token, now));
        let outcome = without_expiry(token, case.now, judge);
        let causes = |refusal: &Refusal| explained(refusal, Some(token));
        findings.push(checked(OIDC, TOKEN, &outcome, causes, case));
    }
    findings
}

/// The result of a future that is ready at once, because all answers were fetched before.
fn ready<T>(verdict: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    verdict.now_or_never().unwrap_or_else(|| {
        let message = "not asked".to_owned();
        Err(Refusal { code: "Internal", message, detail: None, reason: RefusalReason::Other })
    })
}

/// Whether the discovery document itself is accepted, with this issuer.
fn is_document(answer: &Answer, issuer: &str) -> bool {
    let content_type = answer.content_type.as_deref().unwrap_or("application/json");
    answer.status == 200
        && content_type.to_ascii_lowercase().starts_with("application/json")
        && Json::parse(&answer.body)
            .is_ok_and(|document| document.get("issuer").and_then(Json::text) == Some(issuer))
}

/// Why a verifier that follows the RFCs, with the issuer's own keys, refuses the token; empty if it
/// accepts it. `None` if there is no token, or no key set to judge it with.
fn token_by_the_rfcs(case: &Case) -> Option<Vec<Cause>> {
    let token = case.question.token.as_deref().filter(|_| case.ours.read.is_ok())?;
    let audiences = token_audiences(token);
    let cause = match (ours::refusal(case), &case.question.audience) {
        (Some(cause), _) => Some(cause),
        (None, Some(wanted)) if !audiences.contains(wanted) => {
            let text = format!("`aud` is {audiences:?}, without {wanted}");
            Some(Cause::new("audience", "claims.aud", text))
        }
        _ => refused_by_profile(case, token),
    };
    // The expiry has a finding of its own.
    Some(cause.filter(|cause| cause.code != "expired").into_iter().collect())
}

/// Why the profile refuses an otherwise valid token. The RFCs do not require a `kid`.
fn refused_by_profile(case: &Case, token: &str) -> Option<Cause> {
    let inspection = inspect(token, case.now);
    let view =
        inspection.profiles.iter().find(|view| view.profile == case.question.profile.name)?;
    let reason = view.reasons.iter().find(|note| note.code != "kid_missing")?;
    Some(Cause::new(reason.code, "token", reason.text.clone()))
}

/// The token's `aud`, not verified; empty without one.
pub fn token_audiences(token: &str) -> Vec<String> {
    let claims = section(token, CLAIMS);
    match claims.as_ref().and_then(|claims| claims.get("aud")) {
        Some(Json::String(one)) => vec![one.clone()],
        Some(Json::Array(list)) => list.iter().filter_map(Json::text).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}
