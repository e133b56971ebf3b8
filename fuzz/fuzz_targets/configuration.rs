//! Any text as a configuration: it is accepted or refused with a message, and never crashes.
#![no_main]

use countersign::config::env::NoEnv;
use countersign::config::{RunOverrides, load_text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = load_text(text, None, &RunOverrides::default(), &NoEnv) {
        assert!(!error.to_string().is_empty());
    }
});
