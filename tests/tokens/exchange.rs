//! `POST /_countersign/token` on real sockets: the status and code of each refusal, after which
//! nothing is signed.

use crate::support::proxy;
use std::sync::Arc;

use crate::support::proxy::{Proxy, RequestExt as _, ResponseExt as _, Upstream, provider};
use crate::support::signer::{Signer, b64};
use countersign::jose::publish::PublishedKids;
use reqwest::Response;
use serde_json::{Value, json};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ID: &str = "urn:ietf:params:oauth:token-type:id_token";

async fn exchange(proxy: &Proxy, token: &str) -> Response {
    let form = [("grant_type", GRANT), ("subject_token", token), ("subject_token_type", ID)];
    reqwest::Client::new().post(proxy.url("/_countersign/token")).form(&form).send().await.unwrap()
}

async fn refusal(answer: Response) -> (u16, String, String) {
    let status = answer.status().as_u16();
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert_eq!(answer.headers()["pragma"], "no-cache");
    let body: Value = answer.json().await.unwrap();
    assert!(body.get("access_token").is_none());
    let text = |name: &str| body[name].as_str().unwrap().to_owned();
    assert!(text("error_description").starts_with(&text("code")));
    (status, text("error"), text("code"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_token_is_exchanged() {
    provider();
    let upstream = Upstream::start().await;
    let proxy = Proxy::ready(&upstream.url(), "").await;
    let token = upstream.token(&upstream.claims());
    for _ in 0..2 {
        let answer = exchange(&proxy, &token).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["issued_token_type"], ID);
        assert_eq!(body["token_type"], "Bearer");
        let left = body["expires_in"].as_u64().unwrap();
        assert!((250..=300).contains(&left), "{left}");
        let new = body["access_token"].as_str().unwrap();
        assert_eq!(upstream.claims_of(new), upstream.claims_of(&token));
    }
    let status = proxy.handle.app().state.bridge.status();
    assert_eq!((status.cache.misses, status.cache.hits), (1, 1));
    // Exchanging the new token again does not loop: no issuer is configured for our own tokens.
}

fn count(proxy: &Proxy, outcome: &str) -> u64 {
    let status = proxy.handle.app().state.bridge.status();
    let tokens = status.by.iter().filter(|row| row.outcome == outcome).map(|row| row.count);
    let refused = status.refusals.iter().filter(|row| row.code == outcome).map(|row| row.count);
    tokens.chain(refused).sum()
}

/// The inputs of every result: the issuer's keys, our keys, and what is published of both.
fn depends_on(proxy: &Proxy) -> (u64, String, Arc<PublishedKids>) {
    let app = proxy.handle.app();
    let issuer = app.issuers.only().unwrap();
    let signer = app.keyring.snapshot().active.kid().to_string();
    (issuer.snapshot().unwrap().epoch, signer, app.state.publisher.kids_for(issuer.name()))
}

/// Runs `attempt` with a new token each time, until none of its inputs changed meanwhile: a result
/// that is out of date when it is made is correctly made again. Returns the result of `attempt`,
/// and its counts of signatures, misses, hits and new entries.
async fn undisturbed<T>(
    proxy: &Proxy,
    upstream: &Upstream,
    mut attempt: impl AsyncFnMut(String) -> T,
) -> (T, [u64; 4]) {
    let counts = || {
        let cache = proxy.handle.app().state.bridge.status().cache;
        [count(proxy, "countersigned"), cache.misses, cache.hits, cache.entries]
    };
    for number in 0..10 {
        let mut claims = upstream.claims();
        claims["attempt"] = json!(number);
        let (before, counted) = (depends_on(proxy), counts());
        let made = attempt(upstream.token(&claims)).await;
        let mut more = counts();
        if depends_on(proxy) == before {
            more.iter_mut().zip(counted).for_each(|(more, counted)| *more -= counted);
            return (made, more);
        }
    }
    panic!("the sets do not stay as they are");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_exchanges_of_one_new_token_make_one_signature() {
    provider();
    let upstream = Upstream::start().await;
    // ES256 signatures are randomised, so two of them are never equal.
    let proxy = Proxy::ready(&upstream.url(), "[signing]\nalgorithm = \"ES256\"\n").await;
    let (new, counts) = undisturbed(&proxy, &upstream, async |token| {
        let asked = (0..50).map(|_| async {
            let answer = exchange(&proxy, &token).await;
            assert_eq!(answer.status(), 200);
            let body: Value = answer.json().await.unwrap();
            body["access_token"].as_str().unwrap().to_owned()
        });
        futures::future::join_all(asked).await
    })
    .await;
    assert!(new.iter().all(|other| *other == new[0]));
    assert_eq!(counts, [1, 1, 49, 1]);
}

/// All fifty requests wait before the first has its answer. If the first one is cancelled, the
/// others still get theirs, and the work is done once.
#[tokio::test]
async fn who_asked_first_may_go_away() {
    use std::future::Future as _;
    provider();
    let upstream = Upstream::start().await;
    let proxy = Proxy::ready(&upstream.url(), "").await;
    let bridge = proxy.handle.app().state.bridge.clone();
    let ask = countersign::pipeline::Ask::default();
    let (made, [signed, misses, ..]) = undisturbed(&proxy, &upstream, async |token| {
        let mut first = Box::pin(bridge.countersign(&token, &ask));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(first.as_mut().poll(&mut context).is_pending());
        let mut others: Vec<_> =
            (0..49).map(|_| Box::pin(bridge.countersign(&token, &ask))).collect();
        for other in &mut others {
            assert!(other.as_mut().poll(&mut context).is_pending());
        }
        // The task of the first request has started before those of the others.
        tokio::task::yield_now().await;
        drop(first);
        let made = futures::future::join_all(others).await;
        made.into_iter().map(|made| made.unwrap().jwt.unwrap()).collect::<Vec<_>>()
    })
    .await;
    assert!(made.iter().all(|other| Arc::ptr_eq(other, &made[0])));
    assert_eq!((signed, misses), (1, 1));
}

/// Concurrent requests share a refusal, but it is not cached: the reason may be gone later.
#[tokio::test]
async fn a_refusal_is_not_remembered() {
    provider();
    let upstream = Upstream::start().await;
    let toml = format!(
        "[[issuer]]\nname = \"one\"\nissuer = \"{0}\"\njwks = \"{0}/jwks\"\n\
         [issuer.refresh]\ncooldown = \"1s\"\n",
        upstream.url()
    );
    let proxy = Proxy::ready(&upstream.url(), &toml).await;
    let bridge = proxy.handle.app().state.bridge.clone();
    let ask = countersign::pipeline::Ask::default();
    let new = Signer::es384();
    let token = new.token(&json!({"alg": "ES384", "kid": "new"}), &upstream.claims());
    let refused =
        futures::future::join_all((0..20).map(|_| bridge.countersign(&token, &ask))).await;
    assert!(refused.iter().all(|r| r.as_ref().is_err_and(|e| e.code() == "kid_unknown")));
    assert_eq!(count(&proxy, "kid_unknown"), 20);
    nothing_signed(&proxy);
    upstream.tell(|told| told.jwks = json!({"keys": [new.jwk("new")]}).to_string());
    for _ in 0..500 {
        if bridge.countersign(&token, &ask).await.is_ok() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("refused for ever");
}

/// Entries expire by our clock, which runs a hundred times as fast as the cache's own in this test.
#[tokio::test(flavor = "multi_thread")]
async fn a_result_leaves_the_cache_when_its_token_expires() {
    provider();
    let upstream = Upstream::start().await;
    let data = tempfile::tempdir().unwrap();
    let clock = countersign::clock::Clock::scaled(100.0);
    let config = proxy::config(&upstream.url(), "", data.path());
    let handle = countersign::serve::start_with_clock(config, clock).unwrap();
    let bridge = handle.app().state.bridge.clone();
    let token = upstream.token(&upstream.claims());
    let ask = countersign::pipeline::Ask::default();
    let mut made = bridge.countersign(&token, &ask).await;
    for _ in 0..500 {
        if made.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        made = bridge.countersign(&token, &ask).await;
    }
    made.unwrap();
    let status = bridge.status();
    assert_eq!(status.cache.entries, 1);
    assert!(status.cache.bytes > token.len() as u64, "{}", status.cache.bytes);
    // With that clock, 300 seconds take three.
    for _ in 0..1000 {
        if bridge.status().cache.entries == 0 {
            assert_eq!(bridge.countersign(&token, &ask).await.unwrap_err().code(), "expired");
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("an expired result is kept");
}

/// A token with an HMAC that uses this text as its secret.
fn hmac(alg: &str, text: &str, claims: &Value) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, text.as_bytes());
    let head = json!({"alg": alg, "kid": "e1"});
    let input = format!("{}.{}", b64(head.to_string()), b64(claims.to_string()));
    format!("{input}.{}", b64(aws_lc_rs::hmac::sign(&key, input.as_bytes())))
}

/// Nothing was signed: it was neither counted nor cached.
fn nothing_signed(proxy: &Proxy) {
    let status = proxy.handle.app().state.bridge.status();
    assert_eq!((status.countersigned, status.passed), (0, 0), "{status:?}");
    assert_eq!((status.cache.hits, status.cache.entries), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refused_token_names_its_check() {
    use aws_lc_rs::encoding::AsDer as _;
    use aws_lc_rs::signature::KeyPair as _;
    provider();
    let upstream = Upstream::start().await;
    let proxy = Proxy::ready(&upstream.url(), "").await;
    let claims = upstream.claims();
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        claims
    };
    let head = |value: Value| upstream.signer.token(&value, &claims);
    let good = upstream.token(&claims);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let forged = {
        let header = good.split('.').next().unwrap();
        format!("{header}.{}.{signature}", b64(with("sub", json!("admin")).to_string()))
    };
    let unsigned = |alg: &str, signature: &str| {
        let header = b64(json!({"alg": alg, "kid": "e1"}).to_string());
        format!("{header}.{}.{signature}", b64(claims.to_string()))
    };
    let jwk = upstream.signer.jwk("e1").to_string();
    let Signer::Es384(pair) = &upstream.signer else { panic!("an ES384 issuer") };
    let spki: aws_lc_rs::encoding::PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    let pem = pem::encode(&pem::Pem::new("PUBLIC KEY", spki.as_ref()));
    let stranger = Signer::es384().token(&json!({"alg": "ES384", "kid": "e1"}), &claims);
    for (what, token, status, error, code) in [
        ("expired", upstream.token(&with("exp", json!(1))), 400, "invalid_request", "expired"),
        (
            "wrong issuer",
            upstream.token(&with("iss", json!("https://other.example"))),
            400,
            "invalid_request",
            "issuer_unknown",
        ),
        (
            "an issuer of two lines",
            upstream.token(&with("iss", json!("a\r\nX-Evil: 1"))),
            400,
            "invalid_request",
            "iss",
        ),
        ("tampered payload", forged, 400, "invalid_request", "signature"),
        ("no signature", format!("{signed}."), 400, "invalid_request", "signature"),
        ("alg none", unsigned("none", ""), 400, "invalid_request", "alg"),
        ("alg nOnE", unsigned("nOnE", ""), 400, "invalid_request", "alg"),
        ("alg none, signed", unsigned("none", signature), 400, "invalid_request", "alg"),
        ("HS256 by the JWK", hmac("HS256", &jwk, &claims), 400, "invalid_request", "alg"),
        ("HS256 by the PEM", hmac("HS256", &pem, &claims), 400, "invalid_request", "alg"),
        ("HS256 said ES384", hmac("ES384", &pem, &claims), 400, "invalid_request", "signature"),
        ("another's key", stranger, 400, "invalid_request", "signature"),
        (
            "crit",
            head(json!({"alg": "ES384", "kid": "e1", "crit": ["exp"], "exp": 1})),
            400,
            "invalid_request",
            "crit",
        ),
        (
            "unknown kid",
            head(json!({"alg": "ES384", "kid": "unknown"})),
            400,
            "invalid_request",
            "kid_unknown",
        ),
        (
            "a kid of two lines",
            head(json!({"alg": "ES384", "kid": "x\r\nSet-Cookie: a=b"})),
            400,
            "invalid_request",
            "kid_unknown",
        ),
        ("rubbish", "rubbish".to_owned(), 400, "invalid_request", "format"),
        ("20 kB", format!("{}.x.y", "a".repeat(20_000)), 400, "invalid_request", "too_large"),
        (
            "1 MB",
            upstream.token(&with("x", json!("y".repeat(1 << 20)))),
            413,
            "invalid_request",
            "body_too_large",
        ),
    ] {
        let answer = exchange(&proxy, &token).await;
        assert!(answer.headers().get("x-evil").is_none());
        assert!(answer.headers().get("set-cookie").is_none());
        let found = refusal(answer).await;
        assert_eq!(found, (status, error.to_owned(), code.to_owned()), "{what}");
    }
    nothing_signed(&proxy);
    // The server still works.
    assert_eq!(exchange(&proxy, &good).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_none_is_refused_by_name() {
    provider();
    let upstream = Upstream::start().await;
    let proxy = Proxy::ready(&upstream.url(), "").await;
    let client = reqwest::Client::new();
    let url = proxy.url("/_countersign/token");
    let form = "application/x-www-form-urlencoded";
    let send = |body: String, media: &'static str| {
        client.post(&url).header("content-type", media).body(body).send()
    };
    for (body, media, status, error, code) in [
        (String::new(), form, 400, "invalid_request", "parameter_missing"),
        ("grant_type=password".into(), form, 400, "unsupported_grant_type", "grant_type"),
        ("a=b".into(), "application/json", 415, "invalid_request", "media_type"),
        (
            format!("grant_type={GRANT}&grant_type={GRANT}"),
            form,
            400,
            "invalid_request",
            "parameter_repeated",
        ),
        (
            format!("subject_token={}", "x".repeat(1 << 20)),
            form,
            413,
            "invalid_request",
            "body_too_large",
        ),
    ] {
        let found = refusal(send(body, media).await.unwrap()).await;
        assert_eq!(found, (status, error.to_owned(), code.to_owned()));
    }
    let get = client.get(&url).send().await.unwrap();
    assert_eq!(
        (get.status().as_u16(), get.headers()["allow"].to_str().unwrap()),
        (405, "POST, OPTIONS")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_configured_origins_may_read_the_answer() {
    provider();
    let upstream = Upstream::start().await;
    let toml = "[exchange]\ncors_origins = [\"https://app.example\"]\n";
    let proxy = Proxy::ready(&upstream.url(), toml).await;
    let client = reqwest::Client::new();
    let url = proxy.url("/_countersign/token");
    for (origin, allowed) in [("https://app.example", true), ("https://evil.example", false)] {
        let preflight = client
            .request(reqwest::Method::OPTIONS, &url)
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .send()
            .await
            .unwrap();
        assert_eq!(preflight.status(), 204);
        // Fields that tracing libraries add to each request of a page.
        let headers = preflight.headers().get("access-control-allow-headers");
        let headers = headers.map_or("", |names| names.to_str().unwrap());
        for name in ["Content-Type", "traceparent", "tracestate", "baggage", "sentry-trace"] {
            assert_eq!(headers.split(", ").any(|n| n == name), allowed, "{name}");
        }
        let answer = client.post(&url).header("origin", origin).send().await.unwrap();
        for headers in [preflight.headers(), answer.headers()] {
            let field = headers.get("access-control-allow-origin");
            assert_eq!(field.map(|v| v.to_str().unwrap()), allowed.then_some(origin));
            assert_eq!(headers["vary"], "Origin");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_whose_keys_are_html_signs_nothing() {
    provider();
    let upstream = Upstream::start().await;
    upstream.tell(|told| told.jwks = "<html>".into());
    let toml = format!(
        "[[issuer]]\nname = \"a\"\nissuer = \"{0}\"\njwks = \"{0}/jwks\"\n",
        upstream.url()
    );
    let proxy = Proxy::start(&upstream.url(), &toml);
    let answer = exchange(&proxy, &upstream.token(&upstream.claims())).await;
    let expected = (503, "temporarily_unavailable".into(), "issuer_keys_unavailable".into());
    assert_eq!(answer.headers()["retry-after"], "1");
    assert_eq!(refusal(answer).await, expected);
    let set = reqwest::get(proxy.url("/.well-known/jwks.json")).await.unwrap();
    assert_eq!(set.status(), 502);
    assert_eq!(set.json::<Value>().await.unwrap()["code"], "no_key_set");
    nothing_signed(&proxy);
}

/// With a configured issuer, and with one that must still be discovered.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_down_signs_nothing() {
    provider();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let down = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let signer = Signer::es384();
    let now = countersign::clock::Clock::system().now().secs();
    let claims = json!({"iss": down, "sub": "u", "aud": "app", "iat": now, "exp": now + 300});
    let token = signer.token(&json!({"alg": "ES384", "kid": "e1"}), &claims);
    let configured = format!("[[issuer]]\nissuer = \"{down}\"\njwks = \"{down}/jwks\"\n");
    for toml in [configured.as_str(), ""] {
        let proxy = Proxy::start(&down, toml);
        let answer = exchange(&proxy, &token).await;
        let expected = (503, "temporarily_unavailable".into(), "issuer_keys_unavailable".into());
        assert_eq!(refusal(answer).await, expected, "{toml}");
        let answer = reqwest::get(proxy.url("/x")).await.unwrap();
        assert_eq!(answer.status(), 502);
        assert_eq!(answer.json::<Value>().await.unwrap()["code"], "upstream_unreachable");
        nothing_signed(&proxy);
    }
}

/// RFC 8693 §2.1 and §2.2: one of several audiences is chosen, a narrower scope is reported in the
/// answer, and no token is issued with a wrong type.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_is_told_where_it_is_not_what_was_asked_for() {
    provider();
    let upstream = Upstream::start().await;
    let proxy = Proxy::ready(&upstream.url(), "").await;
    let mut claims = upstream.claims();
    claims["scope"] = json!("read write");
    let token = upstream.token(&claims);
    let access = json!({"alg": "ES384", "kid": "e1", "typ": "at+jwt"});
    let access = upstream.signer.token(&access, &claims);
    claims["cnf"] = json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"});
    let bound = upstream.token(&claims);
    let id = "id_token";
    let ask = async |token: &str, kind: &str, more: &[(&str, &str)]| {
        let kind = format!("urn:ietf:params:oauth:token-type:{kind}");
        let form = [("grant_type", GRANT), ("subject_token", token), ("subject_token_type", &kind)];
        let form = [&form[..], more].concat();
        let request = reqwest::Client::new().post(proxy.url("/_countersign/token")).form(&form);
        request.send().await.unwrap()
    };
    let has = json!("read write");
    type Fields = &'static [(&'static str, &'static str)];
    let asked: [(Fields, Value); 6] = [
        (&[], Value::Null),
        (&[("scope", "write  read")], Value::Null),
        (&[("scope", "read")], has.clone()),
        (&[("scope", "read write admin")], has),
        (&[("audience", "other"), ("audience", "app")], Value::Null),
        (&[("resource", "https://other.example"), ("resource", "app")], Value::Null),
    ];
    for (more, scope) in asked {
        let answer = ask(&token, id, more).await;
        assert_eq!(answer.status(), 200, "{more:?}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["scope"], scope, "{more:?}: {body}");
        let new = upstream.claims_of(body["access_token"].as_str().unwrap());
        assert_eq!(new["aud"], "app", "{more:?}");
    }
    let refused: [(_, Fields, _, _); 4] = [
        (&token, &[("audience", "other")], "invalid_target", "aud_asked"),
        (&token, &[("audience", "a"), ("resource", "https://b")], "invalid_target", "aud_asked"),
        (&access, &[], "invalid_request", "token_type"),
        (&bound, &[], "invalid_request", "sender_constrained"),
    ];
    for (token, more, error, code) in refused {
        let found = refusal(ask(token, id, more).await).await;
        assert_eq!(found, (400, error.to_owned(), code.to_owned()), "{more:?}");
    }
    // With the token type `access_token`, the access token is accepted.
    assert_eq!(ask(&access, "access_token", &[]).await.status(), 200);
}
