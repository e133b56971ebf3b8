//! An upstream that is a socket with a script, and a client that is a raw socket.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::proxy::{self, Proxy};

/// A step of the upstream's script for one request.
pub enum Step {
    Send(Vec<u8>),
    /// Reads until the bytes end with this text.
    Until(&'static str),
    /// Waits for the test's notification.
    Wait(Arc<Notify>),
    /// Notifies the test.
    Tell(Arc<Notify>),
    Close,
}

pub fn send(text: &str) -> Step {
    Step::Send(text.as_bytes().to_vec())
}

pub type Script = Arc<dyn Fn(&str) -> Vec<Step> + Send + Sync>;

pub struct Scene {
    pub proxy: Proxy,
    /// Each head that the upstream received, with the number of its connection.
    pub heads: Arc<Mutex<Vec<(usize, String)>>>,
    /// Notified whenever a connection to the upstream has ended.
    pub ended: Arc<Notify>,
}

impl Scene {
    /// Calls `script` with the path of each request.
    pub async fn new(script: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::with("", script).await
    }

    /// The same with additional configuration, in which `UPSTREAM` stands for the upstream's
    /// address.
    pub async fn with(
        configured: &str,
        script: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        Self::start("", configured, move |_, path| script(path)).await
    }

    /// An upstream with a base path and one answer, in which `UPSTREAM` stands for its address and
    /// `LENGTH` for the length of the body.
    pub async fn below(base: &'static str, answer: &str) -> Self {
        let answer = answer.to_owned();
        Self::start(base, "", move |upstream, _| {
            let answer = answer.replace("UPSTREAM", upstream);
            let body = answer.split_once("\r\n\r\n").map_or(0, |(_, body)| body.len());
            vec![send(&answer.replace("LENGTH", &body.to_string()))]
        })
        .await
    }

    pub async fn start(
        base: &str,
        configured: &str,
        script: impl Fn(&str, &str) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        proxy::provider();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let address = upstream.clone();
        let script: Script = Arc::new(move |path| script(&address, path));
        let seen = heads.clone();
        let ended = Arc::new(Notify::new());
        let end = ended.clone();
        tokio::spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (script, seen, end) = (script.clone(), seen.clone(), end.clone());
                tokio::spawn(async move {
                    play(stream, number, script, seen).await;
                    end.notify_one();
                });
            }
        });
        let configured = configured.replace("UPSTREAM", &upstream);
        // The text after this mark goes into the table of the scene's own issuer.
        let (configured, own) = configured.split_once("<issuer>\n").unwrap_or((&configured, ""));
        let configured = format!(
            "{configured}[[issuer]]\nissuer = \"{upstream}\"\njwks = \"{upstream}/jwks\"\n{own}"
        );
        Self { proxy: Proxy::start(&format!("{upstream}{base}"), &configured), heads, ended }
    }

    /// The last head that the upstream received for `path`, and its connection.
    pub fn head(&self, path: &str) -> (usize, String) {
        let heads = self.heads.lock().unwrap();
        let line = format!("{path} HTTP");
        heads.iter().rev().find(|(_, head)| head.contains(&line)).unwrap().clone()
    }

    pub async fn client(&self) -> Client {
        let address = self.proxy.url("").replace("http://", "");
        Client { stream: TcpStream::connect(address).await.unwrap(), read: Vec::new() }
    }
}

async fn play(
    mut stream: TcpStream,
    number: usize,
    script: Script,
    heads: Arc<Mutex<Vec<(usize, String)>>>,
) {
    let mut read = Vec::new();
    loop {
        while !read.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if !matches!(stream.read(&mut byte).await, Ok(1)) {
                return;
            }
            read.push(byte[0]);
        }
        let head = String::from_utf8(std::mem::take(&mut read)).unwrap();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        heads.lock().unwrap().push((number, head));
        let mut body = Vec::new();
        for step in script(&path) {
            match step {
                Step::Send(bytes) => {
                    if stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Step::Until(end) => {
                    while !body.ends_with(end.as_bytes()) {
                        if !matches!(stream.read_buf(&mut body).await, Ok(1..)) {
                            return;
                        }
                    }
                }
                Step::Wait(until) => until.notified().await,
                Step::Tell(reached) => reached.notify_one(),
                Step::Close => return,
            }
        }
    }
}

pub struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    pub async fn ask(&mut self, request: &str) {
        self.stream.write_all(request.as_bytes()).await.unwrap();
    }

    /// Reads until the bytes end with `end`.
    pub async fn until(&mut self, end: &str) -> String {
        let patience = Duration::from_secs(20);
        tokio::time::timeout(patience, async {
            while !self.read.ends_with(end.as_bytes()) {
                let n = self.stream.read_buf(&mut self.read).await.unwrap();
                assert!(n > 0, "closed after {:?}", String::from_utf8_lossy(&self.read));
            }
        })
        .await
        .unwrap_or_else(|_| panic!("{:?}", String::from_utf8_lossy(&self.read)));
        String::from_utf8(std::mem::take(&mut self.read)).unwrap()
    }

    /// Reads until the connection is closed.
    pub async fn rest(mut self) -> Vec<u8> {
        let reading = self.stream.read_to_end(&mut self.read);
        tokio::time::timeout(Duration::from_secs(20), reading).await.unwrap().unwrap();
        self.read
    }
}

/// The default answer of an upstream.
pub const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// A rule that searches the answers of `/token`.
pub const TOKENS: &str = "[[tokens]]\npath = \"/token\"\njson = [\"t\"]\n";

/// The head of a request with a body. Each line in `fields` must end with CRLF.
pub fn post(path: &str, fields: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}
