//! An issuer's keys and tokens, made with aws-lc alone, so that the measured code does not also make the
//! load.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub(crate) struct Issuer {
    pair: EcdsaKeyPair,
    alg: &'static str,
    crv: &'static str,
    rng: SystemRandom,
}

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Issuer {
    pub(crate) fn es384() -> Self {
        Self::new(
            EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(),
            "ES384",
            "P-384",
        )
    }

    /// Cheaper to sign with: for the million tokens of the memory row.
    pub(crate) fn es256() -> Self {
        Self::new(
            EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            "ES256",
            "P-256",
        )
    }

    fn new(pair: EcdsaKeyPair, alg: &'static str, crv: &'static str) -> Self {
        Self { pair, alg, crv, rng: SystemRandom::new() }
    }

    pub(crate) fn public_point(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    pub(crate) fn jwk(&self, kid: &str) -> String {
        let (x, y) = self.public_point()[1..].split_at((self.public_point().len() - 1) / 2);
        format!(
            r#"{{"kty":"EC","crv":"{}","x":"{}","y":"{}","kid":"{kid}","alg":"{}","use":"sig"}}"#,
            self.crv,
            b64(x),
            b64(y),
            self.alg
        )
    }

    /// A token like a real access or ID token: a dozen claims, an hour to live.
    pub(crate) fn token(&self, iss: &str, n: usize) -> String {
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let header = format!(r#"{{"alg":"{}","typ":"JWT","kid":"i"}}"#, self.alg);
        let claims = format!(
            r#"{{"iss":"{iss}","sub":"user_{n:012}","aud":"app","iat":{now},"exp":{},"jti":"{n:016x}","email":"user{n}@example.com","email_verified":true,"name":"Some Person","picture":"https://example.com/avatars/{n}.png","scope":"openid profile email","sid":"s_{n:020}"}}"#,
            now + 3600
        );
        let input = format!("{}.{}", b64(header), b64(claims));
        let signature = self.pair.sign(&self.rng, input.as_bytes()).unwrap();
        format!("{input}.{}", b64(signature))
    }
}

/// The exchange request for a token, as bytes on the wire.
pub(crate) fn exchange_request(path: &str, token: &str) -> Vec<u8> {
    let body = format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange\
         &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt&subject_token={token}"
    );
    format!(
        "POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
