//! The only way from a token to a verified token: [`verify`] makes the only [`VerifiedToken`]. The
//! order of checks is that of [`Refusal::rank`]: first who signed, then for whom and when.

use super::alg::{Alg, AlgSet, Family};
use super::audience::Audiences;
use super::json::Object;
use super::jwk::{PublicJwk, SignatureForm};
use super::jwks::KeySet;
use super::jws::{CompactJws, Envelope, media_type};
use super::kind;
use super::names::{Limits, UnixTime};
use super::policy::IssuerPolicy;
use super::refusal::Refusal;
use super::tenants;
use super::thumbprint::Thumbprint;
use super::times::Times;

/// Remaining signature checks for one token. Otherwise a large set and tokens without `kid` would
/// make each request as expensive as the set is long.
#[derive(Debug)]
pub struct Budget {
    left: u32,
    limit: u32,
}

impl Budget {
    /// The checks allowed for one token.
    pub fn new(limits: &Limits) -> Self {
        Self { left: limits.signature_checks, limit: limits.signature_checks }
    }

    fn spend(&mut self) -> Result<(), Refusal> {
        let limit = self.limit;
        self.left = self.left.checked_sub(1).ok_or(Refusal::TooManyKeys { limit })?;
        Ok(())
    }
}

/// A token whose signature, header, issuer, times and audience were checked against one issuer's
/// policy. It has private fields and one constructor: a value of this type is the proof.
#[derive(Debug)]
pub struct VerifiedToken<'t> {
    jws: &'t CompactJws<'t>,
    key: Option<Thumbprint>,
    times: Times,
    exp: UnixTime,
    audiences: Audiences,
}

impl<'t> VerifiedToken<'t> {
    /// The algorithm that was verified.
    pub fn alg(&self) -> Alg {
        self.jws.envelope().unverified_alg()
    }

    /// The `kid` of its header.
    pub fn kid(&self) -> Option<&'t str> {
        self.jws.unverified_kid()
    }

    /// The `typ` of its header.
    pub fn typ(&self) -> Option<&'t str> {
        self.jws.envelope().unverified_typ()
    }

    /// The public key that verified it; none for an HMAC.
    pub fn key(&self) -> Option<&Thumbprint> {
        self.key.as_ref()
    }

    /// Its `exp`.
    pub fn expires(&self) -> UnixTime {
        self.exp
    }

    /// Its claims set.
    pub fn claims(&self) -> &'t Object {
        self.jws.unverified_claims()
    }

    pub(super) fn times(&self) -> Times {
        self.times
    }

    pub(super) fn audiences(&self) -> &Audiences {
        &self.audiences
    }

    pub(super) fn envelope(&self) -> &'t Envelope<'t> {
        self.jws.envelope()
    }

    /// The header has only `alg`, `typ` and a textual `kid`, and no part is padded.
    pub fn is_plain(&self) -> bool {
        self.envelope().is_plain() && !self.envelope().is_padded()
    }
}

/// Verifies a token of the issuer of `policy` with that issuer's keys, at `now`.
///
/// # Errors
/// [`Refusal`]. `kid_unknown` requests fresher keys. It is not returned for an expired token, so
/// that old tokens start no fetch.
pub fn verify<'t>(
    jws: &'t CompactJws<'t>,
    policy: &IssuerPolicy,
    keys: &KeySet,
    now: UnixTime,
    budget: &mut Budget,
) -> Result<VerifiedToken<'t>, Refusal> {
    // RFC 7515 §2: no padding, except for issuers that are known to pad.
    if jws.envelope().is_padded() && !policy.padded {
        return Err(Refusal::Base64);
    }
    let claims = jws.unverified_claims();
    let key = match check_signature(jws.envelope(), policy, keys, budget) {
        Err(Refusal::KidUnknown) => {
            return Err(Refusal::KidUnknown.or_more_telling(age(jws, policy, now)));
        }
        other => other?,
    };
    // Before the audience: a required header parameter may name the client.
    check_headers(jws.envelope(), policy)?;
    check_kind(jws, policy)?;
    check_issuer(claims, policy, key)?;
    let times = Times::read(claims, &policy.claims)?;
    let exp = times.check(now, policy.leeway)?;
    let audiences = Audiences::check(claims, &policy.audience, policy.bound_client())?;
    let key = key.map(|key| key.thumbprint().clone());
    Ok(VerifiedToken { jws, key, times, exp, audiences })
}

/// `Expired` if the token's own `exp` says so. It is a refusal, so nothing has to be trusted for
/// it.
fn age(jws: &CompactJws<'_>, policy: &IssuerPolicy, now: UnixTime) -> Refusal {
    let times = Times::read(jws.unverified_claims(), &policy.claims);
    match times.and_then(|times| times.check(now, policy.leeway)) {
        Err(Refusal::Expired) => Refusal::Expired,
        _ => Refusal::KidUnknown,
    }
}

fn check_signature<'k>(
    jws: &Envelope<'_>,
    policy: &IssuerPolicy,
    keys: &'k KeySet,
    budget: &mut Budget,
) -> Result<Option<&'k PublicJwk>, Refusal> {
    if jws.unverified_alg().family() != Family::Secret {
        return signed_by(jws, keys, policy.algorithms, policy.signature_form, budget).map(Some);
    }
    // RFC 8725 §3.1: an HMAC is only checked with a secret from the configuration, never with
    // anything from a key set.
    let alg = jws.unverified_alg();
    if !policy.algorithms.contains(alg) {
        return Err(Refusal::Alg);
    }
    for secret in policy.secrets.iter().filter(|secret| secret.alg() == alg) {
        budget.spend()?;
        if secret.made(jws.signing_input(), jws.signature()) {
            return Ok(None);
        }
    }
    Err(Refusal::Signature)
}

/// The key of `keys` that made the signature. A `kid` selects the keys with that name. Keys without
/// a name are tried only if no key has it. JWKs and URLs in the header are ignored.
///
/// # Errors
/// `alg`, `kid_unknown`, `too_many_keys`, `sig_format`, `signature`.
pub fn signed_by<'k>(
    jws: &Envelope<'_>,
    keys: &'k KeySet,
    algorithms: AlgSet,
    form: SignatureForm,
    budget: &mut Budget,
) -> Result<&'k PublicJwk, Refusal> {
    let alg = jws.unverified_alg();
    if !algorithms.contains(alg) || alg.family() == Family::Secret {
        return Err(Refusal::Alg);
    }
    let kid = jws.unverified_kid();
    let known = kid.is_none_or(|kid| keys.has_kid(kid));
    // The refusal if no key fits: a known name means that its key is of another kind.
    let mut refusal = if known { Refusal::Alg } else { Refusal::KidUnknown };
    for key in keys.candidates(kid, alg) {
        budget.spend()?;
        if key.verifies(alg, form, jws.signing_input(), jws.signature()) {
            return Ok(key);
        }
        if known {
            refusal = if is_der(alg, jws.signature()) && form == SignatureForm::Jose {
                Refusal::SignatureFormat
            } else {
                Refusal::Signature
            };
        }
    }
    // Without a `kid`, a fresher set may contain the key that signed.
    if kid.is_none() && refusal == Refusal::Alg && keys.keys().is_empty() {
        refusal = Refusal::KidUnknown;
    }
    Err(refusal)
}

/// An ECDSA signature in the form of X.509 instead of JOSE: a DER sequence.
fn is_der(alg: Alg, signature: &[u8]) -> bool {
    matches!(alg.family(), Family::Ec(_))
        && alg.row().signature_len != Some(signature.len())
        && signature.first() == Some(&0x30)
}

/// The required protected header parameters, compared whole. A signature by shared keys says that
/// one of their owners made it; the parameters say which.
fn check_headers(jws: &Envelope<'_>, policy: &IssuerPolicy) -> Result<(), Refusal> {
    for (name, value) in &policy.headers {
        if jws.unverified_parameter(name).as_deref() != Some(value) {
            return Err(Refusal::HeaderMismatch { name: name.clone() });
        }
    }
    Ok(())
}

/// RFC 8725 §3.11 and §3.12: only tokens about a login become login tokens. A logout token, a
/// security event or an introspection answer is signed with the same keys, and would count as a
/// login once its `typ` is `JWT`.
fn check_kind(jws: &CompactJws<'_>, policy: &IssuerPolicy) -> Result<(), Refusal> {
    let typ = jws.envelope().unverified_typ().map(media_type);
    match typ.as_deref() {
        None | Some("jwt" | "jose" | "jws" | "id_token+jwt") => {}
        Some("at+jwt") if policy.access_tokens => {}
        Some(_) => return Err(Refusal::Typ),
    }
    // RFC 8417 §2.2: `events`, an object, makes a claims set a security event.
    let claims = jws.unverified_claims();
    if kind::is_no_login(claims) {
        return Err(Refusal::Typ);
    }
    if claims.get("events").is_some_and(|events| events.starts_with('{')) {
        return Err(Refusal::Typ);
    }
    Ok(())
}

/// `iss` is the issuer's, and the key is for it: in a set for many tenants, an entry may be marked
/// for some of them only.
fn check_issuer(
    claims: &Object,
    policy: &IssuerPolicy,
    key: Option<&PublicJwk>,
) -> Result<(), Refusal> {
    if claims.get("iss").is_none() {
        let ours = policy.issuer_when_missing && policy.tenants.is_none();
        return if ours { Ok(()) } else { Err(Refusal::IssuerMissing) };
    }
    let iss = claims.string("iss").ok_or(Refusal::Issuer)?;
    policy.check_issuer(&iss, claims)?;
    let stated = key.filter(|_| policy.tenants.is_some()).map_or(&[][..], PublicJwk::issuers);
    if stated.is_empty() || stated.iter().any(|stated| tenants::is_key_of(stated, &iss)) {
        Ok(())
    } else {
        Err(Refusal::KeyIssuer)
    }
}
