//! Terminal escapes in texts of hostile servers and tokens are printed escaped, so no terminal obeys them.

use std::path::Path;
use std::process::Output;

use crate::support::signer::{Signer, b64};
use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use serde_json::json;

/// Clears the screen, sets the title, has C1's CSI, reverses the text, ends the line.
const EVIL: &str =
    "a\u{1b}[2J\u{1b}]0;t\u{7}\u{9b}31m\u{202e}b\u{2066}\u{7f}\u{85}\u{2028}\r\n  ✓ fine";

async fn countersign(args: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(args).output().await.unwrap()
}

/// The whole output, checked: it has no such character, and no line of the attacker's own.
fn shown(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8(text).unwrap();
    for c in text.chars().filter(|c| *c != '\n') {
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}');
        assert!(!c.is_control() && !turns, "{c:?} in\n{text:?}");
    }
    assert!(!text.lines().any(|line| line.trim_start() == "✓ fine"), "{text}");
    text
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_shows_a_hostile_issuer_and_obeys_it_not() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut key = Signer::rs256().jwk(EVIL);
    key["alg"] = EVIL.into();
    let set = json!({"keys": [key, {"kty": EVIL, EVIL: 1}], EVIL: EVIL}).to_string();
    let discovery = json!({"issuer": EVIL, "jwks_uri": format!("{url}/jwks")}).to_string();
    let as_json = |text: String| async move { ([(CONTENT_TYPE, "application/json")], text) };
    let app = Router::new()
        .route("/.well-known/openid-configuration", get(move || as_json(discovery.clone())))
        .route("/jwks", get(move || as_json(set.clone())))
        .fallback(|| async { (StatusCode::FORBIDDEN, EVIL) });
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let token = Signer::rs256().token(
        &json!({"alg": "RS256", "kid": EVIL, "typ": EVIL}),
        &json!({"iss": format!("{url}/{EVIL}"), "aud": [EVIL], "sub": EVIL, "exp": EVIL}),
    );
    for profile in ["convex", "standard", "federation", "hasura", "login"] {
        for more in [&[][..], &["--json"], &["--token", &token], &["--token", &token, "--json"]] {
            for at in [url.clone(), format!("{url}/jwks"), format!("{url}/tenant")] {
                let args = [&["doctor", &at, "--profile", profile], more].concat();
                let said = shown(&countersign(&args).await);
                assert!(!said.is_empty());
                if more.contains(&"--json") {
                    serde_json::from_str::<serde_json::Value>(&said).unwrap();
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inspect_and_the_others_do_neither() {
    let token = Signer::es384().token(
        &json!({"alg": EVIL, "kid": EVIL, EVIL: EVIL}),
        &json!({"iss": EVIL, "sub": EVIL, "exp": 1, EVIL: {EVIL: [EVIL]}}),
    );
    let said = shown(&countersign(&["inspect", &token]).await);
    assert!(said.contains("\\u001b[2J") && said.contains("\\u202e"), "{said}");
    let said = shown(&countersign(&["inspect", &token, "--json"]).await);
    let value: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(value["claims"]["sub"], EVIL, "JSON means what it meant");

    let folder = tempfile::tempdir().unwrap();
    let mut key = Signer::es384().jwk(EVIL);
    let set = json!({"keys": [key, {"kty": EVIL}]}).to_string();
    let set = write(folder.path(), "set", &set);
    let file = write(folder.path(), "token", &token);
    shown(&countersign(&["verify", "--jwks", &set, &file]).await);
    shown(&countersign(&["normalize", &set]).await);
    shown(&countersign(&["normalize", &set, "--report", "json"]).await);
    key["kid"] = "a\u{202e}b".into();
    let set = write(folder.path(), "turned", &json!({"keys": [key]}).to_string());
    let normalize = countersign(&["normalize", &set, "--profile", "standard"]).await;
    shown(&normalize);
    let document: serde_json::Value = serde_json::from_slice(&normalize.stdout).unwrap();
    assert_eq!(document["keys"][0]["kid"], "a\u{202e}b");
    for broken in [format!("{{\"keys\":{EVIL}"), EVIL.to_owned(), format!("\"{EVIL}\"")] {
        let file = write(folder.path(), "broken", &broken);
        shown(&countersign(&["normalize", &file]).await);
        shown(&countersign(&["verify", "--jwks", &file, &token]).await);
        shown(&countersign(&["inspect", &b64(&broken)]).await);
        shown(&countersign(&["resign", "--config", &file, &token]).await);
    }
    shown(&countersign(&["inspect", EVIL]).await);
    shown(&countersign(&["doctor", EVIL]).await);
    shown(&countersign(&["init", "--upstream", EVIL, "--output", "-"]).await);
}
