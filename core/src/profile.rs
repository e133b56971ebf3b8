//! Verifiers as data: what one accepts and what may stand in the set it reads. A verifier is a value
//! of [`Profile`], never a special case in code.

use crate::jose::alg::{Alg, AlgSet};

/// One verifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    pub name: &'static str,
    /// Tokens of these algorithms pass as they stand, when all else about them fits too.
    pub accepts: AlgSet,
    /// Keys of these algorithms may be published.
    pub publish: AlgSet,
    pub claims: ClaimShape,
}

/// The shape of the claims a verifier takes without complaint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimShape {
    /// Exactly one audience, as a string.
    pub single_audience: bool,
    /// `typ` must be `JWT` or absent.
    pub typ_jwt: bool,
    /// `iat` must be there.
    pub needs_iat: bool,
    /// `sub` must be there, as a string.
    pub needs_sub: bool,
    /// Standard claims of the wrong JSON type are coerced where nothing is lost.
    pub coerce_standard: bool,
    /// `exp`, `iat`, `nbf` above this are refused, in seconds.
    pub latest_time: i64,
}

impl Default for Profile {
    /// The verifier this program was first made for.
    fn default() -> Self {
        Self::convex()
    }
}

impl Profile {
    pub const NAMES: &[&str] = &["convex", "standard"];

    pub fn named(name: &str) -> Option<Self> {
        match name {
            "convex" => Some(Self::convex()),
            "standard" => Some(Self::standard()),
            _ => None,
        }
    }

    pub fn convex() -> Self {
        Self {
            name: "convex",
            accepts: AlgSet::of(&[Alg::Rs256]),
            publish: AlgSet::of(&[Alg::Rs256, Alg::Es256]),
            claims: ClaimShape {
                single_audience: true,
                typ_jwt: true,
                needs_iat: true,
                needs_sub: true,
                coerce_standard: true,
                latest_time: 8_210_266_876_799,
            },
        }
    }

    /// A verifier that follows the RFCs: every algorithm with a public key, claims as they are.
    /// ES256K is accepted, but a key on secp256k1 makes many libraries refuse the whole set, so it
    /// is not published.
    pub fn standard() -> Self {
        let asymmetric = AlgSet::asymmetric();
        Self {
            name: "standard",
            accepts: asymmetric,
            publish: asymmetric.iter().filter(|alg| *alg != Alg::Es256k).collect(),
            claims: ClaimShape {
                single_audience: false,
                typ_jwt: false,
                needs_iat: false,
                needs_sub: false,
                coerce_standard: false,
                latest_time: 253_402_300_799,
            },
        }
    }
}
