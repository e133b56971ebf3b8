//! `/healthz` and `/readyz`.
//!
//! Alive: the process answers. Ready: there is a signing key, and for each issuer a key set, so that
//! every token that may come can be judged and every reader of a set gets one.

use serde::Serialize;

use super::StatusSource;
use crate::issuer::NoSet;

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
        reasons.push(NoSet::NoIssuer(source.issuers.discovery()).to_string());
    }
    if let Some(discovery) = source.issuers.discovery().filter(|_| source.issuers.is_undecided())
        && !source.issuers.is_empty()
    {
        reasons.push(format!("discovery: {}", discovery.text));
    }
    // With thousands of issuers only those in use are fetched.
    let few = source.issuers.len() <= ALL_AT_ONCE;
    for issuer in source.issuers.iter().take(ALL_AT_ONCE) {
        if few && issuer.snapshot().is_none() {
            ready = false;
            let last = issuer.status().last_error;
            let last = last.map_or("not fetched yet".to_owned(), |last| last.reason.to_string());
            reasons.push(format!("issuer {}: no key set ({last})", issuer.name()));
        }
    }
    if let Some(fault) = source.keyring.status().error {
        reasons.push(format!("signing key store: {}", fault.code));
    }
    Readiness { ready, reasons }
}

/// Issuers that are fetched at the start; with more, only those that are used.
const ALL_AT_ONCE: usize = 100;
