//! A second library reads what we publish and verifies what we sign, before anyone else does.
//!
//! Our key signs a [`Probe`] when it is created or read. It is used only if `jsonwebtoken` verifies
//! the probe with the published key. `jsonwebtoken` also reads a set before it is served; the set
//! must verify the probes of our keys in it.

use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::jwk::{
    AlgorithmParameters, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse, ThumbprintHash,
};
use jsonwebtoken::{Algorithm, DecodingKey, decode_header};

use super::alg::{Alg, Check};
use super::base64url;
use super::names::Kid;
use super::publish::PublishedKids;
use super::thumbprint::Thumbprint;
use super::verifying;

/// Why a set must not be served, or a key must not sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadBackFault {
    /// Another implementation cannot read the set.
    #[error("jsonwebtoken cannot read the set: {0}")]
    Set(String),
    /// Keys are missing from what was read.
    #[error("jsonwebtoken reads {read} keys where {written} were written")]
    Count {
        /// Keys another implementation read.
        read: usize,
        /// Keys in the set.
        written: usize,
    },
    /// This key was read as another one.
    #[error("jsonwebtoken does not read key `{0}` as it was written")]
    Key(Kid),
    /// What this key signed does not verify.
    #[error("jsonwebtoken does not verify with the set what key `{0}` signed")]
    Probe(Kid),
}

impl ReadBackFault {
    /// A stable name: field of a log line, code of an answer.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Set(_) => "set_unreadable",
            Self::Count { .. } => "set_incomplete",
            Self::Key(_) => "set_key_differs",
            Self::Probe(_) => "key_probe",
        }
    }
}

/// Something that our key signed, so that a set can verify it. It has the form of a token but is
/// not one: no claim says who is logged in, and it never leaves the process.
#[derive(Clone)]
pub struct Probe {
    kid: Kid,
    jws: String,
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Probe({})", self.kid)
    }
}

impl Probe {
    /// The payload of a probe. Without `iss`, `sub` and `exp` no verifier accepts it as a login.
    pub(super) const CLAIMS: &str = r#"{"probe":"countersign"}"#;

    pub(super) fn new(kid: Kid, jws: String) -> Self {
        Self { kid, jws }
    }

    /// Whether a reader that knows only the set verifies it.
    fn is_verified_by(&self, set: &JwkSet) -> bool {
        let kid = self.kid.as_str();
        let Ok(header) = decode_header(&self.jws) else { return false };
        let Some((input, signature)) = self.jws.rsplit_once('.') else { return false };
        let Ok(signature) = base64url::decode(signature) else { return false };
        let Some(jwk) = set.find(kid) else { return false };
        let Ok(key) = DecodingKey::from_jwk(jwk) else { return false };
        header.kid.as_deref() == Some(kid)
            && jwk.common.key_algorithm == Some(KeyAlgorithm::from(header.alg))
            && verifying::verified(header.alg, &key, input.as_bytes(), &signature)
    }
}

/// Reads a written set as a verifier would.
///
/// # Errors
/// [`ReadBackFault`]; then the set must not be served.
pub fn read_back(body: &str, kids: &PublishedKids, own: &[Probe]) -> Result<(), ReadBackFault> {
    let set = read(body)?;
    if set.keys.len() != kids.len() {
        return Err(ReadBackFault::Count { read: set.keys.len(), written: kids.len() });
    }
    for (kid, key, alg) in kids.entries() {
        if !set.find(kid.as_str()).is_some_and(|jwk| is_as_written(jwk, key, alg)) {
            return Err(ReadBackFault::Key(kid.clone()));
        }
    }
    probe(&set, own)
}

/// The same for a set of only our own keys.
///
/// # Errors
/// [`ReadBackFault`]; then none of the keys may sign.
pub fn probed(body: &str, own: &[Probe]) -> Result<(), ReadBackFault> {
    probe(&read(body)?, own)
}

fn read(body: &str) -> Result<JwkSet, ReadBackFault> {
    serde_json::from_str(body).map_err(|e| ReadBackFault::Set(e.to_string()))
}

fn probe(set: &JwkSet, own: &[Probe]) -> Result<(), ReadBackFault> {
    match own.iter().find(|probe| !probe.is_verified_by(set)) {
        Some(probe) => Err(ReadBackFault::Probe(probe.kid.clone())),
        None => Ok(()),
    }
}

/// Whether `jwk` is a signature key for `alg` with the numbers of `key`.
fn is_as_written(jwk: &Jwk, key: &Thumbprint, alg: Alg) -> bool {
    let named = match &alg.row().check {
        Check::Jsonwebtoken(name) => KeyAlgorithm::from(Algorithm::clone(name)),
        Check::AwsLc(_) => KeyAlgorithm::UNKNOWN_ALGORITHM,
    };
    jwk.common.public_key_use == Some(PublicKeyUse::Signature)
        // Some verifiers reject the whole set for the `alg` of a key; then it is published without.
        && jwk.common.key_algorithm.is_none_or(|alg| alg == named)
        && has_thumbprint(jwk, key)
}

fn has_thumbprint(jwk: &Jwk, key: &Thumbprint) -> bool {
    if let AlgorithmParameters::Other(other) = &jwk.algorithm {
        // The one curve that `jsonwebtoken` has no name for.
        return other.fields.get("crv").is_some_and(|crv| crv == "secp256k1");
    }
    // The thumbprint needs the process's provider; a second call does nothing.
    let _ = DEFAULT_PROVIDER.install_default();
    jwk.thumbprint(ThumbprintHash::SHA256).is_ok_and(|own| own == key.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::keyset::KeySet;
    use super::super::publish::{Input, PublishedDocument, publish};
    use super::super::sign::SigningKey;
    use super::*;
    use crate::profile::Profile;

    fn document(own: &[&SigningKey]) -> PublishedDocument {
        let own: Vec<_> = own.iter().map(|key| key.public().clone()).collect();
        let (profile, remembered) = (Profile::convex(), Default::default());
        publish(&Input { own: &own, upstream: &[], profile: &profile, remembered: &remembered })
    }

    fn back(body: &str, kids: &PublishedKids, probes: &[&SigningKey]) -> Result<(), ReadBackFault> {
        let probes: Vec<_> = probes.iter().map(|key| key.probe().clone()).collect();
        read_back(body, kids, &probes)
    }

    #[test]
    fn our_own_set_is_read_and_verifies_what_each_key_signs() {
        let keys: Vec<_> = SigningKey::ALGORITHMS.iter().map(SigningKey::generate).collect();
        let keys: Vec<_> = keys.iter().map(|key| key.as_ref().unwrap()).collect();
        let set = document(&keys);
        assert_eq!(back(&set.body, &set.kids, &keys), Ok(()));
    }

    /// Convex loses a set to an Ed25519 key with `alg`; without it the key is published.
    #[test]
    fn a_key_that_is_published_without_alg_is_read() {
        let jwk = br#"[{"kty":"OKP","crv":"Ed25519","kid":"edwards","alg":"EdDSA",
            "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]"#;
        let read = super::super::jwks::normalize(jwk, &Default::default()).unwrap();
        let key = SigningKey::generate(Alg::Rs256).unwrap();
        let (profile, remembered) = (Profile::convex(), Default::default());
        let (own, upstream) = ([key.public().clone()], [&read.keys]);
        let input =
            Input { own: &own, upstream: &upstream, profile: &profile, remembered: &remembered };
        let set = publish(&input);
        assert!(set.body.contains("edwards") && !set.body.contains("EdDSA"), "{}", set.body);
        assert_eq!(back(&set.body, &set.kids, &[&key]), Ok(()));
    }

    /// The set was damaged when it was written: the reader finds it.
    #[test]
    fn a_damaged_set_is_refused_by_name() {
        let (key, other) =
            (SigningKey::generate(Alg::Es256).unwrap(), SigningKey::generate(Alg::Es256).unwrap());
        let (set, theirs) = (document(&[&key]), document(&[&other]));
        let x = |body: &str| {
            let at = body.find(r#""x":""#).unwrap() + 5;
            body[at..at + 43].to_owned()
        };
        let swapped = set.body.replace(&x(&set.body), &x(&theirs.body));
        let kid = key.kid().as_str();
        for (body, code) in [
            (set.body.replace(r#""kty":"EC","#, ""), "set_key_differs"),
            (set.body.replace("]}", ""), "set_unreadable"),
            (r#"{"keys":[]}"#.to_owned(), "set_incomplete"),
            (swapped, "set_key_differs"),
            (set.body.replace(kid, other.kid().as_str()), "set_key_differs"),
            (set.body.replace("ES256", "ES384"), "set_key_differs"),
            (set.body.replace(r#""use":"sig""#, r#""use":"enc""#), "set_key_differs"),
        ] {
            let fault = back(&body, &set.kids, &[&key]).unwrap_err();
            assert_eq!(fault.code(), code, "{body}");
        }
    }

    /// Another key is published under the `kid` of ours: verifiers would refuse what we sign.
    #[test]
    fn a_set_without_the_signing_key_is_refused() {
        let (key, other) =
            (SigningKey::generate(Alg::Rs256).unwrap(), SigningKey::generate(Alg::Rs256).unwrap());
        let theirs = document(&[&other]);
        let fault = back(&theirs.body, &theirs.kids, &[&key]).unwrap_err();
        assert_eq!(fault, ReadBackFault::Probe(key.kid().clone()));
        let renamed = theirs.body.replace(other.kid().as_str(), key.kid().as_str());
        let fault = probed(&renamed, std::slice::from_ref(key.probe())).unwrap_err();
        assert_eq!(fault.code(), "key_probe");
    }

    #[test]
    fn a_probe_is_no_login_and_does_not_print() {
        let key = SigningKey::generate(Alg::Es256).unwrap();
        let probe = key.probe();
        assert_eq!(format!("{probe:?}"), format!("Probe({})", key.kid()));
        let payload = base64url::decode(probe.jws.split('.').nth(1).unwrap().as_bytes()).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(claims.as_object().unwrap().keys().collect::<Vec<_>>(), ["probe"]);
    }

    /// Whatever a profile publishes is read, the curves `jsonwebtoken` lacks included.
    #[test]
    fn keys_of_every_algorithm_are_read_back() {
        use aws::KeyPair as _;
        use aws_lc_rs::signature as aws;
        let mut keys = Vec::new();
        for (alg, curve) in [
            (&aws::ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
            (&aws::ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
            (&aws::ECDSA_P521_SHA512_FIXED_SIGNING, "P-521"),
            (&aws::ECDSA_P256K1_SHA256_FIXED_SIGNING, "secp256k1"),
        ] {
            let pair = aws::EcdsaKeyPair::generate(alg).unwrap();
            let point = &pair.public_key().as_ref()[1..];
            let (x, y) = point.split_at(point.len() / 2);
            let (x, y) = (base64url::encode(x), base64url::encode(y));
            keys.push(serde_json::json!({"kty": "EC", "crv": curve, "x": x, "y": y, "kid": curve}));
        }
        for name in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
            let rsa = SigningKey::generate(Alg::Rs256).unwrap();
            let jwk = rsa.public().to_json(rsa.kid(), Alg::from_name(name));
            let mut jwk: serde_json::Value = serde_json::from_str(&jwk).unwrap();
            // A name that must be quoted.
            jwk["kid"] = format!("{name} \"ü\\").into();
            keys.push(jwk);
        }
        let document = serde_json::json!({ "keys": keys }).to_string();
        let read = super::super::jwks::normalize(document.as_bytes(), &Default::default()).unwrap();
        let upstream: [&KeySet; 1] = [&read.keys];
        let publish_all = super::super::alg::AlgSet::asymmetric();
        let profile = Profile { tolerates: publish_all, ..Profile::standard() };
        let ours = [SigningKey::generate(Alg::EdDsa).unwrap()];
        let own = [ours[0].public().clone()];
        let remembered = Default::default();
        let set = publish(&Input {
            own: &own,
            upstream: &upstream,
            profile: &profile,
            remembered: &remembered,
        });
        assert_eq!(set.kids.len(), 11);
        assert_eq!(back(&set.body, &set.kids, &[&ours[0]]), Ok(()));
    }
}
