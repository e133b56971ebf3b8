//! A `type: "customJwt"` provider: the key set comes from a configured address, and biscuit reads
//! it.

use biscuit::errors::{Error, ValidationError};
use biscuit::jwa::{self, SignatureAlgorithm};
use biscuit::jwk::{AlgorithmParameters, JWK, JWKSet};
use biscuit::jws::Compact;
use biscuit::{Empty, TemporalOptions, ValidationOptions};

use super::super::{Answer, Refusal, RefusalReason};
use super::claims::{self, Claims};
use crate::jose::names::UnixTime;

/// The two algorithms that a `customJwt` provider can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[default]
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

impl Algorithm {
    /// The name in `auth.config.ts`, which is that of RFC 7518 §3.1.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }

    fn of_biscuit(self) -> SignatureAlgorithm {
        match self {
            Self::Rs256 => SignatureAlgorithm::RS256,
            Self::Es256 => SignatureAlgorithm::ES256,
        }
    }
}

/// A `customJwt` provider of `auth.config.ts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomJwt {
    /// `issuer`, which `iss` must equal.
    pub issuer: String,
    /// The address of the key set. The error texts mention it.
    pub jwks: String,
    /// `algorithm`.
    pub algorithm: Algorithm,
    /// `applicationID`, which `aud` must contain.
    pub application_id: Option<String>,
}

type Token = Compact<Claims<serde_json::Value>, Empty>;

/// Whether Convex accepts `token` with this provider, if the JWKS address answers `answer`.
///
/// # Errors
/// [`Refusal`] with Convex's own text, if it refuses.
pub fn custom_jwt(
    answer: &Answer,
    provider: &CustomJwt,
    token: &str,
    now: UnixTime,
) -> Result<(), Refusal> {
    let issuer = claims::configured_issuer(&provider.issuer)?;
    let app_id = provider.application_id.as_deref();
    let named = format!("CustomJWT(issuer={issuer}, app_id={})", app_id.unwrap_or("none"));
    claims::choose_provider(token, &issuer, app_id, &named)?;
    let keys = read_key_set(answer, &provider.jwks)?;
    let registered = signed_claims(&keys, provider.algorithm, token)?;

    let token_issuer = registered.iss.as_ref().ok_or_else(claims::missing_issuer)?;
    if !claims::same_issuer(token_issuer, &issuer) {
        let text = format!("Invalid issuer: {token_issuer} != {issuer}");
        return Err(Refusal::auth_header(RefusalReason::Provider, text));
    }
    if let Some(app_id) = app_id {
        let Some(audience) = &registered.aud else {
            return Err(Refusal::auth_header(
                RefusalReason::Provider,
                "Missing audience claim ('aud') in JWT payload. The JWT must include an 'aud' claim \
                 that matches your configured application ID.",
            ));
        };
        if !audience.iter().any(|one| one == app_id) {
            let all: Vec<_> = audience.iter().collect();
            let text = format!("Invalid audience: {app_id} not in {all:?}");
            return Err(Refusal::auth_header(RefusalReason::Provider, text));
        }
    }

    registered.to_biscuit()?.validate(temporal(now)?).map_err(|error| {
        let reason = match error {
            ValidationError::Expired(_) => RefusalReason::Expired,
            ValidationError::NotYetValid(_) | ValidationError::TooOld(_) => RefusalReason::NotYet,
            _ => RefusalReason::Other,
        };
        Refusal::auth_header(reason, format!("Could not validate token: {error}"))
    })?;
    let (name, detail) = match (&registered.sub, &registered.exp) {
        (Some(_), Some(_)) => return Ok(()),
        (None, _) => ("sub", "Missing subject"),
        (Some(_), None) => ("exp", "Missing expiry"),
    };
    let refusal = Refusal::auth_header(
        RefusalReason::ClaimMissing(name),
        "Could not verify token claim. Check that the JWT contains valid claims and matches your \
         auth provider configuration.",
    );
    Err(Refusal { detail: Some(detail.to_owned()), ..refusal })
}

/// Convex's error if the key set cannot be fetched at all.
pub fn custom_jwt_fetch_failed(jwks: &str, why: &str) -> Refusal {
    let text = format!(
        "Could not fetch JWKS from URL '{jwks}': {why}. Check that the URL is correct and accessible."
    );
    Refusal::auth_header(RefusalReason::Fetch, text)
}

/// Whether the key set in `answer` has a key for tokens signed with `algorithm`. `jwks` is the address
/// for the error text.
///
/// # Errors
/// [`Refusal`] with Convex's own text, if it cannot read the key set.
pub fn custom_jwt_key_set(
    answer: &Answer,
    jwks: &str,
    algorithm: Algorithm,
) -> Result<bool, Refusal> {
    let fits = |key: &JWK<Empty>| {
        let kind = match key.algorithm {
            AlgorithmParameters::RSA(_) => algorithm == Algorithm::Rs256,
            AlgorithmParameters::EllipticCurve(_) => algorithm == Algorithm::Es256,
            AlgorithmParameters::OctetKey(_) | AlgorithmParameters::OctetKeyPair(_) => false,
        };
        kind && allows(key, algorithm.of_biscuit()) && key.common.key_id.is_some()
    };
    Ok(read_key_set(answer, jwks)?.keys.iter().any(fits))
}

/// Whether the key's `alg` is `algorithm` or missing.
fn allows(key: &JWK<Empty>, algorithm: SignatureAlgorithm) -> bool {
    let wanted = jwa::Algorithm::Signature(algorithm);
    key.common.algorithm.is_none_or(|stated| stated == wanted)
}

fn read_key_set(answer: &Answer, jwks: &str) -> Result<JWKSet<Empty>, Refusal> {
    // For a `data:` URL, Convex does not check the media type.
    if !jwks.starts_with("data:") {
        check_answer(answer, jwks)?;
    }
    serde_json::from_slice(&answer.body).map_err(|e| {
        let text = format!(
            "Invalid JWKS response body from '{jwks}'. The response is not valid JSON or doesn't \
             match the expected JWKS format."
        );
        Refusal::auth_header(RefusalReason::KeySet, text).because(&e)
    })
}

fn check_answer(answer: &Answer, jwks: &str) -> Result<(), Refusal> {
    if answer.status != 200 {
        let reason = openidconnect::http::StatusCode::from_u16(answer.status).ok();
        let reason = reason.and_then(|s| s.canonical_reason()).unwrap_or("Unknown");
        let refusal = custom_jwt_fetch_failed(jwks, &format!("HTTP {} {reason}", answer.status));
        return Err(Refusal { reason: RefusalReason::Status, ..refusal });
    }
    // `HeaderValue::to_str` fails unless all characters are visible ASCII.
    let visible = |t: &&str| t.bytes().all(|b| b == b'\t' || (32..127).contains(&b));
    let content_type = answer.content_type.as_deref().filter(visible);
    let fits = content_type.and_then(|t| t.parse::<mime::Mime>().ok()).is_some_and(|mime| {
        let named = |n: &str| mime.essence_str().eq_ignore_ascii_case(n);
        (named("application/json") || named("application/jwk-set+json"))
            && mime.get_param("charset").is_none_or(|charset| charset == "utf-8")
    });
    if fits {
        return Ok(());
    }
    let text = format!(
        "Invalid Content-Type '{}' when fetching JWKS from '{jwks}'. Expected 'application/json' or \
         'application/jwk-set+json'.",
        content_type.unwrap_or("unknown")
    );
    Err(Refusal::auth_header(RefusalReason::MediaType, text))
}

/// Verifies the signature. The returned claims are not validated yet.
fn signed_claims(
    keys: &JWKSet<Empty>,
    algorithm: Algorithm,
    token: &str,
) -> Result<claims::Registered, Refusal> {
    let algorithm = algorithm.of_biscuit();
    let encoded = Token::new_encoded(token);
    if reaches_unreachable(keys, algorithm, &encoded) {
        return Err(Refusal::panics(
            RefusalReason::Algorithm,
            "the server panics on this token: the key it names does not fit the provider's algorithm",
        ));
    }
    let decoded = encoded.decode_with_jwks(keys, Some(algorithm)).map_err(|error| {
        let kid = encoded.unverified_header().ok().and_then(|h| h.registered.key_id);
        let text = match kid {
            Some(kid) => format!(
                "Could not decode token. The JWT's 'kid' (key ID) header is '{kid}', does this key \
                 match any key in the provider's JWKS?"
            ),
            None => {
                "Could not decode token. JWT may be missing a 'kid' (key ID) header.".to_owned()
            }
        };
        Refusal::auth_header(reason(&error), text).because(&error)
    })?;
    let claims = decoded.payload();
    claims
        .map(|claims| claims.registered.clone())
        .map_err(|e| Refusal::new("Internal", RefusalReason::Other, e.to_string()))
}

fn reason(error: &Error) -> RefusalReason {
    match error {
        Error::ValidationError(ValidationError::KidMissing) => RefusalReason::KidMissing,
        Error::ValidationError(ValidationError::KeyNotFound) => RefusalReason::KidUnknown,
        Error::ValidationError(
            ValidationError::WrongAlgorithmHeader
            | ValidationError::UnsupportedKeyAlgorithm
            | ValidationError::MissingAlgorithm,
        ) => RefusalReason::Algorithm,
        Error::ValidationError(ValidationError::InvalidSignature) => RefusalReason::Signature,
        Error::WrongKeyType { .. } | Error::KeyRejected(_) | Error::UnsupportedOperation => {
            RefusalReason::Key
        }
        Error::UnspecifiedCryptographicError => RefusalReason::Signature,
        _ => RefusalReason::Token,
    }
}

/// The two cases in which biscuit reaches `unreachable!`: an RSA key used for ES256, and an `oct`
/// key used for either algorithm. They apply only if no earlier check refuses the token.
fn reaches_unreachable(keys: &JWKSet<Empty>, algorithm: SignatureAlgorithm, token: &Token) -> bool {
    let Ok(header) = token.unverified_header() else { return false };
    let kid = header.registered.key_id.as_deref();
    let Some(key) = kid.and_then(|kid| keys.find(kid)) else { return false };
    let three = token.encoded().is_ok_and(|parts| parts.len() == 3) && token.signature().is_ok();
    let fatal = match key.algorithm {
        AlgorithmParameters::RSA(_) => algorithm == SignatureAlgorithm::ES256,
        AlgorithmParameters::OctetKey(_) => true,
        AlgorithmParameters::EllipticCurve(_) | AlgorithmParameters::OctetKeyPair(_) => false,
    };
    three && fatal && allows(key, algorithm) && header.registered.algorithm == algorithm
}

/// Convex allows a clock skew of five seconds for `exp`, `nbf` and `iat`.
fn temporal(now: UnixTime) -> Result<ValidationOptions, Refusal> {
    let now = Some(claims::date_time(now)?);
    let temporal_options = TemporalOptions { now, epsilon: chrono::Duration::seconds(5) };
    Ok(ValidationOptions { temporal_options, ..ValidationOptions::default() })
}
