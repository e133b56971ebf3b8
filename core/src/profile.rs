//! Verifiers as data: what one accepts and what may stand in the set it reads. A verifier is a value
//! of [`Profile`], never a special case in code.

use std::time::Duration;

use crate::jose::alg::{Alg, AlgSet};

/// One verifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The name in `[profile] name` and `--profile`.
    pub name: &'static str,
    /// Tokens of these algorithms pass as they stand, when all else about them fits too.
    pub accepts: AlgSet,
    /// Keys of these algorithms do no harm in the set the verifier reads, with their `alg`. All of
    /// them are published: other clients of the same server read that set too.
    pub tolerates: AlgSet,
    /// Keys of these algorithms do no harm once their `alg` is left out. They are published without
    /// it: RFC 7517 §4.4 makes `alg` optional, and the curve says which algorithm it is.
    pub tolerates_bare: AlgSet,
    /// What the claims must look like.
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
    /// Claims that change from token to token of one login are left out. A verifier that keeps
    /// results by all claims of an identity would compute them again after each renewal.
    pub stable: bool,
}

/// How the key of an algorithm may stand in a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tolerance {
    /// With its `alg`.
    WithAlg,
    /// Without `alg`.
    WithoutAlg,
    /// Not at all.
    None,
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
    /// The names [`Profile::named`] knows.
    pub const NAMES: &[&str] = &["convex", "standard", "federation", "hasura", "login"];

    /// How a key of `alg` may stand in the set.
    pub fn tolerance(&self, alg: Alg) -> Tolerance {
        if self.tolerates.contains(alg) {
            Tolerance::WithAlg
        } else if self.tolerates_bare.contains(alg) {
            Tolerance::WithoutAlg
        } else {
            Tolerance::None
        }
    }

    /// The profile of a name.
    ///
    /// ```
    /// use countersign_core::profile::Profile;
    ///
    /// assert_eq!(Profile::named("standard").map(|profile| profile.name), Some("standard"));
    /// assert_eq!(Profile::named("Convex"), None);
    /// ```
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

    /// Convex, both kinds of provider: `customJwt` with its default algorithm, and OIDC. Measured with
    /// the crates its backend verifies with: RSA keys of every algorithm and the three NIST curves do
    /// no harm to either. `customJwt` refuses the whole set for a key on Ed25519 that has an `alg`,
    /// and for any key on secp256k1.
    pub fn convex() -> Self {
        let rsa = [Alg::Rs256, Alg::Rs384, Alg::Rs512, Alg::Ps256, Alg::Ps384, Alg::Ps512];
        let curves = [Alg::Es256, Alg::Es384, Alg::Es512];
        Self {
            name: "convex",
            accepts: AlgSet::of(&[Alg::Rs256]),
            tolerates: rsa.into_iter().chain(curves).collect(),
            tolerates_bare: AlgSet::of(&[Alg::EdDsa]),
            claims: ClaimShape {
                single_audience: true,
                typ_jwt: true,
                needs_iat: true,
                needs_sub: true,
                coerce_standard: true,
                latest_time: 8_210_266_876_799,
                longest_life: None,
                stable: false,
            },
            judge: Judge::Convex,
            source: "measured with the crates Convex verifies with (`tests/tokens/verdict.rs`)",
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
            tolerates: asymmetric.iter().filter(|alg| *alg != Alg::Es256k).collect(),
            tolerates_bare: AlgSet::EMPTY,
            claims: ClaimShape {
                single_audience: false,
                typ_jwt: false,
                needs_iat: false,
                needs_sub: false,
                coerce_standard: false,
                latest_time: LATEST,
                longest_life: None,
                stable: false,
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
            tolerates: AlgSet::of(&[Alg::Rs256]),
            tolerates_bare: AlgSet::EMPTY,
            claims: ClaimShape {
                single_audience: true,
                typ_jwt: false,
                needs_iat: true,
                needs_sub: true,
                coerce_standard: false,
                latest_time: LATEST,
                longest_life: Some(Duration::from_secs(3600)),
                stable: false,
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
            tolerates: RSA.into_iter().chain(curves).collect(),
            tolerates_bare: AlgSet::EMPTY,
            claims: Self::standard().claims,
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
            tolerates: RSA.into_iter().chain([Alg::Es256, Alg::Es384, Alg::EdDsa]).collect(),
            tolerates_bare: AlgSet::EMPTY,
            claims: ClaimShape {
                single_audience: true,
                typ_jwt: true,
                needs_iat: true,
                needs_sub: true,
                coerce_standard: false,
                latest_time: LATEST,
                longest_life: None,
                stable: false,
            },
            judge: Judge::Rfcs,
            source: "OpenID Connect Dynamic Client Registration 1.0 §2; openid-client 5 and 6 as in the \
                     matrix; php-jwt, read",
        }
    }
}
