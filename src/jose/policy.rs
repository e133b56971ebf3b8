//! What one issuer is trusted for: data, checked when the configuration is read.

use std::time::Duration;

use zeroize::Zeroizing;

use super::alg::{Alg, AlgSet};
use super::jwk::SignatureForm;
use super::names::{Audience, Issuer, IssuerName};

/// The rules for the tokens of one issuer.
#[derive(Debug, Clone)]
pub struct IssuerPolicy {
    pub name: IssuerName,
    /// Spellings of `iss` that are this issuer's; never empty.
    pub issuers: Vec<Issuer>,
    /// What `iss` becomes; `None` leaves it byte for byte.
    pub output_issuer: Option<Issuer>,
    /// Algorithms its tokens may be signed with.
    pub algorithms: AlgSet,
    /// HMAC secrets, from the configuration only, never from a key set.
    pub secrets: Vec<HmacSecret>,
    pub audience: AudienceRule,
    /// Clock skew granted to `nbf` and `iat`; never to `exp`.
    pub leeway: Duration,
    pub signature_form: SignatureForm,
    /// Segments padded with `=` are read (AWS ALB); the signature is checked over the bytes received.
    pub padded: bool,
    /// `typ: at+jwt` (RFC 9068) is countersigned too.
    pub access_tokens: bool,
    pub claims: ClaimRules,
    /// The new `exp` is at most this far away; `None` keeps the original's.
    pub max_lifetime: Option<Duration>,
    /// The original's protected header and signature travel in the new token, so that it can be put
    /// together again on the way back to the issuer.
    pub carry_original: bool,
    /// The issuer's own keys are in the set a verifier reads, so a token may pass as it stands.
    pub published: bool,
}

impl IssuerPolicy {
    /// The defaults: every asymmetric algorithm, any audience, access tokens allowed.
    pub fn new(name: IssuerName, issuers: Vec<Issuer>) -> Self {
        Self {
            name,
            issuers,
            output_issuer: None,
            algorithms: AlgSet::asymmetric(),
            secrets: Vec::new(),
            audience: AudienceRule::default(),
            leeway: Duration::from_secs(5),
            signature_form: SignatureForm::Jose,
            padded: false,
            access_tokens: true,
            claims: ClaimRules::default(),
            max_lifetime: None,
            carry_original: true,
            published: true,
        }
    }
}

/// A secret for HS256, HS384 or HS512. RFC 7518 §3.2: at least as long as the hash.
#[derive(Clone)]
pub struct HmacSecret {
    pub alg: Alg,
    pub bytes: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for HmacSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HmacSecret({}, ****)", self.alg)
    }
}

/// Which audience the new token gets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AudienceRule {
    /// The token must name one of these; empty: any.
    pub accept: Vec<Audience>,
    /// The `aud` to set where the token has none, if its client is one of `clients`.
    pub when_missing: Option<MissingAudience>,
}

/// An `aud` for tokens that have none: only together with a check of who asked for the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingAudience {
    pub audience: Audience,
    /// `azp` or `client_id` must be one of these; never empty.
    pub clients: Vec<String>,
}

/// Edits of the claims, applied in this order: rename, set, drop. Everything else stays byte for byte.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClaimRules {
    pub rename: Vec<(String, String)>,
    pub set: Vec<(String, serde_json::Value)>,
    pub drop: Vec<String>,
    /// `exp` as a decimal string is read as a number (off: refused).
    pub numeric_strings: bool,
    /// `exp`, `iat`, `nbf` in milliseconds are divided (off: refused).
    pub milliseconds: bool,
}
