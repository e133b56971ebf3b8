//! An issuer that misbehaves as real issuers do when they fail. It uses raw TCP, because an HTTP
//! library does not allow invalid answers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The answer to one request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// The current document with status `200` and these additional header lines.
    Set(Vec<String>),
    /// The current document with this `ETag`, or `304` where `If-None-Match` matches it.
    Tagged(String),
    /// Status, header lines, body. `Content-Length` is added where it is missing.
    Raw(u16, Vec<String>, Vec<u8>),
    /// Resets the connection after reading the request.
    Reset,
    /// Closes the connection without an answer.
    Close,
    /// Never answers.
    Stall,
    /// Sends the header and half the body, then nothing.
    StallBody,
    /// Sends the document byte by byte, with this pause between them.
    Trickle(Duration),
    /// Announces more bytes than it sends.
    ShortBody,
    /// Announces fewer bytes than it sends.
    LongBody,
    /// Sends something that is not HTTP.
    Garbage,
    /// Waits, then sends the current document.
    Slow(Duration),
}

impl Reply {
    pub fn ok() -> Self {
        Self::Set(vec!["Content-Type: application/json".into()])
    }

    pub fn status(status: u16) -> Self {
        Self::Raw(status, Vec::new(), b"no".to_vec())
    }

    pub fn html() -> Self {
        let page = b"<!DOCTYPE html><html><body>Please log in</body></html>".to_vec();
        Self::Raw(200, vec!["Content-Type: text/html".into()], page)
    }

    pub fn redirect(to: &str) -> Self {
        Self::Raw(302, vec![format!("Location: {to}")], Vec::new())
    }

    pub fn with(mut self, line: &str) -> Self {
        match &mut self {
            Self::Set(lines) | Self::Raw(_, lines, _) => lines.push(line.to_owned()),
            _ => panic!("no header lines here"),
        }
        self
    }
}

struct State {
    document: Vec<u8>,
    usual: Reply,
    script: VecDeque<Reply>,
    paths: Vec<(String, Reply)>,
    heads: Vec<String>,
}

/// The issuer of this module. It stops when its last clone is dropped.
#[derive(Clone)]
pub struct FaultIssuer {
    pub port: u16,
    state: Arc<Mutex<State>>,
    requests: Arc<AtomicUsize>,
    accept: Arc<Mutex<Option<tokio::task::JoinHandle<()>>>>,
    _guard: Arc<Guard>,
}

struct Guard(Arc<Mutex<Option<tokio::task::JoinHandle<()>>>>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(task) = self.0.lock().unwrap().take() {
            task.abort();
        }
    }
}

impl FaultIssuer {
    pub async fn start(keys: &[Value]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let accept = Arc::new(Mutex::new(None));
        let issuer = Self {
            port: listener.local_addr().unwrap().port(),
            state: Arc::new(Mutex::new(State {
                document: json!({ "keys": keys }).to_string().into_bytes(),
                usual: Reply::ok(),
                script: VecDeque::new(),
                paths: Vec::new(),
                heads: Vec::new(),
            })),
            requests: Arc::default(),
            _guard: Arc::new(Guard(Arc::clone(&accept))),
            accept,
        };
        issuer.listen(listener);
        issuer
    }

    fn listen(&self, listener: TcpListener) {
        let (state, requests) = (Arc::clone(&self.state), Arc::clone(&self.requests));
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                open.spawn(serve(stream, Arc::clone(&state), Arc::clone(&requests)));
                while open.try_join_next().is_some() {}
            }
        });
        *self.accept.lock().unwrap() = Some(task);
    }

    /// Refuses connections from now on.
    pub async fn refuse(&self) {
        let task = self.accept.lock().unwrap().take();
        if let Some(task) = task {
            task.abort();
            let _ = task.await;
        }
    }

    /// Accepts connections again, on the same port.
    pub async fn come_back(&self) {
        if self.accept.lock().unwrap().is_some() {
            return;
        }
        for _ in 0..200 {
            match TcpListener::bind(("127.0.0.1", self.port)).await {
                Ok(listener) => return self.listen(listener),
                Err(_) => tokio::time::sleep(Duration::from_millis(25)).await,
            }
        }
        panic!("the port is gone");
    }

    pub fn url(&self, path: &str) -> url::Url {
        format!("http://127.0.0.1:{}{path}", self.port).parse().unwrap()
    }

    pub fn serve_keys(&self, keys: &[Value]) {
        self.serve_document(json!({ "keys": keys }).to_string());
    }

    pub fn serve_document(&self, document: impl Into<Vec<u8>>) {
        self.state.lock().unwrap().document = document.into();
    }

    /// Sets the answer for every request after the scripted ones.
    pub fn usually(&self, reply: Reply) {
        self.state.lock().unwrap().usual = reply;
    }

    /// Sets the answers for the next requests, one each.
    pub fn next(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state.lock().unwrap().script.extend(replies);
    }

    /// Sets the answer for one path, which takes precedence over all others.
    pub fn at(&self, path: &str, reply: Reply) {
        let mut state = self.state.lock().unwrap();
        state.paths.retain(|(p, _)| p != path);
        state.paths.push((path.to_owned(), reply));
    }

    /// The number of requests read so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// The head of the last request, in lower case.
    pub fn last_head(&self) -> String {
        self.state.lock().unwrap().heads.last().cloned().unwrap_or_default()
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>, requests: Arc<AtomicUsize>) {
    loop {
        let Some(head) = head(&mut stream).await else { return };
        requests.fetch_add(1, Ordering::SeqCst);
        let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
        let (document, reply) = {
            let mut state = state.lock().unwrap();
            state.heads.push(head.to_ascii_lowercase());
            if state.heads.len() > 100 {
                state.heads.remove(0);
            }
            let of_path = state.paths.iter().find(|(p, _)| *p == path).map(|(_, r)| r.clone());
            let reply = of_path.or_else(|| state.script.pop_front());
            (state.document.clone(), reply.unwrap_or_else(|| state.usual.clone()))
        };
        if answer(&mut stream, &head, document, reply).await.is_none() {
            return;
        }
    }
}

/// `None` means that the connection has ended.
async fn answer(stream: &mut TcpStream, head: &str, document: Vec<u8>, reply: Reply) -> Option<()> {
    let plain = |body: &[u8]| message(200, &["Content-Type: application/json".into()], body);
    match reply {
        Reply::Set(lines) => stream.write_all(&message(200, &lines, &document)).await.ok(),
        Reply::Tagged(etag) => {
            let lines = vec![format!("ETag: {etag}"), "Content-Type: application/json".into()];
            let same = head.lines().any(|line| {
                line.to_ascii_lowercase().starts_with("if-none-match:") && line.contains(&etag)
            });
            let message =
                if same { message(304, &lines, b"") } else { message(200, &lines, &document) };
            stream.write_all(&message).await.ok()
        }
        Reply::Raw(status, lines, body) => {
            stream.write_all(&message(status, &lines, &body)).await.ok()
        }
        Reply::Reset => {
            let _ = socket2_linger(stream);
            None
        }
        Reply::Close => None,
        Reply::Stall => {
            std::future::pending::<()>().await;
            None
        }
        Reply::StallBody => {
            let all = plain(&document);
            stream.write_all(&all[..all.len() - document.len() / 2]).await.ok()?;
            std::future::pending::<()>().await;
            None
        }
        Reply::Trickle(gap) => {
            for byte in plain(&document) {
                stream.write_all(&[byte]).await.ok()?;
                tokio::time::sleep(gap).await;
            }
            Some(())
        }
        Reply::ShortBody => {
            let all = plain(&document);
            stream.write_all(&all[..all.len() - 10]).await.ok()?;
            None
        }
        Reply::LongBody => {
            stream.write_all(&plain(&document)).await.ok()?;
            stream.write_all(b"and then some more").await.ok()?;
            None
        }
        Reply::Garbage => {
            stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n\r\n\x00\x01\x02").await.ok()?;
            None
        }
        Reply::Slow(wait) => {
            tokio::time::sleep(wait).await;
            stream.write_all(&plain(&document)).await.ok()
        }
    }
}

/// Makes closing send RST.
fn socket2_linger(stream: &TcpStream) -> std::io::Result<()> {
    #[expect(deprecated, reason = "zero never blocks, which the deprecation is about")]
    stream.set_linger(Some(Duration::ZERO))
}

async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await.ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

fn message(status: u16, lines: &[String], body: &[u8]) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {status} Whatever\r\n");
    for line in lines {
        out.push_str(line);
        out.push_str("\r\n");
    }
    let has_length = lines.iter().any(|l| l.to_ascii_lowercase().starts_with("content-length:"));
    if !has_length && status != 304 && status != 204 {
        out.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    out.push_str("\r\n");
    let mut out = out.into_bytes();
    out.extend_from_slice(body);
    out
}
