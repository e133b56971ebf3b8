//! Clients that send too much, too early, too little or in pieces. Each request gets one answer,
//! and the rest of one request never becomes another.

use std::sync::Arc;
use std::time::Duration;

use crate::support::scripted::{OK, Scene, Step, TOKENS, get, post, send};
use tokio::sync::Notify;

const EXCHANGE: &str = "/_countersign/token";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
const DISCOVERY: &str = "/.well-known/openid-configuration";

async fn answers_ok() -> Scene {
    Scene::with(TOKENS, |_| vec![send(OK)]).await
}

/// The end of such a body is unknown, and so is the start of the next request.
#[tokio::test]
async fn after_a_body_that_cannot_be_read_nothing_is_a_request() {
    for path in ["/plain", "/token", EXCHANGE] {
        for body in ["5\r\nhelloXX", "zz\r\nhello\r\n0\r\n\r\n", "2;\nxx\r\n5\r\n0\r\n\r\n"] {
            let scene = answers_ok().await;
            let mut client = scene.client().await;
            let head = post(path, &format!("{FORM}Transfer-Encoding: chunked\r\n"));
            client.ask(&format!("{head}{body}{}", get("/smuggled"))).await;
            let answer = String::from_utf8(client.rest().await).unwrap().to_ascii_lowercase();
            assert!(answer.contains("connection: close"), "{path} {body}: {answer}");
            assert_eq!(answer.matches("http/1.1 ").count(), 1, "{path} {body}: {answer}");
            let heads = scene.heads.lock().unwrap();
            assert!(!heads.iter().any(|(_, head)| head.contains("GET /smuggled")), "{heads:?}");
        }
    }
}

#[tokio::test]
async fn a_coding_that_is_not_undone_is_not_passed_on() {
    let scene = answers_ok().await;
    for coding in ["gzip, chunked", "chunked\r\nTransfer-Encoding: chunked", "identity"] {
        let mut client = scene.client().await;
        let head = post("/te", &format!("Transfer-Encoding: {coding}\r\n"));
        client.ask(&format!("{head}0\r\n\r\n")).await;
        let answer = String::from_utf8(client.rest().await).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{coding}: {answer}");
    }
    let heads = scene.heads.lock().unwrap();
    assert!(!heads.iter().any(|(_, head)| head.contains("/te")), "{heads:?}");
}

/// Pipelining (RFC 9112 §9.3.2): the next request may arrive before the answer to this one.
#[tokio::test]
async fn a_request_that_comes_early_waits_for_its_turn() {
    for body in ["", "body"] {
        let (came, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (told, wait) = (came.clone(), go.clone());
        let scene = Scene::new(move |path| match path {
            "/slow" => {
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow";
                let read = Step::Until(if body.is_empty() { "" } else { "body" });
                vec![read, Step::Tell(told.clone()), Step::Wait(wait.clone()), send(answer)]
            }
            _ => vec![send(OK)],
        })
        .await;
        let mut client = scene.client().await;
        let head = post("/slow", &format!("Content-Length: {}\r\n", body.len()));
        client.ask(&format!("{head}{body}")).await;
        came.notified().await;
        client.ask(&get("/second")).await;
        client.ask(&get("/third")).await;
        // Long enough for the server to see it while the first request is in progress.
        tokio::time::sleep(Duration::from_millis(100)).await;
        go.notify_one();
        assert!(client.until("slow").await.starts_with("HTTP/1.1 200 "));
        assert!(client.until("ok").await.starts_with("HTTP/1.1 200 "));
        assert!(client.until("ok").await.starts_with("HTTP/1.1 200 "));
        let heads = scene.heads.lock().unwrap();
        let paths: Vec<_> = heads.iter().filter_map(|(_, head)| head.split(' ').nth(1)).collect();
        let paths: Vec<_> = paths.into_iter().filter(|path| *path != "/jwks").collect();
        assert_eq!(paths, ["/slow", "/second", "/third"]);
    }
}

/// A client that is refused during an upload still gets the answer.
#[tokio::test(flavor = "multi_thread")]
async fn who_sends_too_much_is_told() {
    const SIZE: usize = 8 << 20;
    let limits = "[server.limits]\nbody = \"1KiB\"\n";
    let refused =
        "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!";
    let scene = Scene::with(&format!("{TOKENS}{limits}"), move |_| {
        vec![Step::Until("xxxxxxxx"), send(refused), Step::Close]
    })
    .await;
    for path in [EXCHANGE, "/plain", "/token"] {
        let head = post(path, &format!("{FORM}Content-Length: {SIZE}\r\n"));
        let mut client = scene.client().await;
        client.ask(&head).await;
        client.ask(&"x".repeat(SIZE)).await;
        let answer = String::from_utf8(client.rest().await).unwrap();
        assert!(answer.starts_with("HTTP/1.1 413 "), "{path}: {answer}");
    }
    // The same for a client that was sent `100 Continue`.
    let mut client = scene.client().await;
    let leave = "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n";
    client.ask(&post(EXCHANGE, &format!("{FORM}{leave}"))).await;
    assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 100 "));
    client.ask(&format!("{SIZE:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(SIZE))).await;
    let answer = String::from_utf8(client.rest().await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let mut client = scene.client().await;
    client.ask(&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(SIZE))).await;
    let answer = String::from_utf8(client.rest().await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

/// HTTP/2 may split a cookie into pieces (RFC 9113 §8.2.3).
#[tokio::test(flavor = "multi_thread")]
async fn the_pieces_of_a_cookie_are_one_line_to_the_upstream() {
    let scene = answers_ok().await;
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    for path in ["/plain", "/token"] {
        let request =
            client.get(scene.proxy.url(path)).header("cookie", "a=1").header("cookie", "b=2");
        assert_eq!(request.send().await.unwrap().status(), 200);
        let (_, head) = scene.head(path);
        let lines: Vec<_> =
            head.lines().filter(|l| l.to_ascii_lowercase().starts_with("cookie:")).collect();
        assert_eq!(lines.len(), 1, "{head}");
        assert!(lines[0].ends_with(" a=1; b=2"), "{head}");
    }
}

/// Once a stream is reset, the client may open another at once. So the work for the first must end
/// with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_reset_stream_is_given_up_at_the_upstream() {
    const INTROSPECTION: &str = "[[exchange.introspection]]\nurl = \"UPSTREAM/introspect\"\n\
                                 client_id = \"c\"\nclient_secret = \"long enough a secret\"\n";
    const OPAQUE: &str = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange\
                          &subject_token_type=urn:ietf:params:oauth:token-type:access_token\
                          &subject_token=opaque";
    for (path, endless) in [
        ("/plain", false),
        ("/token", false),
        (DISCOVERY, false),
        // The answer's body is never read, nor does anything wait for its end.
        (DISCOVERY, true),
        (EXCHANGE, false),
    ] {
        let came = Arc::new(Notify::new());
        let told = came.clone();
        let scene = Scene::with(&format!("{TOKENS}{INTROSPECTION}"), move |path| match path {
            "/jwks" => vec![send(OK)],
            _ => vec![Step::Tell(told.clone()), Step::Until("never")],
        })
        .await;
        let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
        let url = scene.proxy.url(path);
        let request = match (path, endless) {
            (EXCHANGE, _) => {
                let form = "application/x-www-form-urlencoded";
                client.post(url).header("content-type", form).body(OPAQUE)
            }
            (_, true) => {
                let body = futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>();
                client.get(url).body(reqwest::Body::wrap_stream(body))
            }
            (_, false) => client.get(url),
        };
        let asked = tokio::spawn(request.send());
        let patience = Duration::from_secs(20);
        tokio::time::timeout(patience, came.notified()).await.expect(path);
        asked.abort();
        // The client keeps the connection open.
        tokio::time::timeout(patience, scene.ended.notified()).await.expect(path);
        drop(client);
    }
}

/// A cached answer is reused only for requests that were the same to the upstream.
#[tokio::test]
async fn a_field_that_ends_here_does_not_choose_what_others_are_given() {
    let document = r#"{"issuer":"UPSTREAM","jwks_uri":"UPSTREAM/jwks"}"#;
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: LENGTH\r\n\r\n{document}");
    let scene = Scene::below("", &answer).await;
    let mut client = scene.client().await;
    for fields in [
        "Keep-Alive: 1\r\n",
        "Keep-Alive: 2\r\n",
        "Connection: tenant\r\nTenant: a\r\n",
        "Tenant: a\r\n",
    ] {
        client.ask(&format!("GET {DISCOVERY} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
        let answer = client.until("}").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    let heads = scene.heads.lock().unwrap();
    let told: Vec<_> = heads.iter().filter(|(_, head)| head.contains(DISCOVERY)).collect();
    let tenants: Vec<_> = told.iter().map(|(_, head)| head.contains("enant: a")).collect();
    assert_eq!(tenants, [false, true]);
}

#[tokio::test]
async fn a_client_of_http_1_0_need_not_know_what_came_after() {
    let scene = Scene::with(TOKENS, |_| vec![send(OK)]).await;
    let mut client = scene.client().await;
    client.ask("OPTIONS /old HTTP/1.0\r\n\r\n").await;
    let answer = String::from_utf8(client.rest().await).unwrap();
    assert!(answer.contains(" 200 OK\r\n"), "{answer}");
    let (_, head) = scene.head("/old");
    assert!(head.to_ascii_lowercase().contains("\r\nhost: 127.0.0.1:"), "{head}");
    for path in ["/token", EXCHANGE] {
        let mut client = scene.client().await;
        let fields = format!("Expect: 100-continue\r\n{FORM}Content-Length: 3\r\n");
        client.ask(&format!("POST {path} HTTP/1.0\r\n{fields}\r\na=b")).await;
        let answer = String::from_utf8(client.rest().await).unwrap();
        assert!(!answer.contains(" 100 "), "{path}: {answer}");
    }
}

#[tokio::test]
async fn of_interim_answers_the_fields_of_the_hop_end_here_and_there_is_an_end_to_them() {
    let early = "HTTP/1.1 103 Early Hints\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n\
                 Transfer-Encoding: chunked\r\nLink: </a>\r\n\r\n";
    let scene = Scene::with(TOKENS, move |path| {
        let times = if path == "/few" { 2 } else { 40 };
        vec![send(&early.repeat(times)), send(OK)]
    })
    .await;
    let mut client = scene.client().await;
    client.ask(&get("/few")).await;
    let answer = client.until("ok").await.to_ascii_lowercase();
    assert_eq!(answer.matches("http/1.1 103 ").count(), 2, "{answer}");
    assert_eq!(answer.matches("link: </a>").count(), 2, "{answer}");
    assert!(!answer.contains("x-hop") && !answer.contains("close"), "{answer}");
    assert!(!answer.contains("chunked"), "{answer}");
    for path in ["/many", "/token"] {
        let mut client = scene.client().await;
        client.ask(&get(path)).await;
        let answer = client.until("}\n").await;
        assert!(answer.contains("HTTP/1.1 502 "), "{answer}");
    }
}
