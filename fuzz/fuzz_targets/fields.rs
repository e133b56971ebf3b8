//! Any bytes as a header field or a form: `Location`, cookies, a field that is a token.
#![no_main]

use countersign_core::rewrite::{Place, cookie, field, form, issuer, redirect, splice};
use libfuzzer_sys::fuzz_target;

fn sound(line: &[u8], found: Vec<Place>) {
    let same = found.into_iter().map(|place| {
        let token = place.token.clone();
        (place, token)
    });
    assert_eq!(splice(line, same.collect()), line);
}

fuzz_target!(|line: &[u8]| {
    let names = ["id_token".to_owned(), "t".to_owned()];
    sound(line, redirect::find(line, &names));
    sound(line, form::find(line, &names));
    sound(line, cookie::find_in_request(line, &names));
    sound(line, field::find(line, "t").into_iter().collect());
    for place in cookie::find(line, &names) {
        assert!(cookie::room(line, &place) <= cookie::MAX);
        sound(line, vec![place]);
    }
    let edits = issuer::in_location(line, &["https://a"], "https://b");
    let new = splice(line, edits);
    assert!(issuer::in_location(&new, &["https://a"], "https://b").is_empty());
});
