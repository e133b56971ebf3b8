//! `make soak`: the program under a third of the load it can bear, for `MINUTES` minutes, while tokens, the
//! issuers' keys, our own keys and the issuers themselves change. Its memory and descriptors must not grow,
//! and no request may fail.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    unreachable_pub,
    dead_code,
    reason = "a benchmark stops at the first surprise, and prints its figures"
)]

#[path = "../tests/support/signer.rs"]
mod signer;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::extract::{Path as AtPath, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use signer::Signer;

/// How much more the second half may use than the first: caches fill, allocators keep pages.
const MORE_MEMORY: f64 = 1.1;
const MORE_MEMORY_KIB: u64 = 8 * 1024;
const MORE_DESCRIPTORS: u64 = 16;
/// Clients, each with a connection.
const CLIENTS: u64 = 16;
const ISSUERS: [&str; 3] = ["one", "two", "three"];

/// A key and its `kid`.
type Key = (String, Arc<Signer>);

/// The auth server: three issuers whose keys rotate. A key is published one turn before it signs, and stays
/// one turn after.
struct Auth {
    keys: Mutex<BTreeMap<&'static str, Vec<Key>>>,
    address: String,
    life: Duration,
    turn: AtomicU64,
}

impl Auth {
    async fn start(life: Duration) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let turn = AtomicU64::new(0);
        let auth = Arc::new(Self { keys: Mutex::default(), address, life, turn });
        auth.turn();
        auth.turn();
        let app = Router::new()
            .route("/{name}/jwks", get(jwks))
            .route("/token", post(token))
            .route("/seen", get(|| async { "seen" }))
            .with_state(auth.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        auth
    }

    /// Adds a key to each issuer; the oldest of four is removed.
    fn turn(&self) {
        let turn = self.turn.fetch_add(1, Ordering::SeqCst);
        let mut keys = self.keys.lock().unwrap();
        for name in ISSUERS {
            let keys = keys.entry(name).or_default();
            keys.push((format!("{name}-{turn}"), Arc::new(Signer::es384())));
            keys.drain(..keys.len().saturating_sub(4));
        }
    }

    fn token(&self, name: &'static str, number: u64) -> String {
        let (kid, key) = {
            let keys = self.keys.lock().unwrap();
            let keys = &keys[name];
            keys[keys.len() - 2].clone()
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let header = json!({"alg": "ES384", "typ": "JWT", "kid": kid});
        let claims = json!({
            "iss": format!("{}/{name}", self.address), "aud": "app", "sub": format!("user-{number}"),
            "iat": now, "exp": now + self.life.as_secs(),
        });
        key.token(&header, &claims)
    }
}

async fn jwks(State(auth): State<Arc<Auth>>, AtPath(name): AtPath<String>) -> Json<Value> {
    let keys = auth.keys.lock().unwrap();
    let keys: Vec<_> = keys[name.as_str()].iter().map(|(kid, key)| key.jwk(kid)).collect();
    Json(json!({ "keys": keys }))
}

async fn token(State(auth): State<Arc<Auth>>) -> Json<Value> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let id = auth.token("one", NUMBER.fetch_add(1, Ordering::Relaxed));
    Json(json!({"id_token": id, "access_token": "opaque", "expires_in": auth.life.as_secs()}))
}

struct Proxy {
    child: Child,
    binary: String,
    dir: tempfile::TempDir,
    port: u16,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Proxy {
    fn start(auth: &Auth) -> Self {
        let binary = std::env::var("BINARY").ok().filter(|path| !path.is_empty());
        let binary = binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_countersign").to_owned());
        let dir = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        configure(dir.path(), port, auth, &ISSUERS[..2]);
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let mut command = Command::new(&binary);
        command.args(["run", "--config", "c.toml"]).current_dir(dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Self { child: command.spawn().expect("BINARY runs"), binary, dir, port }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Takes a new configuration (`SIGHUP`).
    fn reload(&self, auth: &Auth, issuers: &[&str]) {
        configure(self.dir.path(), self.port, auth, issuers);
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", "HUP", &pid]).status().unwrap().success());
    }

    async fn rotate(&self) {
        let mut command = tokio::process::Command::new(&self.binary);
        command.args(["keys", "rotate", "--config", "c.toml"]).current_dir(self.dir.path());
        let done = command.output().await.unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// Resident memory in KiB, and open descriptors.
    fn sample(&self) -> (u64, u64) {
        let of = format!("/proc/{}", self.child.id());
        let status = std::fs::read_to_string(format!("{of}/status")).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        let memory = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        (memory, std::fs::read_dir(format!("{of}/fd")).unwrap().count() as u64)
    }
}

fn configure(dir: &Path, port: u16, auth: &Auth, issuers: &[&str]) {
    let address = &auth.address;
    let mut text = format!(
        "data_dir = \"data\"\n[server]\nlisten = \"127.0.0.1:{port}\"\nmax_age = \"2s\"\n\
         [admin]\nlisten = \"off\"\n[signing]\nskew = \"1s\"\n[upstream]\nurl = \"{address}\"\n\
         [[tokens]]\npath = \"/token\"\njson = [\"id_token\"]\n"
    );
    for name in issuers {
        text += &format!(
            "[[issuer]]\nname = \"{name}\"\nissuer = \"{address}/{name}\"\njwks = \"/{name}/jwks\"\n\
             jwks_path = \"/keys/{name}\"\n\
             [issuer.refresh]\nmin_age = \"1s\"\nmax_age = \"3s\"\ndefault_age = \"3s\"\n"
        );
    }
    std::fs::write(dir.join("c.toml"), text).unwrap();
}

/// Requests by all clients until stopped.
struct Load {
    /// Microseconds between two requests of a client; 0: none.
    pause: AtomicU64,
    stop: AtomicBool,
    done: AtomicU64,
    failed: Mutex<Vec<String>>,
    /// The other configured issuer.
    second: Mutex<&'static str>,
}

async fn client(load: Arc<Load>, auth: Arc<Auth>, base: String, number: u64) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut next = Instant::now();
    for n in 0.. {
        if load.stop.load(Ordering::Relaxed) {
            return;
        }
        let pause = Duration::from_micros(load.pause.load(Ordering::Relaxed));
        next = (next + pause).max(Instant::now() - pause);
        tokio::time::sleep_until(next.into()).await;
        if let Err(why) = request(&client, &load, &auth, &base, n * CLIENTS + number).await {
            load.failed.lock().unwrap().push(why);
        }
        load.done.fetch_add(1, Ordering::Relaxed);
    }
}

/// Half of the requests read key sets; the others need a signature or pass through.
async fn request(
    client: &reqwest::Client,
    load: &Load,
    auth: &Auth,
    base: &str,
    number: u64,
) -> Result<(), String> {
    let place = match number / CLIENTS % 10 {
        0..3 => "/.well-known/jwks.json",
        3..5 => "/keys/one",
        5..7 => "/_countersign/token",
        7 => "/token",
        _ => "/seen",
    };
    let url = format!("{base}{place}");
    let request = match place {
        "/_countersign/token" => {
            let name = if number.is_multiple_of(2) { "one" } else { *load.second.lock().unwrap() };
            let token = auth.token(name, number);
            client.post(url).body(exchange(&token)).header("content-type", FORM)
        }
        "/token" => client.post(url),
        _ => client.get(url),
    };
    let answer = request.send().await.map_err(|e| format!("{place}: {e:?}"))?;
    let status = answer.status();
    let body = answer.text().await.map_err(|e| format!("{place}: {e:?}"))?;
    let good = status == 200
        && match place {
            "/_countersign/token" => is_ours(&body, "access_token"),
            "/token" => is_ours(&body, "id_token"),
            "/seen" => body == "seen",
            _ => body.contains("\"RS256\""),
        };
    if good { Ok(()) } else { Err(format!("{place}: {status} {body}")) }
}

const FORM: &str = "application/x-www-form-urlencoded";

fn exchange(token: &str) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")
        .append_pair("subject_token_type", "urn:ietf:params:oauth:token-type:jwt")
        .append_pair("subject_token", token)
        .finish()
}

/// Whether we signed the token.
fn is_ours(body: &str, member: &str) -> bool {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let header = body[member].as_str().and_then(|token| token.split('.').next());
    let header = header.and_then(|header| URL_SAFE_NO_PAD.decode(header).ok());
    header.is_some_and(|header| String::from_utf8_lossy(&header).contains("\"RS256\""))
}

/// Changes everything once: the issuers' keys, ours, and the second issuer.
async fn turn(proxy: &Proxy, auth: &Auth, load: &Load) {
    auth.turn();
    proxy.rotate().await;
    let old = *load.second.lock().unwrap();
    let new = if old == ISSUERS[1] { ISSUERS[2] } else { ISSUERS[1] };
    proxy.reload(auth, &ISSUERS);
    let path = format!("/keys/{new}");
    let patience = Instant::now() + Duration::from_secs(20);
    while reqwest::get(proxy.url(&path)).await.is_ok_and(|answer| answer.status() != 200) {
        assert!(Instant::now() < patience, "the reload is not taken");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    *load.second.lock().unwrap() = new;
    // By then every request with a token of the old issuer has been answered.
    tokio::time::sleep(Duration::from_secs(2)).await;
    proxy.reload(auth, &[ISSUERS[0], new]);
}

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let minutes = std::env::var("MINUTES").ok().and_then(|text| text.parse::<f64>().ok());
    let Some(minutes) = minutes else { return println!("soak: skipped; `make soak MINUTES=60`") };
    let whole = Duration::from_secs_f64(minutes * 60.0);
    // Twelve turns; every token has expired one turn later.
    let period = (whole / 12).clamp(Duration::from_secs(10), Duration::from_secs(300));
    let auth = Auth::start(period).await;
    let proxy = Proxy::start(&auth);
    let ready = Instant::now() + Duration::from_secs(30);
    while !reqwest::get(proxy.url("/keys/two")).await.is_ok_and(|a| a.status() == 200) {
        let log = || std::fs::read_to_string(proxy.dir.path().join("log")).unwrap();
        assert!(Instant::now() < ready, "it does not start: {}", log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let start = proxy.sample();

    let load = Arc::new(Load {
        pause: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        done: AtomicU64::new(0),
        failed: Mutex::default(),
        second: Mutex::new(ISSUERS[1]),
    });
    let clients = (0..CLIENTS).map(|n| client(load.clone(), auth.clone(), proxy.url(""), n));
    let clients: Vec<_> = clients.map(tokio::spawn).collect();
    let measured = Duration::from_secs(5);
    tokio::time::sleep(measured).await;
    let most = load.done.load(Ordering::Relaxed) as f64 / measured.as_secs_f64();
    let rate = most / 3.0;
    load.pause.store((CLIENTS as f64 / rate * 1e6) as u64, Ordering::Relaxed);
    println!("soak: {whole:?}, bears {most:.0} requests/s, gets {rate:.0}; turns each {period:?}");

    let began = Instant::now();
    let every = (whole / 24).clamp(Duration::from_secs(2), Duration::from_secs(10));
    let mut samples = Vec::new();
    let mut turns = 0_u32;
    while began.elapsed() < whole {
        tokio::time::sleep(every).await;
        let (memory, descriptors) = proxy.sample();
        let at = began.elapsed();
        samples.push((at, memory, descriptors));
        println!("{:>6.0} s  {memory:>8} KiB  {descriptors:>5} descriptors", at.as_secs_f64());
        if at > period * (turns + 1) && at + period < whole {
            turns += 1;
            turn(&proxy, &auth, &load).await;
        }
    }
    load.stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let end = proxy.sample();

    // The first sixth warms up.
    let most_of = |from: u32, to: u32| {
        let within = |at: &Duration| *at > whole * from / 6 && *at <= whole * to / 6 + every;
        let of = samples.iter().filter(|(at, ..)| within(at));
        of.fold((0, 0), |most, (_, m, d)| (most.0.max(*m), most.1.max(*d)))
    };
    let (first, second) = (most_of(1, 3), most_of(3, 6));
    let failed = load.failed.lock().unwrap();
    for (name, (memory, descriptors)) in
        [("start", start), ("first half", first), ("second half", second), ("end", end)]
    {
        println!("{name:<12} {memory:>8} KiB  {descriptors:>5} descriptors");
    }
    let requests = load.done.load(Ordering::Relaxed);
    println!("{requests} requests, {} failed; {turns} turns", failed.len());
    for why in failed.iter().take(10) {
        println!("failed: {why}");
    }
    let memory = (first.0 as f64 * MORE_MEMORY) as u64 + MORE_MEMORY_KIB;
    let descriptors = first.1 + MORE_DESCRIPTORS;
    println!("bounds of the second half: {memory} KiB, {descriptors} descriptors");
    let flat = second.0 <= memory && second.1 <= descriptors;
    let good = flat && failed.is_empty() && turns > 0;
    println!("soak: {}", if good { "flat" } else { "FAILED" });
    if !failed.is_empty() {
        println!("{}", std::fs::read_to_string(proxy.dir.path().join("log")).unwrap_or_default());
    }
    drop(proxy);
    std::process::exit(i32::from(!good));
}
