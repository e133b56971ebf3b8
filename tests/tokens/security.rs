//! Attacks on the whole proxy.

use crate::support::signer;
use std::pin::pin;

use crate::support::client::{raw, status};
use crate::support::proxy::{Proxy, ResponseExt as _, Upstream, config, provider};
use axum::http::HeaderMap;
use axum::routing::get;
use axum::{Json, Router};
use countersign::pipeline::Ask;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A provider that builds its addresses from the request's fields.
async fn trusting_upstream() -> String {
    async fn document(headers: HeaderMap) -> Json<Value> {
        let field = |name: &str| headers.get(name).map(|v| v.to_str().unwrap().to_owned());
        let host = field("x-forwarded-host").or(field("host")).unwrap();
        let at = |path: &str| format!("http://{host}{path}");
        Json(json!({
            "issuer": at(""), "jwks_uri": at("/jwks"), "token_endpoint": at("/token"),
            "authorization_endpoint": at("/authorize"),
        }))
    }
    let jwks = json!({"keys": [signer::Signer::es384().jwk("e1")]});
    let app = Router::new()
        .route("/.well-known/openid-configuration", get(document))
        .route("/jwks", get(move || async move { Json(jwks) }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    format!("http://{address}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_host_does_not_reach_the_metadata_of_others() {
    provider();
    let proxy = Proxy::ready(&trusting_upstream().await, "").await;
    let ask = |forged: Option<&'static str>| {
        let request = reqwest::Client::new().get(proxy.url("/.well-known/openid-configuration"));
        let request = request.header("host", "auth.example");
        match forged {
            Some(host) => request.header("x-forwarded-host", host),
            None => request,
        }
    };
    let forged: Value = ask(Some("evil.example")).send().await.unwrap().json().await.unwrap();
    assert_eq!(forged["token_endpoint"], "http://evil.example/token", "the attack has begun");
    let honest: Value = ask(None).send().await.unwrap().json().await.unwrap();
    assert!(!honest.to_string().contains("evil.example"), "{honest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_a_reload_overtook_is_not_kept() {
    provider();
    let upstream = Upstream::start().await;
    let slow = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = |name: &str, jwks: &str| {
        format!("[[issuer]]\nname = \"{name}\"\nissuer = \"{name}\"\njwks = \"{jwks}\"\n")
    };
    let gone = issuer("gone", &format!("http://{}/jwks", slow.local_addr().unwrap()));
    let proxy = Proxy::start(&upstream.url(), &gone);
    let bridge = proxy.handle.app().state.bridge.clone();
    let mut claims = upstream.claims();
    claims["iss"] = json!("gone");
    let token = upstream.token(&claims);
    let ask = Ask::default();
    {
        // The issuer is known, and the token waits for the first fetch of the keys.
        let mut waiting = pin!(bridge.countersign(&token, &ask));
        tokio::select! {
            biased;
            early = &mut waiting => panic!("{early:?}"),
            () = std::future::ready(()) => {}
        }
        let other = issuer("other", &format!("{}/jwks", upstream.url()));
        proxy.handle.reload(&config(&upstream.url(), &other, proxy.data.path())).unwrap();
        let keys = json!({"keys": [upstream.signer.jwk("e1")]}).to_string();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = slow.accept().await.unwrap();
                let _ = stream.read(&mut [0; 4096]).await;
                let length = keys.len();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                let _ =
                    stream.write_all([head.as_bytes(), keys.as_bytes()].concat().as_slice()).await;
            }
        });
        // This request came while its issuer was still trusted.
        assert!(waiting.await.unwrap().jwt.is_some());
    }
    let late = bridge.countersign(&token, &ask).await;
    assert_eq!(late.map(|_| "kept").unwrap_err().code(), "issuer_unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_lines_do_not_carry_a_request_past_the_door() {
    provider();
    let upstream = Upstream::start().await;
    let proxy = Proxy::ready(&upstream.url(), "").await;
    let public = proxy.handle.public;
    let two = "POST /seen HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\
               Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n";
    let long = format!("GET /seen HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(70_000));
    for blank in ["\n", "\n\n", "\n\r\n", "\r\n\n"] {
        let answer = raw(public, format!("{blank}{two}").as_bytes()).await;
        assert_eq!(status(&answer), 400, "{blank:?} {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        let answer = raw(public, format!("{blank}{long}").as_bytes()).await;
        assert_eq!(status(&answer), 431, "{blank:?} {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absolute_target_does_not_choose_the_upstreams_host() {
    provider();
    let upstream = Upstream::start().await;
    let proxy = Proxy::ready(&upstream.url(), "[upstream]\nhost = \"upstream\"\n").await;
    let request = "GET http://evil.example/seen?a HTTP/1.1\r\nHost: evil.example\r\n\
                   Connection: close\r\n\r\n";
    let answer = raw(proxy.handle.public, request.as_bytes()).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(answer.contains(r#""target":"/seen?a""#), "{answer}");
    let host = format!(r#"["host","{}"]"#, upstream.address);
    assert!(answer.contains(&host), "{answer}");
}

/// The issuer's key was stolen and replaced under the same `kid`. From then on, tokens of the old
/// key are refused, even if their result was cached.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_replaced_under_its_kid_takes_cached_results_with_it() {
    provider();
    let upstream = Upstream::start().await;
    let toml = format!(
        "[[issuer]]\nname = \"one\"\nissuer = \"{0}\"\njwks = \"{0}/jwks\"\n\
         [issuer.refresh]\ncooldown = \"1s\"\n",
        upstream.url()
    );
    let proxy = Proxy::ready(&upstream.url(), &toml).await;
    let app = proxy.handle.app();
    let token = upstream.token(&upstream.claims());
    let ask = Ask::default();
    let first = app.state.bridge.countersign(&token, &ask).await.unwrap();
    let second = app.state.bridge.countersign(&token, &ask).await.unwrap();
    assert_eq!(first.jwt, second.jwt);
    assert_eq!(app.state.bridge.status().cache.hits, 1, "the answer was known");
    let new = signer::Signer::es384();
    upstream.tell(|told| told.jwks = json!({"keys": [new.jwk("e1")]}).to_string());
    let handle = app.issuers.only().unwrap();
    let epoch = handle.snapshot().unwrap().epoch;
    for n in 0..500 {
        // A token with an unknown `kid` has the same effect, once the cooldown is over.
        let snapshot = handle.fresh_for(Some(&format!("another-{n}"))).await.unwrap();
        if snapshot.epoch == epoch + 1 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(handle.snapshot().unwrap().epoch, epoch + 1);
    let refused = app.state.bridge.countersign(&token, &ask).await.map(|_| "cached").unwrap_err();
    assert_eq!(refused.code(), "signature");
    let header = json!({"alg": new.alg(), "kid": "e1", "typ": "JWT"});
    let good = new.token(&header, &upstream.claims());
    assert!(app.state.bridge.countersign(&good, &ask).await.unwrap().jwt.is_some());
}

/// The same for a result in progress: a request that comes after the key was replaced must not
/// share a result that was begun before.
#[tokio::test(flavor = "multi_thread")]
async fn a_result_begun_before_a_key_was_replaced_is_not_shared_after() {
    provider();
    let upstream = Upstream::start().await;
    let toml = format!(
        "[bridge]\nthreads = 1\nqueue = 1000\n\
         [[issuer]]\nname = \"one\"\nissuer = \"{0}\"\njwks = \"{0}/jwks\"\n\
         [issuer.refresh]\ncooldown = \"1s\"\n",
        upstream.url()
    );
    let proxy = Proxy::ready(&upstream.url(), &toml).await;
    let bridge = proxy.handle.app().state.bridge.clone();
    let handle = proxy.handle.app().issuers.only().unwrap();
    let new = signer::Signer::es384();
    upstream.tell(|told| told.jwks = json!({"keys": [new.jwk("e1")]}).to_string());
    let token = upstream.token(&upstream.claims());
    // Tokens are made in advance, so that the only crypto thread is busy for a while.
    let mut tokens = Vec::new();
    for n in 0..150 {
        let mut claims = upstream.claims();
        claims["jti"] = json!(n);
        tokens.push(upstream.token(&claims));
    }
    let mut before = tokio::task::JoinSet::new();
    for token in tokens {
        let bridge = bridge.clone();
        before.spawn(async move { bridge.countersign(&token, &Ask::default()).await.map(drop) });
    }
    let first = tokio::spawn({
        let (bridge, token) = (bridge.clone(), token.clone());
        async move { bridge.countersign(&token, &Ask::default()).await }
    });
    while bridge.status().queue.depth < 100 {
        assert!(!first.is_finished());
        tokio::task::yield_now().await;
    }
    let epoch = handle.snapshot().unwrap().epoch;
    for n in 0..500 {
        if handle.fresh_for(Some(&format!("another-{n}"))).await.unwrap().epoch > epoch {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(handle.snapshot().unwrap().epoch > epoch);
    let after = bridge.countersign(&token, &Ask::default()).await;
    assert_eq!(after.map(|_| "shared").unwrap_err().code(), "signature");
    // The first request came while the key was valid.
    drop(first.await.unwrap());
    before.join_all().await;
}
