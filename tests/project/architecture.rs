//! Rules of the code that the compiler does not check. `core/Cargo.toml` ensures that the core has no HTTP
//! and no async I/O; that it does not use `std`'s I/O and clock is checked here. Dependencies point from the
//! program to the server to the core: the manifests are read here, the rest is checked by the compiler.

use std::path::{Path, PathBuf};

/// What a crate without tokio, pingora and reqwest could still reach through `std`.
const IO_OF_STD: &[&str] =
    &["std::fs", "std::net", "std::env", "std::process", "SystemTime", "Instant", "std::io::std"];
/// The sources of the three crates: program, server, core.
const OURS: &[&str] = &["src", "server/src", "core/src"];
/// A file has one idea. Inline tests are not counted.
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
    files
}

#[test]
fn the_core_does_no_io_by_std() {
    let mut faults = Vec::new();
    for file in files_of(&["core/src"]) {
        let code = code(&file);
        for word in IO_OF_STD {
            if code.contains(word) {
                faults.push(format!("{} says `{word}`", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn dependencies_point_inwards() {
    for (manifest, outer) in [
        ("core/Cargo.toml", &["countersign", "countersign-server"][..]),
        ("server/Cargo.toml", &["countersign"][..]),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(manifest);
        let manifest: toml::Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
        // Cargo itself refuses a circle of these, but not one through the tests.
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for name in outer {
                assert!(
                    manifest.get(table).and_then(|table| table.get(*name)).is_none(),
                    "{}: {name}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn a_verified_token_has_one_maker() {
    let mut makers = Vec::new();
    for file in files_of(OURS) {
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
    assert!(makers[0].ends_with("core/src/jose/verify.rs"), "{makers:?}");
}

#[test]
fn a_file_is_one_idea() {
    let long: Vec<_> = files_of(OURS)
        .into_iter()
        .map(|f| (code(&f).lines().count(), f))
        .filter(|(lines, _)| *lines > MAX_CODE_LINES)
        .collect();
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn vendors_are_data() {
    let mut faults = Vec::new();
    for file in files_of(OURS) {
        let rel = file.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string();
        // Help texts may name auth servers; no other code treats one in a way of its own.
        if rel.starts_with("src/cli/") {
            continue;
        }
        let code = code(&file).to_lowercase();
        for vendor in ["workos", "logto", "auth0", "privy", "firebase", "supabase"] {
            if code.contains(vendor) {
                faults.push(format!("{rel} names {vendor}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
