//! Nothing secret is ever logged. The real program runs at `trace` through logins, exchanges, refusals,
//! outages and bad configurations, with a known secret in every possible place, and the test searches
//! everything written for each of them.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::live::LiveIssuer;
use crate::support::process::free_port;

/// The program, with its log in a file. It is stopped on drop.
struct Program {
    child: Child,
    public: String,
    admin: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(folder: &Path, format: &str, issuer: &str) -> Program {
    let (public, admin) = (free_port(), free_port());
    let file = folder.join("countersign.toml");
    std::fs::write(&file, configuration(public, admin, issuer, "")).unwrap();
    let log = std::fs::File::create(folder.join("log")).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(["run", "--log", "trace", "--log-format", format, "--config"])
        .arg(file)
        .env("CONFIGURED_SECRET", CONFIGURED)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let url = |port| format!("http://127.0.0.1:{port}");
    Program { child, public: url(public), admin: url(admin) }
}

const CONFIGURED: &str = "configured-secret-that-is-long-enough-for-HS256";

fn configuration(public: u16, admin: u16, issuer: &str, more: &str) -> String {
    format!(
        r#"
        data_dir = "data"
        [server]
        listen = "127.0.0.1:{public}"
        public_url = "http://127.0.0.1:{public}"
        [admin]
        listen = "127.0.0.1:{admin}"
        [upstream]
        url = "{issuer}"
        [[issuer]]
        name = "login"
        issuer = "{issuer}"
        jwks = "/jwks"
        algorithms = ["ES384", "HS256"]
        secret = "${{CONFIGURED_SECRET}}"
        [issuer.fetch]
        headers = {{ "x-api-key" = "${{CONFIGURED_SECRET}}" }}
        [[tokens]]
        path = "/token"
        json = ["access_token", "id_token", "refresh_token"]
        cookies = ["sid"]
        restore_form = ["refresh_token"]
        [[tokens]]
        path = "/me"
        bearer = "restore"
        {more}
        "#
    )
}

/// Every private key in the ring's file, as written there.
fn private_keys(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder.join("data")).unwrap() {
        let path = entry.unwrap().path();
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let Ok(ring) = serde_json::from_str::<serde_json::Value>(&text) else { continue };
        for key in ring["keys"].as_array().into_iter().flatten() {
            found.extend(key["private"].as_str().map(ToOwned::to_owned));
        }
    }
    assert!(!found.is_empty(), "the ring was not found");
    found
}

async fn eventually(what: &str, mut so: impl AsyncFnMut() -> bool) {
    for _ in 0..400 {
        if so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what} did not come");
}

/// Makes requests with secrets everywhere, and returns those secrets.
async fn requests(program: &Program, issuer: &LiveIssuer) -> Vec<String> {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap();
    let Program { public, admin, .. } = program;
    let ready = || async {
        let answer = client.get(format!("{admin}/readyz")).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    };
    eventually("readiness", async || ready().await).await;

    let form = "application/x-www-form-urlencoded";
    let good = issuer.token(300);
    let expired = issuer.token(-60);
    let tampered = good.replacen("eyJ", "eyK", 1);
    let mut secrets = vec![expired.clone(), tampered.clone(), issuer.leaked.clone()];
    for token in [&good, &expired, &tampered, &"x".repeat(40_000)] {
        let body = format!(
            "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token={token}\
             &subject_token_type=urn:ietf:params:oauth:token-type:jwt"
        );
        let request = client.post(format!("{public}/_countersign/token"));
        let answer = request.header("content-type", form).body(body).send().await.unwrap();
        let text = answer.text().await.unwrap();
        let said: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        secrets.extend(said["access_token"].as_str().map(ToOwned::to_owned));
    }
    secrets.push(good.clone());

    // A login's answer, with secrets in the request too.
    let request = client.post(format!("{public}/token")).header("content-type", form);
    let body = "grant_type=authorization_code&code=form-code-secret&client_secret=form-client-secret\
                &code_verifier=form-verifier-secret&refresh_token=form-refresh-secret";
    let answer = request.header("authorization", "Basic aGVhZGVyLWJhc2ljLXNlY3JldA==");
    let text = answer.body(body).send().await.unwrap().text().await.unwrap();
    let said: serde_json::Value = serde_json::from_str(&text).unwrap();
    for member in ["access_token", "id_token"] {
        secrets.push(said[member].as_str().unwrap().to_owned());
    }
    // Tokens that come back: an opaque one and one of ours.
    for token in ["header-opaque-secret", said["access_token"].as_str().unwrap()] {
        let request = client.get(format!("{public}/me?code=query-code-secret&id_token={good}"));
        let request = request.bearer_auth(token).header("cookie", "sid=cookie-request-secret");
        request.send().await.unwrap();
    }
    // Odd requests, key sets, the admin side.
    for path in ["/.well-known/jwks.json", "/.well-known/openid-configuration", "/jwks", "/x%00"] {
        let _ = client.get(format!("{public}{path}")).send().await;
    }
    for path in ["/", "/api/status", "/metrics"] {
        assert_eq!(client.get(format!("{admin}{path}")).send().await.unwrap().status(), 200);
    }
    // Pasted into the status page: a good token, a changed one, other text, and one that is too long.
    let long = format!("pasted-long-secret{}", "x".repeat(2 << 20));
    for (pasted, status) in [
        (good.clone(), 200),
        (format!("Authorization: Bearer {tampered}"), 200),
        ("pasted-opaque-secret".to_owned(), 200),
        (long, 413),
    ] {
        let request = client.post(format!("{admin}/api/inspect")).body(pasted);
        let answer = request.header("content-type", "application/jwt").send().await;
        assert_eq!(answer.unwrap().status(), status);
    }

    let fixed = [
        CONFIGURED,
        "form-code-secret",
        "form-client-secret",
        "form-verifier-secret",
        "form-refresh-secret",
        "aGVhZGVyLWJhc2ljLXNlY3JldA",
        "header-opaque-secret",
        "query-code-secret",
        "cookie-request-secret",
        "cookie-that-must-not-be-seen",
        "opaque-refresh-that-must-not-be-seen",
        "claim-about-a-person",
        "pasted-opaque-secret",
        "pasted-long-secret",
    ];
    secrets.extend(fixed.map(ToOwned::to_owned));
    secrets
}

/// Fails when `log` shows any of `secrets`, or a part of one that is a secret by itself.
fn scan(log: &str, secrets: &[String]) {
    for secret in secrets {
        assert!(!log.contains(secret.as_str()), "logged: {secret}\n{log}");
        for part in secret.split('.').filter(|part| part.len() >= 30) {
            assert!(!log.contains(part), "logged in part: {part}\n{log}");
        }
    }
    for (n, line) in log.lines().enumerate() {
        for mark in ["eyJ", "PRIVATE KEY-----\\n", "\"d\":\"", "\\\"d\\\":\\\"", "\"private\":"] {
            assert!(!line.contains(mark), "line {n} has {mark}: {line}");
        }
    }
}

async fn run(format: &str) -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let issuer = LiveIssuer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut program = start(folder.path(), format, &issuer.url);
    let mut secrets = requests(&program, &issuer).await;
    let log = || std::fs::read_to_string(folder.path().join("log")).unwrap();

    // A reload with a file that is wrong, near a secret.
    let wrong =
        "[log]\nlevel = \"loud\"\n[exchange.session]\nurl = \"configured-secret-in-a-wrong-place";
    let ports = |url: &str| url.rsplit(':').next().unwrap().parse().unwrap();
    let text = configuration(ports(&program.public), ports(&program.admin), &issuer.url, wrong);
    std::fs::write(folder.path().join("countersign.toml"), text).unwrap();
    signal(&program.child, "HUP");
    eventually("word of the bad file", async || log().contains("old configuration stays")).await;
    secrets.push("configured-secret-in-a-wrong-place".to_owned());

    signal(&program.child, "TERM");
    let ended = tokio::task::spawn_blocking(move || program.child.wait()).await.unwrap().unwrap();
    assert!(ended.success(), "{ended}\n{}", log());
    secrets.extend(private_keys(folder.path()));
    let log = log();
    scan(&log, &secrets);
    log
}

fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_logged_as_json() {
    let log = run("json").await;
    let mut requests = 0;
    let mut codes = std::collections::BTreeSet::new();
    for line in log.lines() {
        let line: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        for field in ["timestamp", "level", "target", "message"] {
            assert!(line[field].is_string(), "{field}: {line}");
        }
        if line["target"] == "countersign::access" {
            requests += 1;
            assert!(line["status"].is_u64() && line["seconds"].is_f64(), "{line}");
            assert!(line["request_id"].as_str().is_some_and(|id| id.len() > 3), "{line}");
            assert!(!line["path"].as_str().unwrap().contains('?'), "{line}");
            if line["route"] == "exchange" {
                let refused = line["status"].as_u64().unwrap() >= 400;
                assert_eq!(line["code"].is_string(), refused, "{line}");
                codes.extend(line["code"].as_str().map(ToOwned::to_owned));
            }
        }
    }
    assert!(requests >= 7, "only {requests} requests are in\n{log}");
    assert!(codes.contains("expired") && codes.len() >= 3, "{codes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_logged_as_text() {
    let log = run("text").await;
    assert!(log.contains("countersign::access: request request_id="), "{log}");
}

#[test]
fn a_bad_configuration_does_not_show_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("countersign.toml");
    for text in [
        "[signing]\nencryption_key = \"a-secret-that-is-no-key\"\nstore = \"redis://u:a-secret-that-is-no-key@127.0.0.1:1/0\"",
        "[[issuer]]\nissuer = \"https://a.example\"\nalgorithms = [\"HS256\"]\nsecret = \"a-secret-that\"",
        "[upstream]\nurl = \"https://user:a-secret-that-is-no-key@a.example\"",
        "[[issuer]]\nissuer = \"https://a.example\"\nsecret = [\"a-secret-that-is-no-key\", 7]",
    ] {
        std::fs::write(&file, text).unwrap();
        let run = Command::new(env!("CARGO_BIN_EXE_countersign"))
            .args([
                "run",
                "--listen",
                "127.0.0.1:0",
                "--admin",
                "off",
                "--log",
                "trace",
                "--config",
            ])
            .arg(&file)
            .arg("--data-dir")
            .arg(folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stderr).into_owned()
            + &String::from_utf8_lossy(&run.stdout);
        assert_eq!(run.status.code(), Some(2), "{text}\n{said}");
        assert!(!said.contains("a-secret-that"), "{said}");
    }
}

/// The check of all logs of the test suite (`scripts/test`) finds a planted secret.
#[test]
fn a_planted_secret_is_found() {
    let scan = |line: Option<&str>| {
        let folder = tempfile::tempdir().unwrap();
        if let Some(line) = line {
            let text = format!("INFO countersign::serve: listening public=127.0.0.1:1\n{line}\n");
            std::fs::write(folder.path().join("1.log"), text).unwrap();
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/scan-logs");
        Command::new(script).arg(folder.path()).output().unwrap()
    };
    for clean in [
        "INFO countersign::access: request request_id=0af7651916cd43dd8448eb211c80319c method=\"GET\"",
        "INFO a: new key kid=9Xh2bJ_yS0oWmUbm0mQF3iJ7c2k1V8m4vKq9uTn1wEs",
        "INFO a: a bearer token was refused code=\"expired\"",
        "WARN a: https://login.example.com/oidc/jwks?x=1 answered 503",
    ] {
        let output = scan(Some(clean));
        assert!(output.status.success(), "{clean}\n{output:?}");
    }
    let signature = "Ab1_".repeat(32);
    for planted in [
        "got eyJhbGciOiJFUzM4NCJ9",
        "got AAAAAAAAAAAA.BBBBBBBBBBBBBBBBBBBBBB.CCCCCCCCCCCCCCCCCCCCCC",
        signature.as_str(),
        "-----BEGIN EC PRIVATE KEY-----",
        r#"{"kty":"EC","d":"abc"}"#,
        r#"body="{\"k\":\"abc\"}""#,
        "Authorization: Bearer opaque-value-1",
        "authorization=\"basic dXNlcjpwYXNz\"",
        "redis://user:pass@db:6379/0 is down",
        "path=\"/cb?code=abc\"",
        "saw cookie-that-must-not-be-seen",
        "saw form-client-secret",
    ] {
        let output = scan(Some(planted));
        assert_eq!(output.status.code(), Some(1), "{planted}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("found by"), "{planted}");
    }
    // A folder without logs is an error.
    assert_eq!(scan(None).status.code(), Some(1));
}
