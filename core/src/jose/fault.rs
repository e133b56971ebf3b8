//! Faults of a key or a key set document. Codes are stable: they are metric labels, report fields,
//! and what scripts test. The code of a variant is its name in snake case, if no `strum` attribute
//! gives another: renaming a variant must not change its code.

use std::collections::BTreeSet;

use super::other_document::OtherDocument;
use super::report::{Effect, Report};

/// Why one key is left out of the set. The other keys always survive.
#[expect(missing_docs, reason = "its text says what each means")]
#[derive(
    Debug, Clone, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr, strum::VariantNames,
)]
#[strum(serialize_all = "snake_case")]
pub enum KeyFault {
    #[error("the RSA modulus or exponent is empty, even, zero or not minimal")]
    RsaInvalid,
    #[error("the RSA modulus has {bits} bits, 2048 are needed (RFC 7518 §3.3)")]
    RsaSmall { bits: usize },
    #[error("the RSA modulus has {bits} bits, no verifier accepts more than 8192")]
    RsaLarge { bits: usize },
    #[error("the RSA exponent is out of range")]
    #[strum(serialize = "e_range")]
    ExponentRange,
    #[error("the RSA modulus carries the ROCA fingerprint (CVE-2017-15361)")]
    #[strum(serialize = "rsa_roca")]
    Roca,
    #[error("a coordinate does not have the length of its curve")]
    EcLength,
    #[error("the point does not lie on its curve")]
    EcPoint,
    #[error("an Ed25519 public key has 32 bytes")]
    OkpLength,
    #[error("the bytes are not an Ed25519 public key")]
    OkpPoint,
    #[error("`alg` belongs to another kind of key")]
    AlgFamily,
    #[error("`alg` belongs to another curve")]
    AlgCurve,
    #[error("the entry is not a JWK object")]
    Entry,
    #[error("a member occurs twice in the key (RFC 7517 §4)")]
    DuplicateMember,
    #[error("`kty` is missing (RFC 7517 §4.1)")]
    KtyMissing,
    #[error("`kty` is not one of RSA, EC, OKP")]
    KtyUnknown,
    #[error("the key is symmetric")]
    Symmetric,
    #[error("a symmetric secret is published")]
    SecretLeaked,
    #[error("the key is published with its private part")]
    PrivateKeyLeaked,
    #[error("the key is not for signatures")]
    NotSignature,
    #[error("`use` is not one of sig, enc (RFC 7517 §4.2)")]
    UseUnknown,
    #[error("`alg` is not a string")]
    AlgType,
    #[error("`alg` is not a known signature algorithm")]
    AlgUnknown,
    #[error("`kid` is neither a string nor a whole number")]
    KidType,
    #[error("`crv` is not a known signature curve")]
    #[strum(serialize = "crv")]
    Curve,
    #[error("`{0}` is missing")]
    MemberMissing(KeyMember),
    #[error("`{0}` is not a string")]
    #[strum(serialize = "type")]
    MemberType(KeyMember),
    #[error("`{0}` has no single reading as base64url (RFC 7515 §2)")]
    #[strum(serialize = "b64")]
    Base64(KeyMember),
    #[error("`n` is hexadecimal text")]
    #[strum(serialize = "n_hex")]
    ModulusHex,
    #[error("the key has more than two primes, or a malformed `oth` (RFC 7518 §6.3.2.7)")]
    MultiPrime,
    #[error("the certificate contains another kind of key than `kty` says")]
    X5cMismatch,
    #[error("the PEM text contains no public key")]
    Pem,
    #[error("the certificate only issued another one in the document")]
    PemChain,
    #[error("the same key is in the set already")]
    Duplicate,
    #[error("the key is marked as revoked")]
    Revoked,
    #[error("the key's `exp` has passed")]
    Expired,
}

/// A member of a JWK that its kind of key must have.
#[expect(missing_docs, reason = "the names of members, RFC 7518 §6")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum KeyMember {
    N,
    E,
    Crv,
    X,
    Y,
}

impl KeyMember {
    /// Its name in a JWK.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl KeyFault {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::MemberMissing(KeyMember::N) => "n_missing",
            Self::MemberMissing(KeyMember::E) => "e_missing",
            Self::MemberMissing(KeyMember::Crv) => "crv_missing",
            Self::MemberMissing(KeyMember::X) => "x_missing",
            Self::MemberMissing(KeyMember::Y) => "y_missing",
            fault => fault.into(),
        }
    }

    /// The member with the fault, for the JSON path.
    pub fn member(&self) -> Option<&'static str> {
        Some(match self {
            Self::KtyMissing | Self::KtyUnknown => "kty",
            Self::UseUnknown => "use",
            Self::AlgType | Self::AlgUnknown | Self::AlgFamily | Self::AlgCurve => "alg",
            Self::KidType => "kid",
            Self::Curve => "crv",
            Self::MemberMissing(member) | Self::MemberType(member) | Self::Base64(member) => {
                member.name()
            }
            Self::ModulusHex | Self::RsaSmall { .. } | Self::RsaLarge { .. } | Self::Roca => "n",
            Self::ExponentRange => "e",
            Self::MultiPrime => "oth",
            Self::X5cMismatch => "x5c",
            _ => return None,
        })
    }
}

/// Why a whole document is refused.
#[expect(missing_docs, reason = "its text says what each means")]
#[derive(
    Debug, Clone, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr, strum::VariantNames,
)]
#[strum(serialize_all = "snake_case")]
pub enum DocumentRefusal {
    #[error("the document is empty")]
    Empty,
    #[error("the document is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the document is compressed, and the compression is damaged")]
    Encoding,
    #[error("the document is not UTF-8 (RFC 8259 §8.1)")]
    NotUtf8,
    #[error("the document is an HTML or XML page")]
    Html,
    #[error("the document is not JSON: {0} (RFC 8259)")]
    NotJson(String),
    #[error("the document is nested deeper than {limit} levels, or than 8 on average")]
    Depth { limit: usize },
    #[error("the document is a JSON value that cannot contain keys")]
    NotObject,
    #[error("a member occurs twice at {path}, and readers disagree which counts (RFC 8259 §4)")]
    DuplicateMember { path: String },
    #[error("the document has no `keys` (RFC 7517 §5)")]
    NoKeys,
    /// Its code is `not_json` or `no_keys`, as without the recognition.
    #[error("the document is {0}, not a key set")]
    Other(OtherDocument),
    #[error("the document has several readings: {0}")]
    Ambiguous(&'static str),
    #[error("the set is empty")]
    EmptySet,
    #[error("the set has {found} keys, {limit} are allowed (`[limits] keys`)")]
    TooManyKeys { found: usize, limit: usize },
    /// The report says why each key was dropped.
    #[error("the set has no usable public signature key{}", list(.0))]
    NoUsableKey(Box<Report>),
}

fn list(report: &Report) -> String {
    let dropped = report.changes.iter().filter(|change| change.effect == Effect::Dropped);
    let codes = BTreeSet::from_iter(dropped.map(|change| change.code));
    let codes = Vec::from_iter(codes).join(", ");
    if codes.is_empty() { codes } else { format!(" ({codes})") }
}

impl From<serde_json::Error> for DocumentRefusal {
    fn from(error: serde_json::Error) -> Self {
        Self::NotJson(error.to_string())
    }
}

impl DocumentRefusal {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Other(document) => document.code(),
            refusal => refusal.into(),
        }
    }

    /// What to do about it, if the document says enough.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Html => Some("this is a web page; check that the address is that of the key set"),
            Self::Other(document) => Some(document.hint()),
            Self::TooManyKeys { .. } => {
                Some("raise `[limits] keys`, or ask the issuer why it has so many")
            }
            _ => None,
        }
    }

    /// The report about the keys, if they were read.
    pub fn report(&self) -> Option<&Report> {
        match self {
            Self::NoUsableKey(report) => Some(report),
            _ => None,
        }
    }
}
