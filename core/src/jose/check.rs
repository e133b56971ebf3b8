//! Checks only a signature, over any payload, for the command line. It is stricter than
//! [`super::verify`] if a key set is ambiguous: there, the issuer's configuration says whose key set
//! it is.

use std::collections::HashSet;

use zeroize::Zeroizing;

use super::alg::{Alg, AlgSet};
use super::base64url;
use super::jwk::SignatureForm;
use super::jws::{Envelope, UnverifiedHeader};
use super::keyset::KeySet;
use super::names::Limits;
use super::policy::HmacSecret;
use super::refusal::Refusal;
use super::verify;

/// Checks a compact JWS with a key set; returns its algorithm.
///
/// # Errors
/// [`Refusal`]: of the form, `alg`, `kid_unknown`, `kid_ambiguous`, `sig_format`, `signature`.
pub fn check(
    token: &str,
    keys: &KeySet,
    algorithms: AlgSet,
    limits: &Limits,
) -> Result<Alg, Refusal> {
    let jws = Envelope::parse(token, limits, false)?;
    let header = jws.unverified_header();
    if let Some(kid) = header.kid.as_deref()
        && keys.has_kid(kid)
    {
        let named = Alg::all().flat_map(|alg| keys.candidates(Some(kid), alg));
        if named.map(|key| key.thumbprint()).collect::<HashSet<_>>().len() > 1 {
            return Err(Refusal::KidAmbiguous);
        }
    }
    verify::signed_by(&jws, keys, algorithms, SignatureForm::Jose, limits)?;
    Ok(header.alg)
}

/// The secrets of a document of `oct` keys, for a caller who requested an HMAC by name. The proxy
/// never reads them: its secrets are in the configuration.
pub struct Secrets(Vec<(Option<String>, HmacSecret)>);

#[derive(serde::Deserialize)]
struct OctKeySet {
    keys: Vec<OctJwk>,
}

#[derive(serde::Deserialize)]
struct OctJwk {
    kty: String,
    k: String,
    alg: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
}

impl Secrets {
    /// Reads a JWK or a JWKS that contains only `oct` keys for HMAC signatures.
    ///
    /// # Errors
    /// `alg` for a document with any other key, `kid_ambiguous` for two with one name.
    pub fn read(document: &[u8]) -> Result<Self, Refusal> {
        let keys = match serde_json::from_slice::<OctKeySet>(document) {
            Ok(document) => document.keys,
            Err(_) => vec![serde_json::from_slice(document).map_err(|_| Refusal::Alg)?],
        };
        let mut secrets: Vec<(Option<String>, HmacSecret)> = Vec::new();
        for key in keys {
            let k = Zeroizing::new(key.k);
            let signs = key.usage.is_none_or(|usage| usage == "sig")
                && key.key_ops.is_none_or(|ops| ops.iter().any(|op| op == "verify"));
            let alg = Alg::from_name(&key.alg).filter(|_| key.kty == "oct" && signs);
            let bytes = base64url::decode(k.as_bytes()).map_err(|_| Refusal::Alg)?;
            let secret = HmacSecret::new(alg.ok_or(Refusal::Alg)?, Zeroizing::new(bytes));
            if secrets.iter().any(|(kid, _)| *kid == key.kid) {
                return Err(Refusal::KidAmbiguous);
            }
            secrets.push((key.kid, secret.map_err(|_| Refusal::Alg)?));
        }
        Ok(Self(secrets))
    }

    /// Checks an HMAC.
    ///
    /// # Errors
    /// As [`check`].
    pub fn check(&self, token: &str, algorithms: AlgSet, limits: &Limits) -> Result<Alg, Refusal> {
        let jws = Envelope::parse(token, limits, false)?;
        let UnverifiedHeader { alg, kid, .. } = jws.unverified_header();
        if !alg.is_hmac() || !algorithms.contains(*alg) {
            return Err(Refusal::Alg);
        }
        let has_kid = |named: &Option<String>| named.is_none() || kid.is_none() || named == kid;
        let secret = self.0.iter().find(|(named, _)| has_kid(named));
        let (_, secret) = secret.ok_or(Refusal::KidUnknown)?;
        if secret.alg() != *alg {
            return Err(Refusal::Alg);
        }
        let verified = secret.verifies(jws.signing_input(), jws.signature());
        if verified { Ok(*alg) } else { Err(Refusal::Signature) }
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}
