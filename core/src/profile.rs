//! Verifiers as data: what one accepts and what may stand in the set it reads. A verifier is a value
//! of [`Profile`], never a special case in code.

use std::time::Duration;

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
    /// By what `doctor` judges for it.
    pub judge: Judge,
    /// Where all this is from.
    pub source: &'static str,
}

/// By what `doctor` judges for a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judge {
    /// The crates Convex verifies with, one for each of its two kinds of provider.
    Convex,
    /// The RFCs and the profile. A key that is not published there is a doubt.
    Rfcs,
    /// The RFCs and the profile. A key that is not published there makes it lose the whole set.
    WholeSet,
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
    /// The new token lives no longer.
    pub longest_life: Option<Duration>,
}

const RSA: [Alg; 6] = [Alg::Rs256, Alg::Rs384, Alg::Rs512, Alg::Ps256, Alg::Ps384, Alg::Ps512];
/// The end of the year 9999.
const LATEST: i64 = 253_402_300_799;

impl Default for Profile {
    /// The verifier this program was first made for.
    fn default() -> Self {
        Self::convex()
    }
}

impl Profile {
    pub const NAMES: &[&str] = &["convex", "standard", "federation", "hasura", "login"];

    pub fn named(name: &str) -> Option<Self> {
        match name {
            "convex" => Some(Self::convex()),
            "standard" => Some(Self::standard()),
            "federation" => Some(Self::federation()),
            "hasura" => Some(Self::hasura()),
            "login" => Some(Self::login()),
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
                longest_life: None,
            },
            judge: Judge::Convex,
            source: "measured with the crates Convex verifies with (`tests/verdict.rs`)",
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
                latest_time: LATEST,
                longest_life: None,
            },
            judge: Judge::Rfcs,
            source: "RFC 7515 to 7519, RFC 8725; libraries as in the matrix",
        }
    }

    /// Who takes a token in exchange for credentials of a cloud: AWS STS, Google's workload identity,
    /// Databricks, the API server of Kubernetes. RS256 is what all of them take (Kubernetes by default,
    /// Databricks beside ES256), and one key of another sort makes some lose the set: Kubernetes reads it
    /// with go-jose. Each wants one audience, `sub`, and `iat`. Google takes 24 hours at most; one is
    /// what AWS itself gives out.
    pub fn federation() -> Self {
        Self {
            name: "federation",
            accepts: AlgSet::of(&[Alg::Rs256]),
            publish: AlgSet::of(&[Alg::Rs256]),
            claims: ClaimShape {
                single_audience: true,
                typ_jwt: false,
                needs_iat: true,
                needs_sub: true,
                coerce_standard: false,
                latest_time: LATEST,
                longest_life: Some(Duration::from_secs(3600)),
            },
            judge: Judge::WholeSet,
            source: "the documentation of AWS IAM, Google Cloud IAM, Databricks and Kubernetes; go-oidc \
                     and go-jose as in the matrix",
        }
    }

    /// Hasura, which reads key sets with hs-jose: one key of a kind it does not know, and the whole set is
    /// lost (its `JWK.hs`, `FromJSON`). It knows RSA and the three NIST curves, all by RFC 7518.
    pub fn hasura() -> Self {
        let curves = [Alg::Es256, Alg::Es384, Alg::Es512];
        Self {
            name: "hasura",
            accepts: AlgSet::of(&[Alg::Rs256, Alg::Rs384, Alg::Rs512]),
            publish: RSA.into_iter().chain(curves).collect(),
            claims: ClaimShape { single_audience: false, ..Self::standard().claims },
            judge: Judge::WholeSet,
            source: "Hasura's documentation of its JWT mode; hs-jose, read",
        }
    }

    /// Login clients that expect RS256 of an ID token unless told otherwise (OpenID Connect Dynamic Client
    /// Registration 1.0 §2, `id_token_signed_response_alg`): openid-client 5, passport and what is built
    /// on them; and php-jwt's `parseKeySet`, which loses the set to a key on P-521 or of X25519.
    pub fn login() -> Self {
        Self {
            name: "login",
            accepts: AlgSet::of(&[Alg::Rs256]),
            publish: RSA.into_iter().chain([Alg::Es256, Alg::Es384, Alg::EdDsa]).collect(),
            claims: ClaimShape {
                single_audience: true,
                typ_jwt: true,
                needs_iat: true,
                needs_sub: true,
                coerce_standard: false,
                latest_time: LATEST,
                longest_life: None,
            },
            judge: Judge::Rfcs,
            source: "OpenID Connect Dynamic Client Registration 1.0 §2; openid-client 5 and 6 as in the \
                     matrix; php-jwt, read",
        }
    }
}
