//! What can be wrong with a key or a key set document. Codes are stable: they are metric labels,
//! report fields and what scripts test.

/// Why one key is left out of the set. The other keys always survive.
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
    #[error("the bytes are no Ed25519 public key")]
    OkpPoint,
    #[error("`alg` belongs to another kind of key")]
    AlgFamily,
    #[error("`alg` belongs to another curve")]
    AlgCurve,
}

impl KeyFault {
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
        }
    }
}

/// Why a whole document is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentRefusal {
    #[error("the document is empty")]
    Empty,
}

impl DocumentRefusal {
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
        }
    }
}
