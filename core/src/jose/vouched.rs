//! Claims that no signature vouches for but an answer of the authorization server itself, over a
//! channel the edge opened to an address of the configuration: token introspection (RFC 7662) and
//! userinfo (OpenID Connect Core §5.3). A proof type of its own, so that the two ways to a new token
//! can be told apart in the code and searched for.

use std::time::Duration;

use super::audience::Audiences;
use super::confirmation::Confirmation;
use super::json::Object;
use super::jws;
use super::kind;
use super::names::{Audience, Limits, UnixTime};
use super::policy::IssuerPolicy;
use super::refusal::Refusal;
use super::times::Times;

/// Checked claims of an introspection or userinfo answer.
#[derive(Debug)]
pub struct Vouched {
    object: Object,
    times: Times,
    exp: UnixTime,
    audiences: Audiences,
    not_claims: &'static [&'static str],
    mapped: bool,
}

/// What the answer itself may leave open.
#[derive(Debug, Clone)]
pub struct Voucher<'a> {
    /// The rules for the issuer's tokens.
    pub policy: &'a IssuerPolicy,
    /// The audience of tokens made of answers that name none.
    pub audience: Option<&'a Audience>,
    /// How long such a token lives where the answer has no `exp`; an upper bound where it has.
    pub lifetime: Duration,
    /// The moment.
    pub now: UnixTime,
}

impl Vouched {
    /// Claims of an introspection answer, RFC 7662 §2.2. `active` must be the literal `true`.
    ///
    /// # Errors
    /// `inactive`, `typ` for a refresh token, `payload`, and what [`super::verify::verify`] says of
    /// issuer, times and audience.
    pub fn by_introspection(
        answer: &[u8],
        voucher: &Voucher<'_>,
        limits: &Limits,
    ) -> Result<Self, Refusal> {
        let object = read(answer, limits)?;
        if object.get("active") != Some("true") {
            return Err(Refusal::Inactive);
        }
        // Servers call refresh tokens active too (RFC 7662 §2.1). Such a one is worth nothing without
        // its client's secret, and must not be traded for a login here.
        let refresh = |member: &&str| {
            object.string(member).is_some_and(|kind| kind.to_ascii_lowercase().contains("refresh"))
        };
        if ["token_type", "token_use", "typ"].iter().any(refresh) || kind::is_no_login(&object) {
            return Err(Refusal::Typ);
        }
        Self::check(object, voucher, &["active", "token_type"], false)
    }

    /// Claims of a userinfo answer or of a session endpoint, which the operator gave their names.
    ///
    /// # Errors
    /// As [`Vouched::by_introspection`].
    pub fn by_userinfo(
        answer: &[u8],
        voucher: &Voucher<'_>,
        limits: &Limits,
    ) -> Result<Self, Refusal> {
        Self::check(read(answer, limits)?, voucher, &[], true)
    }

    fn check(
        object: Object,
        voucher: &Voucher<'_>,
        not_claims: &'static [&'static str],
        mapped: bool,
    ) -> Result<Self, Refusal> {
        let Voucher { policy, audience, lifetime, now } = *voucher;
        if object.get("iss").is_some() {
            let iss = object.string("iss").ok_or(Refusal::Issuer)?;
            policy.check_issuer(&iss, &object)?;
        } else if policy.tenants.is_some() {
            // Of which tenant is not known.
            return Err(Refusal::IssuerMissing);
        }
        if Confirmation::of(&object).is_some() && !policy.sender_constrained {
            return Err(Refusal::SenderConstrained);
        }
        let times = Times::read(&object, &policy.claims)?;
        times.check_start(now, policy.leeway)?;
        if times.exp.is_some_and(|exp| exp <= now) {
            return Err(Refusal::Expired);
        }
        let latest = now.plus(lifetime);
        let exp = times.exp.map_or(latest, |exp| exp.min(latest));
        let audiences = match audience {
            Some(audience) if object.get("aud").is_none() => {
                Audiences::configured(audience.clone())
            }
            // No header was verified here, so none says whose client it is.
            _ => Audiences::check(&object, &policy.audience, None)?,
        };
        Ok(Self { object, times, exp, audiences, not_claims, mapped })
    }

    /// What the answer says the token is bound to.
    pub fn confirmation(&self) -> Option<Confirmation> {
        Confirmation::of(&self.object)
    }

    pub(super) fn object(&self) -> &Object {
        &self.object
    }

    pub(super) fn times(&self) -> Times {
        self.times
    }

    pub(super) fn expires(&self) -> UnixTime {
        self.exp
    }

    pub(super) fn audiences(&self) -> &Audiences {
        &self.audiences
    }

    /// Whether the operator chose each claim, `sub` among them.
    pub(super) fn is_mapped(&self) -> bool {
        self.mapped
    }

    /// Members of the answer that say something about the answer, not about the user.
    pub(super) fn not_claims(&self) -> &'static [&'static str] {
        self.not_claims
    }
}

fn read(answer: &[u8], limits: &Limits) -> Result<Object, Refusal> {
    if answer.len() > limits.document {
        return Err(Refusal::TooLarge { limit: limits.document });
    }
    let text = std::str::from_utf8(answer).map_err(|_| Refusal::Payload)?;
    Object::parse(text.to_owned(), limits.depth)
        .map_err(|fault| jws::refusal(fault, Refusal::Payload, limits))
}
