//! Any bytes as a key set: no panic, and what is published is read again unchanged.
#![no_main]

use std::collections::HashMap;

use countersign_core::jose::jwks::{Options, normalize};
use countersign_core::jose::names::UnixTime;
use countersign_core::jose::publish::{Input, PublishedKids, publish};
use countersign_core::profile::Profile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|document: &[u8]| {
    let options = Options { now: Some(UnixTime::from_secs(1_700_000_000)), ..Options::default() };
    let Ok(read) = normalize(document, &options) else { return };
    let (profile, remembered) = (Profile::standard(), HashMap::new());
    let serve = |keys| {
        publish(&Input { own: &[], upstream: &[keys], profile: &profile, remembered: &remembered })
    };
    let first = serve(&read.keys);
    if first.kids == PublishedKids::default() {
        return;
    }
    let again = normalize(first.body.as_bytes(), &options).expect("our own set is refused");
    assert!(again.report.changes.is_empty(), "{:?}", again.report);
    assert_eq!(serve(&again.keys).body, first.body);
});
