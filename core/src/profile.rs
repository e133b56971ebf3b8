//! Verifiers as data: what a verifier accepts, and which keys may be in the set that it reads. Each
//! verifier is a value of [`Profile`], never a special case in code.

use std::time::Duration;

use crate::jose::alg::{Alg, AlgSet};
use crate::jose::names::UnixTime;

/// One verifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The name in `[profile] name` and `--profile`.
    pub name: &'static str,
    /// Tokens of these algorithms are passed on unchanged, if the verifier accepts everything else
    /// about them too.
    pub accepts: AlgSet,
    /// Keys of these algorithms, with their `alg`, do no harm in the set that the verifier reads.
    /// All of them are published, because other clients of the same server read that set too.
    pub tolerates: AlgSet,
    /// Keys of these algorithms do no harm without their `alg`, and are published without it: `alg`
    /// is optional (RFC 7517 §4.4), and the curve implies the algorithm.
    pub tolerates_bare: AlgSet,
    /// What the claims must look like.
    pub claims: ClaimShape,
    /// What `doctor` judges by for this verifier.
    pub judge: Judge,
    /// The source of these facts.
    pub source: &'static str,
}

/// What `doctor` judges by for a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judge {
    /// The crates that Convex verifies with, one for each of its two kinds of provider.
    Convex,
    /// The RFCs and the profile. A key that the profile does not publish is reported as a doubt.
    Rfcs,
    /// The RFCs and the profile. A key that the profile does not publish makes the verifier reject
    /// the whole set.
    WholeSet,
}

/// The shape of the claims that a verifier accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimShape {
    /// Exactly one audience, as a string.
    pub single_audience: bool,
    /// `typ` must be `JWT` or absent.
    pub typ_jwt: bool,
    /// `iat` is required.
    pub needs_iat: bool,
    /// `sub` is required, as a string.
    pub needs_sub: bool,
    /// Standard claims of the wrong JSON type are converted where no information is lost.
    pub coerce_standard: bool,
    /// `exp`, `iat` and `nbf` above this many seconds are refused.
    pub latest_time: i64,
    /// The longest lifetime of a new token.
    pub longest_life: Option<Duration>,
    /// Leaves out claims that differ between the tokens of one login. A verifier that caches
    /// results by all claims of an identity would otherwise compute them again after each renewal.
    pub stable: bool,
}

/// How a key of an algorithm may be published in a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tolerance {
    /// It may be published with its `alg`.
    WithAlg,
    /// It may be published without `alg`.
    WithoutAlg,
    /// It may not be published.
    None,
}

const RSA: [Alg; 6] = [Alg::Rs256, Alg::Rs384, Alg::Rs512, Alg::Ps256, Alg::Ps384, Alg::Ps512];
const NIST_CURVES: [Alg; 3] = [Alg::Es256, Alg::Es384, Alg::Es512];

/// Claims as the RFCs define them.
const BY_THE_RFCS: ClaimShape = ClaimShape {
    single_audience: false,
    typ_jwt: false,
    needs_iat: false,
    needs_sub: false,
    coerce_standard: false,
    latest_time: UnixTime::LAST.secs(),
    longest_life: None,
    stable: false,
};
/// One audience, a user and a time of issue, as login tokens have them.
const LOGIN_TOKEN: ClaimShape =
    ClaimShape { single_audience: true, needs_iat: true, needs_sub: true, ..BY_THE_RFCS };

impl Default for Profile {
    /// The verifier that this program was first made for.
    fn default() -> Self {
        Self::convex()
    }
}

impl Profile {
    /// The names that [`Profile::named`] knows.
    pub const NAMES: &[&str] = &["convex", "standard", "federation", "hasura", "login"];

    /// How a key of `alg` may be published.
    pub fn tolerance(&self, alg: Alg) -> Tolerance {
        if self.tolerates.contains(alg) {
            Tolerance::WithAlg
        } else if self.tolerates_bare.contains(alg) {
            Tolerance::WithoutAlg
        } else {
            Tolerance::None
        }
    }

    /// The profile with this name.
    ///
    /// ```
    /// use countersign_core::profile::Profile;
    ///
    /// assert_eq!(Profile::named("standard").map(|profile| profile.name), Some("standard"));
    /// assert_eq!(Profile::named("Convex"), None);
    /// ```
    pub fn named(name: &str) -> Option<Self> {
        [Self::convex(), Self::standard(), Self::federation(), Self::hasura(), Self::login()]
            .into_iter()
            .find(|profile| profile.name == name)
    }

    /// Convex, with both kinds of provider: `customJwt` with its default algorithm, and OIDC.
    /// Measured with the crates that its backend verifies with. RSA keys of every algorithm and the
    /// three NIST curves do no harm to either. `customJwt` refuses the whole set if it has an
    /// Ed25519 key with an `alg`, or any secp256k1 key.
    pub fn convex() -> Self {
        Self {
            name: "convex",
            accepts: AlgSet::of(&[Alg::Rs256]),
            tolerates: RSA.into_iter().chain(NIST_CURVES).collect(),
            tolerates_bare: AlgSet::of(&[Alg::EdDsa]),
            claims: ClaimShape {
                typ_jwt: true,
                coerce_standard: true,
                latest_time: 8_210_266_876_799,
                ..LOGIN_TOKEN
            },
            judge: Judge::Convex,
            source: "measured with the crates Convex verifies with (`tests/tokens/verdict.rs`)",
        }
    }

    /// A verifier that follows the RFCs: it accepts every algorithm with a public key, and claims
    /// as they are. ES256K is accepted, but its keys are not published: many libraries refuse a
    /// whole set that has a secp256k1 key.
    pub fn standard() -> Self {
        let asymmetric = AlgSet::asymmetric();
        Self {
            name: "standard",
            accepts: asymmetric,
            tolerates: asymmetric.iter().filter(|alg| *alg != Alg::Es256k).collect(),
            tolerates_bare: AlgSet::EMPTY,
            claims: BY_THE_RFCS,
            judge: Judge::Rfcs,
            source: "RFC 7515 to 7519, RFC 8725; libraries as in the matrix",
        }
    }

    /// Services that exchange a token for cloud credentials: AWS STS, Google's workload identity,
    /// Databricks, the API server of Kubernetes. All of them accept RS256 (Kubernetes by default,
    /// Databricks also ES256). A key of another kind makes some reject the whole set: Kubernetes
    /// reads it with go-jose. Each requires one audience, `sub` and `iat`. Google accepts a
    /// lifetime of up to 24 hours; this profile uses one hour, as AWS does for its own tokens.
    pub fn federation() -> Self {
        Self {
            name: "federation",
            accepts: AlgSet::of(&[Alg::Rs256]),
            tolerates: AlgSet::of(&[Alg::Rs256]),
            tolerates_bare: AlgSet::EMPTY,
            claims: ClaimShape { longest_life: Some(Duration::from_secs(3600)), ..LOGIN_TOKEN },
            judge: Judge::WholeSet,
            source: "the documentation of AWS IAM, Google Cloud IAM, Databricks and Kubernetes; go-oidc \
                     and go-jose as in the matrix",
        }
    }

    /// Hasura, which reads key sets with hs-jose. One key of an unknown kind makes it reject the
    /// whole set (its `JWK.hs`, `FromJSON`). It knows RSA and the three NIST curves, all as in
    /// RFC 7518.
    pub fn hasura() -> Self {
        Self {
            name: "hasura",
            accepts: AlgSet::of(&[Alg::Rs256, Alg::Rs384, Alg::Rs512]),
            tolerates: RSA.into_iter().chain(NIST_CURVES).collect(),
            tolerates_bare: AlgSet::EMPTY,
            claims: BY_THE_RFCS,
            judge: Judge::WholeSet,
            source: "Hasura's documentation of its JWT mode; hs-jose, read",
        }
    }

    /// Login clients that expect RS256 for ID tokens by default (OpenID Connect Dynamic Client
    /// Registration 1.0 §2, `id_token_signed_response_alg`): openid-client 5, passport and the
    /// libraries built on them. Also php-jwt's `parseKeySet`, which rejects the whole set if it has
    /// a P-521 or X25519 key.
    pub fn login() -> Self {
        Self {
            name: "login",
            accepts: AlgSet::of(&[Alg::Rs256]),
            tolerates: RSA.into_iter().chain([Alg::Es256, Alg::Es384, Alg::EdDsa]).collect(),
            tolerates_bare: AlgSet::EMPTY,
            claims: ClaimShape { typ_jwt: true, ..LOGIN_TOKEN },
            judge: Judge::Rfcs,
            source: "OpenID Connect Dynamic Client Registration 1.0 §2; openid-client 5 and 6 as in the \
                     matrix; php-jwt, read",
        }
    }
}
