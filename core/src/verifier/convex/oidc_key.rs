//! openidconnect's key type, with RS256 verified by AWS-LC as in Convex's fork (2048 to 8192 bits).

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::{
    CoreJsonWebKey, CoreJsonWebKeyType, CoreJsonWebKeyUse, CoreJwsSigningAlgorithm,
};
use openidconnect::{
    JsonWebKey, JsonWebKeyAlgorithm, JsonWebKeyId, SignatureVerificationError as Failure,
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Key(CoreJsonWebKey);

impl Key {
    fn number(&self, member: &str) -> Result<Vec<u8>, Failure> {
        let missing = || Failure::InvalidKey(format!("RSA `{member}` is missing"));
        let json = serde_json::to_value(&self.0).map_err(|_| missing())?;
        let text = json.get(member).and_then(|v| v.as_str()).ok_or_else(missing)?;
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| missing())?;
        Ok(bytes.into_iter().skip_while(|b| *b == 0).collect())
    }
}

impl JsonWebKey for Key {
    type KeyUse = CoreJsonWebKeyUse;
    type SigningAlgorithm = CoreJwsSigningAlgorithm;

    fn key_id(&self) -> Option<&JsonWebKeyId> {
        self.0.key_id()
    }

    fn key_type(&self) -> &CoreJsonWebKeyType {
        self.0.key_type()
    }

    fn key_use(&self) -> Option<&CoreJsonWebKeyUse> {
        self.0.key_use()
    }

    fn signing_alg(&self) -> JsonWebKeyAlgorithm<&CoreJwsSigningAlgorithm> {
        self.0.signing_alg()
    }

    fn new_symmetric(key: Vec<u8>) -> Self {
        Self(CoreJsonWebKey::new_symmetric(key))
    }

    fn verify_signature(
        &self,
        algorithm: &CoreJwsSigningAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Failure> {
        if *algorithm != CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256 {
            return self.0.verify_signature(algorithm, message, signature);
        }
        // The keys have already been filtered by `use`, `kty` and `alg`.
        let key = RsaPublicKeyComponents { n: self.number("n")?, e: self.number("e")? };
        key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            .map_err(|_| Failure::CryptoError("bad signature".to_owned()))
    }

    fn hash_bytes(&self, bytes: &[u8], alg: &CoreJwsSigningAlgorithm) -> Result<Vec<u8>, String> {
        self.0.hash_bytes(bytes, alg)
    }
}

/// Whether the key can verify an RS256 or EdDSA signature.
pub(super) fn can_check(key: &Key) -> bool {
    let (wanted, numbers): (_, &[&str]) = match key.key_type() {
        CoreJsonWebKeyType::RSA => (CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256, &["n", "e"]),
        CoreJsonWebKeyType::OctetKeyPair => (CoreJwsSigningAlgorithm::EdDsa, &["x", "crv"]),
        _ => return false,
    };
    let stated = match key.signing_alg() {
        JsonWebKeyAlgorithm::Unspecified => true,
        JsonWebKeyAlgorithm::Algorithm(stated) => *stated == wanted,
        JsonWebKeyAlgorithm::Unsupported => false,
    };
    let signs = key.key_use().is_none_or(openidconnect::JsonWebKeyUse::allows_signature);
    let json = serde_json::to_value(&key.0).unwrap_or_default();
    stated && signs && numbers.iter().all(|name| json.get(name).is_some_and(|v| !v.is_null()))
}
