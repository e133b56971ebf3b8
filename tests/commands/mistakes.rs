//! Mistakes of newcomers, by the real binary: each message says what happened and what to type next.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

/// Status 2, and what was said on stderr, without the program's own path.
fn refused(args: &[&str], vars: &[(&str, &str)], dir: &Path) -> String {
    let program = env!("CARGO_BIN_EXE_countersign");
    let output = Command::new(program)
        .args(args)
        .current_dir(dir)
        .env_clear()
        .envs(vars.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
    assert!(said.starts_with("error: ") && said.contains("\nhint: "), "{said}");
    said
}

/// What `run --check` says about this file.
fn check(toml: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("c.toml"), toml).unwrap();
    refused(&["run", "--check", "--config", "c.toml"], &[], dir.path())
}

fn has(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part:?} is missing:\n{said}");
    }
}

#[test]
fn a_wrong_public_url_shows_the_line_to_write() {
    let with = |url: &str, more: &str| {
        check(&format!(
            "[upstream]\nurl = \"http://auth:3000\"\n[server]\npublic_url = \"{url}\"\n{more}"
        ))
    };
    let issuer = "[[issuer]]\nissuer = \"https://a\"\njwks = \"/login/keys\"\n";
    for (url, more, why, line) in [
        ("auth.example.com", "", "lacks its scheme", "https://auth.example.com"),
        ("localhost:8080", "", "lacks its scheme", "http://localhost:8080"),
        ("https://a.example/api/auth/jwks", "", "path of a document", "https://a.example"),
        ("https://a.example/x/.well-known/jwks.json", "", "path of a", "https://a.example/x"),
        ("https://a.example/x/login/keys", issuer, "path of a document", "https://a.example/x"),
        ("https://a.example/?utm=1", "", "has no query", "https://a.example"),
        ("https://a.example/#top", "", "fragment", "https://a.example"),
        ("https://me:pass@a.example", "", "password", "https://a.example"),
        ("http://a.example", "", "plain `http:`", "https://a.example"),
    ] {
        let said = with(url, more);
        has(&said, &["c.toml:4:14: server.public_url: ", why]);
        has(&said, &[&format!("hint: write `public_url = \"{line}\"`")]);
        assert!(!said.contains("me:pass"), "{said}");
        // The line is good.
        let toml = format!(
            "[upstream]\nurl = \"http://auth:3000\"\n[server]\npublic_url = \"{line}\"\n{more}"
        );
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("c.toml"), toml).unwrap();
        let run = ["run", "--check", "--config", "c.toml"];
        let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
            .args(run)
            .current_dir(dir.path())
            .env_clear()
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let said = check("[upstream]\nurl = \"http://a\"\n[discovery]\nendpoints = true\n");
    has(&said, &["discovery.endpoints", "is not set", "hint: write `public_url = \"https://"]);
    let here = tempfile::tempdir().unwrap();
    let flag = ["run", "--check", "--upstream", "http://a", "--public-url", "login.example.com"];
    let said = refused(&flag, &[], here.path());
    has(&said, &["error: --public-url: ", "`--public-url https://login.example.com`"]);
    has(&said, &["(COUNTERSIGN_PUBLIC_URL)"]);
}

#[test]
fn a_relative_key_set_shows_the_whole_address() {
    let with = |before: &str, issuer: &str, jwks: &str| {
        check(&format!("{before}[[issuer]]\nissuer = \"{issuer}\"\njwks = \"{jwks}\"\n"))
    };
    let upstream = "[upstream]\nurl = \"http://127.0.0.1:3000/base\"\n";
    let (a, realm) = ("https://a.example", "https://a.example/realms/r/");
    for (before, issuer, jwks, line) in [
        (upstream, a, "api/auth/jwks", "http://127.0.0.1:3000/base/api/auth/jwks"),
        (upstream, a, "./jwks", "http://127.0.0.1:3000/base/jwks"),
        ("", a, "api/auth/jwks", "https://a.example/api/auth/jwks"),
        ("", realm, "certs", "https://a.example/realms/r/certs"),
        ("", realm, "/certs", "https://a.example/realms/r/certs"),
        ("", a, "b.example/jwks", "https://b.example/jwks"),
        (upstream, a, "b.example:8443/jwks", "https://b.example:8443/jwks"),
    ] {
        let said = with(before, issuer, jwks);
        has(&said, &["issuer[0].jwks: ", &format!("hint: write `jwks = \"{line}\"`")]);
    }
    has(&with(upstream, a, "api/auth/jwks"), &["`/api/auth/jwks` means the same"]);
    has(&with("", a, "jwks.json"), &["`file:jwks.json` is a file beside this configuration"]);
    has(&with("", "my-issuer", "jwks"), &["hint: write the whole URL"]);
    let said = with(upstream, a, "jwks?key=hunter2");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn an_upstream_without_a_scheme_shows_the_flag_to_write() {
    let dir = tempfile::tempdir().unwrap();
    for (text, url) in [
        ("localhost:3000", "http://localhost:3000"),
        ("127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("auth:3000", "http://auth:3000"),
        ("auth.example.com", "https://auth.example.com"),
    ] {
        let line = format!("hint: write `--upstream {url}` (COUNTERSIGN_UPSTREAM)\n");
        let why = "error: --upstream: it lacks its scheme, `https://` or `http://`\n";
        let expected = format!("{why}{line}");
        assert_eq!(refused(&["run", "--upstream", text], &[], dir.path()), expected);
        assert_eq!(refused(&["run"], &[("COUNTERSIGN_UPSTREAM", text)], dir.path()), expected);
        assert_eq!(refused(&["init", "--upstream", text], &[], dir.path()), expected);
    }
    let said = check("[upstream]\nurl = \"localhost:3000\"\n");
    has(&said, &["c.toml:2:7: upstream.url: ", "hint: write `url = \"http://localhost:3000\"`\n"]);
}

#[test]
fn an_address_that_cannot_be_bound_shows_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let kept = TcpListener::bind(taken).unwrap();
    let run = |listen: &str, admin: &str| {
        let args =
            ["run", "--upstream", "http://127.0.0.1:1", "--listen", listen, "--admin", admin];
        refused(&args, &[], dir.path())
    };
    let port = taken.port();
    let said = run(&taken.to_string(), "off");
    has(&said, &[&format!("error: cannot listen on {taken}: address in use\n")]);
    has(&said, &["shows which process has it", "`--listen 127.0.0.1:", "(COUNTERSIGN_LISTEN)"]);
    if cfg!(target_os = "linux") {
        has(&said, &[&format!("`ss -ltnp 'sport = :{port}'`")]);
    }
    let said = run("127.0.0.1:0", &taken.to_string());
    has(&said, &["address in use", "`--admin 127.0.0.1:", "(COUNTERSIGN_ADMIN)"]);
    drop(kept);
    let said = run(&taken.to_string(), &taken.to_string());
    has(&said, &["for the admin pages: it is the address for clients already"]);
    has(&said, &["hint: use another port: `--admin 127.0.0.1:"]);
    let said = run("192.0.2.1:8080", "off");
    has(&said, &["error: cannot listen on 192.0.2.1:8080: not an address of this machine"]);
    has(&said, &["`--listen :8080` (COUNTERSIGN_LISTEN) takes all of them"]);
}

#[test]
fn keys_from_outside_say_how_they_are_rotated() {
    let dir = tempfile::tempdir().unwrap();
    let made = |name: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
            .args(["keys", "generate", "--algorithm", "ES256", "--output", name])
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        std::fs::read_to_string(dir.path().join(name)).unwrap()
    };
    let (old, new) = (made("old.pem"), made("new.pem"));
    let rotate = |vars: &[(&str, &str)], more: &[&str]| {
        let args = [&["keys", "rotate", "--store", "env:KEY"], more].concat();
        let said = refused(&args, vars, dir.path());
        assert!(!said.contains("PRIVATE") && !said.contains("env:KEY: env:KEY"), "{said}");
        said
    };
    let said = rotate(&[("KEY", &old)], &[]);
    has(&said, &["error: env:KEY: its keys come from the environment variable KEY"]);
    has(&said, &["countersign keys generate", "KEY_NEXT; 6 min after", "old one in KEY_PREVIOUS"]);
    let said = rotate(&[("KEY", &old), ("KEY_NEXT", &new)], &[]);
    has(&said, &["hint: KEY_NEXT is set; 6 min after that deployment"]);
    let said = rotate(&[("KEY", &old)], &["--now"]);
    has(&said, &["without the old key"]);
    let import = ["keys", "import", "new.pem", "--store", "env:KEY"];
    has(&refused(&import, &[("KEY", &old)], dir.path()), &["KEY_NEXT"]);
    std::fs::create_dir(dir.path().join("mount")).unwrap();
    std::fs::copy(dir.path().join("old.pem"), dir.path().join("mount/old.pem")).unwrap();
    let said = refused(&["keys", "rotate", "--store", "readonly:mount"], &[], dir.path());
    has(&said, &["error: readonly:mount: its keys are mounted read-only", "`previous.pem`"]);
}

#[test]
fn init_says_what_is_in_its_way_and_what_comes_next() {
    let dir = tempfile::tempdir().unwrap();
    let init =
        |output: &'static str| ["init", "--upstream", "http://auth:3000", "--output", output];
    std::fs::write(dir.path().join("mine.toml"), "mine").unwrap();
    let said = refused(&init("mine.toml"), &[], dir.path());
    has(&said, &["error: mine.toml: it exists already", "`--output FILE`", "`--force`"]);
    has(&said, &["`countersign run --check --config mine.toml`"]);
    assert_eq!(std::fs::read_to_string(dir.path().join("mine.toml")).unwrap(), "mine");
    let said = refused(&init("no such/c.toml"), &[], dir.path());
    has(&said, &["its folder does not exist\nhint: `mkdir -p 'no such'` makes it"]);
    let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(init("my conf.toml"))
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    has(
        &said,
        &["wrote my conf.toml\nnext:\n", "countersign run --check --config 'my conf.toml' "],
    );
    has(&said, &["countersign run --config 'my conf.toml' ", "set `public_url` in it"]);
}

#[test]
fn a_store_that_is_none_says_what_to_write_and_no_password() {
    let store = |store: &str| {
        let toml = "[upstream]\nurl = \"http://a\"\n[signing]\nencryption_key = \"x\"\nstore = ";
        let said = check(&format!("{toml}\"{store}\"\n"));
        assert!(!said.contains("hunter2"), "{said}");
        has(&said, &["signing.store: "]);
        said
    };
    for (text, line) in [
        ("http://redis:6379/0", "redis://redis:6379/0"),
        ("valkey://redis:6379", "redis://redis:6379"),
        ("https://redis:6380", "rediss://redis:6380"),
        ("redis.internal:6379", "redis://redis.internal:6379"),
    ] {
        let said = store(text);
        if cfg!(feature = "redis") {
            has(&said, &[&format!("hint: write `store = \"{line}\"`")]);
        }
    }
    has(&store("http://:hunter2@redis:6379"), &["write `redis:` in its place"]);
    has(&store("redis:localhost:6379"), &["it has no host", "redis://HOST:6379/0"]);
    has(&store("redis://:hun/ter2@h:6379"), &["%2F"]);
    has(&store("redis://h/keys"), &["number of a database", "?ring=NAME"]);
    has(&store("etcd:a"), &["`redis://HOST:PORT/DB`"]);
}
