//! Random sets with random faults: nothing panics, every reader takes what comes out, every good key
//! is in it, and no private member is.

use std::path::Path;

use countersign::profile::Profile;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{keys, profiles, read, readers, serve};

/// A fault, and whether the key survives it.
type Fault = (&'static str, bool, fn(&mut serde_json::Map<String, Value>));

fn set(key: &mut serde_json::Map<String, Value>, member: &str, value: Value) {
    key.insert(member.to_owned(), value);
}

fn map_text(key: &mut serde_json::Map<String, Value>, member: &str, edit: impl Fn(&str) -> String) {
    if let Some(Value::String(text)) = key.get(member) {
        let text = edit(text);
        set(key, member, text.into());
    }
}

/// The number of a key that every kind has.
fn first(key: &serde_json::Map<String, Value>) -> &'static str {
    if key.contains_key("n") { "n" } else { "x" }
}

#[rustfmt::skip]
const FAULTS: &[Fault] = &[
    ("padding", true, |k| { let m = first(k); map_text(k, m, |t| t.to_owned() + "=") }),
    ("line breaks", true, |k| { let m = first(k); map_text(k, m, |t| t[..9].to_owned() + "\r\n" + &t[9..]) }),
    ("standard alphabet", true, |k| { let m = first(k); map_text(k, m, |t| t.replace('-', "+").replace('_', "/")) }),
    ("leading zero", true, |k| map_text(k, "n", |t| {
        let bytes = countersign::jose::base64url::decode(t);
        bytes.map_or(t.to_owned(), |bytes| keys::b64([vec![0], bytes].concat()))
    })),
    ("integer e", true, |k| if k.contains_key("e") { set(k, "e", json!(65537)) }),
    ("lower case kty", true, |k| map_text(k, "kty", str::to_lowercase)),
    ("lower case alg", true, |k| map_text(k, "alg", str::to_lowercase)),
    ("no alg", true, |k| drop(k.remove("alg"))),
    ("null alg", true, |k| set(k, "alg", Value::Null)),
    ("no use", true, |k| drop(k.remove("use"))),
    ("use list", true, |k| set(k, "use", json!(["sig"]))),
    ("key_ops text", true, |k| set(k, "key_ops", json!("verify"))),
    ("x5c text", true, |k| set(k, "x5c", json!("MIIB"))),
    ("x5t null", true, |k| set(k, "x5t", Value::Null)),
    ("private member", true, |k| set(k, "d", json!("c2VjcmV0c2VjcmV0c2VjcmV0"))),
    ("unknown members", true, |k| { set(k, "ext", json!({"a": [1, {}]})); set(k, "exp", json!(4_102_444_800_i64)) }),
    ("no kty", false, |k| drop(k.remove("kty"))),
    ("unknown kty", false, |k| set(k, "kty", json!("XYZ"))),
    ("alg number", false, |k| set(k, "alg", json!(7))),
    ("alg none", false, |k| set(k, "alg", json!("none"))),
    ("use enc", false, |k| set(k, "use", json!("enc"))),
    ("kid object", false, |k| set(k, "kid", json!({}))),
    ("no number", false, |k| drop(k.remove(first(k)))),
    ("commas", false, |k| { let m = first(k); map_text(k, m, |t| t.to_owned() + ",,") }),
    ("number as number", false, |k| { let m = first(k); set(k, m, json!(5)) }),
    ("symmetric", false, |k| { set(k, "kty", json!("oct")); set(k, "k", json!("c2VjcmV0c2VjcmV0c2VjcmV0")) }),
    ("oth", false, |k| set(k, "oth", json!([{}]))),
];

/// The names of keys of `keys.json`; all but the last are published by every profile.
const NAMES: &[&str] = &["g", "o", "h", "p256", "p256short", "p384", "p521", "ed", "k256"];

/// Entries that are no keys at all.
fn junk() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!({"kty": "AKP", "alg": "ML-DSA-65", "pub": "AA", "priv": "c2VjcmV0c2VjcmV0"})),
        Just(json!({"kty": "oct", "k": "c2VjcmV0c2VjcmV0"})),
    ]
}

/// An entry: the name of its key, and the faults it has.
fn entry() -> impl Strategy<Value = (usize, Vec<usize>)> {
    (0..NAMES.len(), vec(0..FAULTS.len(), 0..3))
}

fn name_of(key: usize) -> &'static str {
    NAMES[key]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn every_good_key_survives(
        entries in vec(entry(), 0..8),
        junk in vec((0_usize..8, junk()), 0..4),
        bare in any::<bool>(),
    ) {
        let mut list = Vec::new();
        let mut good = Vec::new();
        for (i, (key, faults)) in entries.iter().enumerate() {
            let name = name_of(*key);
            let kid = format!("kid {i}");
            let mut jwk = keys::jwk(name, &kid);
            // The fatal ones last, so that no other undoes them.
            let mut faults = faults.clone();
            faults.sort_by_key(|fault| !FAULTS[*fault].1);
            for fault in &faults {
                FAULTS[*fault].2(jwk.as_object_mut().unwrap());
            }
            if faults.iter().all(|fault| FAULTS[*fault].1) {
                good.push((kid, name));
            }
            list.push(jwk);
        }
        for (at, value) in junk {
            list.insert(at.min(list.len()), value);
        }
        let document = if bare { json!(list) } else { json!({"keys": list}) };
        let read = read(document.to_string().as_bytes());
        if good.is_empty() {
            prop_assert!(read.is_err());
            return Ok(());
        }
        let normalized = read.unwrap();
        let report = serde_json::to_string(&normalized.report).unwrap();
        prop_assert!(!report.contains("c2VjcmV0"), "{report}");
        for profile in profiles() {
            let strict = profile.name == "convex";
            let set = serve(&normalized, &profile);
            readers::all_parse(&set.body, strict);
            prop_assert!(!set.body.contains("c2VjcmV0"));
            let out: Value = serde_json::from_str(&set.body).unwrap();
            let kids: Vec<_> =
                out["keys"].as_array().unwrap().iter().map(|k| k["kid"].as_str().unwrap()).collect();
            let published = |name: &str| name != "k256";
            let want: Vec<_> =
                good.iter().filter(|(_, name)| published(name)).map(|(kid, _)| kid).collect();
            prop_assert_eq!(kids, want);
            for (kid, name) in good.iter().filter(|(_, name)| published(name)) {
                let jwk = out["keys"].as_array().unwrap().iter().find(|k| k["kid"] == **kid).unwrap();
                let mut whole = keys::jwk(name, kid);
                if strict && *name == "ed" {
                    whole.as_object_mut().unwrap().remove("alg");
                }
                prop_assert_eq!(jwk, &whole);
            }
        }
    }

    /// Documents of the corpus, cut, spliced and changed at random.
    #[test]
    fn damaged_documents_never_panic(
        pick in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
        edits in vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..5), 0..6),
    ) {
        let corpus = corpus();
        let mut document = pick.get(corpus).clone();
        let other = other.get(corpus);
        for (at, byte, edit) in edits {
            if document.is_empty() {
                break;
            }
            let at = at.index(document.len());
            match edit {
                0 => document[at] = byte,
                1 => document.truncate(at),
                2 => document.insert(at, b"{}[]\",:\\0e-.="[usize::from(byte) % 13]),
                3 => drop(document.drain(at..(at + usize::from(byte)).min(document.len()))),
                _ => {
                    let tail = document.split_off(at);
                    document.extend(&other[..at.min(other.len())]);
                    document.extend(tail);
                }
            }
        }
        if let Ok(normalized) = read(&document) {
            for profile in profiles() {
                let set = serve(&normalized, &profile);
                readers::all_parse(&set.body, profile == Profile::convex());
                // What came out goes in again, unchanged.
                if !normalized.keys.keys().is_empty() && set.kids != Default::default() {
                    let again = read(set.body.as_bytes()).unwrap();
                    let bare = |code: &str| code == "alg_missing" && profile.name == "convex";
                    prop_assert!(again.report.changes.iter().all(|c| bare(c.code)));
                    prop_assert_eq!(serve(&again, &profile).body, set.body);
                }
            }
        }
    }

    #[test]
    fn any_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        drop(read(&bytes));
    }
}

/// The smaller documents of the corpus.
fn corpus() -> &'static [Vec<u8>] {
    static CORPUS: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
    CORPUS.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/in");
        let mut paths: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let documents = paths.iter().map(|path| std::fs::read(path).unwrap());
        documents.filter(|document| document.len() < 16 * 1024).collect()
    })
}
