//! A table of HTTP/2 frames: what the client sends, whether it is answered, and what the upstream
//! gets. The upstream gets nothing of a refused request.

use std::time::Duration;

use crate::support::scripted::{OK, Scene, Step, TOKENS, send};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Encodes fields as literals without indexing or Huffman coding (RFC 7541 §6.2.2).
fn fields(list: &[(&str, &str)]) -> Vec<u8> {
    fn text(text: &str) -> Vec<u8> {
        let length = u8::try_from(text.len()).unwrap();
        assert!(length < 127, "one byte of length");
        [&[length], text.as_bytes()].concat()
    }
    list.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

/// The head of a request on stream 1, with additional fields.
fn head(method: &str, path: &str, more: &[(&str, &str)], flags: u8) -> Vec<u8> {
    let own = [(":method", method), (":scheme", "http"), (":authority", "a"), (":path", path)];
    frame(HEADERS, END_HEADERS | flags, 1, &fields(&[&own[..], more].concat()))
}

fn get(more: &[(&str, &str)]) -> Vec<u8> {
    head("GET", "/f", more, END_STREAM)
}

/// An upload. The upstream answers once it has read `whole`.
fn upload(more: &[(&str, &str)], parts: &[&str]) -> Vec<u8> {
    let path = if more.is_empty() { "/chunked" } else { "/upload" };
    let mut frames = head("POST", path, more, 0);
    for (n, part) in parts.iter().enumerate() {
        let last = if n + 1 == parts.len() { END_STREAM } else { 0 };
        frames.extend(frame(DATA, last, 1, part.as_bytes()));
    }
    frames
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The answer has status 200.
    Served,
    /// The answer has another status, or the stream was reset.
    Refused,
    /// The whole connection was closed.
    Closed,
    /// None of these happened within some seconds.
    Open,
}

async fn end_of(scene: &Scene, frames: &[u8]) -> End {
    let address = scene.proxy.url("").replace("http://", "");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let start = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(SETTINGS, 0, 0, &[])[..], frames];
    stream.write_all(&start.concat()).await.unwrap();
    let reading = async {
        loop {
            let mut head = [0; 9];
            if stream.read_exact(&mut head).await.is_err() {
                return End::Closed;
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let mut payload = vec![0; length];
            if stream.read_exact(&mut payload).await.is_err() {
                return End::Closed;
            }
            match head[3] {
                // In HPACK's static table, `:status: 200` is a single byte.
                HEADERS if payload[0] == 0x88 => return End::Served,
                HEADERS | RST_STREAM => return End::Refused,
                // GOAWAY is also sent when a connection ends without an error.
                GOAWAY if payload[4..8] != [0; 4] => return End::Closed,
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reading).await.unwrap_or(End::Open)
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_are_passed_on_only_if_every_reader_takes_them_alike() {
    use End::{Closed, Refused, Served};
    let scene = Scene::with(TOKENS, |path| match path {
        "/upload" => vec![Step::Until("whole"), send(OK), Step::Close],
        "/chunked" => vec![Step::Until("whole\r\n0\r\n\r\n"), send(OK), Step::Close],
        _ => vec![send(OK)],
    })
    .await;
    let pseudo = |list: &[(&str, &str)]| frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields(list));
    let smuggled = "whole\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\nwhole";
    let cases: Vec<(&str, Vec<u8>, End)> = vec![
        ("plain", get(&[]), Served),
        ("te: trailers", get(&[("te", "trailers")]), Served),
        ("OPTIONS *", head("OPTIONS", "*", &[], END_STREAM), Served),
        ("GET *", head("GET", "*", &[], END_STREAM), Refused),
        ("a path without a slash", head("GET", "f", &[], END_STREAM), Refused),
        ("a query alone", head("GET", "?x", &[], END_STREAM), Refused),
        ("an empty path", head("GET", "", &[], END_STREAM), Refused),
        ("a line end in the path", head("GET", "/f\r\nX: y", &[], END_STREAM), Refused),
        ("a version in the path", head("GET", "/f HTTP/1.1", &[], END_STREAM), Refused),
        ("a request in the method", head("GET /f HTTP/1.1\r\nX: ", "/", &[], END_STREAM), Closed),
        ("CONNECT", head("CONNECT", "/f", &[], END_STREAM), Refused),
        // Invalid field values: h2 closes the connection, as RFC 9113 §5.4.2 allows.
        ("a line end in a value", get(&[("x", "a\r\nX-Evil: 1")]), Closed),
        ("a line feed in a value", get(&[("x", "a\nb")]), Closed),
        ("NUL in a value", get(&[("x", "a\0b")]), Closed),
        ("an upper-case name", get(&[("X-Upper", "1")]), Closed),
        ("a space in a name", get(&[("x y", "1")]), Closed),
        ("a field in a name", get(&[("x: 1\r\ny", "1")]), Closed),
        ("an empty name", get(&[("", "1")]), Closed),
        ("transfer-encoding", get(&[("transfer-encoding", "chunked")]), Refused),
        ("connection", get(&[("connection", "close")]), Refused),
        ("te: gzip", get(&[("te", "gzip")]), Refused),
        ("upgrade", get(&[("upgrade", "websocket")]), Refused),
        ("a pseudo-field behind a field", get(&[("x", "y"), (":path", "/evil")]), Refused),
        ("an unknown pseudo-field", get(&[(":protocol", "websocket")]), Refused),
        ("another host", get(&[("host", "evil.example")]), Refused),
        ("no method", pseudo(&[(":scheme", "http"), (":authority", "a"), (":path", "/")]), Refused),
        (
            "no path",
            pseudo(&[(":method", "GET"), (":scheme", "http"), (":authority", "a")]),
            Refused,
        ),
        (
            "a bad authority",
            pseudo(&[
                (":method", "GET"),
                (":scheme", "http"),
                (":authority", "a/b"),
                (":path", "/"),
            ]),
            Refused,
        ),
        ("an upload", upload(&[("content-length", "5")], &["who", "le"]), Served),
        ("without a length", upload(&[], &["whole", ""]), Served),
        ("what looks like a chunk", upload(&[], &[smuggled]), Served),
        ("shorter than said", upload(&[("content-length", "10")], &["whole"]), Refused),
        ("longer than said", upload(&[("content-length", "3")], &["whole"]), Refused),
        (
            "two lengths",
            upload(&[("content-length", "5"), ("content-length", "6")], &["whole"]),
            Refused,
        ),
        ("above 2^63", upload(&[("content-length", "9223372036854775808")], &["whole"]), Refused),
        ("a length with a sign", upload(&[("content-length", "+5")], &["whole"]), Refused),
        ("an even stream", frame(HEADERS, 5, 2, &fields(&[(":method", "GET")])), Closed),
        ("stream 0", frame(HEADERS, 5, 0, &fields(&[(":method", "GET")])), Closed),
        ("a push", frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]), Closed),
        ("data of no stream", frame(DATA, END_STREAM, 5, b"whole"), Closed),
        ("a window of 0", frame(WINDOW_UPDATE, 0, 0, &[0; 4]), Closed),
        ("half a setting", frame(SETTINGS, 0, 0, b"abc"), Closed),
        ("a window of 2^31", frame(SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0]), Closed),
        ("no HPACK", frame(HEADERS, 5, 1, &[0xff; 9]), Closed),
        ("a table without end", frame(HEADERS, 5, 1, b"\x3f\xff\xff\xff\xff\x0f"), Closed),
        (
            "more padding than frame",
            [head("POST", "/upload", &[], 0), frame(DATA, END_STREAM | PADDED, 1, b"\xffab")]
                .concat(),
            Closed,
        ),
        (
            "headers interrupted",
            [
                frame(HEADERS, END_STREAM, 1, &fields(&[(":method", "GET")])),
                frame(PING, 0, 0, &[0; 8]),
            ]
            .concat(),
            Closed,
        ),
    ];
    let mut wrong = Vec::new();
    for (name, frames, expected) in cases {
        let passed_on = || {
            let heads = scene.heads.lock().unwrap();
            let heads = heads.iter().map(|(_, head)| head.lines().next().unwrap().to_owned());
            heads.filter(|line| !line.starts_with("GET /jwks ")).collect::<Vec<_>>()
        };
        let before = passed_on().len();
        let end = end_of(&scene, &frames).await;
        let seen = passed_on().split_off(before);
        // The head of an upload may be forwarded before its body turns out to be invalid.
        let known: &[&str] = match expected {
            Served => &["GET /f ", "OPTIONS * ", "POST /upload ", "POST /chunked "],
            _ => &["POST /upload "],
        };
        let alike = seen.iter().all(|line| known.iter().any(|known| line.starts_with(known)));
        if end != expected || !alike || (expected == Served && seen.len() != 1) {
            wrong.push(format!("{name}: {end:?}, not {expected:?}; the upstream saw {seen:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(end_of(&scene, &get(&[])).await, Served);
}
