//! The real program as a process, in its own folder.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Runs the program with this input, to its end. It may end before it has read all of it.
pub fn with_input(args: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

/// A configuration in a folder, and processes that run it.
pub struct Place {
    pub dir: tempfile::TempDir,
    pub port: u16,
    tls: Option<reqwest::Certificate>,
}

pub struct Process(pub Child, PathBuf);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    pub fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.1).unwrap()
    }

    pub async fn says(&mut self, text: &str) {
        for _ in 0..1500 {
            if self.log().contains(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("never said {text:?}:\n{}", self.log());
    }

    pub async fn ends(&mut self) -> Option<i32> {
        for _ in 0..1500 {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it does not end:\n{}", self.log());
    }
}

impl Place {
    pub fn new(upstream: &str, more: &str) -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap(), port: free_port(), tls: None };
        place.configure(upstream, more);
        place
    }

    /// With TLS and a new certificate for `localhost`.
    pub fn with_tls(upstream: &str, more: &str) -> Self {
        let mut place = Self::new(upstream, "");
        place.renew_certificate();
        place.configure(upstream, more);
        place
    }

    pub fn renew_certificate(&mut self) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(self.dir.path().join("c.pem"), made.cert.pem()).unwrap();
        std::fs::write(self.dir.path().join("k.pem"), made.signing_key.serialize_pem()).unwrap();
        self.tls = Some(reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap());
    }

    pub fn configure(&self, upstream: &str, more: &str) {
        let tls = self.tls.as_ref().map_or("", |_| "tls = { cert = \"c.pem\", key = \"k.pem\" }\n");
        let text = format!(
            "data_dir = \"data\"\n[server]\nlisten = \"127.0.0.1:{}\"\nthreads = 1\n{tls}\
             [admin]\nlisten = \"off\"\n[signing]\nalgorithm = \"ES256\"\n\
             [upstream]\nurl = \"{upstream}\"\n{more}",
            self.port
        );
        std::fs::write(self.dir.path().join("c.toml"), text).unwrap();
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.current_dir(self.dir.path()).args(["run", "--config", "c.toml"]).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    pub fn start(&self, name: &str, args: &[&str]) -> Process {
        let log = self.dir.path().join(name);
        let file = std::fs::File::create(&log).unwrap();
        Process(self.command(args).stderr(file).spawn().unwrap(), log)
    }

    /// Starts the program without the configuration, and with `vars` as its only environment
    /// variables.
    pub fn started(&self, name: &str, args: &[&str], vars: &[(&str, &str)]) -> Process {
        let log = self.dir.path().join(name);
        let file = std::fs::File::create(&log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.current_dir(self.dir.path()).args(args).env_clear().envs(vars.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        Process(command.spawn().unwrap(), log)
    }

    pub async fn running(&self) -> Process {
        self.running_as("log").await
    }

    pub async fn running_as(&self, name: &str) -> Process {
        let mut process = self.start(name, &[]);
        process.says("listening").await;
        let client = self.client().build().unwrap();
        for _ in 0..1500 {
            match client.get(self.url("/.well-known/jwks.json")).send().await {
                Ok(answer) if answer.status() == 200 => return process,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        panic!("no key set:\n{}", process.log());
    }

    pub fn url(&self, path: &str) -> String {
        match self.tls {
            Some(_) => format!("https://localhost:{}{path}", self.port),
            None => format!("http://127.0.0.1:{}{path}", self.port),
        }
    }

    /// A client that trusts the certificate.
    pub fn client(&self) -> reqwest::ClientBuilder {
        let client = reqwest::Client::builder().no_proxy();
        match &self.tls {
            Some(root) => client
                .tls_certs_only([root.clone()])
                .resolve("localhost", ([127, 0, 0, 1], self.port).into()),
            None => client,
        }
    }

    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Runs a start that must fail. Returns the exit status and the log lines.
    pub fn refused(&self) -> (Option<i32>, String) {
        let Output { status, stderr, .. } = self.command(&[]).output().unwrap();
        (status.code(), String::from_utf8(stderr).unwrap())
    }
}
