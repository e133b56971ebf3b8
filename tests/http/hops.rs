//! Hop-by-hop behaviour: only messages that this proxy understands are forwarded to either side,
//! and neither side waits for the other beyond its limit.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crate::support::proxy;
use crate::support::scripted::{OK, Scene, Step, TOKENS, get, post, send};
use axum::extract::ConnectInfo;
use tokio::sync::Notify;

const WEBSOCKET: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: y\r\n";

/// The proxy's answer for `path` when the upstream sends `answer` and closes the connection.
async fn answered(path: &str, fields: &str, answer: &'static str) -> String {
    let scene = Scene::with(TOKENS, move |_| vec![send(answer), Step::Close]).await;
    let mut client = scene.client().await;
    let body = if fields.contains("Content-Length: 4") { "body" } else { "" };
    let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n");
    client.ask(&format!("{head}{body}")).await;
    String::from_utf8(client.rest().await).unwrap()
}

/// A read may return framing bytes only, and no byte of the body. That must not end the body.
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
        // Each piece arrives on its own, and none is a whole chunk.
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

/// If the end of an answer is ambiguous (RFC 9112 §6.1), none of it is forwarded.
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

/// If the upstream does not switch to WebSocket, its answer is searched for tokens like any other.
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

/// After `103`, the final answer is still missing.
#[tokio::test]
async fn an_interim_answer_is_not_the_answer() {
    let answer = answered("/plain", "", "HTTP/1.1 103 Early Hints\r\n\r\n").await;
    let (interim, last) = answer.split_once("\r\n\r\n").unwrap();
    assert!(interim.starts_with("HTTP/1.1 103 "), "{answer}");
    assert!(last.starts_with("HTTP/1.1 502 "), "{answer}");
}

/// A slow connection has not ended. If the request were repeated, it would be slow again.
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

/// A body of data frames with trailers.
struct WithTrailers(Vec<hyper::body::Frame<bytes::Bytes>>);

impl hyper::body::Body for WithTrailers {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, Self::Error>>> {
        std::task::Poll::Ready(self.0.pop().map(Ok))
    }
}

/// Echoes the request, with `grpc-status` as a trailer.
async fn grpc_echo(request: axum::extract::Request) -> axum::response::Response {
    let (head, body) = request.into_parts();
    let sent = axum::body::to_bytes(body, 1024).await.unwrap();
    let trailers = [("grpc-status".parse().unwrap(), "0".parse().unwrap())];
    let trailers = hyper::body::Frame::trailers(trailers.into_iter().collect());
    let body = WithTrailers(vec![trailers, hyper::body::Frame::data(sent)]);
    let said = |name: &str| head.headers.get(name).map_or("", |value| value.to_str().unwrap());
    axum::response::Response::builder()
        .header("content-type", "application/grpc")
        .header("x-saw", format!("{:?} {} {}", head.version, head.uri.path(), said("te")))
        .header("x-host", head.uri.authority().map_or(said("host"), |host| host.as_str()))
        .header("x-via", said("via"))
        .body(axum::body::Body::new(body))
        .unwrap()
}

/// Makes a gRPC call: the answer, its bytes and its `grpc-status`.
async fn call(url: String) -> (reqwest::Response, String, Option<String>) {
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let call = client.post(url).header("content-type", "application/grpc+proto");
    let call = call.header("te", "trailers").body("\0\0\0\0\u{1}x");
    let answer = call.send().await.unwrap();
    let (head, mut body) = http::Response::from(answer).into_parts();
    let (mut bytes, mut status) = (Vec::new(), None);
    while let Some(frame) = std::future::poll_fn(|context| {
        hyper::body::Body::poll_frame(std::pin::Pin::new(&mut body), context)
    })
    .await
    {
        match frame.unwrap().into_data() {
            Ok(data) => bytes.extend_from_slice(&data),
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap();
                status = trailers.get("grpc-status").map(|v| v.to_str().unwrap().to_owned());
            }
        }
    }
    let head = http::Response::from_parts(head, "");
    (head.into(), String::from_utf8(bytes).unwrap(), status)
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_keeps_its_trailers() {
    proxy::provider();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap().to_string();
    let app = axum::Router::new().fallback(grpc_echo);
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    for (host, base) in [("client", ""), ("upstream", "/base")] {
        let rule = "[[tokens]]\npath = \"/**\"\njson = [\"access_token\"]\n";
        let toml = format!("[upstream]\nhost = \"{host}\"\n{rule}");
        let url = format!("http://{upstream}{base}");
        let proxy = proxy::Proxy::start(&url, &toml);
        let public = proxy.handle.public.to_string();
        // Several calls on one connection.
        for _ in 0..3 {
            let (answer, bytes, status) = call(proxy.url("/pkg.Service/Call")).await;
            assert_eq!(answer.status(), 200);
            let said = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
            assert_eq!(said("x-saw"), format!("HTTP/2.0 {base}/pkg.Service/Call trailers"));
            assert_eq!(said("x-host"), if host == "client" { &*public } else { &*upstream });
            assert!(said("x-via").contains("1.1 "), "{}", said("x-via"));
            assert_eq!((bytes.as_str(), status.as_deref()), ("\0\0\0\0\u{1}x", Some("0")));
        }
        // Other requests are not affected.
        let other = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
        let other = other.get(proxy.url("/x")).send().await.unwrap();
        assert_eq!(other.headers()["x-saw"], format!("HTTP/1.1 {base}/x"));
    }
}

/// One flow-control window is for all streams of a connection: a client that does not read would stop
/// the calls of others.
#[tokio::test(flavor = "multi_thread")]
async fn grpc_calls_at_the_same_time_have_a_connection_each() {
    proxy::provider();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap();
    let (both, clients) = (Arc::new(tokio::sync::Barrier::new(2)), Arc::new(Mutex::new(vec![])));
    let seen = clients.clone();
    let handler = move |info: ConnectInfo<SocketAddr>, request: axum::extract::Request| async move {
        seen.lock().unwrap().push(info.0);
        both.wait().await;
        grpc_echo(request).await
    };
    let app = axum::Router::new().fallback(handler);
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let proxy = proxy::Proxy::start(&format!("http://{upstream}"), TOKENS);
    // Twice: the second two find the connections of the first two idle.
    for _ in 0..2 {
        let (one, two) = tokio::join!(call(proxy.url("/a")), call(proxy.url("/b")));
        assert_eq!((one.2.as_deref(), two.2.as_deref()), (Some("0"), Some("0")));
        let clients = std::mem::take(&mut *clients.lock().unwrap());
        assert_ne!(clients[0], clients[1]);
    }
}

/// gRPC sends its status in a trailer: an answer without trailers would be incomplete.
#[tokio::test(flavor = "multi_thread")]
async fn grpc_is_refused_where_the_upstream_has_no_http2() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTrailer: grpc-status\r\n\
        Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\ngrpc-status: 0\r\n\r\n";
    let scene = Scene::new(move |_| vec![send(answer), Step::Close]).await;
    let (answer, body, status) = call(scene.proxy.url("/pkg.Service/Call")).await;
    assert_eq!((answer.status().as_u16(), status), (502, None));
    assert!(body.contains("upstream_http2"), "{body}");
}

/// An HTTP/2 stream has no socket of its own to watch.
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

/// pingora's error quotes a head that it cannot parse, which must not reach the log.
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
