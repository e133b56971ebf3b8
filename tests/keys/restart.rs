//! Stop, restart, upgrade and reload under load: every accepted request is answered. The clients use
//! HTTP/1.1, with and without keep-alive, and HTTP/2, on plain TCP and behind TLS.

use std::io::ErrorKind;
use std::time::Duration;

use crate::support::load::Load;
use crate::support::process::{Place, Process};
use crate::support::proxy::{Upstream, provider};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn long() -> bool {
    #[expect(clippy::disallowed_methods, reason = "a test's own switch")]
    std::env::var("COUNTERSIGN_CHAOS").is_ok_and(|v| v == "long")
}

async fn begin(tls: bool, refused_is_fine: bool) -> (Upstream, Place, Process, Load) {
    provider();
    let upstream = Upstream::start().await;
    let place = match tls {
        true => Place::with_tls(&upstream.url(), ""),
        false => Place::new(&upstream.url(), ""),
    };
    let process = place.running().await;
    let load = Load::start(&place, &upstream.token(&upstream.claims()), refused_is_fine);
    load.more(20).await;
    (upstream, place, process, load)
}

async fn restarts(tls: bool) {
    let (_upstream, place, mut process, load) = begin(tls, true).await;
    let rounds = if long() { 15 } else { 3 };
    for round in 0..rounds {
        process.signal("TERM");
        assert_eq!(process.ends().await, Some(0), "{}", process.log());
        assert!(process.log().contains("stopped"), "{}", process.log());
        assert!(!process.log().contains("still open"), "{}", process.log());
        process = place.running_as(&format!("log{round}")).await;
        load.more(20).await;
    }
    println!("{rounds} stops and starts, tls {tls}: {}", load.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_lose_nothing_that_was_accepted() {
    restarts(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_behind_tls_lose_nothing_that_was_accepted() {
    restarts(true).await;
}

async fn upgrades(tls: bool) {
    let (_upstream, place, mut old, load) = begin(tls, false).await;
    let rounds = if long() { 10 } else { 2 };
    for round in 0..rounds {
        let mut new = place.start(&format!("log{round}"), &["--upgrade"]);
        // It waits for the sockets at this place.
        let waits = place.dir.path().join("data/upgrade.sock");
        for _ in 0..1500 {
            if waits.exists() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        old.signal("QUIT");
        new.says("listening").await;
        assert_eq!(old.ends().await, Some(0), "{}", old.log());
        assert!(!old.log().contains("still open"), "{}", old.log());
        load.more(20).await;
        assert!(new.0.try_wait().unwrap().is_none(), "{}", new.log());
        old = new;
    }
    println!("{rounds} upgrades, tls {tls}: {}", load.stop().await);
    // The last process ends with status 0, with the sockets that it was given.
    old.signal("TERM");
    assert_eq!(old.ends().await, Some(0), "{}", old.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_fail_no_request() {
    upgrades(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_behind_tls_fail_no_request() {
    upgrades(true).await;
}

async fn reloads(tls: bool) {
    let (upstream, place, process, load) = begin(tls, false).await;
    let rounds = if long() { 40 } else { 6 };
    let again = "the configuration was read again";
    for round in 1..=rounds {
        // The configuration changes each time.
        let more = format!("[[tokens]]\npath = \"/t{round}\"\njson = [\"id_token\"]\n");
        place.configure(&upstream.url(), &more);
        process.signal("HUP");
        for _ in 0..1500 {
            if process.log().matches(again).count() == round {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(process.log().matches(again).count(), round, "{}", process.log());
        load.more(5).await;
    }
    println!("{rounds} reloads, tls {tls}: {}", load.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_fail_no_request() {
    reloads(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_behind_tls_fail_no_request() {
    reloads(true).await;
}

/// Streams that have begun are completed, however long they take.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_completes_every_stream_in_flight() {
    provider();
    let upstream = Upstream::start().await;
    let place = Place::new(&upstream.url(), "");
    let mut process = place.running().await;
    let client = place.client().http2_prior_knowledge().build().unwrap();
    // All requests use this one connection.
    client.get(place.url("/seen")).send().await.unwrap();
    let size = 4 << 20;
    let asked = (0..40).map(|_| client.get(place.url(&format!("/big/{size}"))).send());
    let begun = futures::future::join_all(asked).await;
    process.signal("TERM");
    // It accepts no new connection any more.
    loop {
        match TcpStream::connect(("127.0.0.1", place.port)).await {
            Ok(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(error) => break assert_eq!(error.kind(), ErrorKind::ConnectionRefused),
        }
    }
    assert!(process.0.try_wait().unwrap().is_none(), "it waits for them");
    let read = begun.into_iter().map(|answer| answer.unwrap().bytes());
    let read = futures::future::join_all(read).await;
    let whole = read.iter().filter(|body| body.as_ref().is_ok_and(|b| b.len() == size)).count();
    println!("streams in flight at a stop: {whole} of {} completed", read.len());
    // pingora closes a connection without reading what is left. A `WINDOW_UPDATE` that it has not read
    // makes the kernel reset the connection, and the client may lose the end of the last answers.
    for error in read.iter().filter_map(|body| body.as_ref().err()) {
        assert!(format!("{error:?}").contains("ConnectionReset"), "{error:?}");
    }
    assert_eq!(process.ends().await, Some(0), "{}", process.log());
    let line = format!("status=200 route=\"forward\" bytes={size} ");
    assert_eq!(process.log().matches(&line).count(), 40, "{whole}\n{}", process.log());
    assert!(!process.log().contains("still open"), "{}", process.log());
}

/// RFC 9113 §6.8: GOAWAY comes first, while requests may still be under way; then the connection closes.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_http_2_connection_is_told_to_go_away() {
    provider();
    let upstream = Upstream::start().await;
    let place = Place::new(&upstream.url(), "");
    let mut process = place.running().await;
    let mut stream = TcpStream::connect(("127.0.0.1", place.port)).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]).await.unwrap();
    let (kind, ..) = frame(&mut stream).await.unwrap();
    assert_eq!(kind, SETTINGS);
    stream.write_all(&[0, 0, 0, SETTINGS, ACK, 0, 0, 0, 0]).await.unwrap();
    process.signal("TERM");
    let mut farewells = Vec::new();
    while let Some((kind, flags, payload)) = frame(&mut stream).await {
        match kind {
            PING if flags & ACK == 0 => {
                let mut pong = vec![0, 0, 8, PING, ACK, 0, 0, 0, 0];
                pong.extend(payload);
                stream.write_all(&pong).await.unwrap();
            }
            GOAWAY => farewells.push(payload),
            _ => {}
        }
    }
    let first = [0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    assert_eq!(farewells[0], first, "all streams are still served, no error");
    assert_eq!(farewells.last().unwrap()[..8], [0; 8], "none was begun, no error");
    assert_eq!(process.ends().await, Some(0), "{}", process.log());
    assert!(!process.log().contains("still open"), "{}", process.log());
}

const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;

/// Type, flags and payload; `None` at the end.
async fn frame(stream: &mut TcpStream) -> Option<(u8, u8, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).await.unwrap();
    Some((head[3], head[4], payload))
}

/// The outcome of one connection.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Answered,
    Refused,
    Lost(String),
}

async fn ask(mut stream: TcpStream) -> Fate {
    let request = b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    if let Err(error) = stream.write_all(request).await {
        return Fate::Lost(error.to_string());
    }
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer).await {
        Ok(_) if answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(b"}") => Fate::Answered,
        Ok(n) => Fate::Lost(format!("closed after {n} bytes")),
        Err(error) => Fate::Lost(error.to_string()),
    }
}

async fn connect_and_ask(port: u16) -> Fate {
    match TcpStream::connect(("127.0.0.1", port)).await {
        Ok(stream) => ask(stream).await,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Fate::Refused,
        Err(error) => Fate::Lost(error.to_string()),
    }
}

/// The process is stopped (SIGSTOP), so the connections are only in the kernel's queue when it gets the
/// signal to end.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_wait_in_the_kernel_are_answered_at_a_stop() {
    provider();
    let upstream = Upstream::start().await;
    let place = Place::new(&upstream.url(), "");
    let rounds = if long() { 20 } else { 3 };
    let mut answered = 0;
    for round in 0..rounds {
        let mut process = place.running_as(&format!("log{round}")).await;
        process.signal("STOP");
        let mut waiting = Vec::new();
        for _ in 0..300 {
            let stream = TcpStream::connect(("127.0.0.1", place.port)).await.unwrap();
            waiting.push(tokio::spawn(ask(stream)));
        }
        process.signal("TERM");
        process.signal("CONT");
        for one in waiting {
            assert_eq!(one.await.unwrap(), Fate::Answered, "round {round}");
            answered += 1;
        }
        assert_eq!(process.ends().await, Some(0), "{}", process.log());
    }
    println!("in the kernel's queue at {rounds} stops: {answered} connections, all answered");
}

/// Connections without a pause while it stops: each is answered or refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_at_the_moment_of_a_stop_is_answered_or_refused() {
    provider();
    let upstream = Upstream::start().await;
    let place = Place::new(&upstream.url(), "");
    let rounds = if long() { 20 } else { 3 };
    let (mut answered, mut refused) = (0, 0);
    for round in 0..rounds {
        let mut process = place.running_as(&format!("log{round}")).await;
        let port = place.port;
        let clients = (0..50).map(|_| {
            tokio::spawn(async move {
                let mut answered = 0;
                loop {
                    match connect_and_ask(port).await {
                        Fate::Answered => answered += 1,
                        fate => return (answered, fate),
                    }
                }
            })
        });
        let clients: Vec<_> = clients.collect();
        tokio::time::sleep(Duration::from_millis(200)).await;
        process.signal("TERM");
        for client in clients {
            let (n, fate) = client.await.unwrap();
            assert_eq!(fate, Fate::Refused, "round {round}");
            (answered, refused) = (answered + n, refused + 1);
        }
        assert_eq!(process.ends().await, Some(0), "{}", process.log());
    }
    println!("{rounds} stops: {answered} connections answered, {refused} refused, 0 lost");
    assert!(answered > 0 && refused > 0);
}
