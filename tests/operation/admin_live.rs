//! The admin listener of a running proxy: its answers, and who gets them.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use countersign::config::env::NoEnv;
use countersign::config::{self, RunOverrides};
use countersign::serve::{self, Handle};
use serde_json::Value;

use crate::support::live::LiveIssuer;

struct Running {
    server: Handle,
    admin: SocketAddr,
    issuer: LiveIssuer,
    client: reqwest::Client,
    _data: tempfile::TempDir,
}

impl Running {
    async fn start() -> Self {
        Self::with(|text| text).await
    }

    /// With a configuration made out of the usual one.
    async fn with(edit: impl Fn(String) -> String) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let issuer = LiveIssuer::start().await;
        let data = tempfile::tempdir().unwrap();
        let text = format!(
            r#"
            data_dir = "{}"
            [server]
            listen = "127.0.0.1:0"
            public_url = "https://login.example.com"
            [admin]
            listen = "127.0.0.1:0"
            hosts = ["status.example.com"]
            [upstream]
            url = "{url}"
            [[issuer]]
            name = "login"
            issuer = "{url}"
            jwks = "/jwks"
            algorithms = ["ES384"]
            [[tokens]]
            path = "/token"
            json = ["access_token", "id_token"]
            "#,
            data.path().display(),
            url = issuer.url,
        );
        let text = edit(text);
        let config = config::load_text(&text, None, &RunOverrides::default(), &NoEnv).unwrap();
        let server =
            tokio::task::spawn_blocking(|| serve::start_in_process(config)).await.unwrap().unwrap();
        let admin = server.admin.unwrap();
        let client = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        let running = Self { server, admin, issuer, client, _data: data };
        for _ in 0..200 {
            if running.get("/readyz").await.0 == 200 {
                return running;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not ready: {:?}", running.get("/readyz").await);
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.client.get(format!("http://{}{path}", self.admin)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn status(&self) -> Value {
        serde_json::from_str(&self.get("/api/status").await.1).unwrap()
    }

    async fn exchange(&self, token: &str) -> (u16, String) {
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", token),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ];
        let form: String =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let url = format!("http://{}/_countersign/token", self.server.public);
        let media = "application/x-www-form-urlencoded";
        let request = self.client.post(url).header("content-type", media).body(form);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Some traffic of each kind.
    async fn traffic(&self) {
        let good = self.issuer.token(300);
        assert_eq!(self.exchange(&good).await.0, 200);
        assert_eq!(self.exchange(&good).await.0, 200);
        assert_eq!(self.exchange(&self.issuer.token(-60)).await.0, 400);
        let url = format!("http://{}/token", self.server.public);
        let answer = self.client.post(url).body("grant_type=x").send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_tells_what_happened() {
    let running = Running::start().await;
    running.traffic().await;
    let status = running.status().await;

    assert_eq!(status["ready"]["ready"], true, "{status}");
    assert_eq!(status["profile"]["name"], "convex");
    let issuer = &status["issuers"][0];
    assert_eq!((&issuer["name"], &issuer["state"]), (&"login".into(), &"fresh".into()));
    assert!(issuer["fetched"].is_i64() && issuer["next_refresh"].is_i64());
    assert_eq!(issuer["alarms"][0]["code"], "private_key_leaked");
    assert_eq!(issuer["alarms"][0]["members"], serde_json::json!(["d"]));
    // The key set before and after: one row for each entry of the document.
    let rows = issuer["keys"].as_array().unwrap();
    let effect = |kid: &str| {
        let row = rows.iter().find(|row| row["kid_before"] == kid || row["path"] == kid);
        row.map(|row| row["effect"].clone()).unwrap_or_default()
    };
    assert_eq!(effect("e1"), "same", "{issuer:#}");
    assert_eq!(effect("edwards"), "same", "{issuer:#}");
    assert_eq!(effect("$[2]"), "dropped", "{issuer:#}");
    assert_eq!(status["signing"][0]["state"], "active");
    let set = &status["sets"][0];
    assert_eq!(
        (&set["path"], &set["keys"][0]["origin"]),
        (&"/.well-known/jwks.json".into(), &"own".into())
    );

    // What to configure in the verifier.
    let setup = &status["setup"];
    assert_eq!(setup["public_url"], "https://login.example.com");
    assert_eq!(setup["issuer"], running.issuer.url);
    let block = setup["auth_config"].as_str().unwrap();
    for line in [
        format!("issuer: \"{}\",", running.issuer.url),
        "jwks: \"https://login.example.com/.well-known/jwks.json\",".to_owned(),
        "algorithm: \"RS256\",".to_owned(),
    ] {
        assert!(block.contains(&line), "{line} is not in\n{block}");
    }
    let answered = status["upstream"]["last_answer"].as_i64().unwrap();
    assert!((0..60).contains(&(status["now"].as_i64().unwrap() - answered)), "{status}");

    let tokens = &status["tokens"];
    assert_eq!(tokens["refusals"][0]["code"], "expired", "{tokens}");
    assert_eq!(tokens["refused"], 1);
    assert!(tokens["countersigned"].as_u64().unwrap() >= 3, "{tokens}");
    // Cached results are void when a set changes, as it may in the first second. After that they are kept.
    let again = running.issuer.token(300);
    let mut hits = 0;
    for _ in 0..100 {
        assert_eq!(running.exchange(&again).await.0, 200);
        hits = running.status().await["tokens"]["cache"]["hits"].as_u64().unwrap();
        if hits > 0 {
            break;
        }
    }
    assert!(hits > 0, "{tokens}");
    let latency = tokens["latency"]["buckets"].as_array().unwrap();
    assert!(latency.iter().map(|bucket| bucket["count"].as_u64().unwrap()).sum::<u64>() >= 3);
}

/// The auth server does not answer: degraded at once, not ready after a while, ready when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_failing_auth_server_is_seen_everywhere() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let running = Running::with(|text| {
        let upstream = format!("[upstream]\n            url = \"http://127.0.0.1:{port}\"");
        let (before, after) = text.split_once("[upstream]").unwrap();
        let (url, rest) = after.split_once("[[issuer]]").unwrap();
        let jwks = url.split('"').nth(1).unwrap();
        let rest = rest.replace("\"/jwks\"", &format!("\"{jwks}/jwks\""));
        let before = before.replace("[admin]", "[admin]\n            not_ready_after = \"1s\"");
        format!("{before}{upstream}\n            [[issuer]]{rest}")
    })
    .await;
    let ready = async || {
        let (status, body) = running.get("/readyz").await;
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    let (status, said) = ready().await;
    assert_eq!((status, &said["degraded"]), (200, &false.into()), "{said}");

    let url = format!("http://{}/userinfo", running.server.public);
    assert_eq!(running.client.get(&url).send().await.unwrap().status(), 502);
    // A request is counted after its answer was written.
    let mut said = ready().await.1;
    for _ in 0..200 {
        if said["degraded"] == true {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        said = ready().await.1;
    }
    assert_eq!(said["degraded"], true, "{said}");
    let reason = said["reasons"].to_string();
    assert!(reason.contains(&format!("auth server http://127.0.0.1:{port}")), "{reason}");
    assert!(
        reason.contains("could not be reached (upstream_unreachable)")
            && reason.contains("1 in the last"),
        "{reason}"
    );
    let upstream = running.status().await["upstream"].clone();
    assert_eq!(upstream["recent_failures"], 1, "{upstream}");
    assert_eq!(upstream["last_error"]["code"], "upstream_unreachable");
    let metrics = running.get("/metrics").await.1;
    for line in [
        "countersign_upstream_up 0",
        "countersign_upstream_recent_failures 1",
        "countersign_degraded 1",
    ] {
        assert!(metrics.lines().any(|have| have == line), "{line} is not in\n{metrics}");
    }
    // Answers that the proxy gives by itself say nothing about the auth server.
    let alone = running.client.request(reqwest::Method::OPTIONS, &url).header("max-forwards", "0");
    assert_eq!(alone.send().await.unwrap().status(), 204);
    let mut last = 200;
    for _ in 0..100 {
        let alone =
            running.client.request(reqwest::Method::OPTIONS, &url).header("max-forwards", "0");
        alone.send().await.unwrap();
        last = ready().await.0;
        if last == 503 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(last, 503);

    // It is back. A proxy that is not ready gets no requests, so it probes by itself.
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    // The longest page that the probe reads.
    let page = axum::Router::new().fallback(|| async { "x".repeat(64 * 1024) });
    tokio::spawn(async move { axum::serve(listener, page).await.unwrap() });
    for _ in 0..300 {
        let (status, said) = ready().await;
        if status == 200 && said["degraded"] == false {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{:?}", ready().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_any_answer() {
    let running = Running::start().await;
    running.traffic().await;
    let mut all = String::new();
    for path in ["/", "/api/status", "/metrics", "/readyz", "/healthz", "/nothing"] {
        all += &running.get(path).await.1;
    }
    assert!(all.len() > 10_000);
    assert!(!all.contains("eyJ"), "a token");
    assert!(!all.contains(&running.issuer.leaked), "the issuer's private key");
    for member in ["\"d\":", "\"p\":", "\"dq\":", "\"k\":", "PRIVATE KEY"] {
        assert!(!all.contains(member), "{member}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_reads_the_metrics() {
    let running = Running::start().await;
    running.traffic().await;
    let (status, text) = running.get("/metrics").await;
    assert_eq!(status, 200);
    for line in [
        "countersign_ready 1",
        "countersign_tokens_total{issuer=\"login\",alg=\"ES384\",outcome=\"refused\"} 1",
        "countersign_refusals_total{issuer=\"login\",reason=\"expired\"} 1",
        "countersign_jwks_leaked_secrets{issuer=\"login\"} 1",
        "countersign_signing_keys{state=\"active\"} 1",
        "countersign_key_ring_full 0",
        "countersign_requests_total{route=\"exchange\",status=\"2xx\"} 2",
        "countersign_request_duration_seconds_count{route=\"exchange\"} 3",
        "countersign_request_duration_seconds_bucket{route=\"exchange\",le=\"+Inf\"} 3",
    ] {
        assert!(text.lines().any(|have| have == line), "{line} is not in\n{text}");
    }
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut child) = promtool.stderr(Stdio::piped()).spawn() else {
        panic!("promtool is missing: run `scripts/install promtool` (`make test` does)");
    };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success() && said.is_empty(), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebinding_page_is_refused_and_probes_are_not() {
    let running = Running::start().await;
    let ask = |path: &str, host: &str| {
        let url = format!("http://{}{path}", running.admin);
        let request = running.client.get(url).header("host", host);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    for path in ["/", "/api/status", "/metrics"] {
        assert_eq!(ask(path, "rebind.evil.example:9090").await, 421, "{path}");
        assert_eq!(ask(path, "localhost:9090").await, 200, "{path}");
        assert_eq!(ask(path, "status.example.com").await, 200, "{path}");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(ask(path, "anything.example").await, 200, "{path}");
    }
    let request = running.client.post(format!("http://{}/api/inspect", running.admin));
    let request = request.header("host", "rebind.evil.example").body("a.b.c");
    let answer = request.header("content-type", "application/jwt").send().await.unwrap();
    assert_eq!(answer.status(), 421);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_host_is_in_doubt_gets_an_answer() {
    let running = Running::start().await;
    let at = running.admin;
    let ask = |head: &'static str| async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(at).await.unwrap();
        let request = format!("{head}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        tokio::time::timeout(Duration::from_secs(20), read).await.unwrap().unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    for head in [
        "GET /metrics HTTP/1.1\r\nHost: user@localhost\r\n",
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n",
        "GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\n",
        "GET http://user:pass@localhost/metrics HTTP/1.1\r\nHost: localhost\r\n",
        "GET /metrics HTTP/1.1\r\nHost: a b\r\n",
        "GET /metrics HTTP/1.1\r\n",
    ] {
        let answer = ask(head).await;
        let refused = ["HTTP/1.1 400 ", "HTTP/1.1 421 "].iter().any(|s| answer.starts_with(s));
        assert!(refused, "{head}: {answer}");
        assert!(answer.contains("\"error\"") && !answer.contains("countersign_ready"), "{answer}");
    }
    let answer = ask("GET http://localhost/metrics HTTP/1.1\r\nHost: localhost\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_hardened_and_none_crosses_origins() {
    let running = Running::start().await;
    for path in ["/", "/api/status", "/metrics", "/nothing"] {
        let url = format!("http://{}{path}", running.admin);
        let request = running.client.get(url).header("origin", "https://evil.example");
        let headers = request.send().await.unwrap().headers().clone();
        assert!(
            headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'")
        );
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["cache-control"], "no-store");
        assert!(!headers.contains_key("access-control-allow-origin"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pasted_token_is_decoded_for_our_own_page_alone() {
    let running = Running::start().await;
    let token = running.issuer.token(300);
    let post = |media: &'static str, site: Option<&'static str>, body: String| {
        let url = format!("http://{}/api/inspect", running.admin);
        let mut request = running.client.post(url).header("content-type", media).body(body);
        if let Some(site) = site {
            request = request.header("sec-fetch-site", site);
        }
        async move {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        }
    };
    let (status, body) = post("application/jwt", Some("same-origin"), token.clone()).await;
    assert_eq!(status, 200);
    let said: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&said["form"], &said["header"]["alg"]), (&"jws".into(), &"ES384".into()), "{said}");
    assert_eq!(said["claims"]["sub"], "claim-about-a-person");
    // The signature, which alone makes it a token, is not sent back.
    assert!(!body.contains(token.rsplit('.').next().unwrap()));

    // It is read as `inspect` reads one, and for other text it says that this is not a token.
    let around = format!("Authorization: Bearer \"{token}\"\r\n");
    let (status, wrapped) = post("application/jwt", None, around).await;
    let wrapped: Value = serde_json::from_str(&wrapped).unwrap();
    assert_eq!((status, &wrapped["claims"]), (200, &said["claims"]), "{wrapped}");
    let (_, none) = post("application/jwt", None, "hunter2".to_owned()).await;
    assert!(none.contains("\"form\":\"malformed\"") && !none.contains("hunter2"), "{none}");

    assert_eq!(post("text/plain", None, token.clone()).await.0, 415);
    assert_eq!(post("application/x-www-form-urlencoded", None, token.clone()).await.0, 415);
    assert_eq!(post("application/jwt", Some("cross-site"), token.clone()).await.0, 403);
    assert_eq!(post("application/jwt", None, "x".repeat(3 << 20)).await.0, 413);
    assert_eq!(running.get("/api/inspect").await.0, 405);
    // Nothing is kept of it.
    let after = running.get("/api/status").await.1 + &running.get("/metrics").await.1;
    assert!(!after.contains("claim-about-a-person"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_a_running_proxy_works_in_a_browser() {
    let node = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node");
    let chromium = option_env!("CHROMIUM").unwrap_or("/usr/bin/chromium");
    if !Path::new(chromium).exists() || !node.join("node_modules/playwright-core").exists() {
        panic!("chromium or playwright-core is missing: run `scripts/install chromium packages`");
    }
    let running = Running::start().await;
    running.traffic().await;
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page/live");
    std::fs::create_dir_all(&out).unwrap();
    let mut look = Command::new("node");
    look.arg(node.join("page/check.mjs")).arg(format!("http://{}", running.admin)).arg(&out);
    look.env("TOKEN", running.issuer.token(300));
    let run = tokio::task::spawn_blocking(move || look.output()).await.unwrap().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let seen: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(seen["ready"], "ready");
    assert_eq!(seen["complaints_before_attack"], serde_json::json!([]));
    assert_eq!(seen["accessibility"], serde_json::json!([]));
    let text = seen["text"].as_str().unwrap();
    for said in [
        "login",
        "answers",
        "fresh",
        "The issuer publishes the private part of a key at $[1] (d)",
        "The token has expired.",
        "ES384",
        "signs",
        "jwks: \"https://login.example.com/.well-known/jwks.json\"",
        "/.well-known/jwks.json, /jwks · cached for",
    ] {
        assert!(text.contains(said), "{said} is not in\n{text}");
    }
    assert!(!text.contains("eyJ"));
    let decoded = seen["decoded"].as_str().unwrap();
    assert!(decoded.contains("claim-about-a-person") && decoded.contains("ES384"), "{decoded}");
}
