//! The status page in a real browser, with data written by an attacker in every place that comes
//! from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    dead_code,
    reason = "a test stops at the first surprise"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use axum::Router;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{Html, IntoResponse};
use axum::routing::{get, post};
use countersign::admin::page;
use countersign::admin::status::{
    AlarmView, Bucket, CacheView, ChangeRow, Histogram, IssuerView, KeyRow, LastError, Outcome,
    ProfileView, QueueView, Ready, RefusalCount, ServedKey, SetView, SigningView, State, Status,
    TokenCount, Tokens,
};

const NOW: i64 = 1_800_000_000;
/// Would run in the page if any value reached it as markup.
const EVIL: &str = r#"<img src=x onerror="globalThis.owned=1"><script>globalThis.owned=1</script>"#;

fn issuer(name: &str, state: State) -> IssuerView {
    IssuerView {
        name: name.into(),
        issuers: vec![format!("https://{name}.example/oidc")],
        source: format!("https://{name}.example/oidc/jwks"),
        state,
        fetched: Some(NOW - 120),
        next_refresh: Some(NOW + 180),
        last_error: None,
        fetches: vec![Outcome { outcome: "ok".into(), count: 12 }],
        keys: Vec::new(),
        alarms: Vec::new(),
    }
}

fn row(path: &str, kid: Option<&str>, effect: &'static str, changes: Vec<ChangeRow>) -> KeyRow {
    let served = matches!(effect, "same" | "repaired");
    KeyRow {
        path: path.into(),
        kid_before: kid.map(Into::into),
        effect,
        served_as: served.then(|| kid.unwrap_or("tYfhs8vPjkU0Sg3aN6RzX2").into()),
        alg: served.then_some("RS256"),
        changes,
    }
}

fn change(path: &str, code: &str, before: Option<&str>, after: Option<&str>) -> ChangeRow {
    ChangeRow {
        path: path.into(),
        code: code.into(),
        before: before.map(Into::into),
        after: after.map(Into::into),
    }
}

fn status() -> Status {
    let mut login = issuer("login", State::Fresh);
    login.keys = vec![
        row("$.keys[0]", Some("2024-signing"), "same", vec![]),
        row(
            "$.keys[1]",
            Some("9f86d081"),
            "repaired",
            vec![
                change("$.keys[1].n", "padding", Some("hr20wSRX…=="), Some("hr20wSRX…")),
                change("$.keys[1].e", "integer", Some("65537"), Some("AQAB")),
            ],
        ),
        row(
            "$.keys[2]",
            Some("es384"),
            "left_out",
            vec![change("$.keys[2]", "alg_profile", Some("ES384"), None)],
        ),
        row("$.keys[3]", None, "dropped", vec![change("$.keys[3]", "rsa_small", None, None)]),
    ];
    login.alarms = vec![AlarmView {
        path: "$.keys[1]".into(),
        code: "private_key_leaked".into(),
        members: vec!["d".into(), "p".into()],
    }];
    let mut down = issuer("down", State::Stale);
    down.last_error = Some(LastError {
        code: "connect".into(),
        text: "connection refused (os error 111)".into(),
        at: NOW - 30,
    });
    let mut evil = issuer("evil", State::Cold);
    evil.name = EVIL.into();
    evil.issuers = vec![EVIL.into(), "javascript:globalThis.owned=1".into()];
    evil.source = EVIL.into();
    evil.last_error = Some(LastError { code: EVIL.into(), text: EVIL.into(), at: NOW });
    evil.fetches = vec![Outcome { outcome: EVIL.into(), count: 1 }];
    evil.keys =
        vec![row(EVIL, Some(EVIL), "repaired", vec![change(EVIL, EVIL, Some(EVIL), Some(EVIL))])];
    evil.alarms =
        vec![AlarmView { path: EVIL.into(), code: EVIL.into(), members: vec![EVIL.into()] }];
    let key = |kid: &str, alg: &str, origin: &str| ServedKey {
        kid: kid.into(),
        kind: "RSA".into(),
        alg: alg.into(),
        origin: origin.into(),
    };
    let ring = |kid: &str, state, published, from, until, leaves| SigningView {
        kid: kid.into(),
        alg: "RS256",
        state,
        published,
        signs_from: from,
        signs_until: until,
        leaves,
    };
    Status {
        version: "0.1.0",
        now: NOW,
        started: NOW - 90_000,
        ready: Ready {
            ready: false,
            reasons: vec![format!("issuer {EVIL}: no key set yet"), "issuer down: stale".into()],
        },
        profile: ProfileView {
            name: "convex".into(),
            accepts: vec!["RS256"],
            publish: vec!["RS256", "ES256"],
        },
        issuers: vec![login, down, evil],
        issuers_total: 3,
        sets: vec![
            SetView {
                path: "/.well-known/jwks.json".into(),
                max_age: 300,
                keys: vec![
                    key("Yk3vS0oWmUbm0mQF3iJ7c2k1V8m4vKq9uTn1wEs9Xhg", "RS256", "own"),
                    key(EVIL, EVIL, EVIL),
                ],
            },
            SetView { path: "/oidc/jwks".into(), max_age: 300, keys: vec![] },
        ],
        signing: vec![
            ring("n-Xt-key", "next", Some(NOW - 60), Some(NOW + 300), None, None),
            ring("Yk3vS0oWmUbm0mQF3iJ7", "active", Some(NOW - 4000), Some(NOW - 3600), None, None),
            ring(
                EVIL,
                "retired",
                Some(NOW - 9000),
                Some(NOW - 8600),
                Some(NOW - 3600),
                Some(NOW + 900),
            ),
        ],
        tokens: Tokens {
            countersigned: 12_345,
            passed: 678,
            refused: 9,
            by: vec![TokenCount {
                issuer: EVIL.into(),
                alg: "ES384".into(),
                outcome: "countersigned",
                count: 12_345,
            }],
            refusals: vec![RefusalCount { code: "expired".into(), count: 9 }],
            cache: CacheView { hits: 9000, misses: 1000 },
            queue: QueueView { depth: 0, limit: 64 },
            latency: Histogram {
                buckets: vec![
                    Bucket { le: Some(0.0005), count: 10 },
                    Bucket { le: Some(0.001), count: 400 },
                    Bucket { le: Some(0.005), count: 30 },
                    Bucket { le: None, count: 1 },
                ],
                sum: 0.4,
            },
        },
    }
}

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
    let chromium = std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".into());
    if !Path::new(&chromium).exists() {
        return Some(format!("{chromium} is missing: scripts/install chromium"));
    }
    (!node.join("node_modules/playwright-core").exists())
        .then(|| "playwright-core is missing: scripts/install packages".into())
}

/// Runs the browser's script; `None` on a machine without a browser.
fn look(base: &str, name: &str, token: &str) -> Option<serde_json::Value> {
    if let Some(why) = missing() {
        println!("SKIPPED: {why}");
        return None;
    }
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("page").join(name);
    std::fs::create_dir_all(&out).unwrap();
    let run = Command::new("node")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node/page/check.mjs"))
        .args([base, out.to_str().unwrap()])
        .env("TOKEN", token)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    Some(serde_json::from_slice(&run.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_an_issuer_writes_runs_in_the_page() {
    let base = serve().await;
    let seen = tokio::task::spawn_blocking(move || look(&base, "hostile", "a.b.c")).await.unwrap();
    let Some(seen) = seen else { return };
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
    let Some(seen) = seen else { return };
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
