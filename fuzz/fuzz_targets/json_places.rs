//! Any bytes as a JSON body: the places found are inside it, and writing each token back changes nothing.
#![no_main]

use std::sync::LazyLock;

use countersign_core::rewrite::{JsonPath, json, splice};
use libfuzzer_sys::fuzz_target;

static PATHS: LazyLock<Vec<JsonPath>> = LazyLock::new(|| {
    let paths = ["t", "a.t", "a[*].t", "*.b", "[*]", r"a\.b"];
    paths.into_iter().filter_map(|path| JsonPath::parse(path).ok()).collect()
});

fuzz_target!(|body: &[u8]| {
    let Ok(found) = json::find(body, &PATHS) else { return };
    let mut edits = Vec::new();
    for place in found {
        assert!(place.range.end <= body.len());
        let token = place.token.clone();
        edits.push((place, token));
    }
    assert_eq!(splice(body, edits.clone()), body);
    // With another token the body is still JSON, and a reader finds that token.
    // In a body that is not UTF-8 every byte that is not ASCII is read as `?`, so the token is ASCII there.
    let new = if std::str::from_utf8(body).is_ok() { "a\"\\\u{1}\u{e9}" } else { "a\"\\\u{1}" };
    let count = edits.len();
    let edits = edits.into_iter().map(|(place, _)| (place, new.to_owned())).collect();
    let again = json::find(&splice(body, edits), &PATHS).expect("the new body is no JSON");
    assert_eq!(again.len(), count);
    assert!(again.iter().all(|place| place.token == new));
});
