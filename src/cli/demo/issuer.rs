//! An auth server with common faults: it signs with ES384 only, its tokens are `at+jwt`, and it serves
//! its keys as a bare array of `text/html`. It speaks just enough HTTP/1.1 for loopback.

use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::clock::Clock;
use crate::jose::base64url;

pub(super) const AUDIENCE: &str = "demo-app";
const KID: &str = "es384-2026";
/// Bytes; no request of the demonstration is larger.
const REQUEST: usize = 64 * 1024;

pub(super) struct Issuer {
    pub(super) address: SocketAddr,
    key: EcdsaKeyPair,
}

impl Issuer {
    /// Serves on a free port until the runtime ends.
    pub(super) async fn start() -> std::io::Result<Arc<Self>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let key = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING);
        let issuer = Arc::new(Self { address, key: key.map_err(std::io::Error::other)? });
        let serving = issuer.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let issuer = serving.clone();
                tokio::spawn(async move {
                    // A client that goes away ends its own connection only.
                    let _ = issuer.answer(stream).await;
                });
            }
        });
        Ok(issuer)
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    async fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut request = Vec::new();
        let head = loop {
            if let Some(at) = request.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if request.len() > REQUEST || stream.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        };
        let text = String::from_utf8_lossy(&request[..head]).to_ascii_lowercase();
        let length = text.lines().find_map(|l| l.strip_prefix("content-length:"));
        let length = length.and_then(|l| l.trim().parse().ok()).unwrap_or(0).min(REQUEST);
        while request.len() < head + length && stream.read_buf(&mut request).await? > 0 {}
        let target = text.split(' ').nth(1).unwrap_or("/");
        let (status, kind, body) = self.route(target.split('?').next().unwrap_or(target));
        let body = body.to_string();
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    }

    fn route(&self, path: &str) -> (&'static str, &'static str, Value) {
        let url = self.url();
        match path {
            "/.well-known/openid-configuration" => {
                let document = json!({
                    "issuer": url,
                    "authorization_endpoint": format!("{url}/authorize"),
                    "token_endpoint": format!("{url}/token"),
                    "jwks_uri": format!("{url}/jwks"),
                    "response_types_supported": ["code"],
                    "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["ES384"],
                });
                ("200 OK", "application/json", document)
            }
            "/jwks" => ("200 OK", "text/html; charset=utf-8", json!([self.jwk()])),
            "/token" => {
                let answer = json!({
                    "access_token": self.token(), "token_type": "Bearer", "expires_in": 3600,
                });
                ("200 OK", "application/json", answer)
            }
            _ => ("404 Not Found", "application/json", json!({"error": "not_found"})),
        }
    }

    fn jwk(&self) -> Value {
        let point = self.key.public_key().as_ref().get(1..).unwrap_or_default();
        let (x, y) = point.split_at(point.len() / 2);
        json!({
            "kty": "EC", "crv": "P-384", "kid": KID, "alg": "ES384", "use": "sig",
            "x": base64url::encode(x), "y": base64url::encode(y),
        })
    }

    fn token(&self) -> String {
        let now = Clock::system().now().secs();
        let header = json!({"alg": "ES384", "typ": "at+jwt", "kid": KID});
        let claims = json!({
            "iss": self.url(), "sub": "user_2fkq8", "aud": AUDIENCE, "iat": now, "exp": now + 3600,
            "name": "Ada Lovelace",
        });
        let encode = |v: Value| base64url::encode(v.to_string());
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes());
        let signature = signature.map(base64url::encode).unwrap_or_default();
        format!("{message}.{signature}")
    }
}
