//! What the Rust verifiers have in common: a question a line in, an answer a line out (README.md).

use std::error::Error;
use std::io::BufRead;

#[derive(serde::Deserialize)]
pub struct Question {
    pub issuer: String,
    pub jwks: String,
    pub audience: String,
    pub token: String,
}

pub fn fetched(url: &str) -> Result<String, Box<dyn Error>> {
    Ok(ureq::get(url).call()?.body_mut().read_to_string()?)
}

/// `verify` fails for a token the verifier refuses.
pub fn answer(name: &str, verify: impl Fn(&Question) -> Result<(), Box<dyn Error>>) {
    if std::env::args().len() > 1 {
        // The version is the lock file's.
        let lock = include_str!("../Cargo.lock");
        let after = lock.split(&format!("name = \"{name}\"\nversion = \"")).nth(1);
        let version = after.and_then(|text| text.split('"').next()).unwrap_or_default();
        println!("{name} {version}");
        return;
    }
    for line in std::io::stdin().lock().lines() {
        let question = serde_json::from_str(&line.expect("a line")).expect("a question");
        let said = match verify(&question) {
            Ok(()) => serde_json::json!({"accepted": true, "message": ""}),
            Err(error) => serde_json::json!({"accepted": false, "message": error.to_string()}),
        };
        println!("{said}");
    }
}
