//! `countersign normalize` as people and scripts see it.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use countersign::profile::Profile;
use serde_json::{Value, json};

use crate::keys;

struct Ran {
    status: Option<i32>,
    out: String,
    err: String,
}

fn countersign(args: &[&str], input: &[u8]) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .arg("normalize")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A refusal may come before all of it was read.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn messy() -> String {
    let mut lower = keys::jwk("o", "o");
    lower["kty"] = "rsa".into();
    lower["n"] = format!("{}==", lower["n"].as_str().unwrap()).into();
    lower["d"] = "c2VjcmV0c2VjcmV0".into();
    let mut bare = keys::jwk("g", "g");
    bare.as_object_mut().unwrap().remove("alg");
    json!([lower, bare, keys::jwk("ed", "ed"), {"kty": "oct", "k": "c2VjcmV0c2VjcmV0"}, null])
        .to_string()
}

#[test]
fn the_document_on_stdout_the_report_on_stderr() {
    let ran = countersign(&["-"], messy().as_bytes());
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    let set: Value = serde_json::from_str(&ran.out).unwrap();
    let mut ed = keys::jwk("ed", "ed");
    ed.as_object_mut().unwrap().remove("alg");
    assert_eq!(set, json!({"keys": [keys::jwk("o", "o"), keys::jwk("g", "g"), ed]}));
    assert!(ran.out.ends_with("}]}\n"));
    insta::assert_snapshot!(ran.err, @r#"
    ALARM $[0]: private_key_leaked: d
    ALARM $[3]: secret_leaked: k
    $: bare_array
    $[0]: kty_case kty "rsa" -> "RSA"; b64_padding n "vCCIScyMnMGQT2QxSguj60xgeE7jFsY_…swOnCDHenb8Kfw==" -> "vCCIScyMnMGQT2QxSguj60xgeE7jFsY_…GkswOnCDHenb8Kfw"; private_key_leaked "d"
    $[1]: alg_missing alg -> "RS256"
    $[3]: dropped: secret_leaked
    $[4]: dropped: entry "null"
    $[2]: alg_left_out alg "EdDSA"
    "#);
}

#[test]
fn the_report_as_json() {
    let ran = countersign(&["--report", "json", "--profile", "standard"], messy().as_bytes());
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    let report: Value = serde_json::from_str(&ran.err).unwrap();
    let changes = report["changes"].as_array().unwrap();
    let of = |code: &str| changes.iter().find(|change| change["code"] == code).unwrap().clone();
    assert_eq!(
        of("kty_case"),
        json!({"path": "$[0].kty", "code": "kty_case", "effect": "repaired",
               "before": "rsa", "after": "RSA"})
    );
    assert_eq!(of("secret_leaked")["path"], "$[3]");
    assert_eq!(
        report["alarms"],
        json!([{"path": "$[0]", "code": "private_key_leaked", "members": ["d"]},
               {"path": "$[3]", "code": "secret_leaked", "members": ["k"]}])
    );
    assert!(!ran.err.contains("c2VjcmV0") && !ran.out.contains("c2VjcmV0"));
    assert!(ran.out.contains("EdDSA"));
}

#[test]
fn a_refusal_has_its_code_and_status_2() {
    for (document, start) in [
        ("", "error: empty: "),
        ("<html>", "error: html: "),
        ("{\"issuer\":\"x\"}", "error: no_keys: "),
        ("{\"keys\":[]}", "error: empty_set: "),
        ("[{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}]", "ALARM $[0]: secret_leaked: k\n"),
    ] {
        let ran = countersign(&["-"], document.as_bytes());
        assert_eq!(ran.status, Some(2), "{document}");
        assert_eq!(ran.out, "");
        assert!(ran.err.starts_with(start), "{}", ran.err);
    }
    let ran = countersign(&["/no/such/file"], b"");
    assert_eq!(ran.status, Some(2));
    assert!(ran.err.starts_with("error: /no/such/file: "), "{}", ran.err);
    let ran = countersign(&["--profile", "nobody"], b"");
    assert!(ran.err.contains("hint: known profiles: convex, standard"), "{}", ran.err);
}

/// An empty set is never an answer: verifiers keep it, and refuse every token.
#[test]
fn a_profile_that_publishes_nothing_is_a_refusal() {
    let document = json!({"keys": [keys::jwk("k256", "e")]}).to_string();
    for profile in Profile::NAMES {
        let ran = countersign(&["--profile", profile], document.as_bytes());
        assert_eq!(ran.status, Some(2));
        assert_eq!(ran.out, "");
        assert!(ran.err.contains("error: no_usable_key: "), "{}", ran.err);
    }
}

#[test]
fn an_address_is_fetched_whatever_its_type() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).unwrap();
        let body = json!({"keys": [keys::jwk("g", "g")]}).to_string();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n";
        write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    });
    let ran = countersign(&[&url], b"");
    server.join().unwrap();
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    assert_eq!(ran.err, "$: warning: content_type \"text/html\"\n");
    assert!(ran.out.contains("\"kid\":\"g\""));
}

/// Silence could mean that nothing was looked at.
#[test]
fn a_good_set_is_said_to_be_unchanged() {
    let set = json!({"keys": [keys::jwk("o", "o")]}).to_string();
    let ran = countersign(&["-"], set.as_bytes());
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), "1 key, unchanged\n"));
    assert_eq!(countersign(&["-", "--report", "json"], set.as_bytes()).err.lines().count(), 1);
}
