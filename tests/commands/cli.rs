//! The command line as people and scripts use it: the real binary, its text and exit status.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

fn countersign(args: &[&str], dir: &Path) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(args)
        .current_dir(dir)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The output of a call, as one text.
fn said(args: &[&str], dir: &Path) -> String {
    let (status, out, err) = countersign(args, dir);
    let mut said = format!("$ countersign {}\n", args.join(" "));
    said.push_str(&out);
    for line in err.lines() {
        writeln!(said, "2> {line}").unwrap();
    }
    writeln!(said, "[{}]", status.unwrap()).unwrap();
    let said = said.replace(&dir.display().to_string(), "DIR");
    said.replace(&format!(" {}", env!("CARGO_PKG_VERSION")), " VERSION")
}

#[test]
fn help() {
    let dir = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(said(&["--help"], dir.path()));
}

#[test]
fn usage_errors_are_status_2_and_say_what_is_possible() {
    let dir = tempfile::tempdir().unwrap();
    let mut all = String::new();
    for args in [
        &["--version"][..],
        &["version"],
        &["help", "healthcheck"],
        &["normalise"],
        &["run", "--upstraem", "https://a"],
        &["run", "--threads", "many"],
        &["verify"],
        &["keys", "rotat"],
        &["completions", "tcsh"],
        &["init"],
    ] {
        all.push_str(&said(args, dir.path()));
        all.push('\n');
    }
    insta::assert_snapshot!(all);
    // Without arguments it shows the help, with status 2.
    let (status, _, help) = countersign(&[], dir.path());
    assert_eq!(status, Some(2));
    assert!(help.contains("Usage: countersign <COMMAND>"));
}

#[test]
fn a_configuration_error_has_file_line_and_hint() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("c.toml"), "[server]\nlisen = \":1\"\n").unwrap();
    std::fs::write(dir.path().join("good.toml"), "[upstream]\nurl = \"http://a\"\n").unwrap();
    for (name, text) in [
        ("table.toml", "[upstream]\nurl = \"http://a\"\n[issuer]\nissuer = \"https://a\"\n"),
        ("port.toml", "[server]\nlisten = 8080\n"),
        ("unit.toml", "[server]\nmax_age = 300\n"),
        ("host.toml", "[upstream]\nurl = \"http://a\"\nhost = \"\"\n"),
        ("empty.toml", "[upstream]\nurl = \"https://\"\n"),
        (
            "self.toml",
            "[server]\npublic_url = \"https://a.example\"\n[upstream]\nurl = \"https://A.example/oidc\"\n",
        ),
        ("file", "mine"),
    ] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let mut all = String::new();
    for args in [
        &["run"][..],
        &["run", "--config", "c.toml"],
        &["run", "--config", "missing.toml"],
        &["run", "--upstream", "auth.example.com"],
        &["run", "--upstream", "http://a", "--listen", "80"],
        &["run", "--upstream", "http://a", "--profile", "standart"],
        &["run", "--upstream", "http://a", "--public-url", "http://auth.example.com"],
        &["run", "--config", "good.toml", "--check"],
        &["run", "--config", "table.toml"],
        &["run", "--config", "port.toml"],
        &["run", "--config", "unit.toml"],
        &["run", "--config", "host.toml"],
        &["run", "--config", "empty.toml"],
        &["run", "--config", "self.toml"],
        &["run", "--upstream", "http://localhost:8080"],
        &["run", "--upstream", "http://a", "--listen", "127.0.0.1:0", "--data-dir", "file"],
        &["keys", "list", "--data-dir", "file"],
    ] {
        all.push_str(&said(args, dir.path()));
        all.push('\n');
    }
    insta::assert_snapshot!(all);
}

/// Without `--config`, `countersign.toml` in the working directory is used, and a note says so.
#[test]
fn the_file_in_this_folder_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let check = ["run", "--check"];
    let (status, _, said) = countersign(&check, dir.path());
    assert_eq!(status, Some(2), "{said}");
    std::fs::write(dir.path().join("countersign.toml"), "[upstream]\nurl = \"http://a\"\n")
        .unwrap();
    let (status, _, said) = countersign(&check, dir.path());
    let expected =
        "configuration: countersign.toml, found in this folder\nthe configuration is good\n";
    assert_eq!((status, said.as_str()), (Some(0), expected));
    std::fs::write(dir.path().join("countersign.toml"), "[server]\nlisen = \"a\"\n").unwrap();
    let (status, _, said) = countersign(&check, dir.path());
    assert_eq!(status, Some(2));
    assert!(said.contains("countersign.toml:2:1: server.lisen"), "{said}");
}

#[test]
fn each_run_flag_has_its_variable() {
    let (_, help, _) = countersign(&["run", "--help"], Path::new("."));
    for flag in [
        "config",
        "upstream",
        "listen",
        "public-url",
        "admin",
        "data-dir",
        "store",
        "threads",
        "profile",
    ] {
        let variable = format!("COUNTERSIGN_{}", flag.to_uppercase().replace('-', "_"));
        assert!(help.contains(&format!("--{flag} <")), "{flag}");
        assert!(help.contains(&variable), "{variable}");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(["run", "--check"])
        .env_clear()
        .env("COUNTERSIGN_UPSTREAM", "nonsense")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(["run", "--check"])
        .env_clear()
        .env("COUNTERSIGN_UPSTREAM", "https://auth.example.com")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn init_writes_a_configuration_that_works_and_overwrites_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let init = ["init", "--upstream", "https://auth.example.com/"];
    let mut all = said(&init, dir.path());
    let written = std::fs::read_to_string(dir.path().join("countersign.toml")).unwrap();
    write!(all, "\n{written}\n").unwrap();
    all.push_str(&said(&init, dir.path()));
    insta::assert_snapshot!(all);
    assert_eq!(std::fs::read_to_string(dir.path().join("countersign.toml")).unwrap(), written);

    let check = ["run", "--check", "--config", "countersign.toml"];
    assert_eq!(countersign(&check, dir.path()).0, Some(0));
    // The suggested lines work too.
    let uncommented: String = written
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if !key.starts_with(' ') => format!("{key}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    std::fs::write(dir.path().join("countersign.toml"), uncommented).unwrap();
    assert_eq!(
        countersign(&check, dir.path()),
        (Some(0), String::new(), "the configuration is good\n".into())
    );

    let again = [
        "init",
        "--upstream",
        "https://auth.example.com",
        "--public-url",
        "https://login.example.com",
        "--audience",
        "a\"b",
        "--force",
    ];
    let (status, block, _) = countersign(&again, dir.path());
    assert_eq!(status, Some(0));
    assert!(block.contains(r#"applicationID: "a\"b","#), "{block}");
    assert!(block.contains(r#"jwks: "https://login.example.com/.well-known/jwks.json","#));
    assert_eq!(countersign(&check, dir.path()).0, Some(0));
    let (status, text, _) =
        countersign(&["init", "--upstream", "https://a", "-o", "-"], dir.path());
    assert_eq!(status, Some(0));
    assert!(text.contains("[upstream]\nurl = \"https://a\""));
    // A hosted server answers only to its own name; a server next to the proxy gets the clients' `Host`.
    assert!(text.contains("\nhost = \"upstream\"\n"), "{text}");
    for near in ["http://auth:3000", "https://10.0.0.1"] {
        let (status, text, _) = countersign(&["init", "--upstream", near, "-o", "-"], dir.path());
        assert_eq!(status, Some(0));
        assert!(text.contains("\n#host = \"client\"\n"), "{text}");
    }
}

/// Answers one request with `status`, and returns its request line.
fn one_answer(status: &'static str) -> (String, std::thread::JoinHandle<String>) {
    answers(status, "{}")
}

fn answers(status: &'static str, body: &'static str) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut part = [0; 1024];
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            let n = stream.read(&mut part).unwrap();
            request.extend_from_slice(&part[..n]);
        }
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
        .unwrap();
        String::from_utf8(request).unwrap().lines().next().unwrap().to_owned()
    });
    (addr, asked)
}

#[test]
fn healthcheck_asks_the_admin_listener() {
    let here = Path::new(".");
    let (addr, asked) = one_answer("200 OK");
    assert_eq!(countersign(&["healthcheck", "--admin", &addr], here).0, Some(0));
    assert_eq!(asked.join().unwrap(), "GET /readyz HTTP/1.1");
    let reasons = r#"{"ready":false,"reasons":["issuer login: no key set (status 404)"]}"#;
    let (addr, asked) = answers("503 Service Unavailable", reasons);
    let (status, _, err) = countersign(&["healthcheck", "--admin", &addr], here);
    assert_eq!(status, Some(1));
    assert_eq!(err, "not ready: /readyz answered 503\n  issuer login: no key set (status 404)\n");
    asked.join().unwrap();
    let (addr, asked) = one_answer("503 Service Unavailable");
    let (status, _, err) = countersign(&["healthcheck", "--live", "--admin", &addr], here);
    assert_eq!(status, Some(1));
    assert!(err.contains("/healthz answered 503"), "{err}");
    assert_eq!(asked.join().unwrap(), "GET /healthz HTTP/1.1");
    // The listener is gone.
    let (status, _, err) = countersign(&["healthcheck", "--admin", &addr], here);
    assert_eq!(status, Some(1));
    assert_eq!(
        err,
        format!(
            "not ready: {addr}: Connection refused\n\
             does it run? `countersign run`; is its admin listener elsewhere? `--admin`\n"
        )
    );
    assert_eq!(countersign(&["healthcheck", "--admin", "nonsense"], here).0, Some(2));
    assert_eq!(countersign(&["healthcheck", "--admin", "off"], here).0, Some(2));
}

/// Where nothing can be taken over, it says so: pingora would panic.
#[test]
fn an_upgrade_without_a_data_directory_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let run = ["run", "--upstream", "http://127.0.0.1:1", "--upgrade", "--data-dir", "none"];
    let (status, _, err) = countersign(&run, dir.path());
    assert_eq!(status, Some(2), "{err}");
    assert!(err.contains("none/upgrade.sock: there is no such folder"), "{err}");
    assert!(err.contains("hint: --data-dir (COUNTERSIGN_DATA_DIR)"), "{err}");
    assert!(!dir.path().join("none").exists());
}

/// Checks that a generated file equals the shipped one; `COUNTERSIGN_UPDATE_DOCS=1` writes it anew.
fn shipped(folder: &str, name: &str, generated: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(folder).join(name);
    if std::env::vars().any(|(name, _)| name == "COUNTERSIGN_UPDATE_DOCS") {
        std::fs::write(&file, generated).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == generated, "{}: run with COUNTERSIGN_UPDATE_DOCS=1", file.display());
}

#[test]
fn completions_for_every_shell() {
    let shells = [
        ("bash", "countersign.bash"),
        ("zsh", "_countersign"),
        ("fish", "countersign.fish"),
        ("elvish", "countersign.elv"),
        ("powershell", "_countersign.ps1"),
    ];
    for (shell, file) in shells {
        let (status, script, _) = countersign(&["completions", shell], Path::new("."));
        assert_eq!(status, Some(0), "{shell}");
        assert!(script.contains("countersign") && script.contains("normalize"), "{shell}");
        shipped("completions", file, &script);
    }
    // Bash can parse it.
    let bash = Command::new("bash")
        .args(["-n", "deploy/completions/countersign.bash"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(bash.unwrap().success());
}

#[test]
fn man_pages_for_every_command() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("man1");
    assert_eq!(countersign(&["man", to.to_str().unwrap()], dir.path()).0, Some(0));
    let names = |folder: &Path| {
        let files = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    for name in names(&to) {
        let page = std::fs::read_to_string(to.join(&name)).unwrap();
        assert!(page.contains(".TH countersign") && page.contains(".SH"), "{name}");
        shipped("man", &name, &page);
    }
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/man");
    assert_eq!(names(&to), names(&kept), "a page of a command that is gone");
    for command in ["run", "normalize", "verify", "doctor", "keys", "keys-rotate", "init"] {
        assert!(to.join(format!("countersign-{command}.1")).exists(), "{command}");
    }
}

#[test]
fn the_schema_is_the_shipped_one() {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/countersign.schema.json");
    let (status, schema, _) = countersign(&["schema"], Path::new("."));
    assert_eq!(status, Some(0));
    assert!(schema == std::fs::read_to_string(shipped).unwrap(), "see tests/commands/config.rs");
}

#[test]
fn a_closed_pipe_is_no_panic() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(["schema"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_ne!(output.status.code(), Some(101));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
}
