//! `countersign inspect` as a person and a script see it.

use std::process::Output;

use crate::support::process::with_input;
use crate::support::signer::{Signer, b64};
use serde_json::{Value, json};

fn inspect(argument: &str, more: &[&str], stdin: &str) -> Output {
    with_input(&[&["inspect", argument], more].concat(), stdin)
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

/// Each command reads a token in each of the four ways, and ignores what is left around it.
#[test]
fn a_token_is_read_alike_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let token = token();
    let another = json!({"keys": [Signer::es384().jwk("k")]});
    let jwks = write("jwks", &another.to_string());
    let config = write(
        "c.toml",
        &format!(
            "data_dir = {:?}\n[[issuer]]\nissuer = \"https://other.example\"\njwks = \"file:jwks\"\n",
            folder.path()
        ),
    );
    let around = [
        token.clone(),
        format!("{token}\r\n"),
        format!("\"{token}\""),
        format!("Bearer {token}"),
        format!(" Authorization: Bearer '{token}'\n"),
    ];
    // The exit status of each command for this token, which no key here verifies.
    for (command, status) in [
        (&["inspect"][..], 0),
        (&["verify", "--jwks", &jwks], 1),
        (&["resign", "--config", &config], 1),
    ] {
        for text in &around {
            let file = write("token", text);
            for (argument, stdin) in [
                (text.clone(), ""),
                (file.clone(), ""),
                (format!("@{file}"), ""),
                ("-".into(), text.as_str()),
            ] {
                let output = with_input(&[command, &[&argument]].concat(), stdin);
                assert_eq!(output.status.code(), Some(status), "{command:?} {output:?}");
            }
        }
        for bad in ["", "x", "hunter2.hunter2.hunter2", "/nowhere/at/all", "@/nowhere/at/all"] {
            let output = with_input(&[command, &[bad]].concat(), "");
            assert_eq!(output.status.code(), Some(2), "{command:?} {bad:?} {output:?}");
            assert!(
                output.stdout.is_empty() && !text_of(&output).contains("hunter2"),
                "{output:?}"
            );
        }
    }
}

fn text_of(output: &Output) -> String {
    text(&[&output.stdout[..], &output.stderr[..]].concat())
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
fn what_is_not_a_token_could_not_be_inspected() {
    for (argument, more) in [("not-a-token", &[][..]), ("hunter2.hunter2.x", &["--json"])] {
        let output = inspect(argument, more, "");
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()));
        let said = text(&output.stderr);
        assert!(said.starts_with("error: token: ") && !said.contains("hunter2"), "{said}");
        assert!(!said.contains("not-a-token"), "{said}");
    }
    let empty = inspect("-", &[], "\n");
    assert_eq!(empty.status.code(), Some(2));
    assert!(text(&empty.stderr).starts_with("error: stdin: it is empty\nhint: "));
    let missing = inspect("@/nowhere/at/all", &[], "");
    assert_eq!(missing.status.code(), Some(2));
    let jwe = format!("{}....", b64(r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#));
    let output = inspect(&jwe, &[], "");
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("encrypted (JWE"));
}
