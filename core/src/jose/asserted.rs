//! Claims without a signature of their own: the authorization server asserts them in an answer,
//! over a connection that the server crate opened to a configured address. Sources are token introspection
//! (RFC 7662) and userinfo (OpenID Connect Core §5.3). They have a proof type of their own, so that
//! the code distinguishes the two ways to a new token.

use std::time::Duration;

use super::audience::Audiences;
use super::json::Object;
use super::jws;
use super::kind;
use super::names::{Audience, Limits, UnixTime};
use super::policy::IssuerPolicy;
use super::refusal::Refusal;
use super::times::Times;
use super::verify::CheckedClaims;

/// Checked claims of an introspection or userinfo answer.
#[derive(Debug)]
pub struct AssertedClaims {
    claims: Object,
    checked: CheckedClaims,
    /// Members that describe the answer, not the user.
    pub(super) not_claims: &'static [&'static str],
    /// The operator chose each claim, `sub` among them.
    pub(super) mapped: bool,
}

/// The rules for claims that the answer itself may omit.
#[derive(Debug, Clone)]
pub struct AssertionRules<'a> {
    /// The rules for the issuer's tokens.
    pub policy: &'a IssuerPolicy,
    /// The audience of tokens from answers that name none.
    pub audience: Option<&'a Audience>,
    /// The life of such a token if the answer has no `exp`; otherwise the upper limit.
    pub lifetime: Duration,
    /// The current time.
    pub now: UnixTime,
}

impl AssertedClaims {
    /// Claims of an introspection answer, RFC 7662 §2.2. `active` must be the literal `true`.
    ///
    /// # Errors
    /// `inactive`, `typ` for a refresh token, `payload`, and the errors of
    /// [`super::verify::verify`] for issuer, times and audience.
    pub fn by_introspection(
        answer: &[u8],
        rules: &AssertionRules<'_>,
        limits: &Limits,
    ) -> Result<Self, Refusal> {
        let claims = read(answer, limits)?;
        if claims.get("active") != Some("true") {
            return Err(Refusal::Inactive);
        }
        // Servers call refresh tokens active too (RFC 7662 §2.1). A refresh token is worthless
        // without its client's secret, so it must not become a login here.
        let refresh = |member: &&str| {
            claims.string(member).is_some_and(|kind| kind.to_ascii_lowercase().contains("refresh"))
        };
        if ["token_type", "token_use", "typ"].iter().any(refresh)
            || kind::is_refresh_or_logout(&claims)
        {
            return Err(Refusal::Typ);
        }
        let checked = check(&claims, rules)?;
        Ok(Self { claims, checked, not_claims: &["active", "token_type"], mapped: false })
    }

    /// Claims of a userinfo answer, or of a session endpoint whose members the operator mapped.
    ///
    /// # Errors
    /// As [`AssertedClaims::by_introspection`].
    pub fn by_userinfo(
        answer: &[u8],
        rules: &AssertionRules<'_>,
        limits: &Limits,
    ) -> Result<Self, Refusal> {
        let claims = read(answer, limits)?;
        let checked = check(&claims, rules)?;
        Ok(Self { claims, checked, not_claims: &[], mapped: true })
    }

    /// The members of the answer.
    pub(super) fn claims(&self) -> &Object {
        &self.claims
    }

    pub(super) fn checked(&self) -> &CheckedClaims {
        &self.checked
    }
}

fn read(answer: &[u8], limits: &Limits) -> Result<Object, Refusal> {
    if answer.len() > limits.document {
        return Err(Refusal::TooLarge { limit: limits.document });
    }
    jws::read_object(answer.to_owned(), Refusal::Payload, limits)
}

fn check(claims: &Object, rules: &AssertionRules<'_>) -> Result<CheckedClaims, Refusal> {
    let AssertionRules { policy, audience, lifetime, now } = *rules;
    if claims.get("iss").is_some() {
        let iss = claims.string("iss").ok_or(Refusal::Issuer)?;
        policy.check_issuer(&iss, claims)?;
    } else if policy.tenants.is_some() {
        // The tenant is unknown.
        return Err(Refusal::IssuerMissing);
    }
    if !policy.sender_constrained && kind::is_sender_constrained(claims) {
        return Err(Refusal::SenderConstrained);
    }
    let times = Times::read(claims, &policy.claims)?;
    times.check(now, policy.leeway)?;
    let latest = now.plus(lifetime);
    let exp = times.exp.map_or(latest, |exp| exp.min(latest));
    let audiences = match audience {
        Some(audience) if claims.get("aud").is_none() => Audiences::configured(audience.clone()),
        // No header was verified here, so no header names the client.
        _ => Audiences::check(claims, &policy.audience, None)?,
    };
    Ok(CheckedClaims { times, exp, audiences })
}
