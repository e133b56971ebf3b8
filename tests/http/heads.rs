//! Tables of request heads and answer heads: what a client sends and gets, and what the upstream
//! gets.

use std::sync::Arc;

use crate::support::proxy::{RequestExt as _, ResponseExt as _};
use crate::support::scripted::{OK, Scene, Step, TOKENS, get, post, send};
use serde_json::Value;
use tokio::sync::Notify;

/// Head, status, and what the upstream gets of it (nothing where the request is refused).
#[tokio::test]
async fn a_request_is_passed_on_only_if_every_reader_takes_it_alike() {
    let scene = Scene::new(|_| vec![send(OK)]).await;
    let long = "9".repeat(30);
    let cases: Vec<(String, u16, &str)> = vec![
        (get("/plain"), 200, "GET /plain HTTP/1.1"),
        ("GET /old HTTP/1.0\r\n\r\n".into(), 200, "GET /old HTTP/1.1"),
        (
            "GET http://a/absolute?x HTTP/1.1\r\nHost: a\r\n\r\n".into(),
            200,
            "GET /absolute?x HTTP/1.1",
        ),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".into(), 200, "OPTIONS * HTTP/1.1"),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400, "invalid_request_target"),
        ("GET foo HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400, "invalid_request_target"),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400, "invalid_request_target"),
        ("GET  /x HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400, "invalid_request_target"),
        ("GET /a<b HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400, "invalid_request_target"),
        ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400, "invalid_request_target"),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n".into(), 405, "method_not_allowed"),
        ("GET /h HTTP/1.1\r\n\r\n".into(), 400, "invalid_host"),
        ("GET /h HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".into(), 400, "invalid_host"),
        ("GET /h HTTP/1.1\r\nHost: a/evil\r\n\r\n".into(), 400, "invalid_host"),
        ("GET /h HTTP/1.1\r\nHost: a@b\r\n\r\n".into(), 400, "invalid_host"),
        ("GET /.well-known/jwks.json HTTP/1.1\r\nHost: a@b\r\n\r\n".into(), 400, "invalid_host"),
        (post("/l", "Content-Length: 9223372036854775808\r\n"), 400, "framing"),
        (post("/l", "Content-Length: 18446744073709551615\r\n"), 400, "framing"),
        (post("/l", &format!("Content-Length: {long}\r\n")), 400, "framing"),
        (post("/l", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400, "framing"),
        (post("/l", "Transfer-Encoding: gzip, chunked\r\n"), 400, "framing"),
        ("GET /n HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n".into(), 400, "bad_request"),
        ("GET /f HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n".into(), 400, "bad_request"),
    ];
    for (head, status, expected) in cases {
        let passed_on = || {
            let heads = scene.heads.lock().unwrap();
            heads.iter().filter(|(_, head)| !head.starts_with("GET /jwks ")).count()
        };
        let before = passed_on();
        let mut client = scene.client().await;
        client.ask(&head).await;
        if status == 200 {
            client.until("ok").await;
            let heads = scene.heads.lock().unwrap();
            let seen = heads.iter().rev().find(|(_, head)| !head.starts_with("GET /jwks "));
            let (_, seen) = seen.unwrap();
            assert!(seen.starts_with(expected), "{head}: {seen}");
            continue;
        }
        let answer = String::from_utf8(client.rest().await).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {answer}");
        let (fields, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(fields.contains("Content-Type: application/json"), "{head}: {answer}");
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["code"], expected, "{head}");
        assert_eq!(passed_on(), before, "{head}");
    }
    let admin = format!("http://{}/metrics", scene.proxy.handle.admin.unwrap());
    let metrics = reqwest::get(admin).await.unwrap().text().await.unwrap();
    for line in [
        "countersign_failures_total{code=\"invalid_host\"} 5",
        "countersign_requests_total{route=\"refused\",status=\"4xx\"} 19",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

/// `Connection: close` on any line ends the connection: later requests get no answer
/// (RFC 9112 §9.6).
#[tokio::test]
async fn two_connection_lines_are_one_list() {
    let scene = Scene::new(|_| vec![send(OK)]).await;
    for path in ["/plain", "/.well-known/jwks.json"] {
        let mut client = scene.client().await;
        let first = format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n"
        );
        client.ask(&format!("{first}{}", get("/second"))).await;
        let answer = String::from_utf8(client.rest().await).unwrap();
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{path}: {answer}");
    }
    assert!(scene.heads.lock().unwrap().iter().all(|(_, head)| !head.contains("/second")));
}

/// An upstream that answers at once without reading the body would parse the body as the next
/// request.
#[tokio::test]
async fn no_request_follows_a_body_on_its_connection() {
    for (configured, path) in [("", "/plain"), (TOKENS, "/token")] {
        let refuse = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno";
        let scene = Scene::with(configured, move |path| match path {
            "/plain" | "/token" => vec![send(refuse)],
            _ => vec![send(OK)],
        })
        .await;
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
        let fields = format!("Content-Length: {}\r\n", smuggled.len());
        for request in [post(path, &fields), post(path, &fields).replacen("POST", "GET", 1)] {
            let mut client = scene.client().await;
            client.ask(&format!("{request}{smuggled}")).await;
            client.until("no").await;
            let (used, _) = scene.head(path);
            let mut other = scene.client().await;
            other.ask(&get("/next")).await;
            other.until("ok").await;
            assert_ne!(scene.head("/next").0, used, "{request}");
        }
    }
}

/// Two parsers may disagree on where these answers end.
#[tokio::test]
async fn an_answer_with_a_length_that_may_overflow_is_refused() {
    for length in ["9223372036854775808", "18446744073709551615", "-1", "5, 6"] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nhello");
        let scene = Scene::with(TOKENS, move |_| vec![send(&head), Step::Close]).await;
        for path in ["/plain", "/token", "/.well-known/openid-configuration"] {
            let mut client = scene.client().await;
            client.ask(&get(path)).await;
            let answer = client.until("}\n").await;
            assert!(answer.starts_with("HTTP/1.1 502 "), "{path} {length}: {answer}");
        }
    }
}

/// `204` has no `Content-Length` (RFC 9110 §8.6), and none is invented for `304`
/// (RFC 9110 §15.4.5).
#[tokio::test]
async fn an_answer_without_a_body_has_no_length() {
    for status in ["204 No Content", "304 Not Modified"] {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nETag: \"x\"\r\n\r\n");
        let scene = Scene::with(TOKENS, move |_| vec![send(&head)]).await;
        for path in ["/plain", "/token", "/.well-known/openid-configuration"] {
            let mut client = scene.client().await;
            client.ask(&get(path)).await;
            let answer = client.until("\r\n\r\n").await.to_ascii_lowercase();
            assert!(answer.contains(&status[..3]), "{answer}");
            let no_length = !answer.contains("content-length");
            assert!(no_length || status.starts_with("304") && path == "/plain", "{path}: {answer}");
        }
    }
}

#[tokio::test]
async fn only_the_protocol_that_was_asked_for_is_switched_to() {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    let scene = Scene::new(move |_| vec![send(switch), Step::Close]).await;
    let mut client = scene.client().await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: y\r\n";
    client.ask(&format!("GET /ws HTTP/1.1\r\nHost: a\r\n{upgrade}\r\n")).await;
    let answer = client.until("}\n").await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
}

/// An HTTP/2 body may end with an empty DATA frame, which must not end the chunked body a second
/// time.
#[tokio::test(flavor = "multi_thread")]
async fn an_http2_upload_that_ends_in_an_empty_frame_ends_once() {
    let scene = Scene::new(|_| vec![Step::Until("3\r\nabc\r\n0\r\n\r\n"), send(OK)]).await;
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let parts = [Ok::<_, std::io::Error>("abc"), Ok("")];
    let body = reqwest::Body::wrap_stream(futures::stream::iter(parts));
    let answer = client.post(scene.proxy.url("/upload")).body(body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.text().await.unwrap(), "ok");
    let ended = tokio::time::timeout(std::time::Duration::from_secs(20), scene.ended.notified());
    ended.await.unwrap();
    let heads = scene.heads.lock().unwrap();
    let others = heads.iter().filter(|(_, head)| !head.starts_with("GET /jwks "));
    assert_eq!(others.count(), 1, "{heads:?}");
}

/// If the upstream forwards to this program, a request loops once instead of using up all
/// connections.
#[tokio::test]
async fn a_request_that_comes_round_again_is_refused() {
    let scene = Scene::new(|_| vec![send(OK)]).await;
    let mut client = scene.client().await;
    client.ask(&get("/plain")).await;
    client.until("ok").await;
    let (_, head) = scene.head("/plain");
    let via = head.lines().find(|line| line.to_ascii_lowercase().starts_with("via:")).unwrap();
    let fields = format!("Via: 1.1 other\r\n{via}, 1.1 another\r\n");
    client.ask(&format!("GET /plain HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
    let answer = client.until("}\n").await;
    assert!(answer.starts_with("HTTP/1.1 508 ") && answer.contains("loop_detected"), "{answer}");
}

/// Addresses of the inner server are replaced by the public address.
#[tokio::test]
async fn redirects_and_cookies_of_the_inner_server_are_ours() {
    let answer = "HTTP/1.1 302 Found\r\nLocation: UPSTREAM/auth/next?x=1\r\n\
                  Set-Cookie: a=b; Path=/auth; HttpOnly\r\nContent-Length: 0\r\n\r\n";
    let scene = Scene::below("/auth", answer).await;
    let mut client = scene.client().await;
    client
        .ask("GET /login HTTP/1.1\r\nHost: login.example.com\r\nX-Forwarded-Proto: https\r\n\r\n")
        .await;
    let answer = client.until("\r\n\r\n").await;
    let lower = answer.to_ascii_lowercase();
    assert!(lower.contains("location: https://login.example.com/next?x=1\r\n"), "{answer}");
    assert!(lower.contains("set-cookie: a=b; path=/; httponly\r\n"), "{answer}");
    assert!(scene.head("/auth/login").1.starts_with("GET /auth/login HTTP/1.1"));
    client.ask("GET /%2e%2e/admin HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = client.until("}\n").await;
    assert!(answer.contains("invalid_request_target"), "{answer}");
}

/// A client that does not read blocks its connection and the upstream's for the write timeout only.
#[tokio::test]
async fn a_client_that_reads_nothing_is_given_up() {
    let configured = "[server.limits]\nwrite_timeout = \"1s\"\n";
    // More than the socket buffers in between can hold.
    let big = "x".repeat(32 * 1024 * 1024);
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{big}", big.len());
    let scene = Scene::with(configured, move |_| vec![send(&answer)]).await;
    let mut client = scene.client().await;
    client.ask(&get("/big")).await;
    // The upstream's connection ends although the client neither reads nor closes.
    let ended = tokio::time::timeout(std::time::Duration::from_secs(30), scene.ended.notified());
    ended.await.unwrap();
    drop(client);
}

/// A body that trickles in is cut off, however short its pauses.
#[tokio::test]
async fn a_body_that_trickles_in_is_cut_off() {
    let configured = format!("{TOKENS}[server.limits]\nbody_timeout = \"1s\"\n");
    for path in ["/plain", "/token", "/_countersign/token"] {
        let scene = Scene::with(&configured, |_| vec![Step::Until("never")]).await;
        let address = scene.proxy.url("").replace("http://", "");
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100000\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut stream, post(path, form).as_bytes())
            .await
            .unwrap();
        let (mut read, mut write) = stream.into_split();
        let trickling = async {
            while tokio::io::AsyncWriteExt::write_all(&mut write, b"x").await.is_ok() {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        let mut answer = Vec::new();
        let reading = tokio::io::AsyncReadExt::read_to_end(&mut read, &mut answer);
        let bounded = std::time::Duration::from_secs(30);
        tokio::select! {
            read = tokio::time::timeout(bounded, reading) => drop(read.unwrap()),
            () = trickling => {}
        }
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{path}: {answer}");
    }
}

/// One HTTP/2 client can send a hundred requests at once, so requests at the upstream have their
/// own limit.
#[tokio::test]
async fn requests_at_the_upstream_have_a_bound_of_their_own() {
    let configured = "[server.limits]\nupstream_connections = 1\n";
    let (reached, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, waited) = (reached.clone(), go_on.clone());
    let scene = Scene::with(configured, move |path| match path {
        "/slow" => vec![Step::Tell(told.clone()), Step::Wait(waited.clone()), send(OK)],
        _ => vec![send(OK)],
    })
    .await;
    let mut slow = scene.client().await;
    slow.ask(&get("/slow")).await;
    reached.notified().await;
    let mut other = scene.client().await;
    other.ask(&get("/other")).await;
    let answer = other.until("}\n").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("overloaded"), "{answer}");
    go_on.notify_one();
    slow.until("ok").await;
    slow.ask(&get("/again")).await;
    assert!(slow.until("ok").await.starts_with("HTTP/1.1 200 "));
}

/// If the introspection endpoint refuses our credentials, the error must not say that the issuer's
/// keys are unavailable.
#[tokio::test]
async fn an_introspection_endpoint_that_refuses_us_is_named() {
    let configured = "[[exchange.introspection]]\nurl = \"UPSTREAM/introspect\"\n\
                      client_id = \"c\"\nclient_secret = \"long enough a secret\"\n";
    let scene = Scene::with(configured, |path| match path {
        "/introspect" => vec![send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")],
        _ => vec![send(OK)],
    })
    .await;
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("subject_token", "opaque"),
    ];
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.post(scene.proxy.url("/_countersign/token")).form(&form).send().await;
    let answer = answer.unwrap();
    assert_eq!(answer.status(), 503);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["code"], "introspection_refused");
    assert!(body["error_description"].as_str().unwrap().contains("401"), "{body}");
}

/// A request that may not be forwarded (RFC 9110 §7.6.2) is answered here, on every route to the
/// upstream.
#[tokio::test]
async fn max_forwards_of_trace_and_options_is_counted_down() {
    let scene = Scene::with(TOKENS, |_| vec![send(OK)]).await;
    let cases = [
        ("OPTIONS", "Max-Forwards: 7\r\n", Ok("max-forwards: 6")),
        ("TRACE", "Max-Forwards: 1\r\n", Ok("max-forwards: 0")),
        (
            "OPTIONS",
            "Max-Forwards: 99999999999999999999\r\n",
            Ok("max-forwards: 18446744073709551614"),
        ),
        // For another method, or without a valid number, the field is forwarded unchanged.
        ("GET", "Max-Forwards: 0\r\n", Ok("max-forwards: 0")),
        ("OPTIONS", "Max-Forwards: -1\r\n", Ok("max-forwards: -1")),
        ("OPTIONS", "Max-Forwards: 0, 0\r\n", Ok("max-forwards: 0, 0")),
        ("OPTIONS", "Max-Forwards: 0\r\nMax-Forwards: 3\r\n", Ok("max-forwards: 3")),
        ("OPTIONS", "Max-Forwards: 0\r\n", Err(204)),
        ("OPTIONS", "Max-Forwards: 000\r\n", Err(204)),
        ("TRACE", "Max-Forwards: 0\r\nCookie: secret\r\n", Err(405)),
    ];
    let targets = ["/plain", "/token", "/.well-known/openid-configuration"];
    for ((method, fields, expected), path) in
        cases.into_iter().flat_map(|case| targets.map(|path| (case, path)))
    {
        let mut client = scene.client().await;
        client.ask(&format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
        match expected {
            Ok(passed_on) => {
                client.until("ok").await;
                let head = scene.head(path).1.to_ascii_lowercase();
                assert!(
                    head.contains(&format!("\r\n{passed_on}\r\n")),
                    "{method} {fields}: {head}"
                );
            }
            Err(status) => {
                let end = if status == 204 { "\r\n\r\n" } else { "}\n" };
                let answer = client.until(end).await;
                assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{fields}: {answer}");
                assert!(answer.to_ascii_lowercase().contains("\r\nallow: get, head"), "{answer}");
                assert!(!answer.contains("secret"), "{answer}");
            }
        }
    }
}

/// Bodies that are read whole share one limit. Above it a request is refused before the upstream is
/// asked, while earlier requests are still answered.
#[tokio::test]
async fn bodies_in_memory_have_one_budget() {
    let limits = "[server.limits]\nbody = \"16KiB\"\nanswer = \"16KiB\"\nbody_memory = \"32KiB\"\n";
    let configured = format!("{TOKENS}{limits}");
    let (reached, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, waited) = (reached.clone(), go_on.clone());
    let json = format!("{{\"x\":\"{}\"}}", "x".repeat(12 * 1024));
    let scene = Scene::with(&configured, move |path| match path {
        "/token?slow" => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", json.len());
            vec![
                Step::Until("end"),
                Step::Tell(told.clone()),
                Step::Wait(waited.clone()),
                send(&head),
                send(&json),
            ]
        }
        _ => vec![send(OK)],
    })
    .await;
    let body = format!("{}end", "x".repeat(16 * 1024 - 3));
    let length = format!("Content-Length: {}\r\n", body.len());
    let mut slow = scene.client().await;
    slow.ask(&format!("{}{body}", post("/token?slow", &length))).await;
    reached.notified().await;
    // 24 of 32 KiB are held: the form, and the memory reserved for its answer.
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let document = get("/.well-known/openid-configuration");
    let exchange = format!("{}{body}", post("/_countersign/token", &format!("{form}{length}")));
    let tokens = format!("{}{body}", post("/token", &length));
    let metrics = format!("http://{}/metrics", scene.proxy.handle.admin.unwrap());
    let held = || async {
        let text = reqwest::get(&metrics).await.unwrap().text().await.unwrap();
        let line = text.lines().find(|line| line.starts_with("countersign_body_memory_bytes "));
        line.unwrap().rsplit(' ').next().unwrap().parse::<usize>().unwrap()
    };
    assert_eq!(held().await, 24 * 1024);
    for request in [&exchange, &tokens] {
        let mut client = scene.client().await;
        client.ask(request).await;
        let answer = client.until("}\n").await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("body_memory") && answer.contains("temporarily"), "{answer}");
        assert!(answer.to_ascii_lowercase().contains("retry-after: 1\r\n"), "{answer}");
    }
    let asked = scene.heads.lock().unwrap().iter().filter(|(_, h)| h.contains(" /token ")).count();
    assert_eq!(asked, 0);
    // Bodies that fit are served, and forwarded bodies need no memory of the budget.
    for request in [&document, &get("/plain")] {
        let mut client = scene.client().await;
        client.ask(request).await;
        assert!(client.until("ok").await.starts_with("HTTP/1.1 200 "));
    }
    go_on.notify_one();
    assert!(slow.until("\"}").await.starts_with("HTTP/1.1 200 "));
    let mut client = scene.client().await;
    client.ask(&tokens).await;
    client.until("ok").await;
    drop((client, slow));
    // All memory is returned to the budget.
    while held().await > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// In HTTP/2, a field that is too large, in a request or an answer, ends its own stream only.
#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_too_large_costs_its_own_http2_stream() {
    let huge = "y".repeat(500_000);
    let answer = format!("HTTP/1.1 200 OK\r\nX: {huge}\r\nContent-Length: 2\r\n\r\nok");
    let scene = Scene::with(TOKENS, move |path| match path {
        "/huge" | "/token" | "/.well-known/openid-configuration" => vec![send(&answer)],
        _ => vec![send(OK)],
    })
    .await;
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge();
    let client = client.http2_max_header_list_size(16 * 1024).build().unwrap();
    let get = async |path: &str, field: usize| {
        let request = client.get(scene.proxy.url(path)).header("x", "y".repeat(field));
        request.send().await.map(|answer| (answer.status().as_u16(), answer.version()))
    };
    let fine = (200, reqwest::Version::HTTP_2);
    assert_eq!(get("/plain", 1).await.unwrap(), fine);
    assert_eq!(get("/plain", 70 * 1024).await.unwrap().0, 431);
    for path in ["/huge", "/token", "/.well-known/openid-configuration"] {
        assert_eq!(get(path, 1).await.unwrap().0, 502, "{path}");
        assert_eq!(get("/plain", 1).await.unwrap(), fine, "{path}");
    }
}
