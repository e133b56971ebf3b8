//! openidconnect's key, with RS256 checked by AWS-LC as in Convex's fork (2048 to 8192 bits).

use std::sync::Arc;

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
pub(super) struct Key {
    core: CoreJsonWebKey,
    /// What the signature covers, where the token was altered to be parsed.
    #[serde(skip)]
    signed: Option<Arc<str>>,
}

impl Key {
    pub(super) fn over(&self, signed: Arc<str>) -> Self {
        Self { core: self.core.clone(), signed: Some(signed) }
    }

    fn number(&self, member: &str) -> Result<Vec<u8>, Failure> {
        let missing = || Failure::InvalidKey(format!("RSA `{member}` is missing"));
        let json = serde_json::to_value(&self.core).map_err(|_| missing())?;
        let text = json.get(member).and_then(|v| v.as_str()).ok_or_else(missing)?;
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| missing())?;
        Ok(bytes.into_iter().skip_while(|b| *b == 0).collect())
    }
}

impl JsonWebKey for Key {
    type KeyUse = CoreJsonWebKeyUse;
    type SigningAlgorithm = CoreJwsSigningAlgorithm;

    fn key_id(&self) -> Option<&JsonWebKeyId> {
        self.core.key_id()
    }

    fn key_type(&self) -> &CoreJsonWebKeyType {
        self.core.key_type()
    }

    fn key_use(&self) -> Option<&CoreJsonWebKeyUse> {
        self.core.key_use()
    }

    fn signing_alg(&self) -> JsonWebKeyAlgorithm<&CoreJwsSigningAlgorithm> {
        self.core.signing_alg()
    }

    fn new_symmetric(key: Vec<u8>) -> Self {
        Self { core: CoreJsonWebKey::new_symmetric(key), signed: None }
    }

    fn verify_signature(
        &self,
        algorithm: &CoreJwsSigningAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Failure> {
        let message = self.signed.as_deref().map_or(message, str::as_bytes);
        if *algorithm != CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256 {
            return self.core.verify_signature(algorithm, message, signature);
        }
        // The set has already been filtered by `use`, `kty` and `alg`.
        let key = RsaPublicKeyComponents { n: self.number("n")?, e: self.number("e")? };
        key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            .map_err(|_| Failure::CryptoError("bad signature".to_owned()))
    }

    fn hash_bytes(&self, bytes: &[u8], alg: &CoreJwsSigningAlgorithm) -> Result<Vec<u8>, String> {
        self.core.hash_bytes(bytes, alg)
    }
}
