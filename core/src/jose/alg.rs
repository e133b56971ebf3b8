//! The JWS algorithms as one table (RFC 7518 §3, RFC 8037 §3.1, RFC 8812 §3, RFC 9864 §2). A new
//! algorithm is one row: no other code lists them.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{self, EcdsaVerificationAlgorithm};
use jsonwebtoken::Algorithm;

use Check::{AwsLc, Jsonwebtoken};
use Family::{Ec, Okp, Rsa, Secret};

/// A JWS algorithm this program can verify.
#[expect(missing_docs, reason = "the registered names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Alg {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    Es256k,
    EdDsa,
    Hs256,
    Hs384,
    Hs512,
}

/// An elliptic curve, RFC 7518 §6.2.1.1, RFC 8037 §2, RFC 8812 §3.1.
#[expect(missing_docs, reason = "the registered names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Curve {
    P256,
    P384,
    P521,
    Secp256k1,
    Ed25519,
}

/// The key that an algorithm needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// `kty: RSA`
    Rsa,
    /// `kty: EC` on this curve
    Ec(Curve),
    /// `kty: OKP` on this curve
    Okp(Curve),
    /// `kty: oct`; never taken from a key set, only from the configuration
    Secret,
}

/// Which library checks a signature of an algorithm.
pub enum Check {
    /// The crate `jsonwebtoken`, under its name for the algorithm.
    Jsonwebtoken(Algorithm),
    /// aws-lc: `jsonwebtoken` has neither P-521 nor secp256k1.
    AwsLc(&'static EcdsaVerificationAlgorithm),
}

/// One row of the table.
pub struct Row {
    /// The row's algorithm; its place in the table.
    pub alg: Alg,
    /// The registered name, as it is written in `alg`.
    pub name: &'static str,
    /// The kind of key.
    pub family: Family,
    /// Length of a signature in bytes; `None` where it is the length of the modulus.
    pub signature_len: Option<usize>,
    /// The hash of `at_hash` and its siblings, OpenID Connect Core §3.1.3.6.
    pub hash: &'static digest::Algorithm,
    /// How its signatures are checked.
    pub check: Check,
    /// ECDSA in ASN.1 DER, which some issuers send instead of `r || s` (RFC 7518 §3.4).
    pub der: Option<&'static EcdsaVerificationAlgorithm>,
}

const fn row(
    alg: Alg,
    name: &'static str,
    family: Family,
    signature_len: Option<usize>,
    hash: &'static digest::Algorithm,
    check: Check,
    der: Option<&'static EcdsaVerificationAlgorithm>,
) -> Row {
    Row { alg, name, family, signature_len, hash, check, der }
}

#[rustfmt::skip]
static TABLE: [Row; 14] = [
    row(Alg::Rs256, "RS256", Rsa, None, &digest::SHA256, Jsonwebtoken(Algorithm::RS256), None),
    row(Alg::Rs384, "RS384", Rsa, None, &digest::SHA384, Jsonwebtoken(Algorithm::RS384), None),
    row(Alg::Rs512, "RS512", Rsa, None, &digest::SHA512, Jsonwebtoken(Algorithm::RS512), None),
    row(Alg::Ps256, "PS256", Rsa, None, &digest::SHA256, Jsonwebtoken(Algorithm::PS256), None),
    row(Alg::Ps384, "PS384", Rsa, None, &digest::SHA384, Jsonwebtoken(Algorithm::PS384), None),
    row(Alg::Ps512, "PS512", Rsa, None, &digest::SHA512, Jsonwebtoken(Algorithm::PS512), None),
    row(Alg::Es256, "ES256", Ec(Curve::P256), Some(64), &digest::SHA256, Jsonwebtoken(Algorithm::ES256), Some(&signature::ECDSA_P256_SHA256_ASN1)),
    row(Alg::Es384, "ES384", Ec(Curve::P384), Some(96), &digest::SHA384, Jsonwebtoken(Algorithm::ES384), Some(&signature::ECDSA_P384_SHA384_ASN1)),
    row(Alg::Es512, "ES512", Ec(Curve::P521), Some(132), &digest::SHA512, AwsLc(&signature::ECDSA_P521_SHA512_FIXED), Some(&signature::ECDSA_P521_SHA512_ASN1)),
    row(Alg::Es256k, "ES256K", Ec(Curve::Secp256k1), Some(64), &digest::SHA256, AwsLc(&signature::ECDSA_P256K1_SHA256_FIXED), Some(&signature::ECDSA_P256K1_SHA256_ASN1)),
    row(Alg::EdDsa, "EdDSA", Okp(Curve::Ed25519), Some(64), &digest::SHA512, Jsonwebtoken(Algorithm::EdDSA), None),
    row(Alg::Hs256, "HS256", Secret, Some(32), &digest::SHA256, Jsonwebtoken(Algorithm::HS256), None),
    row(Alg::Hs384, "HS384", Secret, Some(48), &digest::SHA384, Jsonwebtoken(Algorithm::HS384), None),
    row(Alg::Hs512, "HS512", Secret, Some(64), &digest::SHA512, Jsonwebtoken(Algorithm::HS512), None),
];

impl Alg {
    /// The algorithm's row.
    pub fn row(self) -> &'static Row {
        // The table is in the order of the enum; a test checks it.
        &TABLE[self as usize]
    }

    /// The registered name.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The kind of key it needs.
    pub fn family(self) -> Family {
        self.row().family
    }

    /// Whether it has a secret instead of a key pair.
    pub fn is_hmac(self) -> bool {
        self.family() == Family::Secret
    }

    /// The algorithm of a registered `alg` name, case-sensitive (RFC 7515 §4.1.1). RFC 9864's
    /// `Ed25519` is the fully specified name of the only curve we take for `EdDSA`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "Ed25519" => Some(Self::EdDsa),
            _ => TABLE.iter().find(|row| row.name == name).map(|row| row.alg),
        }
    }

    /// Every algorithm, in the order of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.alg)
    }
}

impl std::fmt::Display for Alg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Curve {
    /// The registered `crv` name.
    pub fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
            Self::Secp256k1 => "secp256k1",
            Self::Ed25519 => "Ed25519",
        }
    }

    /// Bytes of one coordinate.
    pub fn coordinate_len(self) -> usize {
        match self {
            Self::P256 | Self::Secp256k1 | Self::Ed25519 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

impl Family {
    /// The algorithm for a key of this family without `alg`: the only one for a curve; RS256 for
    /// RSA, which every verifier has. Never a guess of PS256.
    pub fn default_alg(self) -> Option<Alg> {
        TABLE.iter().find(|row| row.family == self && self != Family::Secret).map(|row| row.alg)
    }
}

/// A set of algorithms.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct AlgSet(u16);

impl AlgSet {
    /// No algorithm.
    pub const EMPTY: Self = Self(0);

    /// The set of the given algorithms.
    pub const fn of(algs: &[Alg]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < algs.len() {
            bits |= 1 << algs[i] as u16;
            i += 1;
        }
        Self(bits)
    }

    /// Every algorithm with a public key; HMAC algorithms must be named.
    pub fn asymmetric() -> Self {
        Alg::all().filter(|alg| !alg.is_hmac()).collect()
    }

    /// Whether `alg` is in the set.
    pub const fn contains(self, alg: Alg) -> bool {
        self.0 & (1 << alg as u16) != 0
    }

    /// The members, in the order of the table.
    pub fn iter(self) -> impl Iterator<Item = Alg> {
        Alg::all().filter(move |alg| self.contains(*alg))
    }
}

impl FromIterator<Alg> for AlgSet {
    fn from_iter<T: IntoIterator<Item = Alg>>(iter: T) -> Self {
        Self(iter.into_iter().fold(0, |bits, alg| bits | 1 << alg as u16))
    }
}

impl std::fmt::Debug for AlgSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter().map(Alg::name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_stands_in_the_order_of_the_enum() {
        for (i, row) in TABLE.iter().enumerate() {
            assert_eq!(row.alg as usize, i, "{}", row.name);
        }
    }

    /// Both names of an algorithm are one name, so no row checks with the rules of another.
    #[test]
    fn the_twelve_of_jsonwebtoken_are_checked_by_it_under_the_same_name() {
        let mut by_aws_lc = Vec::new();
        for row in &TABLE {
            match row.check {
                Check::Jsonwebtoken(name) => assert_eq!(format!("{name:?}"), row.name),
                Check::AwsLc(_) => by_aws_lc.push(row.name),
            }
            assert_eq!(row.der.is_some(), matches!(row.family, Family::Ec(_)), "{}", row.name);
        }
        assert_eq!(by_aws_lc, ["ES512", "ES256K"]);
    }

    #[test]
    fn names_are_exact() {
        assert_eq!(Alg::from_name("Ed25519"), Some(Alg::EdDsa));
        for name in ["none", "None", "rs256", "RS256 ", "", "Ed448", "RSA-OAEP"] {
            assert_eq!(Alg::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn defaults_never_reach_a_secret() {
        assert_eq!(Family::Rsa.default_alg(), Some(Alg::Rs256));
        assert_eq!(Family::Ec(Curve::P521).default_alg(), Some(Alg::Es512));
        assert_eq!(Family::Secret.default_alg(), None);
        assert!(!AlgSet::asymmetric().contains(Alg::Hs256));
    }
}
