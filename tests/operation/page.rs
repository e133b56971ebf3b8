//! The status page in a real browser, with data written by an attacker in every place that comes
//! from outside.

use std::path::{Path, PathBuf};
use std::process::Command;

use axum::Router;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{Html, IntoResponse};
use axum::routing::{get, post};
use countersign::admin::page;

use crate::support::status_fixture::{EVIL, status};

/// The page behind its real policy, the data behind its real types.
async fn serve() -> String {
    async fn html() -> impl IntoResponse {
        let mut answer = Html(page::HTML).into_response();
        let headers = answer.headers_mut();
        headers.insert("content-security-policy", HeaderValue::from_str(&page::CSP).unwrap());
        for (name, value) in page::HARDENING {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        answer
    }
    let app = Router::new()
        .route("/", get(html))
        .route("/api/status", get(|| async { axum::Json(status()) }))
        .route(
            "/api/inspect",
            post(|| async {
                axum::Json(serde_json::json!({
                    "header": { "alg": "ES384", "kid": EVIL },
                    "claims": { "iss": EVIL, EVIL: EVIL },
                    "times": [{ "claim": EVIL, "words": "in 5 minutes" }],
                }))
            }),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    format!("http://{address}")
}

/// Why this machine has no browser to run the page in, if it has none.
fn missing() -> Option<String> {
    let node = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node");
    let chromium = option_env!("CHROMIUM").unwrap_or("/usr/bin/chromium");
    if !Path::new(chromium).exists() {
        return Some(format!("{chromium} is missing: scripts/install chromium"));
    }
    (!node.join("node_modules/playwright-core").exists())
        .then(|| "playwright-core is missing: scripts/install packages".into())
}

/// Runs the browser's script.
fn look(base: &str, name: &str, token: &str) -> serde_json::Value {
    assert_eq!(missing(), None);
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("page").join(name);
    std::fs::create_dir_all(&out).unwrap();
    let run = Command::new("node")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node/page/check.mjs"))
        .args([base, out.to_str().unwrap()])
        .env("TOKEN", token)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    serde_json::from_slice(&run.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_an_issuer_writes_runs_in_the_page() {
    let base = serve().await;
    let seen = tokio::task::spawn_blocking(move || look(&base, "hostile", "a.b.c")).await.unwrap();
    let list = |name: &str| seen[name].as_array().unwrap().clone();

    assert_eq!(seen["owned"], serde_json::Value::Null);
    assert_eq!(seen["elements_from_data"], 0);
    // The markup is shown, as text, wherever it was sent.
    assert!(seen["text"].as_str().unwrap().matches(EVIL).count() > 10);
    assert!(seen["decoded"].as_str().unwrap().contains("onerror"));
    assert_eq!(list("foreign"), Vec::<serde_json::Value>::new());
    assert_eq!(list("complaints_before_attack"), Vec::<serde_json::Value>::new());

    // Had a value got through as markup, the policy would have stopped it.
    assert_eq!(seen["blocked"]["injected"], serde_json::Value::Null);
    let violations = seen["blocked"]["violations"].to_string();
    assert!(!violations.contains("HOLE"), "{violations}");
    for directive in ["img-src", "connect-src", "trusted-types"] {
        assert!(violations.contains(directive), "{violations}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_can_be_read_by_everyone() {
    let base = serve().await;
    let seen = tokio::task::spawn_blocking(move || look(&base, "readable", "a.b.c")).await.unwrap();
    let none: [&str; 0] = [];

    assert_eq!(seen["ready"], "not ready");
    assert_eq!(seen["title"], "! countersign: not ready");
    assert_eq!(seen["accessibility"], serde_json::json!(none));
    for overflow in ["overflow", "overflow_wide"] {
        assert!(seen[overflow].as_i64().unwrap() <= 0, "{overflow}: {}", seen[overflow]);
    }
    let text = seen["text"].as_str().unwrap();
    for said in [
        "12,345",
        "90 %",
        "private key leaked",
        "connection refused",
        "rsa small",
        "hr20wSRX",
        "not published",
        "25 h",
    ] {
        assert!(text.contains(said), "{said} is not in\n{text}");
    }
    // By keyboard: each table can be scrolled, each control reached.
    let stops = seen["stops"].to_string();
    for stop in ["skip", "pause", "token", "Decode", "clear"] {
        assert!(stops.contains(stop), "{stop}: {stops}");
    }
    assert_eq!(seen["after_clear"], serde_json::json!(["", ""]));
    assert_eq!(seen["stored"]["cookies"], "");
    assert_eq!(seen["paused"], "true");
}
