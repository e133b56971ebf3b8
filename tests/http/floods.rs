//! The issuer's load when many clients ask, counted at the issuer: a cold start, random kids,
//! `Retry-After`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::fault_issuer::{FaultIssuer, Reply};
use crate::support::proxy::{RequestExt as _, ResponseExt as _, config, provider};
use crate::support::signer::Signer;
use countersign::clock::Clock;
use countersign::jose::names::UnixTime;
use countersign::serve::{Handle, start_with_clock};
use serde_json::{Value, json};

/// A proxy that knows one issuer by its key set alone.
struct Scene {
    issuer: FaultIssuer,
    signer: Signer,
    handle: Handle,
    clock: Clock,
    /// The time before the first request.
    began: UnixTime,
    client: reqwest::Client,
    _data: tempfile::TempDir,
}

impl Scene {
    async fn new(usual: Reply, faster: f64) -> Self {
        provider();
        let signer = Signer::es384();
        let issuer = FaultIssuer::start(&[signer.jwk("e1")]).await;
        issuer.usually(usual);
        let data = tempfile::tempdir().unwrap();
        let toml = format!(
            "[signing]\nalgorithm = \"ES256\"\n\
             [[issuer]]\nname = \"one\"\nissuer = \"https://one.example\"\njwks = \"{}\"\n\
             [issuer.refresh]\nmin_age = \"1h\"\nunknown_kid_wait = \"1s\"\n",
            issuer.url("/jwks")
        );
        let clock = Clock::scaled(faster);
        let began = clock.now();
        // There is no upstream.
        let config = config("http://127.0.0.1:9", &toml, data.path());
        let handle = start_with_clock(config, clock.clone()).unwrap();
        let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge();
        let client = client.build().unwrap();
        Self { issuer, signer, handle, clock, began, client, _data: data }
    }

    fn token(&self, kid: &str, n: usize) -> String {
        let now = Clock::system().now().secs();
        let header = json!({"alg": "ES384", "kid": kid, "typ": "JWT"});
        let claims = json!({
            "iss": "https://one.example", "aud": "app", "sub": format!("u{n}"),
            "iat": now, "exp": now + 1_000_000,
        });
        self.signer.token(&header, &claims)
    }

    /// Status and error code of an exchange.
    async fn exchange(client: reqwest::Client, url: String, token: String) -> (u16, String) {
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
            ("subject_token", token.as_str()),
        ];
        let answer = client.post(url).form(&form).send().await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    }

    /// Sends `n` exchanges at once, each with its own kid.
    async fn flood(&self, from: usize, n: usize) -> BTreeMap<(u16, String), usize> {
        let url = format!("http://{}/_countersign/token", self.handle.public);
        let asked = (from..from + n).map(|i| {
            let token = self.token(&format!("random-{i}"), i);
            tokio::spawn(Self::exchange(self.client.clone(), url.clone(), token))
        });
        let mut counts = BTreeMap::new();
        for answer in futures::future::join_all(asked).await {
            *counts.entry(answer.unwrap()).or_insert(0) += 1;
        }
        counts
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_at_once_on_a_cold_start_is_one_fetch() {
    let scene = Scene::new(Reply::Slow(Duration::from_millis(400)), 1.0).await;
    let base = format!("http://{}", scene.handle.public);
    let mut asked = tokio::task::JoinSet::new();
    for n in 0..400 {
        let (client, base, token) = (scene.client.clone(), base.clone(), scene.token("e1", n));
        asked.spawn(async move {
            if n % 2 == 0 {
                let set = client.get(format!("{base}/.well-known/jwks.json")).send().await.unwrap();
                return set.status().as_u16();
            }
            Scene::exchange(client, format!("{base}/_countersign/token"), token).await.0
        });
    }
    let mut counts = BTreeMap::new();
    while let Some(status) = asked.join_next().await {
        *counts.entry(status.unwrap()).or_insert(0) += 1;
    }
    println!("cold start: {counts:?}, {} fetch", scene.issuer.requests());
    assert_eq!(counts, BTreeMap::from([(200, 400)]));
    assert_eq!(scene.issuer.requests(), 1);
}

/// Ten minutes of flood, first while the issuer is well, then while it fails. There is at most one
/// fetch per cooldown.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_kids_costs_the_issuer_a_fetch_a_cooldown() {
    const COOLDOWN: u64 = 30;
    for (usual, failing) in [(Reply::ok(), false), (Reply::status(500), true)] {
        let scene = Scene::new(Reply::ok(), 60.0).await;
        let (good, code) = {
            let url = format!("http://{}/_countersign/token", scene.handle.public);
            Scene::exchange(scene.client.clone(), url, scene.token("e1", 0)).await
        };
        assert_eq!((good, code.as_str()), (200, ""));
        assert_eq!(scene.issuer.requests(), 1);
        scene.issuer.usually(usual);
        let start = scene.clock.now();
        let (mut sent, mut lasted) = (0, 0);
        while lasted < 600 {
            let counts = scene.flood(sent, 40).await;
            assert_eq!(counts, BTreeMap::from([((400, "kid_unknown".to_owned()), 40)]));
            sent += 40;
            lasted = scene.clock.now().since(start).as_secs();
        }
        let fetches = scene.issuer.requests() - 1;
        println!("kid flood, failing {failing}: {sent} kids in {lasted} s, {fetches} fetches");
        assert!(fetches >= 2, "{fetches}: it does look");
        assert!(fetches as u64 <= lasted / COOLDOWN + 1, "{fetches} in {lasted} s");
        // A valid token is still accepted.
        let url = format!("http://{}/_countersign/token", scene.handle.public);
        let answer = Scene::exchange(scene.client.clone(), url, scene.token("e1", 1)).await;
        assert_eq!(answer.0, 200);
    }
}

/// An issuer's `Retry-After` is honoured, whatever clients ask.
#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_kept_whoever_asks() {
    let scene = Scene::new(Reply::status(429).with("Retry-After: 100"), 15.0).await;
    let start = scene.clock.now();
    let base = format!("http://{}", scene.handle.public);
    let set = format!("{base}/.well-known/jwks.json");
    let (mut asked, mut sent) = (0, 0);
    while scene.clock.now().since(start) < Duration::from_secs(80) {
        let answer = scene.client.get(&set).send().await.unwrap();
        assert_eq!(answer.status(), 502);
        let counts = scene.flood(sent, 10).await;
        assert!(counts.keys().all(|(status, _)| *status == 503), "{counts:?}");
        sent += 10;
        asked += 11;
    }
    println!("Retry-After: 100: {asked} requests in 80 s, {} fetch", scene.issuer.requests());
    assert_eq!(scene.issuer.requests(), 1);
    scene.issuer.usually(Reply::ok());
    for _ in 0..1500 {
        if scene.client.get(&set).send().await.unwrap().status() == 200 {
            assert!(scene.clock.now().since(scene.began) >= Duration::from_secs(100));
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it is asked again in time");
}
