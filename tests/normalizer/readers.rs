//! The crates that read our sets. Each must take the whole set, and verify by each key it knows.

use biscuit::jws::Compact;
use biscuit::{ClaimsSet, Empty};
use jsonwebtoken::{DecodingKey, Validation};
use openidconnect::JsonWebKey;
use openidconnect::core::{CoreJsonWebKey, CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
use serde_json::{Value, json};

use crate::keys::{Key, b64, sign};

/// Convex's `customJwt` reader. Refuses a whole set for one EdDSA key.
pub fn biscuit(set: &str) -> Result<biscuit::jwk::JWKSet<Empty>, String> {
    serde_json::from_str(set).map_err(|e| format!("biscuit: {e}"))
}

pub fn openidconnect(set: &str) -> Result<CoreJsonWebKeySet, String> {
    serde_json::from_str(set).map_err(|e| format!("openidconnect: {e}"))
}

pub fn jsonwebtoken(set: &str) -> Result<jsonwebtoken::jwk::JwkSet, String> {
    serde_json::from_str(set).map_err(|e| format!("jsonwebtoken: {e}"))
}

/// Every reader takes the set as a whole and knows all its keys.
pub fn all_parse(set: &str, strict: bool) {
    let count = serde_json::from_str::<Value>(set).unwrap()["keys"].as_array().unwrap().len();
    let keys = openidconnect(set).unwrap();
    assert_eq!(keys.keys().len(), count, "openidconnect skipped a key: {set}");
    assert_eq!(jsonwebtoken(set).unwrap().keys.len(), count);
    if strict {
        assert_eq!(biscuit(set).unwrap().keys.len(), count);
    }
}

/// A token made by `key` under `kid` is verified by every reader that knows `alg`, and the same
/// token with another payload by none.
pub fn all_verify(set: &str, strict: bool, key: &Key, kid: &str, alg: &str) {
    let payload = json!({"iss": "https://issuer.example", "sub": "u", "exp": 4_102_444_800_i64});
    let token = sign(key, alg, kid, &payload);
    let forged = forge(&token);
    let mut readers = 0;
    // What a `customJwt` provider can be configured with; the other keys only must not disturb it.
    if strict && ["RS256", "ES256"].contains(&alg) {
        assert_eq!(by_biscuit(set, alg, &token), Ok(()), "{kid} {alg}");
        assert!(by_biscuit(set, alg, &forged).is_err());
        readers += 1;
    }
    let by: [(&str, Reader); 2] =
        [("jsonwebtoken", by_jsonwebtoken), ("openidconnect", by_openidconnect)];
    for (name, verify) in by {
        if let Some(good) = verify(set, kid, alg, &token) {
            assert!(good, "{name} {kid} {alg} {set}");
            assert_eq!(verify(set, kid, alg, &forged), Some(false));
            readers += 1;
        }
    }
    assert!(readers > 0 || alg == "ES512", "nobody verifies {alg}");
}

/// Set, kid, alg, token; `None` where the crate does not know the algorithm.
type Reader = fn(&str, &str, &str, &str) -> Option<bool>;

/// The same token with another payload.
pub fn forge(token: &str) -> String {
    let mut parts: Vec<_> = token.split('.').collect();
    let payload = b64(json!({"sub": "admin", "exp": 4_102_444_800_i64}).to_string());
    parts[1] = &payload;
    parts.join(".")
}

fn by_biscuit(set: &str, alg: &str, token: &str) -> Result<(), String> {
    let alg = serde_json::from_value(json!(alg)).unwrap();
    Compact::<ClaimsSet<Empty>, Empty>::new_encoded(token)
        .decode_with_jwks(&biscuit(set)?, Some(alg))
        .map(drop)
        .map_err(|e| format!("biscuit: {e}"))
}

fn by_jsonwebtoken(set: &str, kid: &str, alg: &str, token: &str) -> Option<bool> {
    let alg = serde_json::from_value(json!(alg)).ok()?;
    let set = jsonwebtoken(set).unwrap();
    let key = DecodingKey::from_jwk(set.find(kid).expect(kid)).unwrap();
    let mut validation = Validation::new(alg);
    validation.validate_exp = false;
    validation.required_spec_claims.clear();
    Some(jsonwebtoken::decode::<Value>(token, &key, &validation).is_ok())
}

fn by_openidconnect(set: &str, kid: &str, alg: &str, token: &str) -> Option<bool> {
    let alg: CoreJwsSigningAlgorithm = serde_json::from_value(json!(alg)).ok()?;
    if matches!(alg, CoreJwsSigningAlgorithm::EcdsaP521Sha512) {
        return None;
    }
    let set = openidconnect(set).unwrap();
    let named = |key: &&CoreJsonWebKey| key.key_id().is_some_and(|own| own.as_str() == kid);
    let key = set.keys().iter().find(named).expect(kid);
    // The published crate's RSA stops at 4096 bits; the one Convex builds in does not.
    let json = serde_json::to_value(key).unwrap();
    if json["n"].as_str().is_some_and(|n| n.len() > 683) {
        return None;
    }
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = countersign::jose::base64url::decode(signature).unwrap();
    Some(key.verify_signature(&alg, signed.as_bytes(), &signature).is_ok())
}
