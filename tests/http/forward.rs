//! Forwarded requests without a body. The upstream's answer reaches this client unchanged and
//! without delay, and no part of it reaches another client. The upstream is a socket with a script.

use std::sync::Arc;
use std::time::Duration;

use crate::support::scripted::{Scene, Step, TOKENS, get, send};
use tokio::sync::Notify;

#[tokio::test]
async fn a_part_reaches_the_client_before_the_next_one_is_said() {
    let next = Arc::new(Notify::new());
    let wait = next.clone();
    let scene = Scene::new(move |path| {
        if path != "/events" {
            return vec![Step::Close];
        }
        vec![
            send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"),
            Step::Wait(wait.clone()),
            send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"),
            Step::Wait(wait.clone()),
            send("6\r\nsecond\r\n0\r\n\r\n"),
        ]
    })
    .await;
    let mut client = scene.client().await;
    client.ask(&get("/events")).await;
    // Interim answers are forwarded at once (RFC 9110 §15.2).
    let interim = client.until("\r\n\r\n").await;
    assert!(interim.starts_with("HTTP/1.1 103 ") && interim.contains("</a.css>"), "{interim}");
    next.notify_one();
    let first = client.until("first\r\n").await;
    assert!(first.starts_with("HTTP/1.1 200 OK\r\n"), "{first}");
    next.notify_one();
    client.until("6\r\nsecond\r\n0\r\n\r\n").await;
}

/// An event stream does not end, so a rule that reads answers whole must not wait for its end.
#[tokio::test]
async fn events_stream_under_a_token_rule_too() {
    let next = Arc::new(Notify::new());
    let wait = next.clone();
    let scene = Scene::with(TOKENS, move |path| {
        if path != "/token" {
            return vec![Step::Close];
        }
        vec![
            send(
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\
                  Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n",
            ),
            Step::Wait(wait.clone()),
            send("6\r\nsecond\r\n0\r\n\r\n"),
        ]
    })
    .await;
    let mut client = scene.client().await;
    client.ask(&get("/token")).await;
    client.until("first\r\n").await;
    next.notify_one();
    client.until("6\r\nsecond\r\n0\r\n\r\n").await;
}

#[tokio::test]
async fn an_answer_without_a_body_leaves_the_connection_in_step() {
    let scene = Scene::new(|path| match path {
        "/head" => vec![send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Is: head\r\n\r\n")],
        "/same" => vec![send("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n")],
        "/none" => vec![send("HTTP/1.1 204 No Content\r\n\r\n")],
        _ => vec![send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody")],
    })
    .await;
    let mut client = scene.client().await;
    for (request, status) in [
        ("HEAD /head HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "200"),
        (get("/same"), "304"),
        (get("/none"), "204"),
    ] {
        client.ask(&request).await;
        let head = client.until("\r\n\r\n").await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        if status == "200" {
            assert!(head.contains("Content-Length: 5\r\n"), "{head}");
        }
        client.ask(&get("/whole")).await;
        let whole = client.until("body").await;
        assert!(whole.starts_with("HTTP/1.1 200 OK\r\n"), "after {status}: {whole}");
    }
    // The upstream saw all of them on one connection too.
    assert!(scene.heads.lock().unwrap().iter().filter(|(_, h)| !h.contains("/jwks")).count() >= 6);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_never_taken_for_a_whole_one() {
    let large =
        "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n".to_owned() + &"x".repeat(300_000);
    let scene = Scene::new(move |path| match path {
        "/sized" => vec![send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), Step::Close],
        "/large" => vec![send(&large), Step::Close],
        "/chunks" => vec![
            send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
            Step::Close,
        ],
        "/silent" => vec![Step::Close],
        _ => vec![send("not HTTP at all\r\n\r\n"), Step::Close],
    })
    .await;
    for (path, end) in [("/sized", "half"), ("/chunks", "half\r\n"), ("/large", "xxx")] {
        let mut client = scene.client().await;
        client.ask(&get(path)).await;
        let read = String::from_utf8(client.rest().await).unwrap();
        assert!(read.starts_with("HTTP/1.1 200 OK") && read.ends_with(end), "{path}");
        assert!(!read.contains("0\r\n\r\n") || path == "/large", "{path}");
        assert!(read.len() < 400_000, "{path}");
    }
    for path in ["/silent", "/odd"] {
        let mut client = scene.client().await;
        client.ask(&get(path)).await;
        let head = client.until("}\n").await;
        assert!(head.starts_with("HTTP/1.1 502 "), "{path}: {head}");
        assert!(head.contains("upstream_invalid"), "{path}: {head}");
    }
}

/// Bytes after the end of an answer must not become the answer to the next request, which may
/// belong to another user.
#[tokio::test]
async fn what_follows_an_answer_is_nobodys_answer() {
    let scene = Scene::new(|path| match path {
        "/evil" => vec![send(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        )],
        "/both" => vec![send(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        )],
        "/switch" => vec![send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nevil")],
        _ => vec![send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")],
    })
    .await;
    for path in ["/evil", "/both", "/switch"] {
        for _ in 0..3 {
            let mut client = scene.client().await;
            client.ask(&get(path)).await;
            // By the time this connection closes, the answer has been read to its end.
            client.ask("GET /good HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
            let read = String::from_utf8(client.rest().await).unwrap();
            assert!(!read.contains("evil"), "{path}: {read}");
            let mut other = scene.client().await;
            other.ask(&get("/good")).await;
            let read = other.until("good").await;
            assert!(!read.contains("evil"), "{path}: {read}");
        }
    }
}

#[tokio::test]
async fn fields_of_one_hop_end_at_it_both_ways() {
    let scene = Scene::new(|_| {
        vec![send(
            "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\n\
             X-Stays: 1\r\nContent-Length: 2\r\n\r\nok",
        )]
    })
    .await;
    let mut client = scene.client().await;
    client
        .ask(
            "GET /x?y=1 HTTP/1.1\r\nHost: a\r\nConnection: X-Mine\r\nX-Mine: 1\r\nTE: trailers\r\n\
             X-Stays: 1\r\n\r\n",
        )
        .await;
    let read = client.until("ok").await.to_ascii_lowercase();
    assert!(!read.contains("x-hop") && !read.contains("timeout=9"), "{read}");
    assert!(read.contains("x-stays: 1"), "{read}");
    let (_, head) = scene.head("/x?y=1");
    let head = head.to_ascii_lowercase();
    assert!(!head.contains("te:"), "{head}");
    // Otherwise a client could remove fields that a proxy in front has added, by naming them in
    // `Connection`.
    for there in
        ["x-mine: 1", "x-stays: 1", "x-forwarded-for: 127.0.0.1", "x-request-id: ", "host: a\r\n"]
    {
        assert!(head.contains(there), "{head}");
    }
}

#[tokio::test]
async fn a_pooled_connection_that_died_costs_a_safe_request_nothing() {
    let scene =
        Scene::new(|_| vec![send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), Step::Close])
            .await;
    let mut client = scene.client().await;
    for _ in 0..20 {
        client.ask(&get("/again")).await;
        assert!(client.until("ok").await.starts_with("HTTP/1.1 200 OK"));
    }
}

/// HTTP/1.0 has no chunked coding: closing the connection ends the answer.
#[tokio::test]
async fn a_client_of_http_1_0_is_answered_in_its_own_tongue() {
    let scene = Scene::new(|_| {
        vec![
            send("HTTP/1.1 103 Early Hints\r\n\r\n"),
            send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n"),
        ]
    })
    .await;
    let mut client = scene.client().await;
    client.ask("GET /old HTTP/1.0\r\nHost: a\r\n\r\n").await;
    let read = String::from_utf8(client.rest().await).unwrap();
    assert!(read.contains(" 200 OK\r\n") && read.ends_with("\r\n\r\nwhole"), "{read}");
    assert!(!read.contains("chunked") && !read.contains("103"), "{read}");
}

/// This includes an answer that is searched for tokens and is too long for the search.
#[tokio::test]
async fn what_nobody_reads_any_more_is_given_up_at_the_upstream() {
    let configured = format!("{TOKENS}[server.limits]\nanswer = \"1KiB\"\n");
    for path in ["/plain", "/token"] {
        let scene = Scene::with(&configured, |path| match path {
            "/jwks" => vec![send("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"keys\":[]}")],
            _ => vec![
                send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n"),
                send(&"x".repeat(5000)),
                send("\r\n"),
                Step::Until("never"),
            ],
        })
        .await;
        let mut client = scene.client().await;
        client.ask(&get(path)).await;
        client.until("x\r\n").await;
        drop(client);
        let patience = Duration::from_secs(20);
        tokio::time::timeout(patience, scene.ended.notified()).await.expect(path);
    }
}
