//! Three replicas as processes on one Redis, under load. One is killed, one is cut off, Redis restarts empty
//! and fails over, and the key is rotated by hand in between. Every verifier, each of which caches as HTTP
//! says, must accept every token. Prints its figures.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::caching_verifier::CachingVerifier;
use crate::support::fault_issuer::FaultIssuer;
use crate::support::process::{Place, Process, free_port};
use crate::support::redis_server::RedisServer;
use crate::support::relay::Relay;
use crate::support::signer::Signer;
use base64::Engine as _;
use countersign::clock::Clock;
use serde_json::{Value, json};
use tokio::time::Instant;

const AUDIENCE: &str = "app";
const REPLICAS: usize = 3;

/// Seconds: how long a replica may be cut off, and how long one is cut off here. A new key waits nine
/// seconds more than the first, so that only a longer cut would make the test fail.
fn outage() -> (u64, f64) {
    #[expect(clippy::disallowed_methods, reason = "a test's own switch")]
    let long = std::env::var("COUNTERSIGN_CHAOS").is_ok_and(|value| value == "long");
    if long { (12, 11.5) } else { (0, 2.5) }
}

struct Replica {
    place: Place,
    admin: u16,
    process: Process,
    /// Its connection to Redis.
    redis: Relay,
    /// The load balancer of its verifier: leads to another replica while this one is dead.
    front: Relay,
}

impl Replica {
    async fn start(issuer: &FaultIssuer, redis: &RedisServer) -> Self {
        let place = Place::new("http://127.0.0.1:9", "");
        let admin = free_port();
        let redis = Relay::to(redis.port).await;
        let key = base64::engine::general_purpose::STANDARD.encode([9; 32]);
        let text = format!(
            "data_dir = \"data\"\n[server]\nlisten = \"127.0.0.1:{}\"\nthreads = 1\nmax_age = \"1s\"\n\
             [admin]\nlisten = \"127.0.0.1:{admin}\"\n[signing]\nalgorithm = \"ES256\"\nskew = \"1s\"\n\
             store = \"redis://127.0.0.1:{}/0\"\nencryption_key = \"{key}\"\noutage = \"{}s\"\n\
             [[issuer]]\nname = \"one\"\nissuer = \"https://one.example\"\njwks = \"{}\"\n",
            place.port,
            redis.port,
            outage().0,
            issuer.url("/jwks")
        );
        std::fs::write(place.dir.path().join("c.toml"), text).unwrap();
        let process = place.running().await;
        let front = Relay::to(place.port).await;
        Self { place, admin, process, redis, front }
    }

    async fn says(&self, url: String, text: &str) -> bool {
        let client = self.place.client().build().unwrap();
        match client.get(url).send().await {
            Ok(answer) => answer.text().await.is_ok_and(|body| body.contains(text)),
            Err(_) => false,
        }
    }

    async fn publishes(&self, kid: &str) -> bool {
        self.says(self.place.url("/.well-known/jwks.json"), kid).await
    }

    async fn has_store(&self, up: bool) -> bool {
        let line = format!("countersign_key_store_up {}\n", u8::from(up));
        self.says(format!("http://127.0.0.1:{}/metrics", self.admin), &line).await
    }

    /// Runs `countersign keys …`, as an operator does on this replica's host.
    async fn keys(&self, command: &str) -> (bool, Value) {
        let mut keys = tokio::process::Command::new(env!("CARGO_BIN_EXE_countersign"));
        keys.args(["keys", command, "--json", "--config", "c.toml"]);
        let done = keys.current_dir(self.place.dir.path()).output().await.unwrap();
        (done.status.success(), serde_json::from_slice(&done.stdout).unwrap_or_default())
    }

    /// The key that signs, according to the store.
    async fn active(&self) -> Option<String> {
        let (_, list) = self.keys("list").await;
        let keys = list["keys"].as_array()?.clone();
        let active = keys.into_iter().find(|key| key["state"] == "active")?;
        active["kid"].as_str().map(ToOwned::to_owned)
    }
}

/// Waits until `holds` for each of `replicas`. Returns how long each took, in words.
async fn each<F: Future<Output = bool>>(
    replicas: &[Replica],
    holds: impl Fn(usize) -> F,
) -> String {
    let began = Instant::now();
    let mut took = vec![None; replicas.len()];
    while took.contains(&None) {
        assert!(began.elapsed() < Duration::from_secs(40), "{took:?}");
        for (n, took) in took.iter_mut().enumerate() {
            if took.is_none() && holds(n).await {
                *took = Some(began.elapsed());
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = took.into_iter().map(|took| format!("{:.1} s", took.unwrap().as_secs_f64()));
    took.collect::<Vec<_>>().join(", ")
}

async fn signs(replica: &Replica, kid: &str) {
    let began = Instant::now();
    while replica.active().await.as_deref() != Some(kid) {
        assert!(began.elapsed() < Duration::from_secs(40), "{kid} does not sign");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Makes tokens all the time. Each is checked at once, and again later by every verifier.
struct Load {
    signer: Signer,
    /// Where the replicas listen.
    bases: Vec<String>,
    verifiers: Vec<CachingVerifier>,
    over: AtomicBool,
    requests: AtomicUsize,
    /// Times that a replica did not answer and the next one was asked, as load balancers do.
    moved: AtomicUsize,
    failed: Mutex<Vec<String>>,
    checks: AtomicUsize,
    refused: Mutex<Vec<String>>,
    kids: Mutex<BTreeSet<String>>,
}

impl Load {
    async fn run(self: Arc<Self>) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut checking = tokio::task::JoinSet::new();
        for n in 0.. {
            if self.over.load(Ordering::SeqCst) {
                break;
            }
            match self.exchange(&client, n).await {
                Ok(token) => {
                    checking.spawn(self.clone().check(token));
                }
                Err(why) => self.failed.lock().unwrap().push(why),
            }
            while checking.try_join_next().is_some() {}
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        checking.join_all().await;
    }

    async fn exchange(&self, client: &reqwest::Client, n: usize) -> Result<String, String> {
        let now = Clock::system().now().secs();
        let header = json!({"alg": "ES384", "typ": "JWT", "kid": "up"});
        let claims = json!({
            "iss": "https://one.example", "aud": AUDIENCE, "sub": format!("user-{n}"),
            "iat": now, "exp": now + 30,
        });
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")
            .append_pair("subject_token_type", "urn:ietf:params:oauth:token-type:jwt")
            .append_pair("subject_token", &self.signer.token(&header, &claims))
            .finish();
        self.requests.fetch_add(1, Ordering::SeqCst);
        let mut why = String::new();
        for next in 0..REPLICAS {
            let base = &self.bases[(n + next) % REPLICAS];
            let request = client
                .post(format!("{base}/_countersign/token"))
                .header("content-type", "application/x-www-form-urlencoded")
                .body(body.clone());
            let answer = match request.send().await {
                Ok(answer) => answer.text().await.map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            let token = answer.and_then(|body| {
                let json: Value = serde_json::from_str(&body).unwrap_or_default();
                json["access_token"].as_str().map(ToOwned::to_owned).ok_or(body)
            });
            match token {
                Ok(token) => return Ok(token),
                Err(error) => why = error,
            }
            self.moved.fetch_add(1, Ordering::SeqCst);
        }
        Err(why)
    }

    async fn check(self: Arc<Self>, token: String) {
        let kid = jsonwebtoken::decode_header(&token).unwrap().kid.unwrap();
        self.kids.lock().unwrap().insert(kid.clone());
        for wait in [0, 1000, 4000] {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            for (n, verifier) in self.verifiers.iter().enumerate() {
                let set = key_set(verifier).await;
                self.checks.fetch_add(1, Ordering::SeqCst);
                if let Err(why) = CachingVerifier::check(&set, &token, AUDIENCE) {
                    let why = format!("verifier {n} after {wait} ms, {kid}: {why}");
                    self.refused.lock().unwrap().push(why);
                }
            }
        }
    }
}

/// A set that cannot be read is requested again: a verifier does not judge without one.
async fn key_set(verifier: &CachingVerifier) -> jsonwebtoken::jwk::JwkSet {
    for _ in 0..200 {
        match verifier.key_set().await {
            Ok(set) => return set,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    panic!("a verifier finds no replica");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_replicas_on_redis_survive_all_that_happens_to_them() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let began = Instant::now();
    let signer = Signer::es384();
    let issuer = FaultIssuer::start(&[signer.jwk("up")]).await;
    let mut redis = RedisServer::start().await;
    let mut replicas = Vec::new();
    for _ in 0..REPLICAS {
        replicas.push(Replica::start(&issuer, &redis).await);
    }
    let front = |replica: &Replica| format!("http://127.0.0.1:{}", replica.front.port);
    let load = Arc::new(Load {
        signer,
        bases: replicas.iter().map(|replica| replica.place.url("")).collect(),
        verifiers: replicas
            .iter()
            .map(|replica| CachingVerifier::new(front(replica) + "/.well-known/jwks.json"))
            .collect(),
        over: AtomicBool::new(false),
        requests: AtomicUsize::new(0),
        moved: AtomicUsize::new(0),
        failed: Mutex::default(),
        checks: AtomicUsize::new(0),
        refused: Mutex::default(),
        kids: Mutex::default(),
    });
    let loading = tokio::spawn(load.clone().run());
    tokio::time::sleep(Duration::from_secs(2)).await;

    // Rotate by hand, and kill one replica while the new key waits.
    let (done, rotated) = replicas[0].keys("rotate").await;
    let kid = rotated["kid"].as_str().unwrap().to_owned();
    assert!(done && rotated["running"] == 3 && rotated["behind"] == 0, "{rotated}");
    let took = each(&replicas, |n| replicas[n].publishes(&kid)).await;
    println!("rotated: each publishes the key {took} after the command's answer");
    replicas[1].process.0.kill().unwrap();
    replicas[1].process.0.wait().unwrap();
    replicas[1].front.lead_to(replicas[0].place.port);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let back = Instant::now();
    replicas[1].process = replicas[1].place.running_as("log2").await;
    while !replicas[1].publishes(&kid).await {
        assert!(back.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("killed: it publishes the key {:.1} s after its start", back.elapsed().as_secs_f64());
    replicas[1].front.lead_to(replicas[1].place.port);
    signs(&replicas[0], &kid).await;

    // Cut one off while the others rotate, for less than `outage`.
    replicas[2].redis.cut();
    let rotating = replicas[0].keys("rotate");
    let mending = async {
        tokio::time::sleep(Duration::from_secs_f64(outage().1)).await;
        replicas[2].redis.mend();
        Instant::now()
    };
    let ((_, rotated), mended) = tokio::join!(rotating, mending);
    let kid = rotated["kid"].as_str().unwrap().to_owned();
    while !replicas[2].publishes(&kid).await {
        assert!(mended.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let after = mended.elapsed().as_secs_f64();
    let cut = outage().1;
    println!("cut off for {cut} s: it publishes the key at most {after:.1} s after it is back");
    signs(&replicas[0], &kid).await;

    // Restart Redis, empty.
    redis.kill();
    each(&replicas, |n| replicas[n].has_store(false)).await;
    redis.restart().await;
    let took = each(&replicas, |n| replicas[n].has_store(true)).await;
    println!("Redis restarted, empty: each has the ring there {took} after");
    signs(&replicas[0], &kid).await;

    // Fail over to a Redis replica that is promoted by hand, and rotate there.
    let second = redis.replica().await;
    redis.kill();
    second.promote().await;
    for replica in &replicas {
        replica.redis.lead_to(second.port);
    }
    let moved = Instant::now();
    let (done, rotated) = replicas[0].keys("rotate").await;
    let kid = rotated["kid"].as_str().unwrap().to_owned();
    assert!(done, "{rotated}");
    let took = each(&replicas, |n| replicas[n].publishes(&kid)).await;
    println!(
        "Redis failed over: rotated {:.1} s after, each publishes the key {took} later",
        moved.elapsed().as_secs_f64()
    );
    signs(&replicas[0], &kid).await;
    tokio::time::sleep(Duration::from_secs(2)).await;

    load.over.store(true, Ordering::SeqCst);
    loading.await.unwrap();
    let count = |n: &AtomicUsize| n.load(Ordering::SeqCst);
    let (failed, refused) = (load.failed.lock().unwrap(), load.refused.lock().unwrap());
    println!(
        "three replicas on Redis: {} requests, {} sent on to another replica, {} failed; {} keys \
         signed; {} verifications, {} refused; {:.0} s",
        count(&load.requests),
        count(&load.moved),
        failed.len(),
        load.kids.lock().unwrap().len(),
        count(&load.checks),
        refused.len(),
        began.elapsed().as_secs_f64()
    );
    assert!(failed.is_empty(), "{:#?}", &failed[..failed.len().min(10)]);
    assert!(refused.is_empty(), "{:#?}", &refused[..refused.len().min(10)]);
    assert_eq!(load.kids.lock().unwrap().len(), 4);
}
