//! The program accepts every configuration in the repository: pages of `docs/`, examples, `deploy/`, and the
//! recipes of the tests.

use std::path::{Path, PathBuf};

use countersign::config::{self, Config, ConfigError, RunOverrides};

/// Every variable that a page may name is set: an address, a store, or a secret that is long enough for
/// HS512 and 32 bytes in base64. OpenTelemetry's variables would override the page and are not set.
struct EverySet;

impl config::env::Env for EverySet {
    fn var(&self, name: &str) -> Option<String> {
        let value = match name {
            "PORT" => return None,
            _ if name.starts_with("OTEL_EXPORTER_") => return None,
            _ if name.ends_with("_URL") => "https://app.example.com",
            _ if name.ends_with("_STORE") => "redis://127.0.0.1:6379/0",
            _ => "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I=",
        };
        Some(value.to_owned())
    }
}

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("node_modules") {
            files(&path, out);
        } else if path.extension().is_some_and(|e| e == "md" || e == "toml")
            // Fly's own file, not a configuration of countersign.
            && !path.ends_with("fly.toml")
        {
            out.push(path);
        }
    }
}

/// The configurations of a file: itself, or the TOML blocks of a page.
fn configurations(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    if path.extension().is_some_and(|e| e == "toml") {
        return vec![text];
    }
    let blocks = text.split("```toml\n").skip(1);
    blocks.map(|block| block.split("\n```").next().unwrap().to_owned()).collect()
}

/// Some pages show a part. Where to listen and the upstream are then added.
fn read(text: &str) -> Result<Config, ConfigError> {
    let alone = RunOverrides::default();
    let proxied = RunOverrides {
        upstream: (!text.contains("[upstream]")).then(|| "http://127.0.0.1:3000".to_owned()),
        public_url: (!text.contains("public_url")).then(|| "http://127.0.0.1:8080".to_owned()),
        ..RunOverrides::default()
    };
    config::load_text(text, None, &alone, &EverySet)
        .or_else(|_| config::load_text(text, None, &proxied, &EverySet))
}

#[test]
fn every_printed_configuration_is_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    for folder in ["docs", "examples", "deploy", "tests/recipes", "conf"] {
        if root.join(folder).is_dir() {
            files(&root.join(folder), &mut all);
        }
    }
    if root.join("README.md").exists() {
        all.push(root.join("README.md"));
    }
    let mut read_ones = 0;
    let mut faults = Vec::new();
    for path in &all {
        for (nth, text) in configurations(path).iter().enumerate() {
            match read(text) {
                Ok(_) => read_ones += 1,
                Err(error) => faults.push(format!("{}, block {nth}: {error}", path.display())),
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(read_ones > 15, "{read_ones}");
}
