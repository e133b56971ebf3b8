//! A verifier that caches the key set exactly as an HTTP cache does (`http-cache-reqwest`, moka,
//! `CacheMode::Default`), never refetches for an unknown `kid`, and verifies with `jsonwebtoken`.

use http_cache_reqwest::{Cache, CacheMode, HttpCache, HttpCacheOptions, MokaManager};
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};

pub struct CachingVerifier {
    client: ClientWithMiddleware,
    url: String,
}

impl CachingVerifier {
    pub fn new(url: String) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = ClientBuilder::new(reqwest::Client::new())
            .with(Cache(HttpCache {
                mode: CacheMode::Default,
                manager: MokaManager::default(),
                options: HttpCacheOptions::default(),
            }))
            .build();
        Self { client, url }
    }

    /// # Errors
    /// Why the token is refused.
    pub async fn verify(&self, token: &str, audience: &str) -> Result<(), String> {
        Self::check(&self.key_set().await?, token, audience)
    }

    /// The cached set, or a new one.
    ///
    /// # Errors
    /// Why the set cannot be read.
    pub async fn key_set(&self) -> Result<JwkSet, String> {
        let answer = self.client.get(&self.url).send().await.map_err(|e| e.to_string())?;
        let body = answer.bytes().await.map_err(|e| e.to_string())?;
        serde_json::from_slice(&body).map_err(|e| e.to_string())
    }

    /// # Errors
    /// Why the token is refused.
    pub fn check(set: &JwkSet, token: &str, audience: &str) -> Result<(), String> {
        let header = decode_header(token).map_err(|e| e.to_string())?;
        let kid = header.kid.ok_or("no kid")?;
        let key = set.find(&kid).ok_or_else(|| format!("no key {kid}"))?;
        let key = DecodingKey::from_jwk(key).map_err(|e| e.to_string())?;
        let mut validation = Validation::new(header.alg);
        validation.set_audience(&[audience]);
        decode::<serde_json::Value>(token, &key, &validation).map_err(|e| e.to_string())?;
        Ok(())
    }
}
