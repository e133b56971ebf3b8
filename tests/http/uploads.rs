//! Requests with a body, and requests for a protocol upgrade. Both directions are forwarded without
//! delay, nothing is sent twice, and upgrades that were not requested are refused.

use crate::support::scripted::{OK, Scene, Step, get, post, send};

#[tokio::test]
async fn an_upload_is_answered_part_by_part_before_it_ends() {
    let scene = Scene::new(|_| {
        vec![
            send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Step::Until("one\r\n"),
            send("3\r\nuno\r\n"),
            Step::Until("two\r\n"),
            send("3\r\ndue\r\n"),
            Step::Until("0\r\n\r\n"),
            send("0\r\n\r\n"),
        ]
    })
    .await;
    let mut client = scene.client().await;
    client.ask(&post("/talk", "Transfer-Encoding: chunked\r\n")).await;
    let head = client.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    client.ask("3\r\none\r\n").await;
    client.until("3\r\nuno\r\n").await;
    client.ask("3\r\ntwo\r\n").await;
    client.until("3\r\ndue\r\n").await;
    client.ask("0\r\n\r\n").await;
    client.until("0\r\n\r\n").await;
    let (_, head) = scene.head("/talk");
    assert_eq!(
        head.to_ascii_lowercase().matches("transfer-encoding: chunked").count(),
        1,
        "{head}"
    );
    assert!(!head.to_ascii_lowercase().contains("content-length"), "{head}");
}

#[tokio::test]
async fn an_answer_before_the_end_of_an_upload_reaches_the_client() {
    let scene = Scene::new(|_| {
        vec![
            Step::Until("some"),
            send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!"),
            Step::Close,
        ]
    })
    .await;
    let mut client = scene.client().await;
    client.ask(&post("/large", "Content-Length: 100000\r\n")).await;
    client.ask("some").await;
    let answer = client.until("no!").await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
}

/// The rest of an upload must not be parsed as the next request.
#[tokio::test]
async fn the_rest_of_an_upload_is_never_a_request() {
    let scene = Scene::new(|path| match path {
        "/early" => vec![send(OK), Step::Until("the end")],
        _ => vec![send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled")],
    })
    .await;
    let inner = get("/smuggled");
    let mut client = scene.client().await;
    let length = inner.len() + "the end".len();
    client.ask(&post("/early", &format!("Content-Length: {length}\r\n"))).await;
    client.until("ok").await;
    client.ask(&inner).await;
    client.ask("the end").await;
    assert_eq!(client.rest().await, b"");
    let heads = scene.heads.lock().unwrap();
    assert!(!heads.iter().any(|(_, head)| head.contains("GET /smuggled")), "{heads:?}");
}

#[tokio::test]
async fn leave_to_send_is_the_upstreams_to_give() {
    let scene = Scene::new(|path| match path {
        "/may" => {
            vec![send("HTTP/1.1 100 Continue\r\n\r\n"), Step::Until("the body"), send(OK)]
        }
        _ => vec![send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")],
    })
    .await;
    let fields = "Content-Length: 8\r\nExpect: 100-continue\r\n";
    let mut client = scene.client().await;
    client.ask(&post("/may", fields)).await;
    let leave = client.until("\r\n\r\n").await;
    assert!(leave.starts_with("HTTP/1.1 100 "), "{leave}");
    client.ask("the body").await;
    assert!(client.until("ok").await.starts_with("HTTP/1.1 200 OK\r\n"));
    let mut client = scene.client().await;
    client.ask(&post("/may-not", fields)).await;
    // The body is never sent, and the proxy does not wait for it.
    let answer = String::from_utf8(client.rest().await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.ends_with("no"), "{answer}");
}

/// A request that was sent may have been acted on (RFC 9110 §9.2.2).
#[tokio::test]
async fn a_request_that_is_not_safe_is_not_sent_twice() {
    let scene = Scene::new(|path| match path {
        "/first" => vec![send(OK)],
        _ => vec![Step::Close],
    })
    .await;
    for round in 0..5 {
        let mut client = scene.client().await;
        client.ask(&get("/first")).await;
        client.until("ok").await;
        let path = format!("/order/{round}");
        client.ask(&post(&path, "Content-Length: 4\r\n")).await;
        client.ask("body").await;
        let answer = client.until("}\n").await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
        let line = format!("POST {path} ");
        let heads = scene.heads.lock().unwrap();
        assert_eq!(heads.iter().filter(|(_, head)| head.contains(&line)).count(), 1);
    }
}

/// A tunnel that only the upstream knows of would carry requests past every rule.
#[tokio::test]
async fn no_protocol_but_websocket_is_switched_to() {
    let scene = Scene::new(|_| {
        vec![send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        )]
    })
    .await;
    for (n, fields) in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n",
        "Upgrade: websocket\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/switch/{n}");
        let mut client = scene.client().await;
        client.ask(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
        let answer = client.until("}\n").await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{fields}: {answer}");
        let (_, head) = scene.head(&path);
        let head = head.to_ascii_lowercase();
        assert!(!head.contains("upgrade") && !head.contains("http2-settings"), "{head}");
    }
}

#[tokio::test]
async fn after_the_switch_either_side_may_speak_and_either_end_is_the_end() {
    let scene = Scene::new(|_| {
        vec![
            send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\nhello"),
            Step::Until("and you"),
            send("bye"),
            Step::Close,
        ]
    })
    .await;
    let mut client = scene.client().await;
    let fields =
        "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: y\r\n";
    client.ask(&format!("GET /ws HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
    let head = client.until("hello").await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.to_ascii_lowercase().contains("upgrade: websocket"), "{head}");
    client.ask("and you").await;
    assert_eq!(client.rest().await, b"bye");
    let (_, head) = scene.head("/ws");
    assert!(head.contains("Sec-WebSocket-Key: y"), "{head}");
}
