//! The real program as a process: signals under load, an upgrade, and what keeps it from starting.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    dead_code,
    reason = "a test stops at the first surprise"
)]

#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/signer.rs"]
mod signer;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use proxy::{RequestExt as _, ResponseExt as _, Upstream, provider};
use serde_json::Value;

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A configuration in a folder, and processes that run it.
struct Place {
    dir: tempfile::TempDir,
    port: u16,
}

struct Process(Child, PathBuf);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.1).unwrap()
    }

    async fn says(&mut self, text: &str) {
        for _ in 0..1500 {
            if self.log().contains(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("never said {text:?}:\n{}", self.log());
    }

    async fn ends(&mut self) -> Option<i32> {
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
    fn new(upstream: &str, more: &str) -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap(), port: free_port() };
        place.configure(upstream, more);
        place
    }

    fn configure(&self, upstream: &str, more: &str) {
        let text = format!(
            "data_dir = \"data\"\n[server]\nlisten = \"127.0.0.1:{}\"\nthreads = 1\n\
             [admin]\nlisten = \"off\"\n[signing]\nalgorithm = \"ES256\"\n\
             [upstream]\nurl = \"{upstream}\"\n{more}",
            self.port
        );
        std::fs::write(self.dir.path().join("c.toml"), text).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.current_dir(self.dir.path()).args(["run", "--config", "c.toml"]).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    fn start(&self, name: &str, args: &[&str]) -> Process {
        let log = self.dir.path().join(name);
        let file = std::fs::File::create(&log).unwrap();
        Process(self.command(args).stderr(file).spawn().unwrap(), log)
    }

    async fn running(&self) -> Process {
        let mut process = self.start("log", &[]);
        process.says("listening").await;
        for _ in 0..1500 {
            match reqwest::get(self.url("/.well-known/jwks.json")).await {
                Ok(answer) if answer.status() == 200 => return process,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        panic!("no key set:\n{}", process.log());
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Starts what cannot start: its exit status, and its lines.
    fn refused(&self) -> (Option<i32>, String) {
        let Output { status, stderr, .. } = self.command(&[]).output().unwrap();
        (status.code(), String::from_utf8(stderr).unwrap())
    }
}

/// Requests of every kind until stopped; every one must be answered well.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    tasks: tokio::task::JoinSet<Vec<String>>,
}

impl Load {
    /// `refused_is_fine`: a connection that is not taken is no failed request.
    fn start(place: &Place, token: &str, refused_is_fine: bool) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..6 {
            let (stop, done) = (stop.clone(), done.clone());
            let keep_alive = n % 2 == 0;
            let urls = ["/.well-known/jwks.json", "/seen", "/big/300000"].map(|p| place.url(p));
            let exchange = place.url("/_countersign/token");
            let form = [
                ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
                ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
                ("subject_token", token),
            ];
            let exchange = reqwest::Client::new().post(exchange).form(&form).build().unwrap();
            tasks.spawn(async move {
                let mut failed = Vec::new();
                // A client that keeps connections sends a safe request again when the server closes
                // one; without, each request is a connection of its own.
                let idle = if keep_alive { 4 } else { 0 };
                let client = reqwest::Client::builder().pool_max_idle_per_host(idle);
                let client = client.no_proxy().build().unwrap();
                for i in 0.. {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    let request = match i % 4 {
                        3 if !keep_alive => exchange.try_clone().unwrap(),
                        i => client.get(&urls[i % 3]).build().unwrap(),
                    };
                    let path = request.url().path().to_owned();
                    let answer = client.execute(request).await;
                    match answer {
                        Ok(answer) => {
                            let status = answer.status();
                            let body = answer.bytes().await;
                            let short = path.starts_with("/big")
                                && body.as_ref().is_ok_and(|body| body.len() != 300_000);
                            if status != 200 || body.is_err() || short {
                                failed.push(format!("{path}: {status} {:?}", body.err()));
                            }
                            done.fetch_add(1, Ordering::SeqCst);
                        }
                        // Reset: it was in the kernel's queue when the listener was closed. One
                        // that was taken and then dropped is closed without an answer instead.
                        Err(error)
                            if refused_is_fine
                                && (error.is_connect()
                                    || format!("{error:?}").contains("ConnectionReset")) =>
                        {
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                        Err(error) => failed.push(format!("{path}: {error:?}")),
                    }
                }
                failed
            });
        }
        Self { stop, done, tasks }
    }

    async fn more(&self, n: usize) {
        let wanted = self.done.load(Ordering::SeqCst) + n;
        for _ in 0..3000 {
            if self.done.load(Ordering::SeqCst) >= wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the load stands still");
    }

    /// Ends it; nothing has failed.
    async fn stop(self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        let failed: Vec<_> = self.tasks.join_all().await.into_iter().flatten().collect();
        assert!(failed.is_empty(), "{} failed: {failed:#?}", failed.len());
        self.done.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_fails_no_request() {
    provider();
    let upstream = Upstream::start().await;
    let place = Place::new(&upstream.url(), "");
    let mut process = place.running().await;
    let load = Load::start(&place, &upstream.token(&upstream.claims()), true);
    load.more(100).await;
    process.signal("TERM");
    assert_eq!(process.ends().await, Some(0), "{}", process.log());
    load.stop().await;
    assert!(process.log().contains("stopped"), "{}", process.log());
    assert!(!process.log().contains("still open"), "{}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_under_load_fails_no_request() {
    provider();
    let upstream = Upstream::start().await;
    let place = Place::new(&upstream.url(), "");
    let mut old = place.running().await;
    let load = Load::start(&place, &upstream.token(&upstream.claims()), false);
    load.more(60).await;
    let mut new = place.start("log2", &["--upgrade"]);
    // It waits for the sockets at this place.
    let waits = place.dir.path().join("data/upgrade.sock");
    for _ in 0..1500 {
        if waits.exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    old.signal("QUIT");
    new.says("listening").await;
    assert_eq!(old.ends().await, Some(0), "{}", old.log());
    load.more(100).await;
    load.stop().await;
    assert!(new.0.try_wait().unwrap().is_none(), "{}", new.log());
    // The new one can hand over in turn, and it ends well.
    new.signal("TERM");
    assert_eq!(new.ends().await, Some(0), "{}", new.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_takes_a_good_file_and_keeps_the_old_over_a_bad_one() {
    provider();
    let upstream = Upstream::start().await;
    let issuer = |name: &str| {
        format!(
            "[[issuer]]\nname = \"{name}\"\nissuer = \"{0}/{name}\"\njwks = \"{0}/jwks\"\n",
            upstream.url()
        )
    };
    let place = Place::new(&upstream.url(), &issuer("a"));
    let mut process = place.running().await;
    let asked = async |name: &str| {
        let mut claims = upstream.claims();
        claims["iss"] = format!("{}/{name}", upstream.url()).into();
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
            ("subject_token", &upstream.token(&claims)),
        ];
        let request = reqwest::Client::new().post(place.url("/_countersign/token")).form(&form);
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    };
    let good = (200, String::new());
    let unknown = (400, "issuer_unknown".to_owned());
    assert_eq!((asked("a").await, asked("b").await), (good.clone(), unknown.clone()));
    // A bad file, then one that is not even TOML: the old one stays.
    let stays = "the old configuration stays in use";
    for (n, bad) in ["[[issuer]]\nname = \"b\"\n", "[[[\n"].iter().enumerate() {
        place.configure(&upstream.url(), bad);
        process.signal("HUP");
        for _ in 0..1500 {
            if process.log().matches(stays).count() > n {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(process.log().matches(stays).count(), n + 1, "{}", process.log());
        assert_eq!((asked("a").await, asked("b").await), (good.clone(), unknown.clone()));
    }
    assert!(process.log().contains("c.toml:"), "{}", process.log());
    place.configure(&upstream.url(), &issuer("b"));
    process.signal("HUP");
    process.says("the configuration was read again").await;
    assert_eq!((asked("b").await, asked("a").await), (good, unknown));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_exit_2_and_one_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut place = Place::new("http://127.0.0.1:1", "");
    place.port = taken.local_addr().unwrap().port();
    place.configure("http://127.0.0.1:1", "");
    let (status, text) = place.refused();
    assert_eq!(status, Some(2));
    let expected = format!(
        "error: cannot listen on 127.0.0.1:{}: address in use\n\
         hint: choose another address with --listen or --admin\n",
        place.port
    );
    assert_eq!(text, expected);
    // Nothing was made before that was known.
    assert!(!place.dir.path().join("data/keys.json").exists());
}

#[test]
fn a_corrupt_key_file_is_exit_2_and_never_overwritten() {
    let place = Place::new("http://127.0.0.1:1", "");
    let data = place.dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o700)).unwrap();
    let file = data.join("keys.json");
    for text in ["", "{\"format\":1,", "rubbish\n"] {
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let (status, said) = place.refused();
        assert_eq!(status, Some(2), "{said}");
        one_error_line(&said, "keys.json");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }
    // A key that others may read is none to sign with.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (status, said) = place.refused();
    assert_eq!(status, Some(2), "{said}");
    one_error_line(&said, "chmod 600");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "rubbish\n");
}

#[test]
fn a_data_directory_that_is_none_is_exit_2() {
    let place = Place::new("http://127.0.0.1:1", "");
    let data = place.dir.path().join("data");
    // A file stands in its place: so it is for every user, root too.
    std::fs::write(&data, "mine").unwrap();
    let (status, said) = place.refused();
    assert_eq!(status, Some(2), "{said}");
    one_error_line(&said, "data");
    assert_eq!(std::fs::read_to_string(&data).unwrap(), "mine");
    // And a key file that cannot be read, since it is a directory.
    std::fs::remove_file(&data).unwrap();
    std::fs::create_dir_all(data.join("keys.json")).unwrap();
    let (status, said) = place.refused();
    assert_eq!(status, Some(2), "{said}");
    one_error_line(&said, "keys.json");
    assert!(data.join("keys.json").is_dir());
}

fn one_error_line(said: &str, part: &str) {
    let errors: Vec<_> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    assert!(errors.len() == 1 && errors[0].contains(part), "{said}");
    assert!(said.lines().all(|l| l.starts_with("error: ") || l.starts_with("hint: ")), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_the_upstream_will_not_hear_is_warned_of_once() {
    provider();
    let warning = "hosted servers answer only to their own name";
    for (more, times) in [("", 1), ("host = \"upstream\"\n", 0), ("host = \"client\"\n", 0)] {
        let place = Place::new(&format!("https://localhost:{}", free_port()), more);
        let mut process = place.start("log", &[]);
        process.says("listening").await;
        process.signal("TERM");
        assert_eq!(process.ends().await, Some(0));
        assert_eq!(process.log().matches(warning).count(), times, "{}", process.log());
    }
}
