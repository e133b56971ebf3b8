//! `countersign inspect` as a person and a script see it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    dead_code,
    reason = "a test stops at the first surprise"
)]

#[path = "support/signer.rs"]
mod signer;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use signer::{Signer, b64};

fn inspect(argument: &str, more: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(["inspect", argument])
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn token() -> String {
    let claims = json!({
        "iss": "https://auth.example.com/oidc", "sub": "user_1", "aud": ["app", "api"],
        "iat": 1_500_000_000, "exp": 4_102_444_800_i64, "email_verified": "true",
    });
    Signer::es384().token(&json!({"alg": "ES384", "typ": "at+jwt", "kid": "k\n1"}), &claims)
}

#[test]
fn what_a_person_reads() {
    let output = inspect("-", &[], &format!("  Bearer {}\n", token()));
    assert!(output.status.success());
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"(UTC, )(in [^\n]+|[^\n]+ ago)", "$1[relative]");
    settings.bind(|| insta::assert_snapshot!(text(&output.stdout)));
}

#[test]
fn what_a_script_reads() {
    let output = inspect(&token(), &["--json"], "");
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["form"], "jws");
    assert_eq!(value["claims"]["sub"], "user_1");
    assert_eq!(value["signature_bytes"], 96);
    assert_eq!(value["profiles"][0]["outcome"], "countersigned");
    let codes: Vec<_> = value["profiles"][0]["reasons"].as_array().unwrap().iter().collect();
    assert_eq!(codes.len(), 4, "{codes:?}");
}

#[test]
fn no_and_could_not_run() {
    assert_eq!(inspect("not-a-token", &[], "").status.code(), Some(1));
    let empty = inspect("-", &[], "\n");
    assert_eq!(empty.status.code(), Some(2));
    assert!(text(&empty.stderr).starts_with("error: token: there is none\nhint: "));
    let missing = inspect("@/nowhere/at/all", &[], "");
    assert_eq!(missing.status.code(), Some(2));
    let jwe = format!("{}....", b64(r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#));
    let output = inspect(&jwe, &[], "");
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("encrypted (JWE"));
}
