//! Keys and tokens of every algorithm, made with aws-lc-rs alone, so that no code under test is
//! used. Also the inputs that a token is judged by.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use aws_lc_rs::{hmac, signature::EcdsaSigningAlgorithm};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign::jose::alg::Alg;
use countersign::jose::jwk::PublicJwk;
use countersign::jose::jwks::{KeySet, Options, normalize};
use countersign::jose::jws::CompactJws;
use countersign::jose::names::{Issuer, IssuerName, Limits, UnixTime};
use countersign::jose::policy::{HmacSecret, IssuerPolicy};
use countersign::jose::publish::{Input, PublishedKids, publish};
use countersign::jose::refusal::Refusal;
use countersign::jose::sign::SigningKey;
use countersign::pipeline::{Ask, Context, Verdict, countersign};
use countersign::profile::Profile;
use serde_json::{Value, json};

pub const ISSUER: &str = "https://issuer.example";
pub const NOW: i64 = 1_800_000_000;

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn unb64(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

#[allow(clippy::large_enum_variant, reason = "a test holds a handful of keys")]
enum Pair {
    Rsa(RsaKeyPair, &'static dyn signature::RsaEncoding),
    Ec(EcdsaKeyPair, &'static str, usize),
    Ed(Ed25519KeyPair),
    Secret(hmac::Key, Vec<u8>),
}

pub struct TestKey {
    pub alg: Alg,
    pub kid: String,
    pair: Pair,
}

impl TestKey {
    pub fn new(alg: Alg, kid: &str) -> Self {
        let rsa = |encoding| Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap(), encoding);
        let ec = |alg: &'static EcdsaSigningAlgorithm, crv, len| {
            Pair::Ec(EcdsaKeyPair::generate(alg).unwrap(), crv, len)
        };
        let secret = |alg, len| {
            let bytes: Vec<u8> = (0..len).map(|i| (i * 37 + 11) as u8).collect();
            Pair::Secret(hmac::Key::new(alg, &bytes), bytes)
        };
        let pair = match alg {
            Alg::Rs256 => rsa(&signature::RSA_PKCS1_SHA256),
            Alg::Rs384 => rsa(&signature::RSA_PKCS1_SHA384),
            Alg::Rs512 => rsa(&signature::RSA_PKCS1_SHA512),
            Alg::Ps256 => rsa(&signature::RSA_PSS_SHA256),
            Alg::Ps384 => rsa(&signature::RSA_PSS_SHA384),
            Alg::Ps512 => rsa(&signature::RSA_PSS_SHA512),
            Alg::Es256 => ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, "P-256", 32),
            Alg::Es384 => ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING, "P-384", 48),
            Alg::Es512 => ec(&signature::ECDSA_P521_SHA512_FIXED_SIGNING, "P-521", 66),
            Alg::Es256k => ec(&signature::ECDSA_P256K1_SHA256_FIXED_SIGNING, "secp256k1", 32),
            Alg::EdDsa => Pair::Ed(Ed25519KeyPair::generate().unwrap()),
            Alg::Hs256 => secret(hmac::HMAC_SHA256, 32),
            Alg::Hs384 => secret(hmac::HMAC_SHA384, 48),
            Alg::Hs512 => secret(hmac::HMAC_SHA512, 64),
        };
        Self { alg, kid: kid.into(), pair }
    }

    /// The public JWK; `None` for a secret.
    pub fn jwk(&self) -> Option<Value> {
        let mut jwk = match &self.pair {
            Pair::Rsa(pair, _) => {
                let (n, e) = rsa_numbers(pair.public_key().as_ref());
                json!({"kty": "RSA", "n": b64(n), "e": b64(e)})
            }
            Pair::Ec(pair, crv, len) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(*len);
                json!({"kty": "EC", "crv": crv, "x": b64(x), "y": b64(y)})
            }
            Pair::Ed(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": b64(pair.public_key().as_ref())})
            }
            Pair::Secret(..) => return None,
        };
        jwk["kid"] = json!(self.kid);
        jwk["alg"] = json!(self.alg.name());
        jwk["use"] = json!("sig");
        Some(jwk)
    }

    pub fn key_set(&self) -> KeySet {
        key_set(&[self])
    }

    pub fn secret(&self) -> HmacSecret {
        let Pair::Secret(_, bytes) = &self.pair else { panic!("{} has no secret", self.alg) };
        HmacSecret::new(self.alg, bytes.clone().into()).unwrap()
    }

    pub fn spki_pem(&self) -> String {
        let Pair::Rsa(pair, _) = &self.pair else { panic!("RSA only") };
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        pem::encode(&pem::Pem::new("PUBLIC KEY", der.as_ref()))
    }

    pub fn header(&self) -> Value {
        json!({"alg": self.alg.name(), "kid": self.kid})
    }

    /// A token with the usual header.
    pub fn token(&self, claims: &Value) -> String {
        self.signed(&self.header().to_string(), &claims.to_string())
    }

    /// A token with exactly this header and this payload.
    pub fn signed(&self, header: &str, payload: &str) -> String {
        self.signed_input(&format!("{}.{}", b64(header), b64(payload)))
    }

    pub fn signed_input(&self, input: &str) -> String {
        format!("{input}.{}", b64(self.sign(input.as_bytes())))
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let rng = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair, encoding) => {
                let mut sig = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &rng, message, &mut sig).unwrap();
                sig
            }
            Pair::Ec(pair, ..) => pair.sign(&rng, message).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Secret(key, _) => hmac::sign(key, message).as_ref().to_vec(),
        }
    }
}

/// Modulus and exponent of a DER `RSAPublicKey`, found by reading its three headers.
fn rsa_numbers(der: &[u8]) -> (&[u8], &[u8]) {
    fn value(der: &[u8]) -> (&[u8], &[u8]) {
        let (len, at) = match der[1] {
            0x81 => (usize::from(der[2]), 3),
            0x82 => (usize::from(der[2]) << 8 | usize::from(der[3]), 4),
            short => (usize::from(short), 2),
        };
        (&der[at..at + len], &der[at + len..])
    }
    let (body, _) = value(der);
    let (n, rest) = value(body);
    let (e, _) = value(rest);
    (n.strip_prefix(&[0]).unwrap_or(n), e)
}

pub fn key_set(keys: &[&TestKey]) -> KeySet {
    let keys: Vec<_> = keys.iter().filter_map(|key| key.jwk()).collect();
    if keys.is_empty() {
        return KeySet::default();
    }
    read_keys(&json!({ "keys": keys }))
}

pub fn read_keys(document: &Value) -> KeySet {
    normalize(document.to_string().as_bytes(), &Options::default()).unwrap().keys
}

/// Claims of a plain ID token that is valid at [`NOW`].
pub fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "user-1", "aud": "app",
        "iat": NOW - 10, "exp": NOW + 600, "name": "Ada",
    })
}

pub fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

pub fn without(mut claims: Value, name: &str) -> Value {
    claims.as_object_mut().unwrap().remove(name);
    claims
}

/// One issuer, one signer and one moment.
pub struct Scene {
    pub policy: IssuerPolicy,
    pub keys: KeySet,
    pub published: PublishedKids,
    pub signer: SigningKey,
    pub profile: Profile,
    pub limits: Limits,
    pub now: UnixTime,
}

impl Scene {
    pub fn new(keys: &[&TestKey]) -> Self {
        Self::signing(keys, Alg::Es256)
    }

    pub fn signing(keys: &[&TestKey], alg: Alg) -> Self {
        let name = IssuerName::parse("main").unwrap();
        let mut policy = IssuerPolicy::new(name, vec![Issuer::parse(ISSUER).unwrap()]);
        for key in keys.iter().filter(|key| key.jwk().is_none()) {
            policy.secrets.push(key.secret());
            policy.algorithms = policy.algorithms.iter().chain([key.alg]).collect();
        }
        let signer = SigningKey::generate(alg).unwrap();
        let profile = Profile::convex();
        let keys = key_set(keys);
        let published = published(&keys, &signer, &profile);
        let now = UnixTime::from_secs(NOW);
        Self { policy, keys, published, signer, profile, limits: Limits::default(), now }
    }

    pub fn context(&self) -> Context<'_> {
        Context {
            policy: &self.policy,
            keys: &self.keys,
            published: &self.published,
            signer: &self.signer,
            profile: &self.profile,
            limits: &self.limits,
            now: self.now,
        }
    }

    pub fn own(&self) -> [PublicJwk; 1] {
        [self.signer.public().clone()]
    }

    pub fn judge(&self, token: &str, ask: &Ask<'_>) -> Result<Verdict, Refusal> {
        let jws = CompactJws::parse(token, &self.limits, self.policy.padded)?;
        countersign(&jws, &self.context(), ask)
    }

    /// The new token. Panics where there is none.
    pub fn new_token(&self, token: &str) -> String {
        self.new_token_for(token, &Ask::default())
    }

    pub fn new_token_for(&self, token: &str, ask: &Ask<'_>) -> String {
        match self.judge(token, ask).unwrap() {
            Verdict::Countersigned(new) => new.jwt,
            Verdict::AsItStands { .. } => panic!("passed as it stands"),
        }
    }

    /// The claims of the new token for `old`.
    pub fn new_claims(&self, key: &TestKey, old: &Value) -> Value {
        payload(&self.new_token(&key.token(old)))
    }

    pub fn refusal(&self, token: &str) -> &'static str {
        match self.judge(token, &Ask::default()) {
            Err(refusal) => refusal.code(),
            Ok(verdict) => panic!("not refused: {verdict:?}"),
        }
    }
}

pub fn published(keys: &KeySet, signer: &SigningKey, profile: &Profile) -> PublishedKids {
    let own = [signer.public().clone()];
    let remembered = std::collections::HashMap::new();
    publish(&Input { own: &own, upstream: &[keys], profile, remembered: &remembered }).kids
}

pub fn header(token: &str) -> Value {
    serde_json::from_slice(&unb64(token.split('.').next().unwrap())).unwrap()
}

pub fn payload_text(token: &str) -> String {
    String::from_utf8(unb64(token.split('.').nth(1).unwrap())).unwrap()
}

pub fn payload(token: &str) -> Value {
    serde_json::from_str(&payload_text(token)).unwrap()
}
