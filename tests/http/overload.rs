//! Overload: the exchange answers that it is overloaded, key sets are still served, and connections
//! above the limit are not.

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
    // All tokens are new, so each needs the only crypto thread.
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
        // These reads come between the exchanges, on the same machine and threads.
        if reads < 50 {
            let set = client.get(&jwks).send().await.unwrap();
            assert_eq!(set.status(), 200);
            reads += 1;
        }
    }
    assert_eq!(counts.keys().collect::<Vec<_>>(), [&200, &503], "{counts:?}");
    assert_eq!(reads, 50);
    let status = proxy.handle.app().state.bridge.status();
    assert_eq!(status.queue.overloaded, counts[&503]);
    // It recovers without intervention.
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
    // Connections within the limit are still served.
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

/// A client that sends a byte now and then, in the head or the body, loses its connection after the
/// time limit, and other clients do not suffer.
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
    // The first bytes, and whether the client continues byte by byte. The body does not continue:
    // `read_timeout` limits only the time between its parts.
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
    // The same for a client that sends nothing.
    let mut silent = TcpStream::connect(public).await.unwrap();
    let patience = std::time::Duration::from_secs(20);
    let end = tokio::time::timeout(patience, silent.read(&mut [0; 1])).await;
    assert_eq!(end.expect("it is closed").unwrap(), 0);
}

/// TLS listeners count a connection from its first byte. Handshakes that never finish take no more
/// places than the limit, and lose them when the time for a request's header is over.
#[tokio::test(flavor = "multi_thread")]
async fn tls_handshakes_count_as_connections_and_have_the_time_of_a_header() {
    provider();
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert, key) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let upstream = Upstream::start().await;
    let toml = format!(
        "[server.tls]\ncert = {cert:?}\nkey = {key:?}\n[server.limits]\nconnections = 3\n\
         read_timeout = \"2s\"\n"
    );
    let proxy = Proxy::ready(&upstream.url(), &toml).await;
    let public = proxy.handle.public;
    let open = || proxy.handle.app().state.open_connections();
    let mut idle = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(public).await.unwrap();
        // The beginning of a ClientHello.
        stream.write_all(&[0x16, 0x03, 0x01]).await.unwrap();
        idle.push(stream);
    }
    while open() < 3 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    // Connections above the limit are closed first, while the others are still open.
    let patience = std::time::Duration::from_secs(20);
    let ended = async |stream: &mut TcpStream| {
        let read = tokio::time::timeout(patience, stream.read(&mut [0; 1])).await;
        // A reset counts as the end too.
        assert_eq!(read.expect("it is closed").unwrap_or(0), 0);
    };
    for _ in 0..5 {
        ended(&mut TcpStream::connect(public).await.unwrap()).await;
    }
    assert_eq!(open(), 3);
    for stream in &mut idle {
        ended(stream).await;
    }
    while open() > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let root = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([root]).resolve("localhost", public);
    let url = format!("https://localhost:{}/jwks", public.port());
    assert_eq!(client.build().unwrap().get(url).send().await.unwrap().status(), 200);
    let failures = proxy.handle.app().state.status().failures;
    assert_eq!((failures["overloaded"], failures["tls_handshake"]), (5, 3));
}
