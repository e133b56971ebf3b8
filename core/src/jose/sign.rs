//! Our own keys, and the only code that makes a signature.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::KeyRejected;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPairComponents, KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use zeroize::Zeroizing;

use super::alg::{Alg, AlgSet, Curve};
use super::base64url;
use super::claims::NewClaims;
use super::fault::KeyFault;
use super::json;
use super::jwk::{Material, PublicJwk};
use super::jws::ORIGINAL;
use super::names::Kid;
use super::read_back::{self, Probe, ReadBackFault};
use super::refusal::Refusal;
use super::x509;

/// Why a private key cannot be used for signing. Never contains its bytes.
#[expect(missing_docs, reason = "its text says what each means")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    #[error("{0} is not an algorithm we sign with; RS256, ES256 and EdDSA are")]
    Alg(String),
    #[error("the text contains no private key in PEM (PKCS#8, PKCS#1 or SEC 1)")]
    NotPem,
    #[error("the private key is encrypted; decrypt it first")]
    Encrypted,
    #[error("the text is not a private JWK (RFC 7517)")]
    NotJwk,
    #[error("the private key cannot be read, or is not of the kind {0} needs")]
    Rejected(Alg),
    #[error("the private key is neither RSA, nor P-256, nor Ed25519")]
    UnknownKind,
    #[error("the public key is not acceptable: {0}")]
    Public(#[from] KeyFault),
    #[error("the system could not make a key")]
    Generate,
    #[error("the key failed its check: {0}")]
    ReadBack(#[from] ReadBackFault),
}

impl SigningKeyError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Alg(_) => "signing_alg",
            Self::NotPem => "not_pem",
            Self::Encrypted => "key_encrypted",
            Self::NotJwk => "not_jwk",
            Self::Rejected(_) => "key_rejected",
            Self::UnknownKind => "key_unknown",
            Self::Public(fault) => fault.code(),
            Self::Generate => "key_generate",
            Self::ReadBack(fault) => fault.code(),
        }
    }
}

/// Its signatures are `r || s` (RFC 7518 §3.4).
static P256: &EcdsaSigningAlgorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;

enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Pair {
    fn public(&self) -> Option<Material> {
        Some(match self {
            Self::Rsa(pair) => x509::rsa_public_key(pair.public_key().as_ref())?.material,
            Self::P256(pair) => {
                // SEC 1 §2.3.3: a tag, then both coordinates.
                let (x, y) = pair.public_key().as_ref().get(1..)?.split_at_checked(32)?;
                Material::Ec { curve: Curve::P256, x: x.into(), y: y.into() }
            }
            Self::Ed25519(pair) => {
                let x = pair.public_key().as_ref();
                Material::Okp { curve: Curve::Ed25519, x: x.into() }
            }
        })
    }
}

/// A private signing key, parsed once: parsing an RSA key costs twice as much as signing. It does
/// not print. Every value was checked: a second library verified what it signs.
pub struct SigningKey {
    alg: Alg,
    pair: Pair,
    public: PublicJwk,
    kid: Kid,
    probe: Probe,
}

impl SigningKey {
    /// The algorithms that we sign with.
    pub const ALGORITHMS: AlgSet = AlgSet::of(&[Alg::Rs256, Alg::Es256, Alg::EdDsa]);

    /// Creates a key: RSA of 2048 bits, P-256 or Ed25519.
    ///
    /// # Errors
    /// [`SigningKeyError`] for an algorithm that we do not sign with, or if the system fails.
    pub fn generate(alg: Alg) -> Result<Self, SigningKeyError> {
        let pair = match alg {
            Alg::Rs256 => RsaKeyPair::generate(KeySize::Rsa2048).map(Pair::Rsa),
            Alg::Es256 => EcdsaKeyPair::generate(P256).map(Pair::P256),
            Alg::EdDsa => Ed25519KeyPair::generate().map(Pair::Ed25519),
            other => return Err(SigningKeyError::Alg(other.name().to_owned())),
        };
        Self::new(alg, pair.map_err(|_| SigningKeyError::Generate)?)
    }

    /// A key in PKCS#8 DER, RFC 5208.
    ///
    /// # Errors
    /// [`SigningKeyError`] if the key is of another kind, damaged or too small.
    pub fn from_pkcs8(alg: Alg, der: &[u8]) -> Result<Self, SigningKeyError> {
        let pair = match alg {
            Alg::Rs256 => RsaKeyPair::from_pkcs8(der).map(Pair::Rsa),
            Alg::Es256 => EcdsaKeyPair::from_pkcs8(P256, der).map(Pair::P256),
            Alg::EdDsa => Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(Pair::Ed25519),
            other => return Err(SigningKeyError::Alg(other.name().to_owned())),
        };
        Self::from_read(alg, pair)
    }

    /// A key in PEM: `PRIVATE KEY` (PKCS#8), `RSA PRIVATE KEY` (PKCS#1, RFC 8017) or `EC PRIVATE
    /// KEY` (SEC 1, RFC 5915). Other blocks (parameters, certificates) are ignored.
    ///
    /// # Errors
    /// [`SigningKeyError`].
    pub fn from_pem(text: &str) -> Result<Self, SigningKeyError> {
        for block in pem::parse_many(text).map_err(|_| SigningKeyError::NotPem)? {
            let der = block.contents();
            return match block.tag() {
                "PRIVATE KEY" => Self::from_any_pkcs8(der),
                "RSA PRIVATE KEY" if block.headers().get("DEK-Info").is_some() => {
                    Err(SigningKeyError::Encrypted)
                }
                "RSA PRIVATE KEY" => {
                    Self::from_read(Alg::Rs256, RsaKeyPair::from_der(der).map(Pair::Rsa))
                }
                "EC PRIVATE KEY" => {
                    let pair = EcdsaKeyPair::from_private_key_der(P256, der);
                    Self::from_read(Alg::Es256, pair.map(Pair::P256))
                }
                "ENCRYPTED PRIVATE KEY" => Err(SigningKeyError::Encrypted),
                _ => continue,
            };
        }
        Err(SigningKeyError::NotPem)
    }

    fn from_any_pkcs8(der: &[u8]) -> Result<Self, SigningKeyError> {
        let mut error = SigningKeyError::UnknownKind;
        for alg in Self::ALGORITHMS.iter() {
            match Self::from_pkcs8(alg, der) {
                Err(SigningKeyError::Rejected(_)) => {}
                Err(other) => error = other,
                Ok(key) => return Ok(key),
            }
        }
        Err(error)
    }

    /// A private JWK, RFC 7518 §6.2.2 and §6.3.2, RFC 8037 §2. An RSA key needs all its members.
    ///
    /// # Errors
    /// [`SigningKeyError`].
    pub fn from_jwk(text: &str) -> Result<Self, SigningKeyError> {
        let jwk: PrivateJwk = serde_json::from_str(text).map_err(|_| SigningKeyError::NotJwk)?;
        let alg = jwk.alg()?;
        Self::new(alg, jwk.pair(alg)?)
    }

    fn from_read(alg: Alg, pair: Result<Pair, KeyRejected>) -> Result<Self, SigningKeyError> {
        Self::new(alg, pair.map_err(|_| SigningKeyError::Rejected(alg))?)
    }

    fn new(alg: Alg, pair: Pair) -> Result<Self, SigningKeyError> {
        let material = pair.public().ok_or(SigningKeyError::Rejected(alg))?;
        let kid = super::thumbprint::Thumbprint::of(&material).kid().clone();
        let public = PublicJwk::new(material, Some(kid.clone()), Some(alg))?;
        let probe = Probe::new(kid.clone(), String::new());
        Self { alg, pair, public, kid, probe }.checked()
    }

    /// The key, if `jsonwebtoken` verifies what it signs with its published form.
    fn checked(mut self) -> Result<Self, SigningKeyError> {
        let failed = ReadBackFault::Probe(self.kid.clone());
        let header = self.header(None);
        let jws = self.compact(&header, Probe::CLAIMS.as_bytes()).map_err(|_| failed)?;
        self.probe = Probe::new(self.kid.clone(), jws);
        let set = format!(r#"{{"keys":[{}]}}"#, self.public.to_json(&self.kid, Some(self.alg)));
        read_back::probed(&set, std::slice::from_ref(&self.probe))?;
        Ok(self)
    }

    /// The probe that it signed when it was created or read; for sets that must verify it.
    pub fn probe(&self) -> &Probe {
        &self.probe
    }

    /// The key as PKCS#8 DER, wiped when dropped.
    ///
    /// # Errors
    /// [`SigningKeyError::Rejected`] if the library cannot write the key.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, SigningKeyError> {
        let der = match &self.pair {
            Pair::Rsa(pair) => {
                let der: Result<Pkcs8V1Der<'_>, _> = pair.as_der();
                der.map(|der| der.as_ref().to_vec())
            }
            Pair::P256(pair) => pair.to_pkcs8v1().map(|der| der.as_ref().to_vec()),
            Pair::Ed25519(pair) => pair.to_pkcs8v1().map(|der| der.as_ref().to_vec()),
        };
        der.map(Zeroizing::new).map_err(|_| SigningKeyError::Rejected(self.alg))
    }

    /// The algorithm it signs with.
    pub fn alg(&self) -> Alg {
        self.alg
    }

    /// The RFC 7638 thumbprint.
    pub fn kid(&self) -> &Kid {
        &self.kid
    }

    /// The public half in its published form.
    pub fn public(&self) -> &PublicJwk {
        &self.public
    }

    /// Signs: the protected header is exactly `{"alg","typ":"JWT","kid"}`, and `cso` if the token
    /// carries the original.
    ///
    /// # Errors
    /// `signing` if the library fails, which it does only without randomness.
    #[expect(clippy::needless_pass_by_value, reason = "one proof, one token")]
    pub fn sign(&self, claims: NewClaims) -> Result<String, Refusal> {
        let header = self.header(claims.original.as_deref());
        self.compact(&header, claims.payload.as_bytes())
    }

    /// RFC 7515 §7.1.
    fn compact(&self, header: &str, payload: &[u8]) -> Result<String, Refusal> {
        let mut token = String::with_capacity(self.compact_len(header, payload));
        base64url::encode_into(header, &mut token);
        token.push('.');
        base64url::encode_into(payload, &mut token);
        let signature = self.signature_of(token.as_bytes())?;
        token.push('.');
        base64url::encode_into(signature, &mut token);
        Ok(token)
    }

    /// The length of the signed token, in bytes.
    pub(crate) fn signed_len(&self, claims: &NewClaims) -> usize {
        self.compact_len(&self.header(claims.original.as_deref()), claims.payload.as_bytes())
    }

    fn compact_len(&self, header: &str, payload: &[u8]) -> usize {
        let signature = match &self.pair {
            Pair::Rsa(pair) => pair.public_modulus_len(),
            Pair::P256(_) | Pair::Ed25519(_) => 64,
        };
        let parts = [header.len(), payload.len(), signature];
        parts.iter().map(|len| (len * 4).div_ceil(3) + 1).sum::<usize>() - 1
    }

    fn header(&self, original: Option<&str>) -> String {
        // The kid is base64url and needs no escaping; neither does the name of an algorithm.
        let mut header = format!(r#"{{"alg":"{}","typ":"JWT","kid":"{}""#, self.alg, self.kid);
        if let Some(original) = original {
            header.push_str(&format!(r#","{}":{}"#, ORIGINAL, json::quote(original)));
        }
        header.push('}');
        header
    }

    fn signature_of(&self, message: &[u8]) -> Result<Vec<u8>, Refusal> {
        let rng = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let signed = pair.sign(&RSA_PKCS1_SHA256, &rng, message, &mut signature);
                signed.map(|()| signature)
            }
            Pair::P256(pair) => pair.sign(&rng, message).map(|s| s.as_ref().to_vec()),
            Pair::Ed25519(pair) => pair.try_sign(message).map(|s| s.as_ref().to_vec()),
        };
        signature.map_err(|_| Refusal::Signing)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, {}, ****)", self.alg, self.kid)
    }
}

/// The members of a private JWK as text; wiped when dropped. Not `Debug`.
#[derive(serde::Deserialize)]
struct PrivateJwk {
    kty: String,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<Zeroizing<String>>,
    e: Option<Zeroizing<String>>,
    d: Option<Zeroizing<String>>,
    p: Option<Zeroizing<String>>,
    q: Option<Zeroizing<String>>,
    dp: Option<Zeroizing<String>>,
    dq: Option<Zeroizing<String>>,
    qi: Option<Zeroizing<String>>,
    x: Option<Zeroizing<String>>,
    y: Option<Zeroizing<String>>,
}

fn bytes(member: &Option<Zeroizing<String>>) -> Result<Zeroizing<Vec<u8>>, SigningKeyError> {
    let bytes = member.as_ref().and_then(|text| base64url::decode(text.as_bytes()).ok());
    bytes.filter(|bytes| !bytes.is_empty()).map(Zeroizing::new).ok_or(SigningKeyError::NotJwk)
}

impl PrivateJwk {
    fn alg(&self) -> Result<Alg, SigningKeyError> {
        let alg = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => Alg::Rs256,
            ("EC", Some("P-256")) => Alg::Es256,
            ("OKP", Some("Ed25519")) => Alg::EdDsa,
            _ => return Err(SigningKeyError::UnknownKind),
        };
        match &self.alg {
            Some(stated) if Alg::from_name(stated) != Some(alg) => {
                Err(SigningKeyError::Alg(stated.chars().take(32).collect()))
            }
            _ => Ok(alg),
        }
    }

    fn pair(&self, alg: Alg) -> Result<Pair, SigningKeyError> {
        let d = bytes(&self.d)?;
        let pair = match alg {
            Alg::Rs256 => {
                let components = KeyPairComponents {
                    public_key: PublicKeyComponents { n: bytes(&self.n)?, e: bytes(&self.e)? },
                    d,
                    p: bytes(&self.p)?,
                    q: bytes(&self.q)?,
                    dP: bytes(&self.dp)?,
                    dQ: bytes(&self.dq)?,
                    qInv: bytes(&self.qi)?,
                };
                RsaKeyPair::from_components(&components).map(Pair::Rsa)
            }
            Alg::Es256 => {
                let (x, y) = (bytes(&self.x)?, bytes(&self.y)?);
                let point = [&[4], x.as_slice(), y.as_slice()].concat();
                EcdsaKeyPair::from_private_key_and_public_key(P256, &d, &point).map(Pair::P256)
            }
            _ => Ed25519KeyPair::from_seed_and_public_key(&d, &bytes(&self.x)?).map(Pair::Ed25519),
        };
        pair.map_err(|_| SigningKeyError::Rejected(alg))
    }
}

#[cfg(test)]
mod tests {
    use x509_parser::der_parser::asn1_rs::{Any, FromDer as _};

    use super::*;

    fn pem_of(tag: &str, der: &[u8]) -> String {
        pem::encode(&pem::Pem::new(tag, der))
    }

    /// The first value, and what follows.
    fn der_value(der: &[u8]) -> (&[u8], &[u8]) {
        let (rest, value) = Any::from_der(der).unwrap();
        (value.data, rest)
    }

    /// The `RSAPrivateKey` inside a PKCS#8 key.
    fn pkcs1(pkcs8: &[u8]) -> Vec<u8> {
        let (_version, rest) = der_value(der_value(pkcs8).0);
        let (_algorithm, rest) = der_value(rest);
        der_value(rest).0.to_vec()
    }

    fn rsa_jwk(pkcs1: &[u8]) -> serde_json::Value {
        let (mut rest, _) = der_value(pkcs1);
        let mut jwk = serde_json::json!({"kty": "RSA", "alg": "RS256"});
        for name in ["version", "n", "e", "d", "p", "q", "dp", "dq", "qi"] {
            let (int, after) = der_value(rest);
            jwk[name] = base64url::encode(int.strip_prefix(&[0]).unwrap_or(int)).into();
            rest = after;
        }
        jwk
    }

    #[test]
    fn a_key_survives_every_form_it_can_be_written_in() {
        for alg in SigningKey::ALGORITHMS.iter() {
            let key = SigningKey::generate(alg).unwrap();
            let der = key.to_pkcs8().unwrap();
            let again = SigningKey::from_pkcs8(alg, &der).unwrap();
            let from_pem = SigningKey::from_pem(&pem_of("PRIVATE KEY", &der)).unwrap();
            for other in [again, from_pem] {
                assert_eq!((other.kid(), other.alg()), (key.kid(), alg));
                let signature = other.signature_of(b"message").unwrap();
                let form = super::super::jwk::SignatureForm::Jose;
                assert!(key.public().verifies(alg, form, b"message", &signature));
            }
            assert_eq!(key.kid(), key.public().thumbprint().kid());
        }
    }

    #[test]
    fn pkcs1_sec1_and_jwk_are_read() {
        let rsa = SigningKey::generate(Alg::Rs256).unwrap();
        let der = pkcs1(&rsa.to_pkcs8().unwrap());
        let read = SigningKey::from_pem(&pem_of("RSA PRIVATE KEY", &der)).unwrap();
        assert_eq!(read.kid(), rsa.kid());
        let mut jwk = rsa_jwk(&der);
        assert_eq!(SigningKey::from_jwk(&jwk.to_string()).unwrap().kid(), rsa.kid());
        jwk["alg"] = "RS512".into();
        assert_eq!(SigningKey::from_jwk(&jwk.to_string()).unwrap_err().code(), "signing_alg");
        jwk["alg"] = "RS256".into();
        jwk["p"] = jwk["q"].clone();
        assert_eq!(SigningKey::from_jwk(&jwk.to_string()).unwrap_err().code(), "key_rejected");

        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let sec1: aws_lc_rs::encoding::EcPrivateKeyRfc5915Der<'_> =
            pair.private_key().as_der().unwrap();
        let text = pem_of("EC PARAMETERS", b"x") + &pem_of("EC PRIVATE KEY", sec1.as_ref());
        assert_eq!(SigningKey::from_pem(&text).unwrap().alg(), Alg::Es256);
    }

    #[test]
    fn what_is_no_usable_key_is_refused() {
        for (text, code) in [
            ("", "not_pem"),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "not_pem"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "key_unknown"),
            (
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
                "key_encrypted",
            ),
        ] {
            assert_eq!(SigningKey::from_pem(text).unwrap_err().code(), code, "{text}");
        }
        for (text, code) in [
            ("{}", "not_jwk"),
            (r#"{"kty":"oct","k":"AAAA"}"#, "key_unknown"),
            (r#"{"kty":"EC","crv":"P-384","d":"AA"}"#, "key_unknown"),
            (r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#, "not_jwk"),
        ] {
            assert_eq!(SigningKey::from_jwk(text).unwrap_err().code(), code, "{text}");
        }
        for alg in Alg::all().filter(|alg| !SigningKey::ALGORITHMS.contains(*alg)) {
            assert_eq!(SigningKey::generate(alg).unwrap_err().code(), "signing_alg");
        }
    }

    /// The private half of one key and the public half of another: nothing verifies its signatures.
    #[test]
    fn a_key_that_does_not_fit_what_is_published_of_it_never_signs() {
        for alg in SigningKey::ALGORITHMS.iter() {
            let [mut key, other] = [(); 2].map(|()| SigningKey::generate(alg).unwrap());
            (key.public, key.kid) = (other.public.clone(), other.kid.clone());
            let error = key.checked().map(|_| "a key").unwrap_err();
            assert_eq!(error.code(), "key_probe");
            assert!(error.to_string().contains(other.kid().as_str()), "{error}");
        }
    }

    #[test]
    fn a_key_does_not_print() {
        let key = SigningKey::generate(Alg::Es256).unwrap();
        assert_eq!(format!("{key:?}"), format!("SigningKey(ES256, {}, ****)", key.kid()));
    }
}
