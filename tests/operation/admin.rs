//! Metrics, alert rules and dashboard, checked by Prometheus' own promtool where it is installed.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use countersign::admin::metrics;

use crate::support::status_fixture::status;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Runs promtool (Debian: package `prometheus`).
fn promtool(args: &[&str], input: &str) -> String {
    let child = Command::new("promtool")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.expect("promtool is missing: run `scripts/install promtool`");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    let said =
        String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    said
}

/// Every family of the text: name and kind.
fn families(text: &str) -> BTreeSet<(String, String)> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.map(|line| line.split_once(' ').unwrap()).map(|(n, k)| (n.into(), k.into())).collect()
}

#[test]
fn the_metrics_are_what_prometheus_reads() {
    let said = promtool(&["check", "metrics"], &metrics::render(&status()));
    assert_eq!(said.trim(), "", "promtool has something to say");
}

#[test]
fn a_full_ring_has_a_gauge() {
    let mut status = status();
    status.store.full = false;
    assert!(metrics::render(&status).contains("\ncountersign_key_ring_full 0\n"));
    status.store.full = true;
    assert!(metrics::render(&status).contains("\ncountersign_key_ring_full 1\n"));
}

#[test]
fn names_follow_the_convention() {
    let text = metrics::render(&status());
    for (name, kind) in families(&text) {
        assert!(name.starts_with("countersign_") || name.starts_with("process_"), "{name}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        for unit in ["_ms", "_us", "_millis", "_minutes", "_kib", "_percent"] {
            assert!(!name.ends_with(unit), "{name}: base units only");
        }
        let helps = text.matches(&format!("# HELP {name} ")).count();
        assert_eq!(helps, 1, "{name}");
    }
    let mut seen = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let series = line.rsplit_once(' ').unwrap().0;
        assert!(seen.insert(series), "{series} stands twice");
    }
}

#[test]
fn ten_thousand_issuers_do_not_make_ten_thousand_series() {
    let mut many = status();
    let row = many.tokens.by[0].clone();
    many.issuers_total = 10_000;
    many.tokens.by = (0..10_000)
        .map(|n| countersign::bridge::TokenCount { issuer: format!("i{n}"), ..row.clone() })
        .collect();
    let text = metrics::render(&many);
    let series: Vec<_> =
        text.lines().filter(|line| line.starts_with("countersign_tokens_total{")).collect();
    assert_eq!(series.len(), 1, "{series:?}");
    assert!(series[0].contains("issuer=\"other\""));
    assert!(series[0].ends_with(&(row.count * 10_000).to_string()));
}

#[test]
fn the_alert_rules_fire_when_they_should() {
    let rules = root().join("deploy/prometheus/alerts.yaml");
    let tests = root().join("deploy/prometheus/alerts_test.yaml");
    promtool(&["check", "rules", rules.to_str().unwrap()], "");
    promtool(&["test", "rules", tests.to_str().unwrap()], "");
}

/// Our metrics in an expression, without the suffixes of a histogram.
fn metrics_in(expression: &str) -> BTreeSet<String> {
    expression
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("countersign_"))
        .map(|word| word.trim_end_matches("_bucket").to_owned())
        .collect()
}

#[test]
fn rules_and_dashboard_ask_only_for_what_is_there() {
    let known: BTreeSet<_> =
        families(&metrics::render(&status())).into_iter().map(|(name, _)| name).collect();
    for file in ["deploy/prometheus/alerts.yaml", "deploy/grafana/countersign.json"] {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        let asked = metrics_in(&text);
        assert!(asked.len() > 5, "{file}");
        for metric in asked {
            assert!(known.contains(&metric), "{file} asks for {metric}");
        }
    }
}

#[test]
fn the_dashboard_is_whole() {
    let text = std::fs::read_to_string(root().join("deploy/grafana/countersign.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    let mut expressions = Vec::new();
    for panel in panels {
        assert!(panel["title"].as_str().is_some_and(|title| !title.is_empty()));
        let place = &panel["gridPos"];
        assert!(place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap() <= 24, "{panel}");
        for target in panel["targets"].as_array().unwrap() {
            expressions.push(target["expr"].as_str().unwrap().to_owned());
        }
    }
    // Prometheus reads each expression as a recording rule.
    let mut rules = "groups:\n- name: dashboard\n  rules:\n".to_owned();
    for (n, expression) in expressions.iter().enumerate() {
        let expression = expression.replace("$__rate_interval", "5m").replace("$instance", ".*");
        let expression = serde_json::Value::from(expression);
        rules += &format!("  - {{ record: \"panel:{n}\", expr: {expression} }}\n");
    }
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboard.yaml");
    std::fs::write(&file, rules).unwrap();
    promtool(&["check", "rules", file.to_str().unwrap()], "");
}
