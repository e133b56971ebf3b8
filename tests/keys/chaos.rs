//! Long faults: a short form here, a long one by `make chaos`. Each test prints its figures.

use crate::support::parts;
#[cfg(feature = "redis")]
use crate::support::redis_server;
#[cfg(feature = "redis")]
use crate::support::relay;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::caching_verifier::CachingVerifier;
use crate::support::fault_issuer::{FaultIssuer, Reply};
use crate::support::parts::{Parts, eventually};
use crate::support::signer::Signer;
use axum::response::IntoResponse;
use countersign::bridge::{Bridge, BridgeDeps, BridgeSettings};
use countersign::clock::Clock;
use countersign::issuer::publisher::COMMON_PATH;
use countersign::issuer::{Publisher, Source};
use countersign::jose::alg::Alg;
use countersign::keyring::{Keyring, KeyringSettings, StoreSettings};
use countersign::pipeline::Ask;
use countersign::profile::Profile;
use countersign::setting::Secret;

fn long() -> bool {
    #[expect(clippy::disallowed_methods, reason = "a test's own switch")]
    std::env::var("COUNTERSIGN_CHAOS").is_ok_and(|v| v == "long")
}

fn faults() -> Vec<Reply> {
    let html = Reply::html();
    vec![
        Reply::Reset,
        Reply::status(500),
        html,
        Reply::Stall,
        Reply::status(429).with("Retry-After: 7"),
        Reply::Trickle(Duration::from_millis(20)),
        Reply::ShortBody,
        Reply::Raw(200, vec![], br#"{"keys":[]}"#.to_vec()),
        Reply::StallBody,
        Reply::Raw(200, vec![], br#"{"error":"internal"}"#.to_vec()),
        Reply::Garbage,
        Reply::Raw(200, vec![], vec![b'x'; 600_000]),
        Reply::redirect("https://login.example/"),
        Reply::LongBody,
        Reply::Close,
    ]
}

/// Ten minutes of an issuer's faults: every JWKS read after the first good one succeeds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_minutes_of_faults_cost_no_read() {
    let factor = if long() { 15.0 } else { 60.0 };
    let clock = Clock::scaled(factor);
    let dir = tempfile::tempdir().unwrap();
    let issuer = FaultIssuer::start(&[Signer::es256().jwk("k0")]).await;
    let mut settings = parts::issuer("one", Source::Url(issuer.url("/jwks")));
    settings.refresh.min_age = Duration::from_secs(5);
    settings.refresh.default_age = Duration::from_secs(5);
    settings.refresh.cooldown = Duration::from_secs(5);
    settings.fetch.total_timeout = Duration::from_millis(150);
    let parts = Arc::new(Parts::start(vec![settings], dir.path(), clock.clone()).await);
    eventually("the first set", || parts.publisher.for_path(COMMON_PATH).is_ok()).await;

    let (reads, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let over = Arc::new(AtomicBool::new(false));
    let reader = {
        let (parts, reads, failed) = (Arc::clone(&parts), Arc::clone(&reads), Arc::clone(&failed));
        let over = Arc::clone(&over);
        tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let set = parts.publisher.for_path(COMMON_PATH);
                let good = set.is_ok_and(|set| set.body.len() > 100);
                reads.fetch_add(1, Ordering::Relaxed);
                failed.fetch_add(usize::from(!good), Ordering::Relaxed);
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        })
    };

    let start = clock.now();
    let faults = faults();
    let mut turn = 0usize;
    let mut rotations = 0;
    while clock.now().since(start) < Duration::from_secs(600) {
        match turn % 4 {
            2 => issuer.refuse().await,
            // The issuer works, with new keys, until they are found.
            3 => {
                issuer.come_back().await;
                rotations += 1;
                issuer.serve_keys(&[Signer::es256().jwk(&format!("k{rotations}"))]);
                issuer.usually(Reply::ok());
                eventually("the new keys are found", || {
                    let set = parts.publisher.for_path(COMMON_PATH).unwrap();
                    String::from_utf8_lossy(&set.body).contains(&format!("\"k{rotations}\""))
                })
                .await;
            }
            n => {
                issuer.come_back().await;
                issuer.usually(faults[(turn / 4 * 2 + n) % faults.len()].clone());
            }
        }
        if turn % 4 != 3 {
            clock.sleep(Duration::from_secs(7)).await;
        }
        turn += 1;
    }
    issuer.come_back().await;
    issuer.usually(Reply::ok());
    rotations += 1;
    issuer.serve_keys(&[Signer::es256().jwk("last")]);
    eventually("it is found again", || {
        let set = parts.publisher.for_path(COMMON_PATH).unwrap();
        String::from_utf8_lossy(&set.body).contains("\"last\"")
    })
    .await;
    over.store(true, Ordering::Relaxed);
    reader.await.unwrap();

    let status = parts.issuers.only().unwrap().status();
    let (reads, failed) = (reads.load(Ordering::Relaxed), failed.load(Ordering::Relaxed));
    println!(
        "ten minutes of faults: {reads} reads, {failed} failed; {} fetches, by outcome: {:?}; \
         {rotations} rotations",
        issuer.requests(),
        status.fetches
    );
    assert_eq!(failed, 0);
    assert!(reads > 1000);
    let good = ["ok", "not_modified"];
    let faults = status.fetches.keys().filter(|outcome| !good.contains(outcome));
    assert!(faults.count() >= 5, "{:?}", status.fetches);
    assert!(status.fetches["ok"] >= 3);
}

/// The parts of one proxy: keys, bridge, and the set on a real port.
struct Replica {
    parts: Parts,
    bridge: Arc<Bridge>,
    verifier: CachingVerifier,
    _dir: tempfile::TempDir,
}

const AUDIENCE: &str = "app";
/// `max-age` of the sets. Short, so that rotations are quick; only the order of events matters.
const SERVED: Duration = Duration::from_secs(1);

async fn replica(issuer: &FaultIssuer, store: StoreSettings, outage: Duration) -> Replica {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let mut settings = parts::issuer("one", Source::Url(issuer.url("/jwks")));
    settings.refresh.cooldown = Duration::ZERO;
    settings.refresh.min_age = Duration::from_secs(1);
    settings.refresh.default_age = Duration::from_secs(2);
    settings.refresh.max_age = Duration::from_secs(2);
    settings.refresh.unknown_kid_wait = Duration::from_secs(5);
    settings.fetch.total_timeout = Duration::from_secs(5);
    let ring = KeyringSettings {
        algorithm: Alg::Es256,
        store,
        rotate_every: None,
        max_age: SERVED,
        skew: Duration::from_secs(1),
        outage,
    };
    let keyring = Keyring::open(ring, clock.clone()).await.unwrap();
    let profile = Profile::convex();
    let parts = Parts::serving(vec![settings], dir.path(), clock, keyring, &profile, SERVED);
    parts.publisher.wait_for_path(COMMON_PATH).await.unwrap();
    let bridge = Bridge::new(BridgeDeps {
        issuers: Arc::clone(&parts.issuers),
        publisher: Arc::clone(&parts.publisher),
        keyring: Arc::clone(&parts.keyring),
        profile,
        clock: parts.clock.clone(),
        settings: BridgeSettings { threads: Some(1), ..BridgeSettings::default() },
    })
    .unwrap();
    let bridge = Arc::new(bridge);
    let url = serve(Arc::clone(&parts.publisher)).await;
    Replica { parts, bridge, verifier: CachingVerifier::new(url), _dir: dir }
}

async fn serve(publisher: Arc<Publisher>) -> String {
    let answer = move || {
        let set = publisher.for_path(COMMON_PATH);
        async move {
            match set {
                Ok(set) => {
                    let control = format!("public, max-age={}", set.max_age);
                    let kind = "application/json".to_owned();
                    let headers = [
                        ("content-type", kind),
                        ("cache-control", control),
                        ("etag", set.etag.clone()),
                    ];
                    (headers, set.body.clone()).into_response()
                }
                Err(_) => axum::http::StatusCode::BAD_GATEWAY.into_response(),
            }
        }
    };
    let router = axum::Router::new().route("/jwks", axum::routing::get(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// Keys the issuer signs with, and keys it still publishes for the tokens they signed.
const SIGNING: usize = 18;
const WAITING: usize = 6;

/// Signs with the issuer's current keys.
struct Upstream {
    keys: Vec<(String, Signer)>,
}

impl Upstream {
    fn document(&self) -> Vec<serde_json::Value> {
        self.keys.iter().map(|(kid, key)| key.jwk(kid)).collect()
    }

    fn token(&self, n: usize) -> String {
        // Mostly the newest key, often an older one. The oldest keys only wait until their last tokens
        // have expired.
        let newest = self.keys.len() - 1;
        let oldest = self.keys.len().saturating_sub(SIGNING);
        let back = if (n / 5).is_multiple_of(2) { 0 } else { n % (newest - oldest + 1) };
        let (kid, key) = &self.keys[newest - back];
        let now = Clock::system().now().secs();
        let header = serde_json::json!({"alg": key.alg(), "typ": "JWT", "kid": kid});
        let claims = serde_json::json!({
            "iss": "https://one.example", "aud": AUDIENCE, "sub": format!("user-{n}"),
            "iat": now, "exp": now + 30,
        });
        key.token(&header, &claims)
    }
}

/// Makes tokens all the time. Each is checked at once, and again later with the verifiers' cached copies.
async fn rotate_under_load(
    replicas: Vec<Replica>,
    issuer: FaultIssuer,
    own: usize,
    theirs: usize,
    all_rotate: bool,
) {
    let replicas = Arc::new(replicas);
    let first = Upstream { keys: vec![("up-0".into(), Signer::rs256())] };
    issuer.serve_keys(&first.document());
    let upstream = Arc::new(tokio::sync::RwLock::new(first));
    let over = Arc::new(AtomicBool::new(false));
    let (mut tokens, checks) = (0, Arc::new(AtomicUsize::new(0)));
    let failures = Arc::new(std::sync::Mutex::new(Vec::<String>::new()));

    let turning = {
        let (replicas, upstream, issuer) = (Arc::clone(&replicas), Arc::clone(&upstream), issuer);
        let over = Arc::clone(&over);
        tokio::spawn(async move {
            let (mut done, mut turned) = (0, 0);
            let mut asked = 0;
            while done < own || turned < theirs {
                let status = replicas[0].parts.keyring.status();
                if done < own && !status.rotation_asked {
                    done += usize::from(asked > 0);
                    if done < own {
                        asked += 1;
                        let one = if all_rotate { asked % replicas.len() } else { 0 };
                        replicas[one].parts.keyring.rotate(false).await.unwrap();
                        // Wait until its own ring has followed the store.
                        while !replicas[0].parts.keyring.status().rotation_asked {
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                    }
                }
                if turned < theirs {
                    turned += 1;
                    let key = Signer::rs256();
                    let mut upstream = upstream.write().await;
                    upstream.keys.push((format!("up-{turned}"), key));
                    let surplus = upstream.keys.len().saturating_sub(SIGNING + WAITING);
                    upstream.keys.drain(..surplus.min(1));
                    issuer.serve_keys(&upstream.document());
                }
                tokio::time::sleep(Duration::from_millis(1200)).await;
            }
            over.store(true, Ordering::SeqCst);
            (done, turned)
        })
    };

    let mut later = tokio::task::JoinSet::new();
    let mut unchanged = 0;
    while !over.load(Ordering::SeqCst) {
        let replica = &replicas[tokens % replicas.len()];
        let minted = {
            let upstream = upstream.read().await;
            let token = upstream.token(tokens);
            match replica.bridge.countersign(&token, &Ask::default()).await {
                Ok(bridged) => {
                    unchanged += usize::from(bridged.jwt.is_none());
                    bridged.jwt.map_or(token, |jwt| jwt.to_string())
                }
                Err(e) => {
                    failures.lock().unwrap().push(format!("not signed: {e}"));
                    continue;
                }
            }
        };
        tokens += 1;
        let (replicas, failures) = (Arc::clone(&replicas), Arc::clone(&failures));
        let checks = Arc::clone(&checks);
        later.spawn(async move {
            for wait in [0, 700, 3000] {
                tokio::time::sleep(Duration::from_millis(wait)).await;
                for (i, replica) in replicas.iter().enumerate() {
                    checks.fetch_add(1, Ordering::Relaxed);
                    if let Err(why) = replica.verifier.verify(&minted, AUDIENCE).await {
                        failures.lock().unwrap().push(format!("replica {i}, {wait} ms: {why}"));
                    }
                }
            }
        });
        while later.try_join_next().is_some() {}
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    let (done, turned) = turning.await.unwrap();
    while later.join_next().await.is_some() {}
    let failures = failures.lock().unwrap();
    println!(
        "rotation under load: {} replicas, {done} rotations of ours, {turned} of the issuer; {tokens} \
         tokens ({unchanged} as they stood), {} verifications, {} failed",
        replicas.len(),
        checks.load(Ordering::Relaxed),
        failures.len()
    );
    assert!(failures.is_empty(), "{:#?}", &failures[..failures.len().min(10)]);
    assert!(unchanged > 0 && unchanged < tokens, "{unchanged} of {tokens}");
    assert_eq!((done, turned), (own, theirs));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_on_both_sides_fail_no_verifier_that_caches() {
    let issuer = FaultIssuer::start(&[Signer::rs256().jwk("none")]).await;
    let dir = tempfile::tempdir().unwrap();
    let one = replica(&issuer, StoreSettings::File(dir.path().to_owned()), Duration::ZERO).await;
    let n = if long() { 20 } else { 2 };
    rotate_under_load(vec![one], issuer, n, n.max(6), true).await;
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_replicas_that_rotate_fail_no_verifier_that_caches() {
    let issuer = FaultIssuer::start(&[Signer::rs256().jwk("none")]).await;
    let server = redis_server::RedisServer::start().await;
    let mut replicas = Vec::new();
    for _ in 0..3 {
        let store = StoreSettings::Redis {
            url: Secret::new(format!("redis://127.0.0.1:{}/0", server.port)),
            encryption_key: countersign::keyring::RedisKey(zeroize::Zeroizing::new([9; 32])),
        };
        replicas.push(replica(&issuer, store, Duration::ZERO).await);
    }
    let n = if long() { 20 } else { 2 };
    // Long enough that every copy of every replica has the issuer's first keys.
    rotate_under_load(replicas, issuer, n, n.max(18), true).await;
}

/// A replica that loses Redis again and again, each time for as long as is allowed. It keeps signing and
/// serving while the others rotate.
#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_cut_off_from_redis_fails_no_verifier_that_caches() {
    const OUTAGE: Duration = Duration::from_secs(8);
    let issuer = FaultIssuer::start(&[Signer::rs256().jwk("none")]).await;
    let server = redis_server::RedisServer::start().await;
    let relay = relay::Relay::to(server.port).await;
    let mut replicas = Vec::new();
    // The replica that is asked to rotate, and the replica that is cut off.
    for port in [server.port, relay.port] {
        let store = StoreSettings::Redis {
            url: Secret::new(format!("redis://127.0.0.1:{port}/0")),
            encryption_key: countersign::keyring::RedisKey(zeroize::Zeroizing::new([9; 32])),
        };
        replicas.push(replica(&issuer, store, OUTAGE).await);
    }
    let far = Arc::clone(&replicas[1].parts.keyring);
    let cuts = Arc::new(AtomicUsize::new(0));
    let cutting = tokio::spawn({
        let cuts = Arc::clone(&cuts);
        async move {
            loop {
                relay.cut();
                tokio::time::sleep(OUTAGE - Duration::from_secs(1)).await;
                if far.status().error.is_some_and(|e| e.code == "store_away") {
                    cuts.fetch_add(1, Ordering::SeqCst);
                }
                relay.mend();
                // Wait until it has the ring again; it is cut off again soon after.
                eventually("it is back", || far.status().error.is_none()).await;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    });
    let n = if long() { 8 } else { 1 };
    rotate_under_load(replicas, issuer, n, n.max(6), false).await;
    assert!(!cutting.is_finished());
    cutting.abort();
    let cuts = cuts.load(Ordering::SeqCst);
    println!("cut off from Redis {cuts} times for {OUTAGE:?}, nothing failed");
    assert!(cuts >= n);
}

/// The `keys` command is killed at every moment of its work. The ring stays readable, and no key signs that
/// was not in it before.
#[test]
fn kill_9_at_any_moment_leaves_a_readable_ring() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("countersign.toml");
    // Keys that are made quickly, so that the kill hits the writing.
    std::fs::write(&config, configuration(dir.path(), 1, 1)).unwrap();
    let command = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.arg("keys").args(args).arg("--config").arg(&config);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        command
    };
    // A rotation needs a ring.
    let made = dir.path().join("first.pem").display().to_string();
    for args in [&["generate", "--algorithm", "es256", "--output", &made][..], &["import", &made]] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.arg("keys").args(args);
        if args[0] == "import" {
            command.arg("--config").arg(&config);
        }
        let first = command.output().unwrap();
        assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    }
    let mut whole = Duration::ZERO;
    for _ in 0..3 {
        let start = tokio::time::Instant::now();
        let first = command(&["rotate", "--now"]).output().unwrap();
        assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
        whole = start.elapsed();
    }
    let rounds: u32 = if long() { 600 } else { 80 };
    let (mut killed, mut turned) = (0, 0);
    let mut last = String::new();
    for round in 0..rounds {
        let args: &[&str] = if round % 3 == 0 { &["rotate"] } else { &["rotate", "--now"] };
        let mut child = command(args).spawn().unwrap();
        // Spread over its whole run and a little more.
        std::thread::sleep(whole.mul_f64(f64::from(round * 37 % 100) / 80.0));
        child.kill().unwrap();
        killed += usize::from(!child.wait().unwrap().success());
        let list = command(&["list", "--json"]).output().unwrap();
        assert!(list.status.success(), "{}", String::from_utf8_lossy(&list.stderr));
        let keys: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
        let keys = keys["keys"].as_array().unwrap();
        let active: Vec<_> = keys.iter().filter(|k| k["state"] == "active").collect();
        assert_eq!(active.len(), 1, "{keys:?}");
        let kid = active[0]["kid"].as_str().unwrap().to_owned();
        if round > 0 && kid != last {
            turned += 1;
            let old = keys.iter().any(|k| k["kid"] == last.as_str() && k["state"] == "retired");
            assert!(old, "the key before stays published: {keys:?}");
        }
        last = kid;
    }
    println!(
        "kill -9 of `keys`: {rounds} rounds, {killed} killed, {turned} rotations, 0 rings lost"
    );
    assert!(killed > 0 && turned > 0, "the kills fall before and after: {killed}, {turned}");
}

fn configuration(dir: &std::path::Path, listen: u16, issuer: u16) -> String {
    format!(
        "data_dir = {:?}\n\
         [server]\nlisten = \"127.0.0.1:{listen}\"\nmax_age = \"60s\"\n\
         [admin]\nlisten = \"off\"\n\
         [signing]\nalgorithm = \"ES256\"\n\
         [[issuer]]\nname = \"one\"\nissuer = \"https://one.example\"\n\
         jwks = \"http://127.0.0.1:{issuer}/jwks\"\n",
        dir.join("data")
    )
}

/// The proxy itself is killed while it signs and its keys rotate. Every token that it issued verifies with
/// the set that it serves after the restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_of_the_proxy_loses_no_token() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("countersign.toml");
    let signer = Signer::es384();
    let issuer = FaultIssuer::start(&[signer.jwk("up")]).await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    std::fs::write(&config, configuration(dir.path(), port, issuer.port)).unwrap();
    let base = format!("http://127.0.0.1:{port}");
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let program = |args: &[&str]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(args).arg("--config").arg(&config).kill_on_drop(true);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        command
    };
    let rounds = if long() { 40 } else { 6 };
    let mut tokens: Vec<String> = Vec::new();
    // Every token is checked after the next restart; some tokens of each round are checked again later.
    let (mut fresh, every) = (0, 50);
    let (mut checked, mut kids) = (0, std::collections::BTreeSet::new());
    for round in 0..rounds {
        let mut proxy = program(&["run"]).spawn().unwrap();
        let jwks = loop {
            assert!(proxy.try_wait().unwrap().is_none(), "the proxy runs");
            match client.get(format!("{base}/.well-known/jwks.json")).send().await {
                Ok(answer) if answer.status() == 200 => break answer.bytes().await.unwrap(),
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let set: jsonwebtoken::jwk::JwkSet = serde_json::from_slice(&jwks).unwrap();
        let old = tokens[..fresh].iter().step_by(every);
        for token in old.chain(&tokens[fresh..]) {
            let header = jsonwebtoken::decode_header(token).unwrap();
            let kid = header.kid.unwrap();
            let key = set.find(&kid).unwrap_or_else(|| panic!("round {round}: {kid} is gone"));
            let mut validation = jsonwebtoken::Validation::new(header.alg);
            validation.set_audience(&[AUDIENCE]);
            let key = jsonwebtoken::DecodingKey::from_jwk(key).unwrap();
            jsonwebtoken::decode::<serde_json::Value>(token, &key, &validation).unwrap();
            kids.insert(kid);
            checked += 1;
        }
        fresh = tokens.len();
        let turn = tokio::spawn({
            let mut rotate = program(&["keys", "rotate", "--now"]);
            async move { rotate.status().await }
        });
        let end = tokio::time::Instant::now() + Duration::from_millis(300 + round * 331 % 1500);
        let mut n = 0;
        while tokio::time::Instant::now() < end {
            n += 1;
            let now = Clock::system().now().secs();
            let header = serde_json::json!({"alg": "ES384", "typ": "JWT", "kid": "up"});
            let claims = serde_json::json!({
                "iss": "https://one.example", "aud": AUDIENCE, "sub": format!("{round}-{n}"),
                "iat": now, "exp": now + 900 + n,
            });
            let form = [
                ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
                ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
                ("subject_token", &signer.token(&header, &claims)),
            ];
            let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
            let answer = client
                .post(format!("{base}/_countersign/token"))
                .header("content-type", "application/x-www-form-urlencoded")
                .body(body)
                .send()
                .await
                .unwrap();
            let answer: serde_json::Value =
                serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
            tokens.push(answer["access_token"].as_str().expect("a token").to_owned());
        }
        // SIGKILL: the proxy cannot clean up.
        proxy.kill().await.unwrap();
        let _ = turn.await.unwrap();
    }
    println!(
        "kill -9 of the proxy: {rounds} rounds, {} tokens of {} keys, {checked} verifications \
         after a restart, 0 failed",
        tokens.len(),
        kids.len()
    );
    assert!(kids.len() >= 2 && checked >= fresh, "{} keys, {checked}", kids.len());
}
