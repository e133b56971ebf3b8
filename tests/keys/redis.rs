//! The ring in Redis: several replicas, one rotation, outages of the store. A real `redis-server` is
//! started for each test.
#![cfg(feature = "redis")]

use crate::support::proxy;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::support::parts::eventually;
use crate::support::redis_server::RedisServer;
use crate::support::relay::Relay;
use countersign::clock::Clock;
use countersign::jose::alg::Alg;
use countersign::keyring::{KeyState, Keyring, KeyringSettings, RedisKey, StoreSettings};
use countersign::setting::Secret;
use tokio::sync::watch;
use zeroize::Zeroizing;

fn settings(server: &RedisServer, key: u8) -> KeyringSettings {
    KeyringSettings {
        algorithm: Alg::Es256,
        store: StoreSettings::Redis {
            url: Secret::new(format!("redis://127.0.0.1:{}/0?ring=test", server.port)),
            encryption_key: RedisKey(Zeroizing::new([key; 32])),
        },
        rotate_every: None,
        max_age: Duration::from_secs(60),
        skew: Duration::from_secs(5),
        outage: Duration::ZERO,
    }
}

struct Replicas {
    rings: Vec<Arc<Keyring>>,
    _stop: watch::Sender<bool>,
}

async fn replicas(n: usize, settings: &KeyringSettings, clock: &Clock) -> Replicas {
    let (stop, shutdown) = watch::channel(false);
    let opening = (0..n).map(|_| Keyring::open(settings.clone(), clock.clone()));
    let rings: Vec<_> =
        futures::future::join_all(opening).await.into_iter().map(Result::unwrap).collect();
    for ring in &rings {
        let (ring, shutdown) = (Arc::clone(ring), shutdown.clone());
        tokio::spawn(async move { ring.run(shutdown).await });
    }
    Replicas { rings, _stop: stop }
}

fn actives(replicas: &Replicas) -> BTreeSet<String> {
    replicas.rings.iter().map(|r| r.snapshot().active.kid().to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_start_together_have_one_key_and_rotate_once() {
    let server = RedisServer::start().await;
    let clock = Clock::scaled(20.0);
    let settings = settings(&server, 7);
    let replicas = replicas(4, &settings, &clock).await;
    assert_eq!(actives(&replicas).len(), 1);
    let first = actives(&replicas).pop_first().unwrap();
    // All replicas ask at once.
    for ring in &replicas.rings {
        ring.rotate(false).await.unwrap();
    }
    eventually("all see one next key", || {
        replicas.rings.iter().all(|r| r.snapshot().public.len() == 2)
    })
    .await;
    eventually("it signs everywhere", || {
        let now = actives(&replicas);
        now.len() == 1 && !now.contains(&first)
    })
    .await;
    let keys = replicas.rings[0].snapshot().keys.clone();
    assert_eq!(keys.len(), 2, "rotated once: {keys:?}");
    assert_eq!(keys.iter().filter(|k| k.state == KeyState::Retired).count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lies_in_redis_is_sealed() {
    let server = RedisServer::start().await;
    let ring = Keyring::open(settings(&server, 7), Clock::system()).await.unwrap();
    let client = redis::Client::open(format!("redis://127.0.0.1:{}/0", server.port)).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let stored: HashMap<String, String> =
        redis::cmd("HGETALL").arg("test:ring").query_async(&mut connection).await.unwrap();
    let text = &stored["ring"];
    assert!(text.contains(ring.snapshot().active.kid().as_str()));
    let pkcs8 = ring.snapshot().active.to_pkcs8().unwrap();
    use base64::Engine as _;
    let plain = base64::engine::general_purpose::STANDARD.encode(&pkcs8[pkcs8.len() - 60..]);
    assert!(!text.contains(&plain) && text.contains("\"v1."), "{text}");
    // The wrong key opens nothing and replaces nothing.
    let error = Keyring::open(settings(&server, 8), Clock::system()).await.unwrap_err();
    assert_eq!(error.code(), "store_corrupt");
    assert!(error.to_string().contains("encryption key"), "{error}");
    let after: HashMap<String, String> =
        redis::cmd("HGETALL").arg("test:ring").query_async(&mut connection).await.unwrap();
    assert_eq!(stored, after);
}

/// `keys rotate` says that a key signs only once it does, in every replica.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_by_hand_waits_for_every_replica() {
    let server = RedisServer::start().await;
    let settings = settings(&server, 7);
    let replicas = replicas(3, &settings, &Clock::system()).await;
    let dir = tempfile::tempdir().unwrap();
    use base64::Engine as _;
    let key = base64::engine::general_purpose::STANDARD.encode([7; 32]);
    let config = format!(
        "[signing]\nalgorithm = \"ES256\"\nstore = \"redis://127.0.0.1:{}/0?ring=test\"\n\
         encryption_key = \"{key}\"\n",
        server.port
    );
    std::fs::write(dir.path().join("countersign.toml"), config).unwrap();
    let rotate = async |args: &[&str]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(["keys", "rotate", "--json"]).args(args).current_dir(dir.path());
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    // Wait until each has announced itself.
    let client = redis::Client::open(format!("redis://127.0.0.1:{}/0", server.port)).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut known: u64 = 0;
    while known < 3 {
        known = redis::cmd("HLEN").arg("test:replicas").query_async(&mut connection).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let said = rotate(&["--now"]).await;
    // At once, without another poll.
    let active = said["kid"].as_str().unwrap().to_owned();
    assert_eq!(actives(&replicas), BTreeSet::from([active]));
    assert_eq!((said["running"].as_u64(), said["behind"].as_u64()), (Some(3), Some(0)));
    assert!(said["store"].as_str().unwrap().ends_with("test:ring"), "{said}");
    // Replicas that end withdraw their announcement.
    drop(replicas);
    while known > 0 {
        known = redis::cmd("HLEN").arg("test:replicas").query_async(&mut connection).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(rotate(&["--now"]).await["running"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_signing_goes_on_and_a_lost_ring_comes_back() {
    let mut server = RedisServer::start().await;
    let clock = Clock::system();
    let settings = settings(&server, 7);
    let replicas = replicas(2, &settings, &clock).await;
    let active = actives(&replicas);
    let exp = clock.now().plus(Duration::from_secs(3600));
    replicas.rings[0].note_signed(exp).await;
    server.kill();
    eventually("it is said", || {
        replicas.rings.iter().all(|r| r.status().error.is_some_and(|e| e.code == "store_away"))
    })
    .await;
    assert_eq!(actives(&replicas), active);
    let later = exp.plus(Duration::from_secs(7200));
    replicas.rings[1].note_signed(later).await;
    assert_eq!(replicas.rings[0].rotate(false).await.unwrap_err().code(), "store_away");
    let new = Keyring::open(settings.clone(), clock.clone()).await;
    assert_eq!(new.unwrap_err().code(), "store_away", "no ring is made up");

    // Redis comes back empty: nothing was saved.
    server.restart().await;
    eventually("all is well again", || replicas.rings.iter().all(|r| r.status().error.is_none()))
        .await;
    assert_eq!(actives(&replicas), active);
    let fresh = Keyring::open(settings, clock).await.unwrap();
    assert_eq!(BTreeSet::from([fresh.snapshot().active.kid().to_string()]), active);
    eventually("what was signed meanwhile is known", || {
        replicas.rings[0].status().keys[0].latest_exp >= later.secs()
    })
    .await;
}

/// The promises for a replica that is cut off for longer than is allowed: the others rotate, its status says
/// so, it keeps signing with what it has, and once it is back it has read and written everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_cut_off_for_long_is_told_blocks_nobody_and_catches_up() {
    let server = RedisServer::start().await;
    let relay = Relay::to(server.port).await;
    let clock = Clock::system();
    let quick = KeyringSettings {
        max_age: Duration::from_secs(1),
        skew: Duration::from_secs(1),
        ..settings(&server, 7)
    };
    let StoreSettings::Redis { encryption_key, .. } = quick.store.clone() else { panic!() };
    let url = Secret::new(format!("redis://127.0.0.1:{}/0?ring=test", relay.port));
    let through =
        KeyringSettings { store: StoreSettings::Redis { url, encryption_key }, ..quick.clone() };
    let near = replicas(2, &quick, &clock).await;
    let apart = replicas(1, &through, &clock).await;
    let far = &apart.rings[0];
    let old = far.snapshot().active.kid().clone();
    assert_eq!(actives(&near), BTreeSet::from([old.to_string()]));

    relay.cut();
    eventually("it is told", || far.status().error.is_some_and(|e| e.code == "store_away")).await;
    assert!(near.rings.iter().all(|ring| ring.status().error.is_none()));
    near.rings[0].rotate(false).await.unwrap();
    eventually("the others rotate", || !actives(&near).contains(old.as_str())).await;
    // This cannot be promised: the new key is not in its set.
    let new = near.rings[0].snapshot().active.kid().clone();
    let has = |ring: &Keyring, kid: &str| {
        ring.snapshot().public.iter().any(|key| key.kid().is_some_and(|k| k.as_str() == kid))
    };
    assert!(!has(far, new.as_str()));
    // It keeps signing, with a key that all others still have.
    let exp = clock.now().plus(Duration::from_secs(100_000));
    assert_eq!(*far.snapshot().active.kid(), old);
    far.note_signed(exp).await;
    assert!(near.rings.iter().all(|ring| has(ring, old.as_str())));
    let stored = |ring: &Keyring| {
        let keys = ring.status().keys;
        keys.into_iter().find(|key| key.kid == old.as_str()).map_or(0, |key| key.latest_exp)
    };
    assert!(stored(&near.rings[0]) < exp.secs());

    relay.mend();
    eventually("it has the others' ring", || *far.snapshot().active.kid() == new).await;
    assert!(has(far, old.as_str()) && far.status().error.is_none());
    eventually("the others know what it signed", || {
        near.rings.iter().all(|ring| stored(ring) >= exp.secs())
    })
    .await;
}

/// What operators and load balancers see of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_cut_off_from_redis_stays_ready_and_says_so() {
    use proxy::{RequestExt as _, ResponseExt as _};
    proxy::provider();
    let server = RedisServer::start().await;
    let relay = Relay::to(server.port).await;
    let upstream = proxy::Upstream::start().await;
    let toml = format!(
        "[signing]\nalgorithm = \"ES256\"\nstore = \"redis://127.0.0.1:{}/0\"\n\
         encryption_key = \"{}=\"\n",
        relay.port,
        "A".repeat(43)
    );
    let proxy = proxy::Proxy::ready(&upstream.url(), &toml).await;
    let admin = format!("http://{}", proxy.handle.admin.unwrap());
    let read = async |path: &str| {
        let answer = reqwest::get(format!("{admin}{path}")).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let sees = async |reason: bool| {
        for _ in 0..1500 {
            let (status, text) = read("/readyz").await;
            assert_eq!(status, 200, "{text}");
            if text.contains("signing key store: store_away") == reason {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("never: {reason}");
    };
    sees(false).await;
    assert!(read("/metrics").await.1.contains("countersign_key_store_up 1"));
    relay.cut();
    sees(true).await;
    assert!(read("/metrics").await.1.contains("countersign_key_store_up 0"));
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("subject_token", &upstream.token(&upstream.claims())),
    ];
    let client = reqwest::Client::new();
    let answer = client.post(proxy.url("/_countersign/token")).form(&form).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let answer: serde_json::Value = answer.json().await.unwrap();
    let header = jsonwebtoken::decode_header(answer["access_token"].as_str().unwrap()).unwrap();
    let set = reqwest::get(proxy.url("/.well-known/jwks.json")).await.unwrap();
    assert!(set.text().await.unwrap().contains(&header.kid.unwrap()));
    relay.mend();
    sees(false).await;
    assert!(read("/metrics").await.1.contains("countersign_key_store_up 1"));
}
