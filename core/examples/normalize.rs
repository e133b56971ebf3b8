//! Reads a key set in whatever shape it comes and prints the set a verifier would be served:
//!
//! ```sh
//! cargo run -p countersign-core --example normalize < keys.json
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to a person")]

use std::collections::HashMap;
use std::io::Read as _;
use std::process::ExitCode;

use countersign_core::jose::jwks::{Options, normalize};
use countersign_core::jose::publish::{Input, publish};
use countersign_core::profile::Profile;

fn main() -> ExitCode {
    let mut document = Vec::new();
    if let Err(error) = std::io::stdin().lock().read_to_end(&mut document) {
        eprintln!("error: {error}");
        return ExitCode::from(2);
    }
    // Pass the time in `now` to have expired keys dropped: the core has no clock.
    let read = match normalize(&document, &Options::default()) {
        Ok(read) => read,
        Err(refusal) => {
            eprintln!("error: {}: {refusal}", refusal.code());
            return ExitCode::from(2);
        }
    };
    for line in read.report.lines() {
        eprintln!("{line}");
    }
    let profile = Profile::convex();
    let set = publish(&Input {
        own: &[],
        upstream: &[&read.keys],
        profile: &profile,
        remembered: &HashMap::new(),
    });
    println!("{}", set.body);
    ExitCode::SUCCESS
}
