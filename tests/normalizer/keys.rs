//! The keys of the corpus, and signatures by them. Made with aws-lc-rs alone, so that nothing under
//! test has a part in it.

use std::collections::HashMap;
use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P256K1_SHA256_FIXED_SIGNING,
    ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
    RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

pub enum Key {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// By the names of `keys.json`.
pub fn keys() -> &'static HashMap<String, Key> {
    static KEYS: OnceLock<HashMap<String, Key>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let text = include_str!("../corpus/keys.json");
        let stored: HashMap<String, String> = serde_json::from_str(text).unwrap();
        stored
            .into_iter()
            .filter_map(|(name, pem)| Some((name.clone(), key(&name, &pem)?)))
            .collect()
    })
}

fn key(name: &str, text: &str) -> Option<Key> {
    let der = pem::parse(text).unwrap();
    let ec = |alg: &'static EcdsaSigningAlgorithm| {
        Key::Ec(EcdsaKeyPair::from_pkcs8(alg, der.contents()).unwrap())
    };
    Some(match name {
        // Certificates, and keys too small to sign with here.
        _ if name.starts_with("cert:") => return None,
        "rsa1024" | "rsa2047" | "x25519" => return None,
        "p256" | "p256short" => ec(&ECDSA_P256_SHA256_FIXED_SIGNING),
        "p384" => ec(&ECDSA_P384_SHA384_FIXED_SIGNING),
        "p521" => ec(&ECDSA_P521_SHA512_FIXED_SIGNING),
        "k256" => ec(&ECDSA_P256K1_SHA256_FIXED_SIGNING),
        "ed" => Key::Ed(Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.contents()).unwrap()),
        _ => Key::Rsa(RsaKeyPair::from_pkcs8(der.contents()).unwrap()),
    })
}

/// A JWT over `payload` under `kid`; `alg` chooses among what an RSA key can do.
pub fn sign(key: &Key, alg: &str, kid: &str, payload: &Value) -> String {
    let header = json!({"alg": alg, "typ": "JWT", "kid": kid});
    let signed = format!("{}.{}", b64(header.to_string()), b64(payload.to_string()));
    let rng = SystemRandom::new();
    let signature = match key {
        Key::Rsa(key) => {
            let mut out = vec![0; key.public_modulus_len()];
            let padding: &dyn RsaEncoding = match alg {
                "RS256" => &RSA_PKCS1_SHA256,
                "RS384" => &RSA_PKCS1_SHA384,
                "RS512" => &RSA_PKCS1_SHA512,
                "PS256" => &RSA_PSS_SHA256,
                "PS384" => &RSA_PSS_SHA384,
                "PS512" => &RSA_PSS_SHA512,
                other => panic!("{other} is not of RSA"),
            };
            key.sign(padding, &rng, signed.as_bytes(), &mut out).unwrap();
            out
        }
        Key::Ec(key) => key.sign(&rng, signed.as_bytes()).unwrap().as_ref().to_vec(),
        Key::Ed(key) => key.sign(signed.as_bytes()).as_ref().to_vec(),
    };
    format!("{signed}.{}", b64(signature))
}

/// The public JWK with `kid`, `alg` and `use`, members in the order the normaliser writes.
pub fn jwk(name: &str, kid: &str) -> Value {
    let mut out = numbers(name);
    let alg = match out["crv"].as_str() {
        Some("P-256") => "ES256",
        Some("P-384") => "ES384",
        Some("P-521") => "ES512",
        Some("secp256k1") => "ES256K",
        Some(_) => "EdDSA",
        None => "RS256",
    };
    out["kid"] = kid.into();
    out["alg"] = alg.into();
    out["use"] = "sig".into();
    out
}

/// The `alg` of a published key; the curve says it where the profile wants none.
pub fn alg_of(jwk: &Value) -> &str {
    jwk.get("alg").map_or("EdDSA", |alg| alg.as_str().unwrap())
}

/// The numbers of a public key, as RFC 7518 §6 writes them.
pub fn numbers(name: &str) -> Value {
    match &keys()[name] {
        Key::Rsa(key) => {
            let public = key.public_key();
            json!({
                "kty": "RSA",
                "n": b64(public.modulus().big_endian_without_leading_zero()),
                "e": b64(public.exponent().big_endian_without_leading_zero()),
            })
        }
        Key::Ec(key) => {
            let point = &key.public_key().as_ref()[1..];
            let (x, y) = point.split_at(point.len() / 2);
            let crv = match name {
                "p384" => "P-384",
                "p521" => "P-521",
                "k256" => "secp256k1",
                _ => "P-256",
            };
            json!({"kty": "EC", "crv": crv, "x": b64(x), "y": b64(y)})
        }
        Key::Ed(key) => {
            json!({"kty": "OKP", "crv": "Ed25519", "x": b64(key.public_key())})
        }
    }
}

/// One private member of each key that has some, as text: none may ever be seen again.
pub fn private_texts(document: &Value, out: &mut Vec<String>) {
    match document {
        Value::Object(members) => {
            for (name, value) in members {
                let private = ["d", "p", "q", "dp", "dq", "qi", "k", "oth", "priv"];
                match value {
                    Value::String(text) if private.contains(&&**name) && text.len() > 4 => {
                        out.push(text.clone());
                    }
                    _ => private_texts(value, out),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| private_texts(item, out)),
        _ => {}
    }
}
