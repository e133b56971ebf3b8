//! A small issuer with everything that a log or a page could leak, and the addresses of its parts.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, SET_COOKIE};
use axum::routing::{get, post};
use countersign::jose::alg::Alg;
use serde_json::{Value, json};

use super::tokens::{TestKey, b64};

pub fn unix_now() -> i64 {
    countersign::clock::Clock::system().now().secs()
}

/// An issuer that signs with ES384, and also publishes a private key.
pub struct LiveIssuer {
    pub url: String,
    pub key: Arc<TestKey>,
    /// The private member that it publishes.
    pub leaked: String,
}

#[derive(Clone)]
struct Parts {
    url: String,
    key: Arc<TestKey>,
    leaked: String,
}

impl LiveIssuer {
    pub async fn start() -> Self {
        let key = Arc::new(TestKey::new(Alg::Es384, "e1"));
        let leaked = b64("private-member-that-must-never-be-seen!");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let parts = Parts { url: url.clone(), key: key.clone(), leaked: leaked.clone() };
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks", get(jwks))
            .route("/token", post(token))
            .fallback(|| async { "fine" })
            .with_state(parts);
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, key, leaked }
    }

    /// A token that is valid now.
    pub fn token(&self, seconds: i64) -> String {
        token_of(&self.key, &self.url, seconds)
    }
}

fn token_of(key: &TestKey, iss: &str, seconds: i64) -> String {
    let now = unix_now();
    key.token(&json!({
        "iss": iss, "sub": "claim-about-a-person", "aud": "app",
        "iat": now - 5, "exp": now + seconds,
    }))
}

async fn discovery(State(parts): State<Parts>) -> axum::Json<Value> {
    let at = |path: &str| format!("{}{path}", parts.url);
    axum::Json(json!({
        "issuer": parts.url, "jwks_uri": at("/jwks"), "token_endpoint": at("/token"),
        "authorization_endpoint": at("/auth"), "userinfo_endpoint": at("/me"),
        "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES384"],
    }))
}

/// A bare array served as HTML, with a leaked private key, a key that is too small, and an Ed25519
/// key.
async fn jwks(State(parts): State<Parts>) -> (HeaderMap, String) {
    let mut leaky = TestKey::new(Alg::Es256, "leaky").jwk().unwrap();
    leaky["d"] = parts.leaked.clone().into();
    let small = json!({ "kty": "RSA", "kid": "small", "n": b64([0xC3; 128]), "e": "AQAB" });
    let edwards = TestKey::new(Alg::EdDsa, "edwards").jwk().unwrap();
    let keys = json!([parts.key.jwk().unwrap(), leaky, small, edwards]);
    (HeaderMap::from_iter([(CONTENT_TYPE, "text/html".parse().unwrap())]), keys.to_string())
}

async fn token(State(parts): State<Parts>) -> (HeaderMap, String) {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, "application/json".parse().unwrap());
    headers.insert(SET_COOKIE, "sid=cookie-that-must-not-be-seen; HttpOnly".parse().unwrap());
    let body = json!({
        "access_token": token_of(&parts.key, &parts.url, 300),
        "id_token": token_of(&parts.key, &parts.url, 300),
        "refresh_token": "opaque-refresh-that-must-not-be-seen",
        "token_type": "Bearer", "expires_in": 300,
    });
    (headers, body.to_string())
}
