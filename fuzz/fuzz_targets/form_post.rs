//! Any bytes as an HTML page: hidden inputs are found, and a new value reads back.
#![no_main]

use countersign_core::rewrite::{form_post, issuer, splice};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|page: &[u8]| {
    let names = ["id_token".to_owned(), "t".to_owned()];
    let found = form_post::find(page, &names);
    let same = found.iter().map(|place| (place.clone(), place.token.clone())).collect();
    assert_eq!(splice(page, same), page);
    let new = "eyJh.eyJi.c2ln".to_owned();
    // An unquoted empty value has no bytes to replace.
    if found.iter().all(|place| !place.range.is_empty()) {
        let edits = found.iter().map(|place| (place.clone(), new.clone())).collect();
        let again = form_post::find(&splice(page, edits), &names);
        assert_eq!(again.len(), found.len());
        assert!(again.iter().all(|place| place.token == new));
    }
    let _ = issuer::in_form_post(page, &["t"], "u");
});
