//! Faults of a key or a key set document. Codes are stable: they are metric labels, report fields,
//! and what scripts test.

use super::likeness::Likeness;
use super::report::Report;

/// Why one key is left out of the set. The other keys always survive.
#[expect(missing_docs, reason = "its text says what each means")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    #[error("the RSA modulus or exponent is empty, even, zero or not minimal")]
    RsaInvalid,
    #[error("the RSA modulus has {bits} bits, 2048 are needed (RFC 7518 §3.3)")]
    RsaSmall { bits: usize },
    #[error("the RSA modulus has {bits} bits, at most 8192 are verified anywhere")]
    RsaLarge { bits: usize },
    #[error("the RSA exponent is out of range")]
    ExponentRange,
    #[error("the RSA modulus carries the ROCA fingerprint (CVE-2017-15361)")]
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
    Curve,
    #[error("`{0}` is missing")]
    MemberMissing(KeyMember),
    #[error("`{0}` is not a string")]
    MemberType(KeyMember),
    #[error("`{0}` has no single reading as base64url (RFC 7515 §2)")]
    Base64(KeyMember),
    #[error("`n` is hexadecimal text")]
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

/// A member of a JWK that contains a number of the key.
#[expect(missing_docs, reason = "the names of members, RFC 7518 §6")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        match self {
            Self::N => "n",
            Self::E => "e",
            Self::Crv => "crv",
            Self::X => "x",
            Self::Y => "y",
        }
    }
}

impl std::fmt::Display for KeyMember {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl KeyFault {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::RsaInvalid => "rsa_invalid",
            Self::RsaSmall { .. } => "rsa_small",
            Self::RsaLarge { .. } => "rsa_large",
            Self::ExponentRange => "e_range",
            Self::Roca => "rsa_roca",
            Self::EcLength => "ec_length",
            Self::EcPoint => "ec_point",
            Self::OkpLength => "okp_length",
            Self::OkpPoint => "okp_point",
            Self::AlgFamily => "alg_family",
            Self::AlgCurve => "alg_curve",
            Self::Entry => "entry",
            Self::DuplicateMember => "duplicate_member",
            Self::KtyMissing => "kty_missing",
            Self::KtyUnknown => "kty_unknown",
            Self::Symmetric => "symmetric",
            Self::SecretLeaked => "secret_leaked",
            Self::PrivateKeyLeaked => "private_key_leaked",
            Self::NotSignature => "not_signature",
            Self::UseUnknown => "use_unknown",
            Self::AlgType => "alg_type",
            Self::AlgUnknown => "alg_unknown",
            Self::KidType => "kid_type",
            Self::Curve => "crv",
            Self::MemberMissing(member) => match member {
                KeyMember::N => "n_missing",
                KeyMember::E => "e_missing",
                KeyMember::Crv => "crv_missing",
                KeyMember::X => "x_missing",
                KeyMember::Y => "y_missing",
            },
            Self::MemberType(_) => "type",
            Self::Base64(_) => "b64",
            Self::ModulusHex => "n_hex",
            Self::MultiPrime => "multi_prime",
            Self::X5cMismatch => "x5c_mismatch",
            Self::Pem => "pem",
            Self::PemChain => "pem_chain",
            Self::Duplicate => "duplicate",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
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
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    #[error("the document is not JSON: {what} at byte {at} (RFC 8259)")]
    NotJson { what: &'static str, at: usize },
    #[error("the document is nested deeper than {limit} levels")]
    Depth { limit: usize },
    #[error("the document is a JSON value that cannot contain keys")]
    NotObject,
    #[error("a member occurs twice at {path}, and readers disagree which counts (RFC 8259 §4)")]
    DuplicateMember { path: String },
    #[error("the document has no `keys` (RFC 7517 §5)")]
    NoKeys,
    /// Its code is `not_json` or `no_keys`, as without the recognition.
    #[error("the document is {0}, not a key set")]
    Other(Likeness),
    #[error("the document has several readings: {what}")]
    Ambiguous { what: &'static str },
    #[error("the set is empty")]
    EmptySet,
    #[error("the set has {found} keys, {limit} are allowed (`[limits] keys`)")]
    TooManyKeys { found: usize, limit: usize },
    /// The report says why each key was dropped.
    #[error("the set has no usable public signature key{}", list(.0))]
    NoUsableKey(Box<Report>),
}

fn list(report: &Report) -> String {
    let mut codes: Vec<_> = report
        .changes
        .iter()
        .filter(|change| change.effect == super::report::Effect::Dropped)
        .map(|change| change.code)
        .collect();
    codes.sort_unstable();
    codes.dedup();
    if codes.is_empty() { String::new() } else { format!(" ({})", codes.join(", ")) }
}

impl DocumentRefusal {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLarge { .. } => "too_large",
            Self::Encoding => "encoding",
            Self::NotUtf8 => "not_utf8",
            Self::Html => "html",
            Self::NotJson { .. } => "not_json",
            Self::Depth { .. } => "depth",
            Self::NotObject => "not_object",
            Self::DuplicateMember { .. } => "duplicate_member",
            Self::NoKeys => "no_keys",
            Self::Other(likeness) => likeness.code(),
            Self::Ambiguous { .. } => "ambiguous",
            Self::EmptySet => "empty_set",
            Self::TooManyKeys { .. } => "too_many_keys",
            Self::NoUsableKey(_) => "no_usable_key",
        }
    }

    /// What to do about it, if the document says enough.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Html => Some("this is a page for people; is the address the JWKS's?"),
            Self::Other(likeness) => Some(likeness.hint()),
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
