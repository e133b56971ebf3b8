//! What ends at us: an upstream and a client are each told only what we have understood ourselves,
//! and neither waits for the other longer than it may.

use std::sync::{Arc, Mutex};

use crate::support::scripted::{OK, Scene, Step, TOKENS, get, post, send};
use tokio::sync::Notify;

const WEBSOCKET: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: y\r\n";

/// What comes of a request for `path` that an upstream answers with `answer` and then hangs up.
async fn answered(path: &str, fields: &str, answer: &'static str) -> String {
    let scene = Scene::with(TOKENS, move |_| vec![send(answer), Step::Close]).await;
    let mut client = scene.client().await;
    let body = if fields.contains("Content-Length: 4") { "body" } else { "" };
    let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n");
    client.ask(&format!("{head}{body}")).await;
    String::from_utf8(client.rest().await).unwrap()
}

/// A part may be read without a byte of the body in it: the end of a body is not made of that.
#[tokio::test]
async fn an_upload_in_pieces_is_not_ended_by_an_empty_one() {
    let limits = "[server.limits]\nbody = \"1KiB\"\n";
    for path in ["/plain", "/token"] {
        let came = Arc::new(Notify::new());
        let told = came.clone();
        let scene = Scene::with(&format!("{TOKENS}{limits}"), move |_| {
            let came = told.clone();
            vec![
                Step::Until("yy"),
                Step::Tell(came.clone()),
                Step::Until("four\r\n"),
                Step::Tell(came),
                Step::Until("end\r\n0\r\n\r\n"),
                send(OK),
            ]
        })
        .await;
        let mut client = scene.client().await;
        client.ask(&post(path, "Transfer-Encoding: chunked\r\n")).await;
        client.ask("7d0\r\n").await;
        client.ask(&"y".repeat(2000)).await;
        came.notified().await;
        // Each piece by itself, none of them a whole chunk.
        for piece in ["\r", "\n", "4", "\r\n", "four"] {
            client.ask(piece).await;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        came.notified().await;
        for piece in ["\r\n", "3\r\n", "end\r\n", "0", "\r\n", "X-Trailer: 1\r\n", "\r\n"] {
            client.ask(piece).await;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let answer = client.until("ok").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn an_answer_in_http_1_0_is_given_in_1_1() {
    for path in ["/plain", "/token", "/.well-known/openid-configuration"] {
        for head in
            ["HTTP/1.0 200 OK\r\n\r\nhello", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"]
        {
            let answer = answered(path, "", head).await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {answer}");
            let (fields, body) = answer.split_once("\r\n\r\n").unwrap();
            let chunked = fields.to_ascii_lowercase().contains("transfer-encoding: chunked");
            let whole = if chunked { "5\r\nhello\r\n0\r\n\r\n" } else { "hello" };
            assert_eq!(body, whole, "{path}: {answer}");
        }
    }
}

/// RFC 9112 §6.1: where its end cannot be told, nothing of it is passed on.
#[tokio::test]
async fn an_answer_whose_end_cannot_be_told_is_refused() {
    for head in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    ] {
        for path in ["/plain", "/token"] {
            let answer = answered(path, "", head).await;
            assert!(answer.starts_with("HTTP/1.1 502 "), "{path} {head}: {answer}");
        }
    }
}

#[tokio::test]
async fn nobody_switches_who_was_not_asked_to_or_cannot() {
    const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
    const OLD: &str = "HTTP/1.0 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
    let with_body = format!("{WEBSOCKET}Content-Length: 4\r\n");
    for (path, fields, answer) in [
        ("/plain", WEBSOCKET, OLD),
        ("/token", WEBSOCKET, OLD),
        ("/plain", "", SWITCH),
        ("/token", "", SWITCH),
        ("/.well-known/openid-configuration", WEBSOCKET, SWITCH),
        ("/plain", &with_body, SWITCH),
        ("/token", &with_body, SWITCH),
    ] {
        let answer = answered(path, fields, answer).await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{path} {fields}: {answer}");
    }
}

/// An answer to what looks like a WebSocket is searched for tokens as any other is.
#[tokio::test]
async fn a_websocket_under_a_token_rule_is_one_only_if_the_upstream_agrees() {
    let scene = Scene::with(TOKENS, |_| {
        vec![
            send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nhello"),
            Step::Until("and you"),
            Step::Close,
        ]
    })
    .await;
    let mut client = scene.client().await;
    client.ask(&format!("GET /token HTTP/1.1\r\nHost: a\r\n{WEBSOCKET}\r\n")).await;
    let head = client.until("hello").await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    client.ask("and you").await;
    assert_eq!(client.rest().await, b"");
    let (_, head) = scene.head("/token");
    assert!(head.to_ascii_lowercase().contains("upgrade: websocket"), "{head}");
}

/// After `103` there is still an answer to give.
#[tokio::test]
async fn an_interim_answer_is_not_the_answer() {
    let answer = answered("/plain", "", "HTTP/1.1 103 Early Hints\r\n\r\n").await;
    let (interim, last) = answer.split_once("\r\n\r\n").unwrap();
    assert!(interim.starts_with("HTTP/1.1 103 "), "{answer}");
    assert!(last.starts_with("HTTP/1.1 502 "), "{answer}");
}

/// One that is slow has not ended: asked again, it would be slow again.
#[tokio::test]
async fn a_slow_upstream_is_asked_once() {
    let never = Arc::new(Notify::new());
    let scene = Scene::with("[upstream.timeouts]\nread = \"2s\"\n", move |path| match path {
        "/first" => vec![send(OK)],
        "/malformed" => vec![send("HTTP/1.1 two hundred\r\n\r\n")],
        _ => vec![Step::Wait(never.clone())],
    })
    .await;
    for (path, status) in [("/slow", "504"), ("/malformed", "502")] {
        let mut client = scene.client().await;
        client.ask(&get("/first")).await;
        client.until("ok").await;
        client.ask(&get(path)).await;
        let answer = client.until("}\n").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        let line = format!("GET {path} ");
        let heads = scene.heads.lock().unwrap();
        assert_eq!(heads.iter().filter(|(_, head)| head.contains(&line)).count(), 1, "{path}");
    }
}

/// HTTP/2 has no socket of its own to watch.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_never_comes_is_not_waited_for_in_either_version() {
    let limits = "[server.limits]\nread_timeout = \"1s\"\n";
    let scene = Scene::with(&format!("{TOKENS}{limits}"), |_| vec![Step::Until("never")]).await;
    for two in [false, true] {
        let client = reqwest::Client::builder().no_proxy();
        let client = if two { client.http2_prior_knowledge() } else { client.http1_only() };
        let body = futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>();
        let asked = client.build().unwrap().post(scene.proxy.url("/token"));
        let answer = asked.body(reqwest::Body::wrap_stream(body)).send().await.unwrap();
        assert_eq!(answer.status(), 408, "HTTP/2 {two}");
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// pingora quotes in its error the head it could not read.
#[tokio::test]
async fn of_an_answer_nobody_can_read_nothing_is_logged() {
    let lines = Lines::default();
    let log = lines.clone();
    tracing_subscriber::fmt().with_writer(move || log.clone()).init();
    let secret = "HTTP/1.1 200 OK\r\nSet-Cookie: sid=the-secret\r\n bad\r\nbroken line\r\n\r\n";
    for path in ["/plain", "/token"] {
        let answer = answered(path, "", secret).await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{path}: {answer}");
    }
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("InvalidHTTPHeader"), "{text}");
    assert!(!text.contains("the-secret"), "{text}");
}
