//! Checks the documents against the code: every TOML block loads as a configuration, every JSON block
//! parses, every link has a target, every test that is named exists.

use std::path::Path;

use crate::support::documents::{blocks, documents, root};
use countersign::config::env::Env;
use countersign::config::{self, RunOverrides};

/// Every variable is set: base64 of 32 bytes serves as key, as secret and as password.
struct Everything;

impl Env for Everything {
    fn var(&self, name: &str) -> Option<String> {
        let known = name.contains("SECRET") || name.contains("KEY") || name.contains("PASSWORD");
        known.then(|| "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=".to_owned())
    }
}

#[test]
fn every_configuration_in_the_documents_loads() {
    let mut faults = Vec::new();
    let mut seen = 0;
    for (name, text) in documents() {
        for (line, block) in blocks(&text, "toml") {
            seen += 1;
            if block.contains("[otel]") && !cfg!(feature = "otel") {
                continue;
            }
            // A fragment without upstream and issuer gets an upstream.
            let whole = block.contains("[upstream]") || block.contains("[[issuer]]");
            let upstream = (!whole).then(|| "https://auth.example.com".to_owned());
            let overrides = RunOverrides { upstream, ..RunOverrides::default() };
            if let Err(error) = config::load_text(&block, None, &overrides, &Everything) {
                faults.push(format!("{name}:{line}: {error}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(seen >= 20, "{seen} blocks only: is the search still right?");
}

#[test]
fn every_json_block_parses() {
    for (name, text) in documents() {
        for (line, block) in blocks(&text, "json") {
            let parsed = serde_json::from_str::<serde_json::Value>(&block);
            assert!(parsed.is_ok(), "{name}:{line}: {}", parsed.unwrap_err());
        }
    }
}

/// Targets of `[text](target)` outside of code.
fn links(text: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        }
        if inside {
            continue;
        }
        for part in line.split("](").skip(1) {
            found.push(part.split(')').next().unwrap().to_owned());
        }
    }
    found
}

/// The anchor a heading gets: as mdBook and GitHub make it.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|heading| {
            let heading = heading.trim_start_matches('#').trim().to_lowercase();
            let kept =
                heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut faults = Vec::new();
    for (name, text) in documents() {
        let folder = root().join(&name).parent().unwrap().to_owned();
        for link in links(&text) {
            if link.starts_with("http") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { root().join(&name) } else { folder.join(path) };
            if !target.exists() {
                faults.push(format!("{name}: {link}"));
            } else if !anchor.is_empty() {
                let text = std::fs::read_to_string(target).unwrap();
                if !anchors(&text).iter().any(|known| known == anchor) {
                    faults.push(format!("{name}: {link}: no such heading"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_summary_lists_every_page() {
    let summary = std::fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    let listed = links(&summary);
    for (name, _) in documents() {
        let Some(page) = name.strip_prefix("docs/") else { continue };
        assert!(page == "SUMMARY.md" || listed.iter().any(|link| link == page), "{page}");
    }
}

#[test]
fn the_book_builds() {
    let folder = tempfile::tempdir().unwrap();
    let brought = root().join("target/tools/bin/mdbook");
    let program = if brought.exists() { brought } else { "mdbook".into() };
    let output = std::process::Command::new(program)
        .arg("build")
        .arg("--dest-dir")
        .arg(folder.path())
        .current_dir(root())
        .output()
        .expect("mdbook is missing: run `scripts/install mdbook` (`make test` does)");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("WARN"), "{said}");
    let page = std::fs::read_to_string(folder.path().join("verifiers/apisix.html")).unwrap();
    assert!(page.contains("lua-resty-openidc"));
}

/// Every `file.rs` of the tests and sources, for looking up names.
fn sources() -> String {
    fn read(folder: &Path, out: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("node_modules") {
                read(&path, out);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                out.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut text = String::new();
    for folder in ["src", "server/src", "core/src", "tests"] {
        read(&root().join(folder), &mut text);
    }
    text
}

#[test]
fn the_tests_the_threat_model_names_exist() {
    let sources = sources();
    let text = std::fs::read_to_string(root().join("docs/security.md")).unwrap();
    let mut seen = 0;
    // Names of tests are the code spans with at least three underscores.
    for span in text.split('`').skip(1).step_by(2) {
        let name = span.rsplit("::").next().unwrap();
        let a_test = name.matches('_').count() >= 3
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if a_test {
            seen += 1;
            assert!(sources.contains(&format!("fn {name}(")), "{name} is no test");
        }
    }
    assert!(seen >= 20, "{seen} tests are named");
}

#[test]
fn every_metric_is_documented() {
    let operations = std::fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let code = std::fs::read_to_string(root().join("src/admin/metrics.rs")).unwrap();
    let metrics = code.split('"').filter(|text| {
        text.starts_with("countersign_") && text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    });
    for metric in metrics {
        // The table abbreviates metrics of one kind: `countersign_cache_hits_total`, `_misses_total`.
        let documented = operations.contains(metric)
            || metric.match_indices('_').any(|(at, _)| {
                let suffix = format!("`{}`", &metric[at..]);
                operations.contains(&suffix) && operations.contains(&metric[..at])
            });
        assert!(documented, "{metric}");
    }
}
