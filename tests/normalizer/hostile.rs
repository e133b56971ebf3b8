//! Bodies made to cost time or memory: each is refused or read in time that grows with its length,
//! and the bounds are counted, not timed.

use std::fmt::Write as _;

use countersign::jose::names::Limits;
use serde_json::json;

use crate::{keys, options, read};

const LIMIT: usize = 512 * 1024;

fn code(document: &str) -> &'static str {
    read(document.as_bytes()).map_or_else(|refusal| refusal.code(), |_| "ok")
}

fn fill(open: &str, part: &str, close: &str) -> String {
    let count = (LIMIT - open.len() - close.len()) / part.len();
    format!("{open}{}{close}", part.repeat(count))
}

/// A full document of each kind that could make a careless reader quadratic or its stack overflow.
#[test]
fn full_documents_are_answered() {
    let mut names = String::from("{");
    for i in 0..40_000 {
        write!(names, "\"k{i}\":0,").unwrap();
    }
    names.push_str("\"keys\":[]}");
    assert!(names.len() < LIMIT);
    assert_eq!(code(&names), "empty_set");
    assert_eq!(code(&fill("[", "0,", "0]")), "too_many_keys");
    assert_eq!(code(&fill("{\"keys\":[", "{},", "{}]}")), "too_many_keys");
    assert_eq!(code(&fill("", "[", "")), "depth");
    assert_eq!(code(&fill("", "{\"a\":", "")), "depth");
    assert_eq!(code(&fill("\"", "\\u0000", "\"")), "not_json");
    assert_eq!(code(&fill("\"", "\\\"", "\"")), "not_json");
    assert_eq!(code(&fill("", "-----BEGIN ", "")), "too_many_keys");
    assert_eq!(code(&fill("", "-----BEGIN A-----", "")), "too_many_keys");
    assert_eq!(code(&fill("{\"a\":\"", "-----BEGIN A-----", "\"}")), "no_usable_key");
    assert_eq!(code(&fill("-----BEGIN CERTIFICATE-----", "A", "-----END ")), "no_usable_key");
    assert_eq!(
        code(&fill("{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"", "q", "\"}]}")),
        "no_usable_key"
    );
    assert_eq!(code(&fill("{\"keys\":[{\"kty\":\"EC\",\"kid\":\"", "q", "\"}]}")), "no_usable_key");
    assert_eq!(code(&fill("{\"keys\":[{", "\"a\":0,", "\"a\":1}]}")), "no_usable_key");
    assert_eq!(code(&fill("1", "0", "")), "not_object");
    assert_eq!(code(&fill("<", "<", "")), "html");
    assert_eq!(code(&fill("", " ", "")), "empty");
}

/// What a hostile document makes us keep stays small beside it.
#[test]
fn the_report_is_bounded_by_the_number_of_keys() {
    let odd = json!({
        "kty": "rsa", "n": "\u{7}".repeat(500), "kid": "x".repeat(1500), "alg": "RSA256",
        "\u{1}name": 1, "use": "signature",
    });
    let document = json!({"keys": vec![odd; 90]}).to_string();
    let refusal = read(document.as_bytes()).unwrap_err();
    let report = serde_json::to_string(refusal.report().unwrap()).unwrap();
    assert!(report.len() < 90 * 400, "{}", report.len());
    let mut many = keys::jwk("g", "g");
    for i in 0..20_000 {
        many[format!("member {i}")] = i.into();
    }
    let normalized = read(json!({"keys": [many]}).to_string().as_bytes()).unwrap();
    assert!(serde_json::to_string(&normalized.report).unwrap().len() < 1000);
}

#[test]
fn limits_are_those_of_the_options() {
    let document = json!({"keys": [keys::jwk("g", "g"), keys::jwk("o", "o")]}).to_string();
    let with = |limits: Limits| {
        let options = countersign::jose::jwks::Options { limits, ..options() };
        countersign::jose::jwks::normalize(document.as_bytes(), &options)
            .map_or_else(|refusal| refusal.code(), |_| "ok")
    };
    let limits = Limits::default();
    assert_eq!(with(limits), "ok");
    assert_eq!(with(Limits { keys: 2, ..limits }), "ok");
    assert_eq!(with(Limits { keys: 1, ..limits }), "too_many_keys");
    assert_eq!(with(Limits { document: document.len(), ..limits }), "ok");
    assert_eq!(with(Limits { document: document.len() - 1, ..limits }), "too_large");
    assert_eq!(with(Limits { depth: 3, ..limits }), "ok");
    assert_eq!(with(Limits { depth: 2, ..limits }), "depth");
    // The reader is recursive, so no configuration may let it go as deep as it likes.
    let deep = "[".repeat(1_000_000);
    let wide = Limits { depth: usize::MAX, document: usize::MAX, ..limits };
    let options = countersign::jose::jwks::Options { limits: wide, ..options() };
    let refusal = countersign::jose::jwks::normalize(deep.as_bytes(), &options).unwrap_err();
    assert_eq!(refusal.code(), "depth");
}

/// Resident memory of this process in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Each body is within the limit, so that it is read and not turned away for its length.
#[test]
fn memory_stays_flat_under_a_gibibyte_of_hostile_bodies() {
    const BODY: usize = LIMIT - 64;
    let fill = |unit: &str| unit.repeat(BODY / unit.len());
    let bodies = [
        fill("["),
        fill(r#"{"keys":"#),
        format!(r#"{{"keys":[{}"#, fill("{},")),
        format!(r#"{{"keys":["{}"]}}"#, fill("A")),
        fill("\"\\u0000"),
        fill("-----BEGIN PUBLIC KEY-----\n"),
        fill("<html>"),
    ];
    let options = countersign::jose::jwks::Options::default();
    let run = |body: &String| drop(countersign::jose::jwks::normalize(body.as_bytes(), &options));
    assert!(bodies.iter().all(|body| body.len() <= LIMIT));
    bodies.iter().for_each(run);
    let before = resident();
    let (mut seen, mut most) = (0, 0);
    for body in bodies.iter().cycle() {
        run(body);
        seen += body.len();
        most = most.max(resident());
        if seen >= 1 << 30 {
            break;
        }
    }
    assert!(most < before + 16 * 1024, "{before} KiB before, {most} KiB at most");
}
