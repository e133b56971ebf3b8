//! `/healthz` and `/readyz`.
//!
//! Alive: the process answers. Ready: there is a signing key, and for each issuer a key set, so that
//! every token that may come can be judged and every reader of a set gets one.

use serde::Serialize;

use super::StatusSource;

/// The body of `/readyz`.
#[derive(Debug, Clone, Serialize)]
pub struct Readiness {
    pub ready: bool,
    /// One sentence each; there may be some although it is ready (a shared store that is away).
    pub reasons: Vec<String>,
}

/// Judges the rooms as they are now.
pub fn readiness(source: &StatusSource) -> Readiness {
    let mut reasons = Vec::new();
    let mut ready = true;
    if source.issuers.is_empty() {
        ready = false;
        reasons.push("no issuer is known yet".to_owned());
    }
    // With thousands of issuers only those in use are fetched.
    let few = source.issuers.len() <= ALL_AT_ONCE;
    for issuer in source.issuers.iter().take(ALL_AT_ONCE) {
        if few && issuer.snapshot().is_none() {
            ready = false;
            let last = issuer.status().last_error;
            let last = last.map_or("not fetched yet".to_owned(), |e| reason(e.code, &e.text));
            reasons.push(format!("issuer {}: no key set ({last})", issuer.name()));
        }
    }
    let keyring = source.keyring.status();
    if let Some(fault) = keyring.error {
        reasons.push(format!("signing key store: {}", fault.code));
    }
    if keyring.full {
        let keys = keyring.keys.len();
        reasons.push(format!(
            "signing keys: key_ring_full, rotation waits until one of {keys} leaves"
        ));
    }
    Readiness { ready, reasons }
}

/// The code, and the number of an answer: anyone may ask, so no address and no text of a server's.
fn reason(code: &str, text: &str) -> String {
    let number = text.rsplit(' ').next().filter(|_| code == "status");
    match number.filter(|word| word.bytes().all(|b| b.is_ascii_digit())) {
        Some(number) => format!("{code} {number}"),
        None => code.to_owned(),
    }
}

/// Issuers that are fetched at the start; with more, only those that are used.
const ALL_AT_ONCE: usize = 100;
