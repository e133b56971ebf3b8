//! `/metrics`: the same status as `/api/status`, in Prometheus' text format 0.0.4. Written by hand from one
//! snapshot: there is no global registry, and no other module knows of metrics.
//!
//! Labels are bounded. `issuer` is a configured name (at most [`MAX_ISSUERS`] of them, the rest summed as
//! `other`), `alg` an algorithm of our table, `outcome`, `reason` and `route` words of this program, `kid`
//! one of our own few keys. Nothing that a client sends becomes a label.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::status::{MAX_ISSUERS, Status};
use crate::histogram::Distribution;
use crate::issuer::IssuerState;
use crate::issuer::discovery::DiscoveryState;

/// Media type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The whole text.
pub fn render(status: &Status) -> String {
    let mut text = MetricsText::default();
    process(status, &mut text);
    issuers(status, &mut text);
    signing(status, &mut text);
    tokens(status, &mut text);
    upstream(status, &mut text);
    traffic(status, &mut text);
    text.0
}

fn process(status: &Status, out: &mut MetricsText) {
    out.gauge("countersign_build_info", "Version and profile; the value is always 1.");
    let labels = [("version", status.version), ("profile", status.profile.name.as_str())];
    out.sample("countersign_build_info", &labels, 1.0);
    out.gauge("countersign_ready", "Whether there is a signing key and a key set of each issuer.");
    out.sample("countersign_ready", &[], flag(status.ready.ready));
    out.gauge("countersign_degraded", "Whether something fails that may end in not being ready.");
    out.sample("countersign_degraded", &[], flag(status.ready.degraded));
    out.counter("countersign_log_lines_lost_total", "Log lines that could not be written.");
    out.sample("countersign_log_lines_lost_total", &[], counted(status.log_lines_lost));
    out.gauge("process_start_time_seconds", "Start of the process, seconds since 1970.");
    out.sample("process_start_time_seconds", &[], seconds(status.started));
}

fn issuers(status: &Status, out: &mut MetricsText) {
    let issuers = || status.issuers.iter().map(|view| &view.issuer);
    let fetched = || issuers().filter(|issuer| issuer.state != IssuerState::Fixed);
    out.gauge("countersign_issuers", "Configured issuers.");
    out.sample("countersign_issuers", &[], whole(status.issuers_total));
    if let Some(discovery) = &status.discovery {
        out.gauge(
            "countersign_discovery_usable",
            "Whether the last look at the upstream's discovery document gave one that can be used.",
        );
        let usable = discovery.state == DiscoveryState::Learnt;
        out.sample("countersign_discovery_usable", &[], flag(usable));
        let help = "Whether there is a discovery document that cannot be used.";
        out.gauge("countersign_discovery_refused", help);
        let refused = discovery.state == DiscoveryState::Refused;
        out.sample("countersign_discovery_refused", &[], flag(refused));
    }
    out.gauge("countersign_jwks_age_seconds", "Age of the key set in use.");
    for issuer in fetched() {
        if let Some(at) = issuer.fetched {
            let age = status.now.saturating_sub(at).max(0);
            out.sample("countersign_jwks_age_seconds", &[("issuer", &issuer.name)], seconds(age));
        }
    }
    out.gauge("countersign_jwks_stale", "Whether the last good set is stale.");
    for issuer in fetched() {
        let stale = matches!(issuer.state, IssuerState::Stale | IssuerState::Cold);
        out.sample("countersign_jwks_stale", &[("issuer", &issuer.name)], flag(stale));
    }
    out.gauge("countersign_jwks_keys", "Entries of the issuer's document, by what was done.");
    for view in &status.issuers {
        let mut effects: BTreeMap<&str, usize> = BTreeMap::new();
        for key in &view.keys {
            *effects.entry(key.effect).or_default() += 1;
        }
        for (effect, count) in effects {
            let labels = [("issuer", view.issuer.name.as_str()), ("effect", effect)];
            out.sample("countersign_jwks_keys", &labels, whole(count));
        }
    }
    out.gauge("countersign_jwks_leaked_secrets", "Keys the issuer publishes with private members.");
    for issuer in fetched() {
        let labels = [("issuer", issuer.name.as_str())];
        out.sample(
            "countersign_jwks_leaked_secrets",
            &labels,
            whole(issuer.report.as_ref().map_or(0, |report| report.alarms.len())),
        );
    }
    out.counter("countersign_jwks_fetches_total", "Fetches of the issuer's key set, by outcome.");
    for issuer in issuers() {
        for (outcome, count) in &issuer.fetches {
            let labels = [("issuer", issuer.name.as_str()), ("outcome", outcome)];
            out.sample("countersign_jwks_fetches_total", &labels, counted(*count));
        }
    }
    out.gauge(
        "countersign_jwks_store_up",
        "Whether the last good key sets can be written to disk.",
    );
    let unsaved = issuers().any(|issuer| issuer.store_error.is_some());
    out.sample("countersign_jwks_store_up", &[], flag(!unsaved));
}

fn signing(status: &Status, out: &mut MetricsText) {
    out.gauge("countersign_signing_keys", "Our signing keys, by state.");
    for state in ["next", "active", "retired"] {
        let count = status.signing.iter().filter(|key| key.state == state).count();
        out.sample("countersign_signing_keys", &[("state", state)], whole(count));
    }
    const EVENT: &str = "countersign_signing_key_timestamp_seconds";
    out.gauge(EVENT, "When a signing key changes state, seconds since 1970.");
    for key in &status.signing {
        let events = [
            ("published", key.published),
            ("signs_from", key.signs_from),
            ("signs_until", key.signs_until),
            ("leaves", key.leaves),
        ];
        for (event, at) in events {
            if let Some(at) = at {
                out.sample(EVENT, &[("kid", &key.kid), ("event", event)], seconds(at));
            }
        }
    }
    out.gauge("countersign_key_store_up", "Whether the store of the signing keys answers.");
    out.sample("countersign_key_store_up", &[], flag(status.store.error.is_none()));
    const FULL: &str = "countersign_key_ring_full";
    out.gauge(FULL, "Whether rotation waits, since no signing key can leave the full ring yet.");
    out.sample(FULL, &[], flag(status.store.full));
}

fn tokens(status: &Status, out: &mut MetricsText) {
    let tokens = &status.tokens;
    let name = |issuer: &str| -> String {
        let listed = status.issuers_total <= MAX_ISSUERS
            || issuer == "-"
            || status.issuers.iter().any(|known| known.issuer.name == issuer);
        if listed { issuer.to_owned() } else { "other".to_owned() }
    };
    let mut by: BTreeMap<(String, &str, &str), u64> = BTreeMap::new();
    for row in &tokens.by {
        *by.entry((name(&row.issuer), row.alg, row.outcome)).or_default() += row.count;
    }
    out.counter("countersign_tokens_total", "Tokens judged, by issuer, algorithm and outcome.");
    for ((issuer, alg, outcome), count) in &by {
        let labels = [("issuer", issuer.as_str()), ("alg", alg), ("outcome", outcome)];
        out.sample("countersign_tokens_total", &labels, counted(*count));
    }
    let mut refused: BTreeMap<(String, &str), u64> = BTreeMap::new();
    for row in &tokens.refusals {
        *refused.entry((name(&row.issuer), row.code)).or_default() += row.count;
    }
    out.counter("countersign_refusals_total", "Tokens refused, by issuer and reason.");
    for ((issuer, reason), count) in &refused {
        let labels = [("issuer", issuer.as_str()), ("reason", reason)];
        out.sample("countersign_refusals_total", &labels, counted(*count));
    }
    out.counter("countersign_restored_total", "Original tokens restored for their issuer.");
    out.sample("countersign_restored_total", &[], counted(tokens.restored));

    out.counter("countersign_cache_hits_total", "Tokens answered from the result cache.");
    out.sample("countersign_cache_hits_total", &[], counted(tokens.cache.hits));
    out.counter("countersign_cache_misses_total", "Tokens the result cache did not hold.");
    out.sample("countersign_cache_misses_total", &[], counted(tokens.cache.misses));
    out.gauge("countersign_cache_entries", "Results in the cache.");
    out.sample("countersign_cache_entries", &[], counted(tokens.cache.entries));
    out.gauge("countersign_cache_bytes", "Bytes of the results in the cache.");
    out.sample("countersign_cache_bytes", &[], counted(tokens.cache.bytes));

    out.gauge("countersign_signing_queue_depth", "Jobs waiting for a crypto thread.");
    out.sample("countersign_signing_queue_depth", &[], whole(tokens.queue.depth));
    out.gauge("countersign_signing_queue_limit", "Jobs that may wait; more are turned away.");
    out.sample("countersign_signing_queue_limit", &[], whole(tokens.queue.limit));
    out.gauge("countersign_signing_threads", "Crypto threads.");
    out.sample("countersign_signing_threads", &[], whole(tokens.queue.threads));
    out.counter("countersign_signing_overload_total", "Requests turned away at a full queue.");
    out.sample("countersign_signing_overload_total", &[], counted(tokens.queue.overloaded));

    let help = "Time from a token to its judgement, cache hits left out.";
    out.family("countersign_token_duration_seconds", "histogram", help);
    out.histogram("countersign_token_duration_seconds", &[], &tokens.latency);
}

fn upstream(status: &Status, out: &mut MetricsText) {
    if let Some(upstream) = &status.upstream {
        out.gauge("countersign_upstream_up", "Whether the auth server answered when last asked.");
        out.sample("countersign_upstream_up", &[], flag(upstream.failing_since.is_none()));
        let help = "Requests the auth server failed to answer in the last five minutes.";
        out.gauge("countersign_upstream_recent_failures", help);
        let failures = counted(upstream.recent_failures);
        out.sample("countersign_upstream_recent_failures", &[], failures);
    }
}

fn traffic(status: &Status, out: &mut MetricsText) {
    out.gauge("countersign_connections", "Client connections open on the public listener.");
    out.sample("countersign_connections", &[], whole(status.traffic.connections));
    let help = "Bytes of bodies held in memory: forms, token answers, discovery documents.";
    out.gauge("countersign_body_memory_bytes", help);
    out.sample("countersign_body_memory_bytes", &[], whole(status.traffic.body_memory));
    out.counter("countersign_requests_total", "Requests answered, by route and status class.");
    for row in &status.traffic.requests {
        let labels = [("route", row.route), ("status", row.status)];
        out.sample("countersign_requests_total", &labels, counted(row.count));
    }
    const DURATION: &str = "countersign_request_duration_seconds";
    let help = "From a request to the last byte of its answer, by route. Left out: key sets read \
                from memory, and connections that became a WebSocket.";
    out.family(DURATION, "histogram", help);
    for row in &status.traffic.durations {
        out.histogram(DURATION, &[("route", row.route)], &row.duration);
    }
    out.counter("countersign_failures_total", "Our own error answers, by code.");
    for (code, count) in &status.traffic.failures {
        out.sample("countersign_failures_total", &[("code", code)], counted(*count));
    }
    out.counter("countersign_places_total", "Tokens found in proxied traffic, by outcome.");
    for (outcome, count) in &status.traffic.places {
        out.sample("countersign_places_total", &[("outcome", outcome)], counted(*count));
    }
}

/// The text under construction; each family is opened once, before its samples.
#[derive(Default)]
struct MetricsText(String);

impl MetricsText {
    fn gauge(&mut self, name: &str, help: &str) {
        self.family(name, "gauge", help);
    }

    fn counter(&mut self, name: &str, help: &str) {
        self.family(name, "counter", help);
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a `String` cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (n, (label, value)) in labels.iter().enumerate() {
            let _ =
                write!(self.0, "{}{label}=\"{}\"", if n == 0 { '{' } else { ',' }, escaped(value));
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    /// In this format the buckets cumulate: each counts everything up to its `le`.
    fn histogram(&mut self, name: &str, labels: &[(&str, &str)], histogram: &Distribution) {
        let bucket = format!("{name}_bucket");
        let mut seen = 0;
        for one in &histogram.buckets {
            seen += one.count;
            if let Some(le) = one.le {
                self.sample(&bucket, &[labels, &[("le", &le.to_string())]].concat(), counted(seen));
            }
        }
        self.sample(&bucket, &[labels, &[("le", "+Inf")]].concat(), counted(seen));
        self.sample(&format!("{name}_sum"), labels, histogram.sum);
        self.sample(&format!("{name}_count"), labels, counted(seen));
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn flag(yes: bool) -> f64 {
    if yes { 1.0 } else { 0.0 }
}

// The format has only floating point: exact below 2^53.
fn counted(count: u64) -> f64 {
    count as f64
}

fn whole(count: usize) -> f64 {
    count as f64
}

fn seconds(secs: i64) -> f64 {
    secs as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_end_its_line() {
        let mut text = MetricsText::default();
        text.sample("x", &[("a", "q\"\\\n"), ("b", "ok")], 1.5);
        assert_eq!(text.0, "x{a=\"q\\\"\\\\\\n\",b=\"ok\"} 1.5\n");
    }

    #[test]
    fn buckets_cumulate() {
        let bucket = |le, count| crate::histogram::Bucket { le, count };
        let histogram = Distribution {
            buckets: vec![bucket(Some(0.1), 2), bucket(Some(0.5), 3), bucket(None, 1)],
            sum: 1.5,
        };
        let mut text = MetricsText::default();
        text.histogram("d_seconds", &[("route", "a")], &histogram);
        let lines: Vec<_> = text.0.lines().collect();
        assert_eq!(
            lines,
            [
                "d_seconds_bucket{route=\"a\",le=\"0.1\"} 2",
                "d_seconds_bucket{route=\"a\",le=\"0.5\"} 5",
                "d_seconds_bucket{route=\"a\",le=\"+Inf\"} 6",
                "d_seconds_sum{route=\"a\"} 1.5",
                "d_seconds_count{route=\"a\"} 6",
            ]
        );
    }
}
