//! `countersign demo`: its output, that it ends by itself, and that it leaves nothing behind.
#![cfg(feature = "verifier")]

use std::process::{Command, Stdio};
use std::time::Duration;

fn demo(args: &[&str], tmp: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.arg("demo").args(args).env("TMPDIR", tmp).env("NO_COLOR", "1");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn it_shows_before_and_after() {
    let tmp = tempfile::tempdir().unwrap();
    let output = demo(&[], tmp.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}\n{errors}");
    assert_eq!(text.matches("ACCEPT").count(), 2, "{text}");
    assert_eq!(text.matches("REFUSE").count(), 2, "{text}");
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    let left: Vec<_> = std::fs::read_dir(tmp.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT");
    settings.add_filter(r"(?s)200 OK\s+\[\{.*?\n\n", "200 OK [BODY]\n\n");
    settings.add_filter(r#""(kid|n)":"[^"\n]*"#, r#""$1":"…"#);
    settings.bind(|| insta::assert_snapshot!(text));
}

#[test]
fn a_script_gets_json() {
    let tmp = tempfile::tempdir().unwrap();
    let output = demo(&["--json"], tmp.path()).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["after"]["custom_jwt"], "accepts");
    assert_eq!(report["after"]["oidc"], "accepts");
    let said = report["before"]["custom_jwt"]["refuses"].as_str().unwrap();
    assert!(said.starts_with("Invalid Content-Type 'text/html; charset=utf-8'"), "{said}");
}

#[test]
fn it_keeps_running_when_asked_and_cleans_up() {
    let tmp = tempfile::tempdir().unwrap();
    let mut child = demo(&["--serve"], tmp.path()).spawn().unwrap();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut seen = String::new();
    while !seen.contains("Ctrl-C ends them") {
        let n = std::io::BufRead::read_line(&mut out, &mut seen).unwrap();
        assert!(n > 0, "{seen}");
    }
    assert!(child.try_wait().unwrap().is_none());
    assert_eq!(std::fs::read_dir(tmp.path()).unwrap().count(), 1);
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let mut ended = false;
    for _ in 0..3000 {
        ended = child.try_wait().unwrap().is_some();
        if ended {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(ended, "it does not end");
    assert_eq!(std::fs::read_dir(tmp.path()).unwrap().count(), 0);
}
