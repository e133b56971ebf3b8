//! `/metrics`: the same status as `/api/status`, in Prometheus' text format 0.0.4. Written by hand from one
//! snapshot: there is no global registry, and no other module knows of metrics.
//!
//! Labels are bounded. `issuer` is a configured name (at most [`MAX_ISSUERS`] of them, the rest summed as
//! `other`), `alg` an algorithm of our table, `outcome`, `reason` and `route` words of this program, `kid`
//! one of our own few keys. Nothing that a client sends becomes a label.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

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
    let labels = [("version", status.version), ("profile", status.profile.name.as_str())];
    out.gauge("countersign_build_info", "Version and profile; the value is always 1.")
        .labelled(&labels, 1);
    out.gauge("countersign_ready", "Whether there is a signing key and a key set of each issuer.")
        .value(u8::from(status.ready.ready));
    out.gauge("countersign_degraded", "Whether something fails that may end in not being ready.")
        .value(u8::from(status.ready.degraded));
    out.counter("countersign_log_lines_lost_total", "Log lines that could not be written.")
        .value(status.log_lines_lost);
    out.gauge("process_start_time_seconds", "Start of the process, seconds since 1970.")
        .value(status.started);
}

fn issuers(status: &Status, out: &mut MetricsText) {
    let issuers = || status.issuers.iter().map(|view| &view.issuer);
    let fetched = || issuers().filter(|issuer| issuer.state != IssuerState::Fixed);
    out.gauge("countersign_issuers", "Configured issuers.").value(status.issuers_total);
    if let Some(discovery) = &status.discovery {
        out.gauge(
            "countersign_discovery_usable",
            "Whether the last look at the upstream's discovery document gave one that can be used.",
        )
        .value(u8::from(discovery.state == DiscoveryState::Learnt));
        let help = "Whether there is a discovery document that cannot be used.";
        out.gauge("countersign_discovery_refused", help)
            .value(u8::from(discovery.state == DiscoveryState::Refused));
    }
    let mut age = out.gauge("countersign_jwks_age_seconds", "Age of the key set in use.");
    for issuer in fetched() {
        if let Some(at) = issuer.fetched {
            age.labelled(&[("issuer", &issuer.name)], status.now.saturating_sub(at).max(0));
        }
    }
    let mut stale = out.gauge("countersign_jwks_stale", "Whether the last good set is stale.");
    for issuer in fetched() {
        let is_stale = matches!(issuer.state, IssuerState::Stale | IssuerState::Cold);
        stale.labelled(&[("issuer", &issuer.name)], u8::from(is_stale));
    }
    let help = "Entries of the issuer's document, by what was done.";
    let mut entries = out.gauge("countersign_jwks_keys", help);
    for view in &status.issuers {
        let mut effects: BTreeMap<&str, usize> = BTreeMap::new();
        for key in &view.keys {
            *effects.entry(key.effect).or_default() += 1;
        }
        for (effect, count) in effects {
            entries.labelled(&[("issuer", &view.issuer.name), ("effect", effect)], count);
        }
    }
    let help = "Keys the issuer publishes with private members.";
    let mut leaked = out.gauge("countersign_jwks_leaked_secrets", help);
    for issuer in fetched() {
        let alarms = issuer.report.as_ref().map_or(0, |report| report.alarms.len());
        leaked.labelled(&[("issuer", &issuer.name)], alarms);
    }
    let help = "Fetches of the issuer's key set, by outcome.";
    let mut fetches = out.counter("countersign_jwks_fetches_total", help);
    for issuer in issuers() {
        for (outcome, count) in &issuer.fetches {
            fetches.labelled(&[("issuer", &issuer.name), ("outcome", outcome)], count);
        }
    }
    let help = "Whether the last good key sets can be written to disk.";
    let unsaved = issuers().any(|issuer| issuer.store_error.is_some());
    out.gauge("countersign_jwks_store_up", help).value(u8::from(!unsaved));
}

fn signing(status: &Status, out: &mut MetricsText) {
    let mut keys = out.gauge("countersign_signing_keys", "Our signing keys, by state.");
    for state in ["next", "active", "retired"] {
        let count = status.signing.iter().filter(|key| key.state == state).count();
        keys.labelled(&[("state", state)], count);
    }
    let help = "When a signing key changes state, seconds since 1970.";
    let mut times = out.gauge("countersign_signing_key_timestamp_seconds", help);
    for key in &status.signing {
        for (event, at) in [
            ("published", key.published),
            ("signs_from", key.signs_from),
            ("signs_until", key.signs_until),
            ("leaves", key.leaves),
        ] {
            if let Some(at) = at {
                times.labelled(&[("kid", &key.kid), ("event", event)], at);
            }
        }
    }
    out.gauge("countersign_key_store_up", "Whether the store of the signing keys answers.")
        .value(u8::from(status.store.error.is_none()));
    let help = "Whether rotation waits, since no signing key can leave the full ring yet.";
    out.gauge("countersign_key_ring_full", help).value(u8::from(status.store.full));
}

fn tokens(status: &Status, out: &mut MetricsText) {
    let tokens = &status.tokens;
    let name = |issuer: &str| -> String {
        let listed = status.issuers_total <= MAX_ISSUERS
            || issuer == "-"
            || status.issuers.iter().any(|known| known.issuer.name == issuer);
        if listed { issuer.to_owned() } else { "other".to_owned() }
    };
    let mut judged: BTreeMap<(String, &str, &str), u64> = BTreeMap::new();
    for row in &tokens.by {
        *judged.entry((name(&row.issuer), row.alg, row.outcome)).or_default() += row.count;
    }
    let help = "Tokens judged, by issuer, algorithm and outcome.";
    let mut total = out.counter("countersign_tokens_total", help);
    for ((issuer, alg, outcome), count) in &judged {
        total.labelled(&[("issuer", issuer), ("alg", alg), ("outcome", outcome)], count);
    }
    let mut refused: BTreeMap<(String, &str), u64> = BTreeMap::new();
    for row in &tokens.refusals {
        *refused.entry((name(&row.issuer), row.code)).or_default() += row.count;
    }
    let help = "Tokens refused, by issuer and reason.";
    let mut refusals = out.counter("countersign_refusals_total", help);
    for ((issuer, reason), count) in &refused {
        refusals.labelled(&[("issuer", issuer), ("reason", reason)], count);
    }
    out.counter("countersign_restored_total", "Original tokens restored for their issuer.")
        .value(tokens.restored);

    out.counter("countersign_cache_hits_total", "Tokens answered from the result cache.")
        .value(tokens.cache.hits);
    out.counter("countersign_cache_misses_total", "Tokens the result cache did not hold.")
        .value(tokens.cache.misses);
    out.gauge("countersign_cache_entries", "Results in the cache.").value(tokens.cache.entries);
    out.gauge("countersign_cache_bytes", "Bytes of the results in the cache.")
        .value(tokens.cache.bytes);

    out.gauge("countersign_signing_queue_depth", "Jobs waiting for a crypto thread.")
        .value(tokens.queue.depth);
    out.gauge("countersign_signing_queue_limit", "Jobs that may wait; more are refused.")
        .value(tokens.queue.limit);
    out.gauge("countersign_signing_threads", "Crypto threads.").value(tokens.queue.threads);
    out.counter("countersign_signing_overload_total", "Requests refused at a full queue.")
        .value(tokens.queue.overloaded);

    let help = "Time from a token to its judgement, cache hits left out.";
    out.histogram("countersign_token_duration_seconds", help).distribution(&[], &tokens.latency);
}

fn upstream(status: &Status, out: &mut MetricsText) {
    let Some(upstream) = &status.upstream else { return };
    out.gauge("countersign_upstream_up", "Whether the auth server answered the last request.")
        .value(u8::from(upstream.failing_since.is_none()));
    let help = "Requests the auth server failed to answer in the last five minutes.";
    out.gauge("countersign_upstream_recent_failures", help).value(upstream.recent_failures);
}

fn traffic(status: &Status, out: &mut MetricsText) {
    let traffic = &status.traffic;
    out.gauge("countersign_connections", "Client connections open on the public listener.")
        .value(traffic.connections);
    let help = "Bytes of bodies held in memory: forms, token answers, discovery documents.";
    out.gauge("countersign_body_memory_bytes", help).value(traffic.body_memory);
    let help = "Requests answered, by route and status class.";
    let mut requests = out.counter("countersign_requests_total", help);
    for row in &traffic.requests {
        requests.labelled(&[("route", row.route), ("status", row.status)], row.count);
    }
    let help = "From a request to the last byte of its answer, by route. Left out: key sets read \
                from memory, and connections that became a WebSocket.";
    let mut durations = out.histogram("countersign_request_duration_seconds", help);
    for row in &traffic.durations {
        durations.distribution(&[("route", row.route)], &row.duration);
    }
    let mut failures = out.counter("countersign_failures_total", "Our own error answers, by code.");
    for (code, count) in &traffic.failures {
        failures.labelled(&[("code", code)], count);
    }
    let help = "Tokens found in proxied traffic, by outcome.";
    let mut places = out.counter("countersign_places_total", help);
    for (outcome, count) in &traffic.places {
        places.labelled(&[("outcome", outcome)], count);
    }
}

/// The text under construction. Writing to a `String` cannot fail.
#[derive(Default)]
struct MetricsText(String);

impl MetricsText {
    fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "histogram", help)
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { name, text: &mut self.0 }
    }
}

/// A metric, after its heading and before its samples.
struct Family<'a> {
    name: &'static str,
    text: &'a mut String,
}

impl Family<'_> {
    fn value(&mut self, value: impl Display) {
        self.labelled(&[], value);
    }

    fn labelled(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.sample("", labels, &value);
    }

    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: &dyn Display) {
        let _ = write!(self.text, "{}{suffix}", self.name);
        for (n, (label, value)) in labels.iter().enumerate() {
            let open = if n == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{open}{label}=\"{}\"", escaped(value));
        }
        let _ = writeln!(self.text, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    /// In this format the buckets cumulate: each counts everything up to its `le`.
    fn distribution(&mut self, labels: &[(&str, &str)], distribution: &Distribution) {
        let mut seen = 0;
        for bucket in &distribution.buckets {
            seen += bucket.count;
            let le = bucket.le.map_or_else(|| "+Inf".to_owned(), |le| le.to_string());
            self.sample("_bucket", &[labels, &[("le", &le)]].concat(), &seen);
        }
        self.sample("_sum", labels, &distribution.sum);
        self.sample("_count", labels, &seen);
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_end_its_line() {
        let mut text = String::new();
        let mut family = Family { name: "x", text: &mut text };
        family.labelled(&[("a", "q\"\\\n"), ("b", "ok")], 1.5);
        assert_eq!(text, "x{a=\"q\\\"\\\\\\n\",b=\"ok\"} 1.5\n");
    }

    #[test]
    fn buckets_cumulate() {
        let bucket = |le, count| crate::histogram::Bucket { le, count };
        let histogram = Distribution {
            buckets: vec![bucket(Some(0.1), 2), bucket(Some(0.5), 3), bucket(None, 1)],
            sum: 1.5,
        };
        let mut text = String::new();
        let mut family = Family { name: "d_seconds", text: &mut text };
        family.distribution(&[("route", "a")], &histogram);
        let lines: Vec<_> = text.lines().collect();
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
