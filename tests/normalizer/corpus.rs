//! One case a document: what it must come to stands in `expected.json`, what it comes to in full in
//! `tests/corpus/out`.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use countersign::jose::jwks::{Effect, Report};
use countersign::jose::publish::PublishedDocument;
use serde::Deserialize;
use serde_json::Value;

use crate::{keys, profiles, read, readers, serve};

#[derive(Deserialize)]
struct Expected {
    refused: Option<String>,
    #[serde(default)]
    convex: Vec<String>,
    #[serde(default)]
    standard: Vec<String>,
    #[serde(default)]
    keys: HashMap<String, String>,
    codes: Vec<String>,
    alarms: Vec<String>,
    warnings: Vec<String>,
}

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

fn cases() -> BTreeMap<String, Expected> {
    let text = std::fs::read_to_string(corpus().join("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

pub fn document(name: &str) -> Vec<u8> {
    std::fs::read(corpus().join("in").join(name)).unwrap()
}

pub fn names() -> Vec<String> {
    cases().into_keys().collect()
}

/// Whose key stands under each `kid` of what a case comes to.
pub fn signers(name: &str) -> HashMap<String, String> {
    cases().remove(name).unwrap().keys
}

fn published(document: &PublishedDocument) -> Vec<Value> {
    let set: Value = serde_json::from_str(&document.body).unwrap();
    set["keys"].as_array().unwrap().clone()
}

#[test]
fn every_case_comes_to_what_is_expected() {
    let mut faults = Vec::new();
    for (name, expected) in cases() {
        if let Err(fault) = check(&name, &expected) {
            faults.push(format!("{name}: {fault}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn check(name: &str, expected: &Expected) -> Result<(), String> {
    let normalized = match (read(&document(name)), &expected.refused) {
        (Err(refusal), Some(code)) if refusal.code() == code => return Ok(()),
        (Err(refusal), _) => return Err(format!("refused: {}: {refusal}", refusal.code())),
        (Ok(_), Some(code)) => return Err(format!("not refused with {code}")),
        (Ok(normalized), None) => normalized,
    };
    for (profile, want) in profiles().iter().zip([&expected.convex, &expected.standard]) {
        let keys = published(&serve(&normalized, profile));
        let kids: Vec<_> = keys.iter().map(|key| key["kid"].as_str().unwrap()).collect();
        if kids != *want {
            return Err(format!("{} publishes {kids:?}, not {want:?}", profile.name));
        }
        for key in &keys {
            let kid = key["kid"].as_str().unwrap();
            let mut whole = keys::jwk(&expected.keys[kid], kid);
            match key.get("alg") {
                Some(alg) => whole["alg"] = alg.clone(),
                // Only what says it by its curve goes without, and only for a verifier that wants it.
                None => {
                    assert_eq!(
                        (&key["crv"], profile.name),
                        (&"Ed25519".into(), "convex"),
                        "{name}"
                    );
                    whole.as_object_mut().unwrap().remove("alg");
                }
            }
            if *key != whole {
                return Err(format!("{key} is not {whole}"));
            }
        }
    }
    let has = |list: &[countersign::jose::jwks::Change], code: &String| {
        list.iter().any(|change| change.code == code)
    };
    for code in &expected.codes {
        if !has(&normalized.report.changes, code) {
            return Err(format!("no {code} in {:?}", normalized.report.changes));
        }
    }
    for code in &expected.warnings {
        if !has(&normalized.report.warnings, code) {
            return Err(format!("no {code} in {:?}", normalized.report.warnings));
        }
    }
    let alarms: Vec<_> = normalized.report.alarms.iter().map(|alarm| alarm.code).collect();
    if alarms != expected.alarms {
        return Err(format!("alarms {alarms:?}"));
    }
    Ok(())
}

/// The whole outcome of each case, so that no change of it goes unseen.
#[test]
fn nothing_changes_unseen() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(corpus().join("out"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for name in cases().keys() {
            insta::assert_snapshot!(name.as_str(), outcome(name));
        }
    });
}

fn outcome(name: &str) -> String {
    let lines = |report: &Report| {
        let mut out = String::new();
        for change in report.changes.iter().chain(&report.warnings) {
            let text = |value: &Option<String>| value.clone().unwrap_or_default();
            let (before, after) = (text(&change.before), text(&change.after));
            out += &format!(
                "{} {} {:?} [{before}] [{after}]\n",
                change.path, change.code, change.effect
            );
        }
        for alarm in &report.alarms {
            out += &format!("ALARM {} {} {:?}\n", alarm.path, alarm.code, alarm.members);
        }
        out
    };
    match read(&document(name)) {
        Err(refusal) => {
            let report = refusal.report().map(lines).unwrap_or_default();
            format!("refused: {}: {refusal}\n{report}", refusal.code())
        }
        Ok(normalized) => {
            let mut out = lines(&normalized.report);
            for profile in profiles() {
                let document = serve(&normalized, &profile);
                for change in &document.left_out {
                    out += &format!("{}: {} {}\n", profile.name, change.path, change.code);
                }
                out += &format!("{}: {}\n", profile.name, document.body);
            }
            out
        }
    }
}

#[test]
fn normalising_our_own_output_changes_nothing() {
    for (name, _) in cases() {
        let Ok(normalized) = read(&document(&name)) else { continue };
        for profile in profiles() {
            let first = serve(&normalized, &profile);
            if first.kids == Default::default() {
                continue;
            }
            let mut again = read(first.body.as_bytes()).unwrap();
            let bare = |path: &str| path.ends_with(".alg") && profile.name == "convex";
            again.report.changes.retain(|c| !(c.code == "alg_missing" && bare(&c.path)));
            assert_eq!(again.report.changes, [], "{name}");
            assert_eq!(again.report.alarms, [], "{name}");
            let second = serve(&again, &profile);
            assert_eq!(second.body, first.body, "{name}");
            assert_eq!(second.left_out, [], "{name}");
            assert_eq!(serve(&normalized, &profile).body, first.body, "{name}");
        }
    }
}

#[test]
fn every_reader_takes_every_set_and_verifies_by_every_key() {
    let mut verified = 0;
    for (name, expected) in cases() {
        let Ok(normalized) = read(&document(&name)) else { continue };
        for profile in profiles() {
            let strict = profile.name == "convex";
            let set = serve(&normalized, &profile);
            readers::all_parse(&set.body, strict);
            for key in published(&set) {
                let kid = key["kid"].as_str().unwrap();
                let signer = &keys::keys()[&expected.keys[kid]];
                readers::all_verify(&set.body, strict, signer, kid, keys::alg_of(&key));
                verified += 1;
            }
        }
    }
    assert!(verified > 500, "{verified}");
}

/// No private member's value and no PEM body of a private key in any output, nor in any message.
#[test]
fn no_secret_comes_out() {
    let mut secrets = 0;
    for (name, _) in cases() {
        let document = document(&name);
        let Ok(text) = std::str::from_utf8(&document) else { continue };
        let mut hidden = Vec::new();
        if let Ok(value) = serde_json::from_str(text) {
            keys::private_texts(&value, &mut hidden);
        }
        if text.contains("PRIVATE KEY") {
            hidden.push("MIIEv".to_owned());
        }
        if text.contains("tokenkey") {
            hidden.push("tokenkey".to_owned());
        }
        secrets += hidden.len();
        let out = match read(&document) {
            Ok(normalized) => {
                let sets = profiles().map(|profile| serve(&normalized, &profile));
                let report = serde_json::to_string(&normalized.report).unwrap();
                format!("{report} {normalized:?} {sets:?}")
            }
            Err(refusal) => format!("{refusal} {refusal:?}"),
        };
        for secret in hidden {
            assert!(!out.contains(&secret), "{name} shows {secret}");
            let head = &secret[..secret.len().min(12)];
            assert!(head.len() < 8 || !out.contains(head), "{name} shows {head}…");
        }
    }
    assert!(secrets > 20, "{secrets}");
}

/// A key is dropped with a path to it, and one change of it only.
#[test]
fn a_dropped_key_is_one_line() {
    for (name, _) in cases() {
        let Ok(normalized) = read(&document(&name)) else { continue };
        let mut seen = std::collections::HashSet::new();
        for change in &normalized.report.changes {
            assert!(change.path.starts_with('$'), "{name}");
            // Two members of one name have one path.
            if change.effect == Effect::Dropped && change.code != "duplicate_member" {
                assert!(seen.insert(&change.path), "{name}: {}", change.path);
            }
        }
    }
}
