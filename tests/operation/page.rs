//! The status page in a real browser. Every value that comes from outside was written by an attacker.

use std::path::{Path, PathBuf};
use std::process::Command;

use axum::Router;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{Html, IntoResponse};
use axum::routing::{get, post};
use countersign::admin::page;
use countersign::admin::status::Status;
use countersign::inspect::{Outcome, inspect};
use countersign::jose::names::UnixTime;

use crate::support::status_fixture::{EVIL, NOW, down, empty, status};

/// The page behind its real policy, the data behind its real types.
async fn serve(status: fn() -> Status) -> String {
    async fn html() -> impl IntoResponse {
        let mut answer = Html(page::HTML).into_response();
        let headers = answer.headers_mut();
        headers.insert("content-security-policy", HeaderValue::from_str(&page::CSP).unwrap());
        for (name, value) in page::HARDENING {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        answer
    }
    let app =
        Router::new()
            .route("/", get(html))
            .route("/api/status", get(move || async move { axum::Json(status()) }))
            .route(
                "/api/inspect",
                post(|token: String| async move {
                    axum::Json(inspect(&token, UnixTime::from_secs(NOW)))
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

/// Runs the browser's script; with `shots` only for the pictures.
fn look(base: &str, name: &str, token: &str, shots: bool) -> serde_json::Value {
    assert_eq!(missing(), None);
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("page").join(name);
    std::fs::create_dir_all(&out).unwrap();
    let run = Command::new("node")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node/page/check.mjs"))
        .args([base, out.to_str().unwrap()])
        .args(shots.then_some("shots"))
        .env("TOKEN", token)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    serde_json::from_slice(&run.stdout).unwrap()
}

/// A token with an attacker's text in every place.
fn token() -> String {
    let claims = serde_json::json!({ "iss": EVIL, "sub": "s", EVIL: EVIL, "exp": NOW + 300 });
    let header = serde_json::json!({ "alg": "ES384", "kid": EVIL });
    let b64 = |value: serde_json::Value| {
        base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, value.to_string())
    };
    format!("{}.{}.{}", b64(header), b64(claims), "c2ln")
}

async fn looked(status: fn() -> Status, name: &'static str, shots: bool) -> serde_json::Value {
    let base = serve(status).await;
    let seen =
        tokio::task::spawn_blocking(move || look(&base, name, &token(), shots)).await.unwrap();
    assert_eq!(seen["accessibility"], serde_json::json!([]), "{name}");
    for shot in ["light", "dark", "light-narrow", "dark-narrow"] {
        assert_eq!(seen["overflow"][shot], 0, "{name}: {shot}");
    }
    assert_eq!(seen["narrow"]["cut"], 0, "{name}: a table is cut off and does not say so");
    assert_eq!(seen["narrow"]["columns"], 2, "{name}");
    seen
}

fn says(seen: &serde_json::Value, parts: &[&str]) {
    let text = seen["seen"].as_str().unwrap();
    for said in parts {
        assert!(text.contains(said), "{said} is not in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_an_issuer_writes_runs_in_the_page() {
    let seen = looked(status, "hostile", false).await;
    let list = |name: &str| seen[name].as_array().unwrap().clone();
    says(&seen, &["2 lines lost", "The ring is full"]);

    assert_eq!(seen["owned"], serde_json::Value::Null);
    assert_eq!(seen["elements_from_data"], 0);
    // The markup is shown, as text, wherever it was sent.
    assert!(seen["text"].as_str().unwrap().matches(EVIL).count() > 10);
    assert!(seen["decoded"].as_str().unwrap().contains("onerror"));
    assert_eq!(list("foreign"), Vec::<serde_json::Value>::new());
    assert_eq!(list("complaints_before_attack"), Vec::<serde_json::Value>::new());

    // If a value had become markup, the CSP would have stopped it.
    assert_eq!(seen["blocked"]["injected"], serde_json::Value::Null);
    let violations = seen["blocked"]["violations"].to_string();
    assert!(!violations.contains("HOLE"), "{violations}");
    for directive in ["img-src", "connect-src", "trusted-types"] {
        assert!(violations.contains(directive), "{violations}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auth_server_that_is_down_comes_first() {
    let seen = looked(down, "issuer-down", false).await;
    assert_eq!(seen["ready"], "degraded");
    assert_eq!(seen["title"], "! countersign: degraded");
    says(
        &seen,
        &[
            "logins fail",
            "nothing but failures for 42 s",
            "https://auth.example.com",
            "44 s ago",
            "no connection to the auth server (upstream_unreachable)",
            "12,345",
            "90 %",
            "the server answered 502 (status)",
            // Sentences, with the code next to them.
            "Convex reads RS256 and ES256 only. This key verifies tokens; it is not shown to Convex (ES384).",
            "The RSA key is too short: 2048 bits are needed.",
            "The token has expired. expired",
            "The exponent was a number, not base64url.",
            "25 h",
            "/.well-known/jwks.json, /oidc/jwks · cached for 5 min · the same set at each address",
            "countersign doctor https://login.example.com --issuer https://auth.example.com",
            "countersign doctor https://auth.example.com",
        ],
    );
    let text = seen["seen"].as_str().unwrap();
    assert!(text.starts_with("Auth server"), "{text}");
    assert_eq!(text.matches("Yk3vS0oWmUbm0mQF3iJ7c2k1V8m4vKq9uTn1wEs9Xhg").count(), 1, "{text}");
    assert!(seen["narrow"]["smallest"].as_f64().unwrap() >= 12.0, "{}", seen["narrow"]);

    let block = down().setup.auth_config.unwrap();
    assert_eq!(seen["copied"], serde_json::json!({ "button": "Copied", "text": block }));
    // The verdict of our own profile comes before what the token holds.
    let verdict = seen["verdict"].as_str().unwrap();
    assert!(
        verdict.starts_with(&format!("Convex: {}.", Outcome::Countersigned.sentence())),
        "{verdict}"
    );
    assert!(verdict.contains("signed with ES384; accepted: RS256"), "{verdict}");

    // By keyboard: each table can be scrolled, each control reached.
    let stops = seen["stops"].to_string();
    for stop in ["skip", "pause", "copy", "token", "Decode", "clear"] {
        assert!(stops.contains(stop), "{stop}: {stops}");
    }
    assert_eq!(seen["after_clear"], serde_json::json!(["", ""]));
    assert_eq!(seen["stored"]["cookies"], "");
    assert_eq!(seen["paused"], "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_knows_nothing_yet_says_what_is_missing() {
    let seen = looked(empty, "empty", true).await;
    says(
        &seen,
        &[
            "logins fail",
            "The issuer is not known yet",
            "none since the start",
            "Public URL: not configured.",
            "appears here once the issuer is known",
            "Nothing is served yet.",
            "No token yet.",
        ],
    );
}

#[test]
fn every_code_has_its_sentence() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let table = |name: &str| {
        let from = page::HTML.split_once(&format!("const {name} = {{")).unwrap().1;
        from.split_once("\n};").unwrap().0
    };
    // The codes of a key set's report are those that its page explains.
    let page = read("docs/normalizing.md");
    let keys = page.split_once("## Keys").unwrap().1;
    let rows = keys.lines().filter(|line| line.starts_with("| `"));
    let codes = rows.flat_map(|line| line.split('|').nth(1).unwrap().split('`').skip(1).step_by(2));
    let codes: Vec<_> = codes.collect();
    assert!(codes.len() > 50);
    // The sentence of `alg_profile` names the profile, so it is not in the table.
    for code in codes.into_iter().filter(|code| *code != "alg_profile") {
        assert!(table("CHANGES").contains(&format!("{code}: \"")), "{code}");
    }
    let refusals = read("core/src/jose/refusal.rs");
    let entries = refusals.split_once("fn code(").unwrap().1.split_once("mod tests").unwrap().0;
    let codes: Vec<_> =
        entries.split("=> \"").skip(1).map(|e| e.split('"').next().unwrap()).collect();
    assert!(codes.len() > 35);
    for code in codes {
        assert!(table("REFUSALS").contains(&format!("{code}: \"")), "{code}");
    }
    for outcome in [Outcome::AsItStands, Outcome::Countersigned, Outcome::Refused] {
        assert!(table("SAYS").contains(&format!("\"{}\"", outcome.sentence())), "{outcome:?}");
    }
}
