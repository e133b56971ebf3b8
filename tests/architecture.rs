//! The wall between core and edge. One crate has no compiler-made wall, so this test is it.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::{Path, PathBuf};

/// Rooms that do no I/O, have no clock and know no HTTP.
const CORE: &[&str] = &[
    "src/jose",
    "src/rewrite",
    "src/inspect",
    "src/profile.rs",
    "src/countersign.rs",
    "src/issuer/policy.rs",
    "src/keyring/schedule.rs",
];
/// Words no core file may say outside its tests and comments.
const EDGE_WORDS: &[&str] = &[
    "tokio",
    "pingora",
    "reqwest",
    "http::",
    "std::fs",
    "std::net",
    "std::env",
    "SystemTime",
    "Instant",
    "crate::bridge",
    "crate::proxy",
    "crate::admin",
    "crate::cli",
    "crate::config",
    "crate::clock",
    "crate::answer",
    "crate::dns",
    "crate::issuer::fetch",
    "crate::issuer::store",
    "redis",
];
/// A file is one idea; inline tests are not counted.
const MAX_CODE_LINES: usize = 400;

fn rust_files(root: &Path, out: &mut Vec<PathBuf>) {
    if root.is_file() {
        out.push(root.to_owned());
        return;
    }
    let Ok(entries) = std::fs::read_dir(root) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() || path.extension().is_some_and(|e| e == "rs") {
            rust_files(&path, out);
        }
    }
}

/// The code of a file: no inline tests, no comments.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let keep = |l: &&str| !l.trim_start().starts_with("//") && !l.trim().is_empty();
    text.lines().filter(keep).collect::<Vec<_>>().join("\n")
}

fn files_of(roots: &[&str]) -> Vec<PathBuf> {
    let base = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for root in roots {
        rust_files(&base.join(root), &mut files);
    }
    assert!(!files.is_empty());
    files.retain(|f| !f.ends_with("tests.rs"));
    files
}

#[test]
fn the_core_does_not_name_the_edge() {
    let mut faults = Vec::new();
    for file in files_of(CORE) {
        let code = code(&file);
        for word in EDGE_WORDS {
            if code.contains(word) {
                faults.push(format!("{} says `{word}`", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_verified_token_has_one_maker() {
    let mut makers = Vec::new();
    for file in files_of(&["src"]) {
        for line in code(&file).lines() {
            let makes = line.contains("VerifiedToken {")
                && !line.contains("struct")
                && !line.contains("impl");
            if makes && !line.contains("->") {
                makers.push(file.display().to_string());
            }
        }
    }
    assert_eq!(makers.len(), 1, "{makers:?}");
    assert!(makers[0].ends_with("src/jose/verify.rs"), "{makers:?}");
}

#[test]
fn a_file_is_one_idea() {
    let long: Vec<_> = files_of(&["src"])
        .into_iter()
        .map(|f| (code(&f).lines().count(), f))
        .filter(|(lines, _)| *lines > MAX_CODE_LINES)
        .collect();
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn vendors_are_data() {
    let mut faults = Vec::new();
    for file in files_of(&["src"]) {
        let rel = file.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string();
        // Profiles are the data; demo, doctor and help text speak to people about one verifier.
        if rel == "src/profile.rs" || rel.starts_with("src/cli/") || rel.starts_with("src/verdict")
        {
            continue;
        }
        let code = code(&file).to_lowercase();
        for vendor in ["convex", "workos", "logto", "auth0", "privy", "firebase", "supabase"] {
            if code.contains(vendor) {
                faults.push(format!("{rel} names {vendor}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
