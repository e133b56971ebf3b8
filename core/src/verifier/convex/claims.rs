//! Reads the token's claims as Convex's biscuit does, and chooses a provider from them.

use biscuit::{CompactJson, RegisteredClaims, SingleOrMultiple};
use serde::{Deserialize, Deserializer, Serialize};

use super::super::{Refusal, RefusalReason};
use crate::jose::names::UnixTime;

/// Seconds since the epoch. A fraction is cut off, as in Convex's fork.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Seconds(i64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        #[expect(clippy::cast_possible_truncation, reason = "saturates, and the range is checked")]
        let whole = || number.as_f64().map(|f| f as i64);
        number
            .as_i64()
            .or_else(whole)
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("no number"))
    }
}

/// The registered claims (RFC 7519 §4.1) of [`biscuit::RegisteredClaims`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Registered {
    pub(super) iss: Option<String>,
    pub(super) sub: Option<String>,
    pub(super) aud: Option<SingleOrMultiple<String>>,
    pub(super) exp: Option<Seconds>,
    nbf: Option<Seconds>,
    iat: Option<Seconds>,
    jti: Option<String>,
}

/// [`biscuit::ClaimsSet`], but times may have a fraction.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Claims<P> {
    #[serde(flatten)]
    pub(super) registered: Registered,
    #[serde(flatten)]
    private: P,
}

impl CompactJson for Claims<biscuit::Empty> {}
impl CompactJson for Claims<serde_json::Value> {}

impl Registered {
    /// Converts to biscuit's own type, for its validation. Refuses values on which biscuit would
    /// panic.
    pub(super) fn to_biscuit(&self) -> Result<RegisteredClaims, Refusal> {
        let time = |at: Option<Seconds>| match at {
            Some(Seconds(at)) if chrono::DateTime::from_timestamp(at, 0).is_none() => {
                Err(Refusal::panics(
                    RefusalReason::TimeRange,
                    "the server panics on this token: exp, nbf or iat lies outside what it can hold \
                     (are they in microseconds?)",
                ))
            }
            at => Ok(at.map(|Seconds(at)| biscuit::Timestamp::from(at))),
        };
        Ok(RegisteredClaims {
            issuer: self.iss.clone(),
            subject: self.sub.clone(),
            audience: self.aud.clone(),
            expiry: time(self.exp)?,
            not_before: time(self.nbf)?,
            issued_at: time(self.iat)?,
            id: self.jti.clone(),
        })
    }
}

/// Reads the unverified `iss` and `aud`, and matches them with the one configured provider. Returns
/// the token's `iss`. `provider` is `OIDC(domain=…, app_id=…)`, as the error lists it.
pub(super) fn choose_provider(
    token: &str,
    configured_issuer: &str,
    application_id: Option<&str>,
    provider: &str,
) -> Result<String, Refusal> {
    let encoded =
        biscuit::jws::Compact::<Claims<biscuit::Empty>, biscuit::Empty>::new_encoded(token);
    let registered = encoded
        .unverified_payload()
        .map_err(|e| {
            Refusal::auth_header(
                RefusalReason::Payload,
                "Could not parse JWT payload. Check that the token is a valid JWT format with three \
                 base64-encoded parts separated by dots.",
            )
            .because(&e)
        })?
        .registered;
    registered.to_biscuit()?;
    let issuer = registered.iss.ok_or_else(missing_issuer)?;
    let mut audiences = registered.aud.iter().flat_map(SingleOrMultiple::iter);
    let audience_fits = application_id.is_none_or(|id| audiences.any(|audience| audience == id));
    if audience_fits && same_issuer(&issuer, configured_issuer) {
        return Ok(issuer);
    }
    Err(Refusal::new(
        "NoAuthProvider",
        RefusalReason::Provider,
        format!(
            "No auth provider found matching the given token. Check that your JWT's issuer and \
             audience match one of your configured providers: [{provider}]"
        ),
    ))
}

/// Compares issuers: a missing scheme means `https`, and trailing slashes are ignored.
pub fn same_issuer(token: &str, configured: &str) -> bool {
    with_scheme(token).trim_end_matches('/') == with_scheme(configured).trim_end_matches('/')
}

fn with_scheme(issuer: &str) -> String {
    if issuer.starts_with("https://") || issuer.starts_with("http://") {
        issuer.to_owned()
    } else {
        format!("https://{issuer}")
    }
}

pub(super) fn missing_issuer() -> Refusal {
    Refusal::auth_header(
        RefusalReason::IssuerMissing,
        "Missing issuer claim ('iss') in JWT payload. The JWT must include an 'iss' claim that \
         matches one of your configured auth providers.",
    )
}

/// `now` in the type of both crates.
pub(super) fn date_time(now: UnixTime) -> Result<chrono::DateTime<chrono::Utc>, Refusal> {
    chrono::DateTime::from_timestamp(now.secs(), 0)
        .ok_or_else(|| Refusal::new("Internal", RefusalReason::Other, "no such time"))
}

/// The issuer from `auth.config.ts` as the backend stores it: with `https` where it has no scheme.
///
/// # Errors
/// `InvalidProviderDomainUrl` where it is not an `http` or `https` address.
pub(super) fn configured_issuer(text: &str) -> Result<String, Refusal> {
    let invalid = |why: &str| {
        Refusal::new(
            "InvalidProviderDomainUrl",
            RefusalReason::Domain,
            format!("Invalid provider domain URL \"{text}\": {why}"),
        )
    };
    if text.starts_with('"') {
        return Err(invalid("starts with a double quote (\")"));
    }
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    let word = |s: &str| !s.is_empty() && s.chars().all(|c| c.is_alphanumeric() || c == '_');
    let full = if scheme.is_some_and(word) { text.to_owned() } else { format!("https://{text}") };
    let parsed = url::Url::parse(&full).map_err(|e| invalid(&e.to_string()))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(invalid("scheme should be http or https"));
    }
    Ok(full)
}
