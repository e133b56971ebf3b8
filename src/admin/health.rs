//! `/healthz` and `/readyz`.
//!
//! Alive: the process answers. Ready: there is a signing key; there is a key set for each issuer, so that
//! every token can be judged and every verifier gets a set; and the auth server answers. If the auth server
//! fails, the proxy is degraded at once, and not ready after a configured time of nothing but failures.

use serde::Serialize;

use super::StatusSource;
use crate::issuer::NoSet;
use crate::issuer::discovery::DiscoveryState;
use crate::jose::names::UnixTime;
use crate::proxy::health::UpstreamStatus;

/// The body of `/readyz`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Readiness {
    pub ready: bool,
    /// Something fails that users notice, or that may make the proxy not ready.
    pub degraded: bool,
    /// One sentence each. There may be some although the proxy is ready (a shared store that fails).
    pub reasons: Vec<String>,
}

impl Readiness {
    fn degraded(&mut self, reason: String) {
        self.degraded = true;
        self.reasons.push(reason);
    }

    fn not_ready(&mut self, reason: String) {
        self.ready = false;
        self.degraded(reason);
    }
}

/// The readiness now.
pub fn readiness(source: &StatusSource) -> Readiness {
    let mut found = Readiness { ready: true, ..Readiness::default() };
    if source.issuers.is_empty() {
        found.not_ready(NoSet::NoIssuer(source.issuers.discovery()).to_string());
    } else if let Some(discovery) = source.issuers.discovery()
        && (source.issuers.is_undecided() || discovery.state == DiscoveryState::Refused)
    {
        // The issuer known before stays in use.
        found.degraded(format!("discovery: {}", discovery.text));
    }
    // With thousands of issuers only those in use are fetched.
    let few = source.issuers.len() <= ALL_AT_ONCE;
    for issuer in source.issuers.iter().take(ALL_AT_ONCE) {
        let status = issuer.status();
        if few && issuer.snapshot().is_none() {
            let reason = match (issuer.last_reason(), &status.last_error) {
                (Some(last), Some(fault)) => format!("({last}): {}: {}", status.source, fault.text),
                _ => "(not fetched yet)".to_owned(),
            };
            found.not_ready(format!("issuer {}: no key set {reason}", issuer.name()));
        }
        if let Some(fault) = status.store_error {
            let name = issuer.name();
            found.degraded(format!("issuer {name}: its key set cannot be stored: {}", fault.text));
        }
    }
    let ring = source.keyring.status();
    if let Some(fault) = ring.error {
        found.degraded(format!("signing key store: {}", fault.code));
    }
    if ring.full {
        let keys = ring.keys.len();
        found.degraded(format!(
            "signing keys: key_ring_full, the ring is full ({keys} keys): rotation waits until one is removed"
        ));
    }
    if let Some(upstream) = source.proxy.upstream_status() {
        judge(&upstream, source, &mut found);
    }
    found
}

fn judge(upstream: &UpstreamStatus, source: &StatusSource, found: &mut Readiness) {
    let Some(since) = upstream.failing_since else { return };
    let last = upstream.last_error.as_ref();
    let last = last.map(|fault| format!("{} ({})", fault.text, fault.code)).unwrap_or_default();
    let lasted = source.proxy.clock.now().since(UnixTime::from_secs(since));
    let reason = format!(
        "auth server {}: {last}; nothing but failures for {} s, {} in the last five minutes",
        upstream.address,
        lasted.as_secs(),
        upstream.recent_failures
    );
    match source.settings.not_ready_after {
        Some(limit) if lasted >= limit => found.not_ready(reason),
        _ => found.degraded(reason),
    }
}

/// Up to this many issuers are fetched at the start; with more, only those in use.
const ALL_AT_ONCE: usize = 100;
