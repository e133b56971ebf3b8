//! The rules for one issuer: data, checked when the configuration is read.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::alg::{Alg, AlgSet};
use super::json::Object;
use super::jwk::SignatureForm;
use super::names::{Audience, Issuer, IssuerName};
use super::refusal::Refusal;
use super::tenants::{IssuerTemplate, Tenants};
use super::verifying::VerifyingKey;

/// The rules for the tokens of one issuer.
#[derive(Debug, Clone)]
pub struct IssuerPolicy {
    /// What the operator calls the issuer.
    pub name: IssuerName,
    /// The spellings of this issuer's `iss`; never empty, unless there are tenants.
    pub issuers: Vec<Issuer>,
    /// Templates of `iss` with a variable segment.
    pub tenants: Option<Tenants>,
    /// Tokens without `iss` also belong to this issuer. Only for a single issuer: then only the key
    /// says whose token it is. [`IssuerPolicy::output_issuer`] must be set.
    pub issuer_when_missing: bool,
    /// The new value of `iss`; `None` leaves it byte for byte.
    pub output_issuer: Option<Issuer>,
    /// Algorithms its tokens may be signed with.
    pub algorithms: AlgSet,
    /// HMAC secrets, from the configuration only, never from a key set.
    pub secrets: Vec<HmacSecret>,
    /// Required protected header parameters: strings with exactly these values. If the issuer
    /// shares its keys with strangers (AWS ALB, one set per region), the signature alone does not
    /// say whose token it is. A parameter does.
    pub headers: Vec<(String, String)>,
    /// Accepted audiences, and the audience of the new token.
    pub audience: AudienceRule,
    /// Allowed clock skew for `nbf` and `iat`; never for `exp`.
    pub leeway: Duration,
    /// Accepted encodings of ECDSA signatures.
    pub signature_form: SignatureForm,
    /// Segments padded with `=` are read (AWS ALB); the signature is checked over the bytes received.
    pub padded: bool,
    /// Also countersign `typ: at+jwt` (RFC 9068).
    pub access_tokens: bool,
    /// Also countersign tokens that are bound to a key of their sender (`cnf`). The new token is a
    /// bearer token for every verifier that ignores `cnf`.
    pub sender_constrained: bool,
    /// Changes to the claims.
    pub claims: ClaimRules,
    /// The new `exp` is at most this far in the future; `None` keeps the original's.
    pub max_lifetime: Option<Duration>,
    /// The original's protected header and signature are in the new token, so that the original can
    /// be restored for the issuer. Never in a token that was restricted: a shorter life, fewer
    /// claims, or, at the exchange, fewer audiences.
    pub carry_original: bool,
    /// The key set that a verifier reads contains the issuer's own keys, so a token may pass
    /// unchanged.
    pub published: bool,
}

impl IssuerPolicy {
    /// Header parameters with their own meaning here (RFC 7515 §4.1, RFC 7516 §4.1.2, RFC 7797);
    /// [`IssuerPolicy::headers`] contains none of them.
    pub const INTERPRETED: [&str; 11] =
        ["alg", "kid", "typ", "crit", "cty", "enc", "jku", "jwk", "x5u", "x5c", "b64"];

    /// The header parameter that names the token's client, if the claims do not (AWS ALB).
    pub const CLIENT: &str = "client";

    /// The client that every accepted token was made for, because a header parameter is required.
    pub fn bound_client(&self) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(name, _)| name == Self::CLIENT).map(|(_, value)| value.as_str())
    }

    /// The defaults: every asymmetric algorithm, any audience, access tokens allowed.
    pub fn new(name: IssuerName, issuers: Vec<Issuer>) -> Self {
        Self {
            name,
            issuers,
            tenants: None,
            issuer_when_missing: false,
            output_issuer: None,
            algorithms: AlgSet::asymmetric(),
            secrets: Vec::new(),
            headers: Vec::new(),
            audience: AudienceRule::default(),
            leeway: Duration::from_secs(5),
            signature_form: SignatureForm::Jose,
            padded: false,
            access_tokens: true,
            sender_constrained: false,
            claims: ClaimRules::default(),
            max_lifetime: None,
            carry_original: true,
            published: true,
        }
    }

    /// Whether a key set for verifiers may contain the issuer's keys. Not if a header parameter is
    /// required, nor if the keys sign for many tenants: the verifier knows neither rule and would
    /// accept the tokens that we refuse.
    pub fn publishes(&self) -> bool {
        self.published && self.headers.is_empty() && self.tenants.is_none()
    }

    /// Every spelling of `iss`, for people.
    pub fn spellings(&self) -> impl Iterator<Item = &Issuer> {
        let templates = self.tenants.iter().flat_map(|tenants| &tenants.templates);
        self.issuers.iter().chain(templates.map(IssuerTemplate::text))
    }

    /// Whether a claims set with `iss` belongs to this issuer.
    ///
    /// # Errors
    /// `iss`, `tenant`.
    pub(super) fn check_issuer(&self, iss: &str, claims: &Object) -> Result<(), Refusal> {
        if self.issuers.iter().any(|spelling| spelling.as_str() == iss) {
            return Ok(());
        }
        self.tenants.as_ref().ok_or(Refusal::Issuer)?.check(iss, claims)
    }
}

/// A secret for HS256, HS384 or HS512, from the configuration.
#[derive(Clone)]
pub struct HmacSecret {
    alg: Alg,
    key: VerifyingKey,
}

/// Why a configured secret is refused.
#[expect(missing_docs, reason = "its text says what each means")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    #[error("only HS256, HS384 and HS512 have a secret")]
    Alg,
    #[error("has {have} bytes; {need} are needed, as many as the hash has (RFC 7518 §3.2)")]
    Short { have: usize, need: usize },
    #[error("is the text of a public key or certificate, which everyone knows")]
    PublicKey,
}

impl HmacSecret {
    /// # Errors
    /// [`SecretError`].
    #[expect(clippy::needless_pass_by_value, reason = "the caller's copy is wiped here")]
    pub fn new(alg: Alg, bytes: Zeroizing<Vec<u8>>) -> Result<Self, SecretError> {
        let need = alg.row().signature_len.filter(|_| alg.is_hmac());
        let need = need.ok_or(SecretError::Alg)?;
        if bytes.len() < need {
            return Err(SecretError::Short { have: bytes.len(), need });
        }
        if is_public_key(&bytes) {
            return Err(SecretError::PublicKey);
        }
        let short = SecretError::Short { have: 0, need };
        Ok(Self { alg, key: VerifyingKey::secret(&bytes).ok_or(short)? })
    }

    /// The one algorithm it is for.
    pub fn alg(&self) -> Alg {
        self.alg
    }

    /// Whether this secret made the HMAC `signature` over `message`; compared in constant time.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verifies(self.alg, message, signature)
    }
}

/// The attack of RFC 8725 §2.1, by a mistake of the operator: anybody with the public key could
/// create tokens. Recognises PEM, JWK, OpenSSH, and SPKI as DER or base64.
fn is_public_key(bytes: &[u8]) -> bool {
    const SPKI_TEXT: [&str; 6] = ["MIIB", "MIIC", "MFkwEwYH", "MHYwEAYH", "MIGbMBAG", "MCowBQYD"];
    if is_der_sequence(bytes) {
        return true;
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let text = text.trim_start();
    text.contains("-----BEGIN ")
        || ["ssh-", "ecdsa-sha2-"].iter().any(|start| text.starts_with(start))
        || SPKI_TEXT.iter().any(|start| text.starts_with(start))
        || (text.starts_with(['{', '[']) && text.contains("\"kty\""))
}

/// One DER SEQUENCE, exactly as long as the bytes: a random secret is not one.
fn is_der_sequence(bytes: &[u8]) -> bool {
    match *bytes {
        [0x30, 0x82, high, low, ref rest @ ..] => {
            rest.len() == usize::from(u16::from_be_bytes([high, low]))
        }
        [0x30, 0x81, len, ref rest @ ..] => rest.len() == usize::from(len),
        [0x30, len, 0x30, ref rest @ ..] => rest.len() + 1 == usize::from(len),
        _ => false,
    }
}

impl std::fmt::Debug for HmacSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HmacSecret({}, ****)", self.alg)
    }
}

/// The audience of the new token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AudienceRule {
    /// The token must name one of these; if empty, any.
    pub accept: Vec<Audience>,
    /// The `aud` to set if the token has none and its client is one of `clients`.
    pub when_missing: Option<MissingAudience>,
}

/// An `aud` for tokens without one: only together with a check of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingAudience {
    /// The new value of `aud`.
    pub audience: Audience,
    /// `azp` and `client_id`, if present, must be one of these. One must be present, unless
    /// [`IssuerPolicy::bound_client`] or [`MissingAudience::client_sources`] names the token's
    /// client. Without any of these, no token passes.
    pub clients: Vec<String>,
    /// What else may name the token's client.
    pub client_sources: Vec<ClientSource>,
}

/// What names the client of a token that does not name one itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientSource {
    /// A whole segment in the path of the token's `iss`.
    Issuer,
    /// The keys belong to one client, which the configuration has checked as far as possible: their
    /// address names it, or the operator supplied them. Only if `clients` has one entry.
    Keys,
}

impl MissingAudience {
    /// The client that the verified `iss`, or the keys, name.
    pub(super) fn named_client(&self, claims: &Object) -> Option<&str> {
        let iss = claims.string("iss").unwrap_or_default();
        self.client_sources.iter().find_map(|source| match (source, self.clients.as_slice()) {
            (ClientSource::Issuer, clients) => {
                clients.iter().map(String::as_str).find(|client| names_client(&iss, client))
            }
            (ClientSource::Keys, [only]) => Some(only.as_str()),
            (ClientSource::Keys, _) => None,
        })
    }
}

/// Whether an address has `client` as a whole segment of its path, or as the value of a query
/// parameter. A part of a segment would be another client's name.
pub fn names_client(address: &str, client: &str) -> bool {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    // Not the first segment: it is the host, which anybody can choose.
    let mut segments = path.split('/').skip(1);
    !client.is_empty()
        && (segments.any(|segment| segment == client)
            || query.split('&').any(|pair| pair.split_once('=').is_some_and(|(_, v)| v == client)))
}

/// Edits of the claims: rename, then set, then drop. Everything else stays byte for byte.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ClaimRules {
    /// Old name = new name of a claim.
    pub rename: BTreeMap<String, String>,
    /// Name = value of a claim.
    pub set: BTreeMap<String, serde_json::Value>,
    /// Names of the claims to remove.
    pub drop: Vec<String>,
    /// `exp`, `iat`, `nbf` as decimal strings are read.
    pub numeric_strings: bool,
    /// `exp`, `iat`, `nbf` in milliseconds are read.
    pub milliseconds: bool,
}

impl ClaimRules {
    /// Claims that no rule may change: they have their own checks and settings. Changing them could
    /// make a token live longer, start earlier or name another issuer.
    pub const PROTECTED: [&str; 5] = ["iss", "aud", "exp", "nbf", "iat"];

    /// Whether rules must not change this claim.
    pub fn is_protected(claim: &str) -> bool {
        Self::PROTECTED.contains(&claim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_named_by_a_whole_segment() {
        for address in [
            "https://a/user_management/client_1",
            "https://a/jwks/client_1/",
            "https://a/jwks?x=2&client_id=client_1",
            "a/client_1",
        ] {
            assert!(names_client(address, "client_1"), "{address}");
        }
        for address in [
            "https://client_1/jwks",
            "https://client_1",
            "https://a/client_12",
            "https://a/xclient_1",
            "https://a/x-client_1/y",
            "https://a/?client_1",
            "https://a/?id=client_12",
            "https://a/#/client_1x",
            "",
        ] {
            assert!(!names_client(address, "client_1"), "{address}");
        }
        assert!(!names_client("https://a//b", ""));
    }

    fn secret(alg: Alg, bytes: &[u8]) -> Result<HmacSecret, SecretError> {
        HmacSecret::new(alg, Zeroizing::new(bytes.to_vec()))
    }

    #[test]
    fn a_secret_is_long_enough_and_no_public_key() {
        assert!(secret(Alg::Hs256, &[7; 32]).is_ok());
        let short = Some(SecretError::Short { have: 32, need: 48 });
        assert_eq!(secret(Alg::Hs384, &[7; 32]).err(), short);
        assert_eq!(secret(Alg::Rs256, &[7; 64]).err(), Some(SecretError::Alg));
        for text in [
            "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE",
            r#"  {"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM"}"#,
            r#"{"keys":[{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps"}]}"#,
            "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA0vx7agoebGcQSuuPiLJX",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA",
        ] {
            let error = secret(Alg::Hs256, text.as_bytes()).err();
            assert_eq!(error, Some(SecretError::PublicKey), "{text}");
        }
    }

    #[test]
    fn a_secret_does_not_print() {
        let secret = secret(Alg::Hs256, b"correct horse battery staple 0123456789").unwrap();
        assert_eq!(format!("{secret:?}"), "HmacSecret(HS256, ****)");
    }
}
