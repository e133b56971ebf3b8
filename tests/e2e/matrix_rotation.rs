//! Rotation × verifier: how long each verifier uses its copy of a key set, measured with its clock moved
//! forward (libfaketime), and that our key and the issuer's may rotate between two tokens without any
//! verifier refusing one. The results are in `tests/verifiers/caches.json` and `docs/matrix.md`; `UPDATE=1`
//! writes them anew.

#![cfg(feature = "verifier")]

use crate::support::table;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::caches::{Cache, Caches, Lost};
use crate::support::e2e::decode;
use crate::support::judges::{Fed, KINDS, Kind, Question, Verifier};
use crate::support::recipe::{Case, Pair};
use crate::support::signer::Signer;
use axum::Router;
use axum::extract::Request;
use axum::http::header;
use axum::response::IntoResponse;
use countersign::clock::Clock;
use serde_json::{Value, json};

/// `max-age` of the measured set, if the verifier's clock can be moved.
const MAX_AGE: u64 = 120;
/// How far the clock is moved forward, one step after the other. No step is a round number after another:
/// a cache of a minute would be full or empty by milliseconds.
const STEPS: &[u64] = &[0, 31, 61, 125, 301, 605, 3_601, 86_401];
/// The defaults of `server.max_age` and `signing.skew`: a new key of ours is in the set for this long before
/// it signs.
const AHEAD: u64 = 300 + 60;

/// A verifier's clock that can be moved forward, by libfaketime.
struct Turned {
    file: tempfile::NamedTempFile,
}

fn faketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?;
    let mut found = folders.map(|f| f.unwrap().path().join("faketime/libfaketimeMT.so.1"));
    found.find(|path| path.exists())
}

impl Turned {
    fn new() -> Self {
        let turned = Self { file: tempfile::NamedTempFile::new().unwrap() };
        turned.to(0);
        turned
    }

    /// Replaces the file as a whole: a process that reads an empty one has the old time for a moment.
    fn to(&self, seconds: u64) {
        let next = self.file.path().with_extension("next");
        std::fs::write(&next, format!("+{seconds}\n")).unwrap();
        std::fs::rename(next, self.file.path()).unwrap();
    }

    async fn start(&self, kind: &'static Kind) -> Option<Verifier> {
        let library = faketime().unwrap();
        let env = [
            ("LD_PRELOAD", library.to_str().unwrap()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.path().to_str().unwrap()),
            ("FAKETIME_NO_CACHE", "1"),
        ];
        Verifier::start(kind, &env).await
    }
}

/// A server of key sets that counts how often each is read.
#[derive(Clone)]
struct Sets {
    url: String,
    max_age: u64,
    now: Arc<Mutex<Value>>,
    read: Arc<AtomicUsize>,
}

impl Sets {
    async fn start(max_age: u64) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sets = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            max_age,
            now: Arc::default(),
            read: Arc::default(),
        };
        let shared = sets.clone();
        let app = Router::new().fallback(move |request: Request| {
            let sets = shared.clone();
            async move { sets.answer(request.uri().path()).into_response() }
        });
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        sets
    }

    /// Two issuers, `/a` and `/b`, with the same keys: a verifier's copy for one is not used for the other.
    fn answer(&self, path: &str) -> impl IntoResponse + use<> {
        let body = match path.split_once("/.well-known/openid-configuration") {
            Some((issuer, _)) => {
                let issuer = format!("{}{issuer}", self.url);
                json!({
                    "issuer": issuer, "jwks_uri": format!("{issuer}/jwks"),
                    "authorization_endpoint": format!("{issuer}/auth"),
                    "token_endpoint": format!("{issuer}/token"),
                    "response_types_supported": ["code"], "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["RS256"],
                })
            }
            None => {
                self.read.fetch_add(1, Ordering::SeqCst);
                self.now.lock().unwrap().clone()
            }
        };
        let fresh = format!("public, max-age={}", self.max_age);
        let json = "application/json".to_owned();
        ([(header::CONTENT_TYPE, json), (header::CACHE_CONTROL, fresh)], body.to_string())
    }

    fn serve(&self, keys: &[&Key]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.signer.jwk(key.kid)).collect();
        *self.now.lock().unwrap() = json!({ "keys": keys });
    }
}

struct Key {
    kid: &'static str,
    signer: Signer,
}

impl Key {
    fn new(kid: &'static str) -> Self {
        Self { kid, signer: Signer::rs256() }
    }

    fn token(&self, issuer: &str) -> String {
        self.token_at(issuer, Clock::system().now().secs())
    }

    fn token_at(&self, issuer: &str, now: i64) -> String {
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": self.kid });
        let claims = json!({
            "iss": issuer, "aud": "app", "sub": "user-1", "iat": now, "exp": now + 10 * 86_400,
        });
        self.signer.token(&header, &claims)
    }
}

/// A verifier, the sets it reads, and its clock, if that can be moved.
struct Measured<'a> {
    verifier: Verifier,
    sets: Sets,
    clock: Option<&'a Turned>,
}

impl Measured<'_> {
    async fn takes(&mut self, issuer: &str, key: &Key) -> bool {
        let issuer = format!("{}{issuer}", self.sets.url);
        let (jwks, token) = (format!("{issuer}/jwks"), key.token(&issuer));
        let question = Question { issuer: &issuer, jwks: &jwks, audience: "app", token: &token };
        self.verifier.ask(&question).await.is_ok()
    }

    /// Whether it refuses a token twice in a row: one refusal may be a read that timed out.
    async fn refuses(&mut self, issuer: &str, key: &Key) -> bool {
        !self.takes(issuer, key).await && !self.takes(issuer, key).await
    }

    async fn is(&mut self, taken: bool, issuer: &str, key: &Key) -> bool {
        if taken { self.takes(issuer, key).await } else { self.refuses(issuer, key).await }
    }

    /// After how many seconds it accepts a token, or refuses it: 0 for at once, `None` for not within a day.
    async fn later(&mut self, issuer: &str, key: &Key, taken: bool, after: u64) -> Option<u64> {
        let Some(clock) = self.clock else {
            // In real time: a little longer than the set is fresh.
            for waited in 0..150 {
                if self.is(taken, issuer, key).await {
                    return Some(if waited == 0 { 0 } else { MAX_AGE + 1 });
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            return None;
        };
        for step in STEPS {
            clock.to(after + step);
            if self.is(taken, issuer, key).await {
                return Some(*step);
            }
        }
        None
    }

    async fn measure(&mut self) -> Cache {
        let [one, two, three] = ["k1", "k2", "k3"].map(Key::new);
        self.sets.serve(&[&one]);
        let name = self.verifier.kind.name;
        assert!(self.takes("/a", &one).await, "{name}");
        let reads = self.sets.read.load(Ordering::SeqCst);
        assert!(self.takes("/a", &one).await, "{name}");
        let keeps = self.sets.read.load(Ordering::SeqCst) == reads;
        // A second key, added a moment after the set was read, and a third a moment later.
        self.sets.serve(&[&one, &two]);
        let learns = self.later("/a", &two, true, 0).await;
        let turned = learns.unwrap_or(0);
        self.sets.serve(&[&one, &two, &three]);
        let learns_again = self.later("/a", &three, true, turned).await;
        // A key that was removed, at an issuer whose set it has just read.
        let turned = turned + learns_again.unwrap_or(0);
        self.sets.serve(&[&one]);
        assert!(self.takes("/b", &one).await, "{name}");
        self.sets.serve(&[&two]);
        let forgets = self.later("/b", &one, false, turned).await;
        Cache { keeps, learns, learns_again, forgets }
    }
}

/// Whether two measurements agree. get-jwks keeps a removed key for two of its minutes or for three, by
/// the moment it is asked: when a removed key is forgotten may differ by a step.
fn alike(known: &Cache, found: &Cache) -> bool {
    let step = |after: Option<u64>| {
        let all = || STEPS.iter().copied();
        after.map_or(STEPS.len(), |after| {
            all().position(|step| step >= after).unwrap_or(STEPS.len())
        })
    };
    step(known.forgets).abs_diff(step(found.forgets)) <= 1
        && *known == Cache { forgets: known.forgets, ..found.clone() }
}

#[tokio::test]
async fn what_each_verifier_keeps_of_a_key_set() {
    if faketime().is_none() {
        eprintln!("libfaketime is not installed: scripts/install matrix");
        return;
    }
    let kept = Caches::read();
    let mut found = kept.clone();
    for kind in KINDS.iter().filter(|kind| kind.fed != Fed::Login) {
        let clock = Turned::new();
        let Some(verifier) = clock.start(kind).await else { continue };
        // Go gets the time from the kernel, and a verifier in this process has this process's clock: for them
        // the set is fresh for two seconds. go-oidc subtracts 30 s from `max-age`.
        let real = match kind.language {
            "Go" => Some(32),
            _ => (!kind.is_a_program()).then_some(2),
        };
        let sets = Sets::start(real.unwrap_or(MAX_AGE)).await;
        let clock = real.is_none().then_some(&clock);
        let mut measured = Measured { verifier, sets, clock };
        found.of.insert(kind.name.to_owned(), measured.measure().await);
        measured.verifier.end().await;
    }
    if std::env::vars().any(|(name, _)| name == "UPDATE") {
        found.write();
        table::update();
    }
    for (name, cache) in &found.of {
        let known = Caches::read().of.get(name).cloned();
        let same = known.as_ref().is_some_and(|known| alike(known, cache));
        assert!(same, "{name} was measured as {known:?}, is {cache:?}: run with UPDATE=1");
    }
    for (name, cache) in &found.of {
        let learns = cache.learns.unwrap().max(cache.learns_again.unwrap());
        assert!(learns < AHEAD, "{name} learns of our new key after it signs");
    }
}

/// All verifiers on one proxy.
struct All<'a> {
    verifiers: Vec<Verifier>,
    clock: Turned,
    pair: &'a Pair<'a>,
}

impl<'a> All<'a> {
    async fn start(pair: &'a Pair<'a>) -> Self {
        let clock = Turned::new();
        let mut verifiers = Vec::new();
        for kind in KINDS {
            verifiers.extend(clock.start(kind).await);
        }
        Self { verifiers, clock, pair }
    }

    async fn end(self) {
        for verifier in self.verifiers {
            verifier.end().await;
        }
    }

    async fn take(&mut self, token: &str, when: &str) {
        let (issuer, jwks) = (&self.pair.iss, self.pair.proxy.jwks());
        let audience = &self.pair.issuer().audience;
        for verifier in &mut self.verifiers {
            let question = Question { issuer, jwks: &jwks, audience, token };
            let said = verifier.ask(&question).await;
            assert_eq!(said, Ok(()), "{}, {when}", verifier.kind.name);
        }
    }
}

const PLAIN: Case = Case {
    name: "plain",
    recipe: ("tests/recipes/plain.toml", 0),
    kind: "plain",
    trouble: "",
    spelling: None,
    jwks: "/jwks",
    no_login: None,
};

fn kid(token: &str) -> String {
    decode(token).0["kid"].as_str().unwrap().to_owned()
}

/// Exchanges tokens until one has another kid, or the same again.
async fn until(pair: &Pair<'_>, what: &str, so: impl Fn(&str) -> bool) -> String {
    for _ in 0..600 {
        let token = pair.token().await;
        if so(&kid(&token)) {
            return token;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {what}\n{}", pair.proxy.log());
}

#[tokio::test]
async fn the_issuers_key_turns_between_two_tokens_and_no_verifier_refuses_one() {
    if faketime().is_none() {
        eprintln!("libfaketime is not installed: scripts/install matrix");
        return;
    }
    let alone = PLAIN.alone();
    let pair = PLAIN.pair(&PLAIN.recipe(), &alone).await;
    let mut all = All::start(&pair).await;

    // The issuer's own token, verified with its own key in our set.
    let first = until(&pair, "passed unchanged", |kid| kid == "plain-1").await;
    all.take(&first, "before any key turned").await;

    // The issuer's key rotates. Its token is countersigned until the new key has been in our set for as long
    // as a verifier may cache one. Our key was in the set from the start.
    pair.issuer().rotate().await;
    let second = pair.token().await;
    let ours = kid(&second);
    assert!(!ours.starts_with("plain-"), "a key nobody has seen yet: {ours}");
    all.take(&second, "the issuer's key turned, at once").await;
    let third = until(&pair, "the new key is known", |kid| kid == "plain-1-1").await;
    all.clock.to(AHEAD);
    all.take(&third, "the issuer's key turned, its tokens pass again").await;

    all.end().await;
}

#[tokio::test]
async fn our_key_turns_between_two_tokens_and_no_verifier_refuses_one() {
    if faketime().is_none() {
        eprintln!("libfaketime is not installed: scripts/install matrix");
        return;
    }
    // ES256: each token is countersigned. The same recipe.
    let case = Case { kind: "kanidm", ..PLAIN };
    let alone = case.alone();
    let pair = case.pair(&case.recipe(), &alone).await;
    let mut all = All::start(&pair).await;
    let first = pair.token().await;
    let old = kid(&first);
    all.take(&first, "before our key turned").await;
    let rotated = pair.proxy.command(&["keys", "rotate"]);
    assert!(rotated.status.success(), "{}", String::from_utf8_lossy(&rotated.stderr));
    // Published, not signing yet: no verifier notices.
    let published = pair.token().await;
    all.take(&published, "our new key is published").await;
    let second = until(&pair, "our key turned", |kid| kid != old).await;
    all.clock.to(AHEAD);
    all.take(&second, "our key turned").await;
    // A token of the old key is still valid, also for a verifier that reads the set anew.
    all.clock.to(2 * AHEAD);
    all.take(&first, "our key turned, a token of the old one").await;
    all.end().await;
}

/// Keys of other kinds than the one that signs, with its `alg` and `use`.
fn odd_keys() -> Vec<(&'static str, Value)> {
    let rsa = |alg: &str, used: &str| {
        let mut key = Signer::rs256().jwk("odd");
        (key["alg"], key["use"]) = (json!(alg), json!(used));
        key
    };
    let mut bare = Signer::eddsa().jwk("odd");
    bare.as_object_mut().unwrap().remove("alg");
    let p521 = json!({
        "kty": "EC", "crv": "P-521", "kid": "odd", "alg": "ES512", "use": "sig",
        "x": "AavxwGeO5Ws9cwLKkLpiG1kKYXviPPCaKpJ98LcEIJ7D0iks9SWqInDCVEIYW6h6M2ujTkkgBAVQRV5r-ewRXNtj",
        "y": "AeJqS9igJn-Dy0iyc_e24gUHAdDgd3Vl-evwaUUG-EmzB32fmnfMnPmqjfu_94VrjOTxUWM5Y8IRQnv1LsMl1bYY",
    });
    let koblitz = json!({
        "kty": "EC", "crv": "secp256k1", "kid": "odd", "alg": "ES256K", "use": "sig",
        "x": "AvSGeXWcyCG7hZsclIA912-8uJrn15BKC0BLhihNxDw", "y": "_a0lJ4sIHPjeuItTSEHGVxC7BLU_KO0S2PLCGzt3rxg",
    });
    let exchange = json!({
        "kty": "OKP", "crv": "X25519", "kid": "odd", "use": "enc",
        "x": "dIvRXAcKhXnr3WoOfAmznZPV6dQTvv65uC8inT0FZkQ",
    });
    let post_quantum = json!({
        "kty": "AKP", "kid": "odd", "alg": "ML-DSA-65", "use": "sig", "pub": "AAAA",
    });
    vec![
        ("RS512", rsa("RS512", "sig")),
        ("PS256", rsa("PS256", "sig")),
        ("RSA-OAEP-512", rsa("RSA-OAEP-512", "enc")),
        ("P-256", Signer::es256().jwk("odd")),
        ("P-384", Signer::es384().jwk("odd")),
        ("P-521", p521),
        ("Ed25519", Signer::eddsa().jwk("odd")),
        ("Ed25519 without `alg`", bare),
        ("secp256k1", koblitz),
        ("X25519", exchange),
        ("`kty: AKP`", post_quantum),
    ]
}

#[tokio::test]
async fn which_key_makes_which_verifier_lose_the_set() {
    let kept = Lost::read();
    let mut found = kept.clone();
    let (good, odd) = (Key::new("good"), odd_keys());
    let now = Clock::system().now().secs();
    for kind in KINDS.iter().filter(|kind| kind.fed != Fed::Login && kind.name != "HAProxy") {
        let Some(mut verifier) = Verifier::start(kind, &[]).await else { continue };
        let sets = Sets::start(MAX_AGE).await;
        let mut lost = Vec::new();
        for (nth, (name, jwk)) in odd.iter().enumerate() {
            *sets.now.lock().unwrap() = json!({ "keys": [jwk, good.signer.jwk(good.kid)] });
            let issuer = format!("{}/{nth}", sets.url);
            let (jwks, token) = (format!("{issuer}/jwks"), good.token_at(&issuer, now));
            let question =
                Question { issuer: &issuer, jwks: &jwks, audience: "app", token: &token };
            // Twice: one refusal may be a read that timed out.
            if verifier.ask(&question).await.is_err() && verifier.ask(&question).await.is_err() {
                lost.push((*name).to_owned());
            }
        }
        found.of.insert(kind.name.to_owned(), lost);
        verifier.end().await;
    }
    if std::env::vars().any(|(name, _)| name == "UPDATE") {
        found.write();
        table::update();
    }
    assert_eq!(Lost::read(), found, "not what was measured: run with UPDATE=1");
}
