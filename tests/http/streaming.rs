//! Bodies of any size in both directions, WebSockets, TLS, HTTP/2, a stop and a reload.

use crate::support::proxy::{Proxy, ResponseExt as _, Upstream, config, provider};
use futures::{SinkExt, StreamExt};
use reqwest::Body;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

const MIB: usize = 1 << 20;

async fn started(toml: &str) -> (Upstream, Proxy) {
    provider();
    let upstream = Upstream::start().await;
    let proxy = Proxy::ready(&upstream.url(), toml).await;
    (upstream, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_stream_both_ways_byte_for_byte() {
    let (_upstream, proxy) = started("").await;
    let size = 100 * MIB;
    for path in ["/big/104857600", "/big/104857600?sized=1"] {
        let answer = reqwest::get(proxy.url(path)).await.unwrap();
        let mut parts = answer.bytes_stream();
        let mut length = 0;
        while let Some(part) = parts.next().await {
            let part = part.unwrap();
            assert!(part.iter().all(|b| *b == b'x'));
            length += part.len();
        }
        assert_eq!(length, size);
    }
    let piece: Vec<u8> = (0..64 * 1024u32).map(|i| (i % 251) as u8).collect();
    let (mut sum, mut length) = (0u64, 0u64);
    for _ in 0..64 {
        for byte in &piece {
            sum = sum.wrapping_mul(31).wrapping_add(u64::from(*byte));
            length += 1;
        }
    }
    let pieces = vec![bytes::Bytes::from(piece); 64];
    let body =
        Body::wrap_stream(futures::stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>)));
    let answer = reqwest::Client::new().post(proxy.url("/upload")).body(body).send().await.unwrap();
    let got: Value = answer.json().await.unwrap();
    assert_eq!(got["length"], length);
    assert_eq!(got["sum"], sum.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_goes_through() {
    let (_upstream, proxy) = started("").await;
    let address = proxy.url("/ws").replace("http:", "ws:");
    let (mut socket, _) = tokio_tungstenite::connect_async(address).await.unwrap();
    for i in 0..10 {
        let text = format!("hello {i} {}", "x".repeat(i * 1000));
        socket.send(Message::text(text.clone())).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(text));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_with_and_without_tls() {
    provider();
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert, key) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let toml =
        format!("[server.tls]\ncert = \"{}\"\nkey = \"{}\"\n", cert.display(), key.display());
    let (_upstream, proxy) = started(&toml).await;
    let root = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([root])
        .resolve("localhost", proxy.handle.public)
        .build()
        .unwrap();
    let url = |path: &str| format!("https://localhost:{}{path}", proxy.handle.public.port());
    for path in ["/jwks", "/seen"] {
        let answer = client.get(url(path)).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
    }
    let saw: Value = client.get(url("/seen")).send().await.unwrap().json().await.unwrap();
    let proto = serde_json::json!(["x-forwarded-proto", "https"]);
    assert!(saw["fields"].as_array().unwrap().contains(&proto), "{saw}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_the_running_request_finish() {
    let (_upstream, proxy) = started("").await;
    let answer = reqwest::get(proxy.url("/big/33554432")).await.unwrap();
    let url = proxy.url("/seen");
    let handle = proxy.handle;
    let stopping = tokio::task::spawn_blocking(move || handle.stop());
    // A stopping server accepts no new connection.
    let mut refused = false;
    for _ in 0..500 {
        if reqwest::Client::new().get(&url).send().await.is_err() {
            refused = true;
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(refused);
    assert_eq!(answer.bytes().await.unwrap().len(), 32 * MIB);
    stopping.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_takes_all_or_nothing() {
    provider();
    let upstream = Upstream::start().await;
    let issuer = |name: &str, path: &str| {
        format!(
            "[[issuer]]\nname = \"{name}\"\nissuer = \"{0}{path}\"\njwks = \"{0}{path}/jwks\"\n",
            upstream.url()
        )
    };
    let proxy = Proxy::ready(&upstream.url(), &issuer("a", "")).await;
    let known = || -> Vec<String> {
        proxy.handle.app().issuers.iter().map(|i| i.name().to_string()).collect()
    };
    let two = format!("{}{}", issuer("a", ""), issuer("b", "/b"));
    let good = config(&upstream.url(), &two, proxy.data.path());
    proxy.handle.reload(&good).unwrap();
    assert_eq!(known(), ["a", "b"]);
    // Two issuers must not claim the same `iss`.
    let mut bad = good;
    bad.issuers[1].policy.issuers = bad.issuers[0].policy.issuers.clone();
    assert!(proxy.handle.reload(&bad).is_err());
    assert_eq!(known(), ["a", "b"]);
}
