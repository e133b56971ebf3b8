//! More than it can do: the exchange says so, key sets are still answered, and no connection over
//! the bound is served.

use std::collections::BTreeMap;

use crate::support::client::{raw, status};
use crate::support::proxy::{Proxy, RequestExt as _, ResponseExt as _, Upstream, provider};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ID: &str = "urn:ietf:params:oauth:token-type:id_token";

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_a_503_and_key_sets_are_still_answered() {
    provider();
    let upstream = Upstream::start().await;
    let toml = "[bridge]\nqueue = 1\nthreads = 1\n";
    let proxy = Proxy::ready(&upstream.url(), toml).await;
    // None of them was seen before, so each needs the one thread.
    let tokens: Vec<_> = (0..300)
        .map(|n| {
            let mut claims = upstream.claims();
            claims["jti"] = json!(n);
            upstream.token(&claims)
        })
        .collect();
    let client = reqwest::Client::new();
    let jwks = proxy.url("/.well-known/jwks.json");
    let mut asked = tokio::task::JoinSet::new();
    for token in tokens {
        let form = [("grant_type", GRANT), ("subject_token", &token), ("subject_token_type", ID)];
        let request = client.post(proxy.url("/_countersign/token")).form(&form);
        asked.spawn(async move {
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            let again = answer.headers().get("retry-after").cloned();
            let body: Value = answer.json().await.unwrap();
            match status {
                200 => assert!(body["access_token"].is_string()),
                _ => {
                    assert_eq!(again.unwrap(), "1");
                    assert_eq!(body["error"], "temporarily_unavailable");
                    assert_eq!(body["code"], "overloaded");
                    assert!(body.get("access_token").is_none());
                }
            }
            status
        });
    }
    let mut counts = BTreeMap::new();
    let mut reads = 0;
    while let Some(status) = asked.join_next().await {
        *counts.entry(status.unwrap()).or_insert(0) += 1;
        // Between the answers, on the same machine and threads.
        if reads < 50 {
            let set = client.get(&jwks).send().await.unwrap();
            assert_eq!(set.status(), 200);
            reads += 1;
        }
    }
    assert_eq!(counts.keys().collect::<Vec<_>>(), [&200, &503], "{counts:?}");
    assert_eq!(reads, 50);
    let status = proxy.handle.rooms().bridge.status();
    assert_eq!(status.queue.overloaded, counts[&503]);
    // It comes back by itself.
    let token = upstream.token(&upstream.claims());
    let form = [("grant_type", GRANT), ("subject_token", &token), ("subject_token_type", ID)];
    let answer = client.post(proxy.url("/_countersign/token")).form(&form).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_over_the_bound_is_told_so_and_a_free_place_is_taken() {
    provider();
    let upstream = Upstream::start().await;
    let proxy = Proxy::ready(&upstream.url(), "[server.limits]\nconnections = 3\n").await;
    let public = proxy.handle.public;
    let request = b"GET /jwks HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(public).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        open.push(stream);
    }
    let answer = raw(public, request).await;
    assert_eq!(status(&answer), 503, "{answer}");
    assert!(answer.to_ascii_lowercase().contains("\r\nretry-after: 1\r\n"), "{answer}");
    assert!(answer.contains("\"code\":\"overloaded\""), "{answer}");
    // Those that are in are served on.
    let mut first = open.swap_remove(0);
    let mut rest = vec![0; 8192];
    let _ = first.read(&mut rest).await.unwrap();
    first.write_all(b"GET /seen HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    first.read_to_end(&mut answer).await.unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("\"target\":\"/seen\""));
    drop(first);
    for _ in 0..500 {
        let answer =
            raw(public, b"GET /jwks HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        if status(&answer) == 200 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the free place is not given away");
}

/// Clients that send a byte now and then, in the head or in the body, hold a connection no longer than
/// they may, and cost nobody else anything.
#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_are_turned_out() {
    provider();
    let upstream = Upstream::start().await;
    let toml = "[server.limits]\nread_timeout = \"1s\"\nidle_timeout = \"2s\"\n";
    let proxy = Proxy::ready(&upstream.url(), toml).await;
    let public = proxy.handle.public;
    let mut slow = tokio::task::JoinSet::new();
    let post = "POST /_countersign/token HTTP/1.1\r\nHost: a\r\nContent-Length: 90\r\n\
                Content-Type: application/x-www-form-urlencoded\r\n\r\ngrant_type=";
    let heads = ["G", "GET /jwks HTTP/1.1\r\nHost: a\r\nX: ", "POST /seen HTTP/1.1\r\nA: "];
    // What it begins with, and whether it goes on a byte at a time: a body may take as long as its
    // parts come.
    let kinds = heads.map(|head| (head, true)).into_iter().chain([(post, false)]);
    for (start, dribbles) in kinds.flat_map(|kind| [kind; 10]) {
        slow.spawn(async move {
            let (mut read, mut write) = TcpStream::connect(public).await.unwrap().into_split();
            write.write_all(start.as_bytes()).await.unwrap();
            let dribble = tokio::spawn(async move {
                while dribbles && write.write_all(b"y").await.is_ok() {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
                write
            });
            let mut answer = [0; 12];
            let patience = std::time::Duration::from_secs(20);
            let told = tokio::time::timeout(patience, read.read_exact(&mut answer)).await;
            dribble.abort();
            told.expect("it is turned out").map(|_| String::from_utf8_lossy(&answer).into_owned())
        });
    }
    let client = reqwest::Client::new();
    let mut reads = 0;
    let mut told = 0;
    while let Some(answer) = slow.join_next().await {
        assert_eq!(answer.unwrap().unwrap(), "HTTP/1.1 408");
        told += 1;
        let set = client.get(proxy.url("/.well-known/jwks.json")).send().await.unwrap();
        assert_eq!(set.status(), 200);
        reads += 1;
    }
    assert_eq!((told, reads), (40, 40));
    // And one that says nothing at all.
    let mut silent = TcpStream::connect(public).await.unwrap();
    let patience = std::time::Duration::from_secs(20);
    let end = tokio::time::timeout(patience, silent.read(&mut [0; 1])).await;
    assert_eq!(end.expect("it is closed").unwrap(), 0);
}
