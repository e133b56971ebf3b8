//! The discovery document that the proxy makes for an issuer which has its name and no document.

use crate::support::proxy::{Proxy, RequestExt as _, ResponseExt as _, provider};
use crate::support::signer::Signer;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use countersign::clock::Clock;
use countersign::config::{RunOverrides, env::ProcessEnv, load_text};
use countersign::serve;
use openidconnect::core::CoreProviderMetadata;
use serde_json::{Value, json};

const PUBLIC: &str = "https://login.example.com";
const DOCUMENT: &str = "/.well-known/openid-configuration";

/// An issuer with keys, which answers `status` instead of a discovery document.
async fn upstream(status: StatusCode) -> (String, Signer) {
    let signer = Signer::es384();
    let jwks = json!({"keys": [signer.jwk("e1")]});
    let app = Router::new()
        .route("/jwks", get(move || async move { Json(jwks) }))
        .fallback(move || async move { (status, "none here") });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (format!("http://{address}"), signer)
}

fn issuer(url: &str, name: &str, more: &str) -> String {
    format!(
        "[[issuer]]\nname = \"{name}\"\nissuer = \"{name}.example\"\njwks = \"{url}/jwks\"\n{more}\n"
    )
}

fn public(url: &str, issuers: &str) -> String {
    format!("[server]\npublic_url = \"{url}\"\n{issuers}")
}

async fn read(proxy: &Proxy) -> (u16, Value) {
    let answer = reqwest::get(proxy.url(DOCUMENT)).await.unwrap();
    let status = answer.status().as_u16();
    if status == 200 {
        assert_eq!(answer.headers()["content-type"], "application/json");
        assert!(answer.headers().get("set-cookie").is_none());
    }
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_made_up_for_the_issuer_that_goes_by_our_name() {
    provider();
    let (url, signer) = upstream(StatusCode::NOT_FOUND).await;
    // With a slash and without: tokens and document have the same `iss`.
    for iss in [PUBLIC.to_owned(), format!("{PUBLIC}/")] {
        let toml = public(PUBLIC, &issuer(&url, "a", &format!("output_issuer = \"{iss}\"")));
        let proxy = Proxy::ready(&url, &toml).await;
        let (status, document) = read(&proxy).await;
        assert_eq!(status, 200, "{document}");
        assert_eq!(
            document,
            json!({
                "issuer": iss,
                "jwks_uri": format!("{PUBLIC}/.well-known/jwks.json"),
                "authorization_endpoint": format!("{PUBLIC}/authorize"),
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            })
        );
        // The crate openidconnect, with which Convex reads it, requires all of these.
        serde_json::from_value::<CoreProviderMetadata>(document).unwrap();

        let now = Clock::system().now().secs();
        let header = json!({"alg": "ES384", "kid": "e1"});
        let claims =
            json!({"iss": "a.example", "sub": "u", "aud": "app", "iat": now, "exp": now + 60});
        let token = signer.token(&header, &claims);
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
            ("subject_token", token.as_str()),
        ];
        let ask = reqwest::Client::new().post(proxy.url("/_countersign/token")).form(&form);
        let answer: Value = ask.send().await.unwrap().json().await.unwrap();
        let payload = answer["access_token"].as_str().unwrap().split('.').nth(1).unwrap();
        let payload = countersign::jose::base64url::decode(payload).unwrap();
        let payload: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(payload["iss"], iss);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn head_has_its_length_and_other_methods_and_paths_are_the_upstreams() {
    provider();
    let (url, _) = upstream(StatusCode::NOT_FOUND).await;
    let toml = public(PUBLIC, &issuer(&url, "a", &format!("output_issuer = \"{PUBLIC}\"")));
    let proxy = Proxy::ready(&url, &toml).await;
    let client = reqwest::Client::new();
    let whole = client.get(proxy.url(DOCUMENT)).send().await.unwrap();
    let head = client.head(proxy.url(DOCUMENT)).send().await.unwrap();
    assert_eq!(head.status(), 200);
    assert_eq!(head.headers()["content-length"], whole.headers()["content-length"]);
    assert_eq!(client.post(proxy.url(DOCUMENT)).send().await.unwrap().status(), 404);
    for path in [&format!("/other{DOCUMENT}"), "/.well-known/oauth-authorization-server"] {
        assert_eq!(reqwest::get(proxy.url(path)).await.unwrap().status(), 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn none_is_made_up_for_anybody_else() {
    provider();
    let (url, _) = upstream(StatusCode::NOT_FOUND).await;
    let ours = issuer(&url, "a", &format!("output_issuer = \"{PUBLIC}\""));
    for (why, toml) in [
        ("no public URL", ours.clone()),
        ("another public URL", public("https://other.example.com", &ours)),
        ("no output_issuer", public(PUBLIC, &issuer(&url, "a", ""))),
        (
            "another name",
            public(PUBLIC, &issuer(&url, "a", &format!("output_issuer = \"{PUBLIC}/x\""))),
        ),
        (
            "the name given up for another",
            public(
                PUBLIC,
                &issuer(&url, "a", "output_issuer = \"https://other.example.com\"")
                    .replace("a.example", PUBLIC),
            ),
        ),
    ] {
        let proxy = Proxy::ready(&url, &toml).await;
        assert_eq!(read(&proxy).await, (404, json!("none here")), "{why}");
    }
}

/// An issuer that fails for a moment may have a document of its own, and relying parties would cache ours
/// instead.
#[tokio::test(flavor = "multi_thread")]
async fn none_is_made_up_for_an_issuer_in_trouble() {
    provider();
    for status in [500, 502, 503, 401, 403, 410, 429] {
        let status = StatusCode::from_u16(status).unwrap();
        let (url, _) = upstream(status).await;
        let toml = public(PUBLIC, &issuer(&url, "a", &format!("output_issuer = \"{PUBLIC}\"")));
        let proxy = Proxy::ready(&url, &toml).await;
        assert_eq!(read(&proxy).await, (status.as_u16(), json!("none here")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_upstream_there_is_one_as_well() {
    provider();
    let (url, _) = upstream(StatusCode::NOT_FOUND).await;
    let data = tempfile::tempdir().unwrap();
    let start = |toml: &str| {
        let overrides = RunOverrides {
            listen: Some("127.0.0.1:0".into()),
            admin: Some("127.0.0.1:0".into()),
            data_dir: Some(data.path().to_owned()),
            threads: Some(1),
            ..RunOverrides::default()
        };
        let config = load_text(toml, None, &overrides, &ProcessEnv).unwrap();
        serve::start_in_process(config).unwrap()
    };
    // Of several issuers it is the one with the proxy's name, and with its own set.
    let named =
        issuer(&url, "b", &format!("output_issuer = \"{PUBLIC}\"\njwks_path = \"/b/jwks\""));
    let handle = start(&public(PUBLIC, &format!("{}{named}", issuer(&url, "a", ""))));
    let answer = reqwest::get(format!("http://{}{DOCUMENT}", handle.public)).await.unwrap();
    assert_eq!(answer.status(), 200);
    let document: Value = answer.json().await.unwrap();
    assert_eq!(document["issuer"], PUBLIC);
    assert_eq!(document["jwks_uri"], format!("{PUBLIC}/b/jwks"));
    handle.stop();

    let handle = start(&public(PUBLIC, &issuer(&url, "a", "")));
    let answer = reqwest::get(format!("http://{}{DOCUMENT}", handle.public)).await.unwrap();
    assert_eq!(answer.status(), 404);
    let head = reqwest::Client::new().post(format!("http://{}{DOCUMENT}", handle.public));
    assert_eq!(head.send().await.unwrap().status(), 404);
    handle.stop();
}
