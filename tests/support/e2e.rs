//! Real programs on free ports: the Node issuers and clients of `tests/node`, and the real binary
//! between them. Everything that a test starts here ends with the test.

use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, Once};
use std::time::Duration;

use serde_json::Value;

/// How long a program may take to listen, or a client to finish, on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

fn node_folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node");
    assert!(
        folder.join("node_modules/oidc-provider").is_dir(),
        "the Node packages are missing: run `scripts/install node packages` (`make test` does)"
    );
    folder
}

fn node(script: &str, options: &Value) -> Command {
    let mut command = Command::new("node");
    command
        .current_dir(node_folder())
        .args(["--no-warnings", script, &options.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A port on which nothing listens now, and which was not returned before.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    let mut given = GIVEN.lock().unwrap();
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if !given.contains(&port) {
            given.push(port);
            return port;
        }
    }
}

/// A Node server that has printed its address.
pub struct Issuer {
    child: Child,
    /// Closing it stops the server.
    stdin: Option<ChildStdin>,
    /// What the server printed: `url`, and other members of the script.
    pub ready: Value,
}

impl Issuer {
    /// Starts `tests/node/issuers/<script>.mjs`.
    pub fn start(script: &str, options: &Value) -> Self {
        let mut child = node(&format!("issuers/{script}.mjs"), options)
            .stdin(Stdio::piped())
            .spawn()
            .expect("node is missing: run `scripts/install node` (`make test` does)");
        let stdin = child.stdin.take();
        let errors = collect(child.stderr.take().unwrap());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().and_then(Result::ok).unwrap_or_else(|| {
            panic!("issuers/{script}.mjs did not start: {}", errors.join().unwrap())
        });
        std::thread::spawn(move || lines.for_each(drop));
        let ready = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{script} said: {line}"));
        Self { child, stdin, ready }
    }

    /// The server's own address, behind the proxy.
    pub fn url(&self) -> &str {
        self.get("url")
    }

    pub fn get(&self, name: &str) -> &str {
        self.ready[name].as_str().unwrap_or_else(|| panic!("no {name} in {}", self.ready))
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        // The server ends by itself, together with programs that it started (workerd).
        drop(self.stdin.take());
        for _ in 0..150 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Another program of a test. Dropping it ends the program.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn collect(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        let _ = from.read_to_string(&mut text);
        text
    })
}

/// Runs `tests/node/clients/<script>.mjs` to its end. Returns its result or its error.
pub fn client(script: &str, options: &Value) -> Result<Value, String> {
    let mut child = node(&format!("clients/{script}.mjs"), options)
        .stdin(Stdio::null())
        .spawn()
        .expect("node is missing: run `scripts/install node` (`make test` does)");
    let out = collect(child.stdout.take().unwrap());
    let errors = collect(child.stderr.take().unwrap());
    let mut waited = Duration::ZERO;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if waited > TIMEOUT {
            let _ = child.kill();
            panic!("clients/{script}.mjs does not end: {}", errors.join().unwrap());
        }
        std::thread::sleep(Duration::from_millis(20));
        waited += Duration::from_millis(20);
    };
    let out = out.join().unwrap();
    if !status.success() {
        return Err(errors.join().unwrap());
    }
    Ok(serde_json::from_str(out.trim()).unwrap_or_else(|_| panic!("{script} said: {out}")))
}

/// The real binary, running.
pub struct Proxy {
    child: Child,
    pub url: String,
    pub admin: String,
    pub data: tempfile::TempDir,
    errors: PathBuf,
}

/// The arguments for starting the binary.
pub struct ProxyOptions<'a> {
    /// The port that clients use. The issuer's address contains it, so it is chosen before either
    /// is started.
    pub port: u16,
    pub upstream: Option<&'a str>,
    /// The text of a configuration file; `None` means `--upstream` only.
    pub config: Option<&'a str>,
    pub env: &'a [(&'a str, &'a str)],
}

impl Proxy {
    /// Starts `countersign run` and waits until it is ready.
    pub async fn start(options: &ProxyOptions<'_>) -> Self {
        let data = tempfile::tempdir().unwrap();
        let url = format!("http://127.0.0.1:{}", options.port);
        let admin = format!("http://127.0.0.1:{}", free_port());
        let errors = data.path().join("log.txt");
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command
            .arg("run")
            .args(["--listen", url.trim_start_matches("http://")])
            .args(["--admin", admin.trim_start_matches("http://")])
            .args(["--public-url", &url])
            .arg("--data-dir")
            .arg(data.path().join("data"));
        if let Some(upstream) = options.upstream {
            command.args(["--upstream", upstream]);
        }
        if let Some(text) = options.config {
            let file = data.path().join("countersign.toml");
            std::fs::write(&file, text).unwrap();
            command.arg("--config").arg(&file);
        }
        let log = std::fs::File::create(&errors).unwrap();
        let child = command
            .envs(options.env.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut proxy = Self { child, url, admin, data, errors };
        proxy.wait_until_ready().await;
        proxy
    }

    async fn wait_until_ready(&mut self) {
        let client = http_client();
        let ready = format!("{}/readyz", self.admin);
        let mut waited = Duration::ZERO;
        let mut last = String::new();
        while waited < TIMEOUT {
            match client.get(&ready).send().await {
                Ok(answer) if answer.status().is_success() => return,
                Ok(answer) => last = answer.text().await.unwrap_or_default(),
                Err(error) => last = error.to_string(),
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("countersign ended with {status}: {}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            waited += Duration::from_millis(50);
        }
        panic!("countersign is not ready: {last}\n{}", self.log());
    }

    /// The log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.errors).unwrap_or_default()
    }

    /// Runs the same binary on the same configuration and data.
    pub fn command(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(arguments).arg("--config").arg(self.data.path().join("countersign.toml"));
        command.arg("--data-dir").arg(self.data.path().join("data")).output().unwrap()
    }

    pub fn jwks(&self) -> String {
        format!("{}/.well-known/jwks.json", self.url)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A token exchange (RFC 8693): the status and the JSON of the answer.
    pub async fn exchange(&self, token: &str, audience: Option<&str>) -> (u16, Value) {
        let mut form = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
            ("subject_token", token),
        ];
        form.extend(audience.map(|a| ("audience", a)));
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let answer = http_client()
            .post(format!("{}/_countersign/token", self.url))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .await
            .unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "countersign wrote:\n{}", self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A reqwest client without redirects, for plain HTTP on this machine.
pub fn http_client() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap()
}

/// The status and the body as text.
pub async fn get(url: &str) -> (u16, String) {
    let answer = http_client().get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// The header and the claims of a compact JWS, without verification.
pub fn decode(token: &str) -> (Value, Value) {
    use base64::Engine as _;
    let part = |i| {
        let text = token.split('.').nth(i).unwrap_or_default().trim_end_matches('=');
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    (part(0), part(1))
}
