//! The only way from a token to a verified token: [`verify`] makes the only [`VerifiedToken`]. It
//! checks first who signed, then for whom and when.

use super::alg::{Alg, AlgSet, Family};
use super::audience::Audiences;
use super::json::Object;
use super::jwk::{PublicJwk, SignatureForm};
use super::jwks::KeySet;
use super::jws::{CompactJws, Envelope, UnverifiedHeader, media_type};
use super::kind;
use super::names::{Limits, UnixTime};
use super::policy::IssuerPolicy;
use super::refusal::Refusal;
use super::tenants;
use super::thumbprint::Thumbprint;
use super::times::Times;

/// What the checks of a claims set read in it.
#[derive(Debug)]
pub(super) struct CheckedClaims {
    pub times: Times,
    /// The token's own `exp`, or an earlier limit.
    pub exp: UnixTime,
    pub audiences: Audiences,
}

/// A token whose signature, header, issuer, times and audience were checked against one issuer's
/// policy. It has private fields and one constructor: a value of this type is the proof.
#[derive(Debug)]
pub struct VerifiedToken<'t> {
    jws: &'t CompactJws<'t>,
    key: Option<Thumbprint>,
    checked: CheckedClaims,
}

impl<'t> VerifiedToken<'t> {
    /// Its protected header.
    pub fn header(&self) -> &'t UnverifiedHeader {
        self.jws.unverified_header()
    }

    /// The public key that verified it; `None` for an HMAC.
    pub fn key(&self) -> Option<&Thumbprint> {
        self.key.as_ref()
    }

    /// Its `exp`.
    pub fn expires(&self) -> UnixTime {
        self.checked.exp
    }

    /// Its claims set.
    pub fn claims(&self) -> &'t Object {
        self.jws.unverified_claims()
    }

    pub(super) fn checked(&self) -> &CheckedClaims {
        &self.checked
    }

    pub(super) fn envelope(&self) -> &'t Envelope<'t> {
        self.jws.envelope()
    }

    /// Whether the header has only `alg`, `typ` and a textual `kid`, and no part is padded.
    pub fn is_plain(&self) -> bool {
        self.header().is_plain && !self.envelope().is_padded()
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
    limits: &Limits,
    now: UnixTime,
) -> Result<VerifiedToken<'t>, Refusal> {
    // RFC 7515 §2: no padding, except for issuers that are known to pad.
    if jws.envelope().is_padded() && !policy.padded {
        return Err(Refusal::Base64);
    }
    let claims = jws.unverified_claims();
    let key = check_signature(jws.envelope(), policy, keys, limits);
    let key = key.map_err(|refusal| match refusal {
        Refusal::KidUnknown if is_expired(claims, policy, now) => Refusal::Expired,
        other => other,
    })?;
    // Before the audience: a required header parameter may name the client.
    check_headers(jws.envelope(), policy)?;
    check_kind(jws, policy)?;
    check_issuer(claims, policy, key)?;
    let times = Times::read(claims, &policy.claims)?;
    let exp = times.exp.ok_or(Refusal::ExpiryMissing)?;
    times.check(now, policy.leeway)?;
    let audiences = Audiences::check(claims, &policy.audience, policy.bound_client())?;
    let key = key.map(|key| key.thumbprint().clone());
    Ok(VerifiedToken { jws, key, checked: CheckedClaims { times, exp, audiences } })
}

/// Whether the token's own, unverified `exp` has passed. It only leads to a refusal, so the claim
/// need not be trusted.
fn is_expired(claims: &Object, policy: &IssuerPolicy, now: UnixTime) -> bool {
    Times::read(claims, &policy.claims).is_ok_and(|times| times.is_expired(now))
}

fn check_signature<'k>(
    jws: &Envelope<'_>,
    policy: &IssuerPolicy,
    keys: &'k KeySet,
    limits: &Limits,
) -> Result<Option<&'k PublicJwk>, Refusal> {
    let alg = jws.unverified_header().alg;
    if !alg.is_hmac() {
        return signed_by(jws, keys, policy.algorithms, policy.signature_form, limits).map(Some);
    }
    // RFC 8725 §3.1: an HMAC is only checked with a secret from the configuration, never with
    // anything from a key set.
    if !policy.algorithms.contains(alg) {
        return Err(Refusal::Alg);
    }
    for (tried, secret) in (0..).zip(policy.secrets.iter().filter(|secret| secret.alg() == alg)) {
        check_tries(tried, limits)?;
        if secret.verifies(jws.signing_input(), jws.signature()) {
            return Ok(None);
        }
    }
    Err(Refusal::Signature)
}

/// Bounds the signature checks for one token. Otherwise a large set and tokens without `kid` would
/// make each request as expensive as the set is long.
fn check_tries(tried: u32, limits: &Limits) -> Result<(), Refusal> {
    let limit = limits.signature_checks;
    if tried < limit { Ok(()) } else { Err(Refusal::TooManyKeys { limit }) }
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
    limits: &Limits,
) -> Result<&'k PublicJwk, Refusal> {
    let header = jws.unverified_header();
    let (alg, kid) = (header.alg, header.kid.as_deref());
    if !algorithms.contains(alg) || alg.is_hmac() {
        return Err(Refusal::Alg);
    }
    let known = kid.is_none_or(|kid| keys.has_kid(kid));
    // The refusal if no key fits: a known name means that its key is of another kind.
    let mut refusal = if known { Refusal::Alg } else { Refusal::KidUnknown };
    for (tried, key) in (0..).zip(keys.candidates(kid, alg)) {
        check_tries(tried, limits)?;
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
        if jws.unverified_header().string(name).as_deref() != Some(value) {
            return Err(Refusal::HeaderMismatch { name: name.clone() });
        }
    }
    Ok(())
}

/// RFC 8725 §3.11 and §3.12: only tokens about a login become login tokens. A logout token, a
/// security event or an introspection answer is signed with the same keys, and would count as a
/// login once its `typ` is `JWT`.
fn check_kind(jws: &CompactJws<'_>, policy: &IssuerPolicy) -> Result<(), Refusal> {
    let typ = jws.unverified_header().typ.as_deref().map(media_type);
    match typ.as_deref() {
        None | Some("jwt" | "jose" | "jws" | "id_token+jwt") => {}
        Some("at+jwt") if policy.access_tokens => {}
        Some(_) => return Err(Refusal::Typ),
    }
    // RFC 8417 §2.2: `events`, an object, makes a claims set a security event.
    let claims = jws.unverified_claims();
    let is_event = claims.get("events").is_some_and(|events| events.starts_with('{'));
    if is_event || kind::is_refresh_or_logout(claims) { Err(Refusal::Typ) } else { Ok(()) }
}

/// Checks that `iss` is the issuer's, and that the key is for it: in a set for many tenants, an
/// entry may be marked for some of them only.
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
