//! A real proxy in front of a real auth server, on free ports, both in this process.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use countersign::config::env::ProcessEnv;
use countersign::config::{Config, RunOverrides, load_text};
use countersign::serve::{self, Handle};
use futures::StreamExt;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::signer::Signer;

/// The behaviour of the auth server. Tests change it while it runs.
pub struct Told {
    pub issuer: String,
    /// The body of `/jwks`.
    pub jwks: String,
    pub jwks_status: u16,
    pub jwks_type: &'static str,
    /// Body, media type and content coding of `/token`.
    pub token: Vec<u8>,
    pub token_type: &'static str,
    pub token_coding: Option<&'static str>,
    /// `Location` and `Set-Cookie` of `/authorize`.
    pub location: String,
    pub jwks_reads: usize,
}

pub struct Upstream {
    pub address: SocketAddr,
    pub told: Arc<Mutex<Told>>,
    pub signer: Signer,
}

type Shared = State<Arc<Mutex<Told>>>;

impl Upstream {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let signer = Signer::es384();
        let told = Arc::new(Mutex::new(Told {
            issuer: format!("http://{address}"),
            jwks: json!({"keys": [signer.jwk("e1")]}).to_string(),
            jwks_status: 200,
            jwks_type: "text/plain",
            token: Vec::new(),
            token_type: "application/json",
            token_coding: None,
            location: String::new(),
            jwks_reads: 0,
        }));
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks", get(jwks))
            .route("/token", post(token))
            .route("/authorize", get(authorize))
            .route("/userinfo", any(seen))
            .route("/logout", any(seen))
            .route("/introspect", any(seen))
            .route("/seen", any(seen))
            .route("/upload", post(upload))
            .route("/big/{bytes}", get(big))
            .route("/ws", get(ws))
            .with_state(told.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, told, signer }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn tell(&self, change: impl FnOnce(&mut Told)) {
        change(&mut self.told.lock().unwrap());
    }

    /// Claims of this issuer that are valid for five minutes.
    pub fn claims(&self) -> Value {
        let now = countersign::clock::Clock::system().now().secs();
        let issuer = self.told.lock().unwrap().issuer.clone();
        json!({"iss": issuer, "sub": "u1", "aud": "app", "iat": now, "exp": now + 300})
    }

    pub fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": self.signer.alg(), "kid": "e1", "typ": "JWT"});
        self.signer.token(&header, claims)
    }
}

async fn discovery(State(told): Shared) -> Response {
    let told = told.lock().unwrap();
    let at = |path: &str| format!("{}{path}", told.issuer);
    let document = json!({
        "issuer": told.issuer, "jwks_uri": at("/jwks"), "token_endpoint": at("/token"),
        "authorization_endpoint": at("/authorize"), "userinfo_endpoint": at("/userinfo"),
        "end_session_endpoint": at("/logout"), "introspection_endpoint": at("/introspect"),
        "id_token_signing_alg_values_supported": ["ES384"],
    });
    ([(header::CONTENT_TYPE, "text/html")], document.to_string()).into_response()
}

async fn jwks(State(told): Shared) -> Response {
    let mut told = told.lock().unwrap();
    told.jwks_reads += 1;
    let status = StatusCode::from_u16(told.jwks_status).unwrap();
    (status, [(header::CONTENT_TYPE, told.jwks_type)], told.jwks.clone()).into_response()
}

async fn token(State(told): Shared, _body: Bytes) -> Response {
    let told = told.lock().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, told.token_type.parse().unwrap());
    headers.insert(header::ETAG, "\"upstream\"".parse().unwrap());
    headers.insert("digest", "sha-256=x".parse().unwrap());
    headers.insert("x-kept", "yes".parse().unwrap());
    if let Some(coding) = told.token_coding {
        headers.insert(header::CONTENT_ENCODING, coding.parse().unwrap());
    }
    (headers, told.token.clone()).into_response()
}

async fn authorize(State(told): Shared) -> Response {
    let location = told.lock().unwrap().location.clone();
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}

/// Answers with the request that it received.
async fn seen(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let fields: Vec<_> = parts
        .headers
        .iter()
        .map(|(n, v)| json!([n.as_str(), String::from_utf8_lossy(v.as_bytes())]))
        .collect();
    let saw = json!({
        "method": parts.method.as_str(), "target": parts.uri.to_string(), "fields": fields,
        "body": String::from_utf8_lossy(&body),
    });
    axum::Json(saw).into_response()
}

/// Answers with the length and a checksum of the received body.
async fn upload(request: Request) -> Response {
    let mut parts = request.into_body().into_data_stream();
    let (mut length, mut sum) = (0u64, 0u64);
    while let Some(part) = parts.next().await {
        for byte in part.unwrap() {
            sum = sum.wrapping_mul(31).wrapping_add(u64::from(byte));
            length += 1;
        }
    }
    axum::Json(json!({"length": length, "sum": sum.to_string()})).into_response()
}

async fn big(Path(bytes): Path<usize>, Query(query): Query<Value>) -> Response {
    let piece = Bytes::from(vec![b'x'; 64 * 1024]);
    let pieces = bytes.div_ceil(piece.len());
    let stream = futures::stream::iter((0..pieces).map(move |i| {
        let left = bytes - i * piece.len();
        Ok::<_, std::io::Error>(piece.slice(..left.min(piece.len())))
    }));
    let mut response = Response::new(Body::from_stream(stream));
    if query.get("sized").is_some() {
        response.headers_mut().insert(header::CONTENT_LENGTH, bytes.into());
    }
    response
}

async fn ws(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|mut socket: WebSocket| async move {
        while let Some(Ok(message)) = socket.recv().await {
            match message {
                Message::Text(_) | Message::Binary(_) => socket.send(message).await.unwrap(),
                Message::Close(_) => return,
                _ => {}
            }
        }
    })
}

/// A running proxy and its data directory.
pub struct Proxy {
    pub handle: Handle,
    pub data: TempDir,
}

impl Proxy {
    pub fn start(upstream: &str, toml: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        let handle = serve::start_in_process(config(upstream, toml, data.path())).unwrap();
        Self { handle, data }
    }

    /// Starts a proxy and waits until it has the issuer's keys.
    pub async fn ready(upstream: &str, toml: &str) -> Self {
        let proxy = Self::start(upstream, toml);
        let admin = proxy.handle.admin.unwrap();
        for _ in 0..1000 {
            let ready = reqwest::get(format!("http://{admin}/readyz")).await.unwrap();
            if ready.status() == 200 {
                return proxy;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("the proxy does not become ready");
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.handle.public)
    }
}

pub fn config(upstream: &str, toml: &str, data: &std::path::Path) -> Config {
    let overrides = RunOverrides {
        upstream: Some(upstream.to_owned()),
        listen: Some("127.0.0.1:0".into()),
        admin: Some("127.0.0.1:0".into()),
        data_dir: Some(data.to_owned()),
        threads: Some(1),
        ..RunOverrides::default()
    };
    load_text(toml, None, &overrides, &ProcessEnv).unwrap()
}

/// Installs the crypto provider that reqwest needs, once per process.
pub fn provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl Upstream {
    /// The claims of a token of this issuer.
    pub fn claims_of(&self, token: &str) -> Value {
        use base64::Engine;
        let part = token.split('.').nth(1).unwrap();
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }
}

/// Methods that reqwest has only with features that the program itself does not need.
pub trait ResponseExt {
    fn json<T: serde::de::DeserializeOwned>(self) -> impl Future<Output = reqwest::Result<T>>;
}

impl ResponseExt for reqwest::Response {
    async fn json<T: serde::de::DeserializeOwned>(self) -> reqwest::Result<T> {
        let bytes = self.bytes().await?;
        let text = String::from_utf8_lossy(&bytes);
        Ok(serde_json::from_slice(&bytes).unwrap_or_else(|_| panic!("no JSON: {text}")))
    }
}

pub trait RequestExt {
    fn form(self, pairs: &[(&str, &str)]) -> Self;
}

impl RequestExt for reqwest::RequestBuilder {
    fn form(self, pairs: &[(&str, &str)]) -> Self {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.header("content-type", "application/x-www-form-urlencoded").body(body)
    }
}
