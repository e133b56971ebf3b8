//! The load: `wrk` for equal requests, and our own client where every request differs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::process::LOAD_CORE;
use crate::stats::Run;

/// `wrk` with one thread on the load core. A run with even one error answer is refused.
pub(crate) fn wrk(url: &str, connections: usize, seconds: u32, headers: &[&str]) -> Run {
    let mut command = Command::new("taskset");
    let (conns, time) = (connections.to_string(), format!("{seconds}s"));
    command.args(["-c", LOAD_CORE, "wrk", "-t1", "-c", &conns, "-d", &time, "--latency"]);
    for header in headers {
        command.args(["-H", header]);
    }
    let out = command.arg(url).output().expect("wrk is needed");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(!text.contains("Non-2xx"), "errors under load on {url}:\n{text}");
    assert!(!text.contains("Socket errors"), "socket errors on {url}:\n{text}");
    let field = |name: &str| {
        let line = text.lines().find(|l| l.trim_start().starts_with(name));
        line.and_then(|l| l.split_whitespace().last())
            .unwrap_or_else(|| panic!("wrk said:\n{text}"))
    };
    Run { rate: field("Requests/sec").parse().unwrap(), p99: millis(field("99%")) }
}

/// `wrk` prints `950.00us`, `1.20ms` or `1.02s`.
fn millis(text: &str) -> f64 {
    let split = text.find(|c: char| c.is_alphabetic()).unwrap();
    let (number, unit) = text.split_at(split);
    let value: f64 = number.parse().unwrap();
    match unit {
        "us" => value / 1000.0,
        "ms" => value,
        "s" => value * 1000.0,
        other => panic!("wrk unit {other}"),
    }
}

/// Sends each of `requests` once over `connections` keep-alive connections, closed loop. Every
/// answer must have status 200.
pub(crate) fn each_once(addr: SocketAddr, connections: usize, requests: &[Vec<u8>]) -> Run {
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    let mut latencies: Vec<Duration> = std::thread::scope(|scope| {
        let worker = || {
            let mut connection = Connection::open(addr);
            let mut taken = Vec::new();
            while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                let sent = Instant::now();
                let status = connection.send(request);
                assert_eq!(status, 200, "{addr} refused a request under load");
                taken.push(sent.elapsed());
            }
            taken
        };
        let workers: Vec<_> = (0..connections).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|w| w.join().unwrap()).collect()
    });
    let elapsed = started.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let p99 = latencies[latencies.len() * 99 / 100];
    Run { rate: requests.len() as f64 / elapsed, p99: p99.as_secs_f64() * 1000.0 }
}

/// One keep-alive HTTP/1.1 connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::with_capacity(16 * 1024) }
    }

    /// Sends one request, reads the whole answer (`Content-Length` or chunked), returns its status.
    pub(crate) fn send(&mut self, request: &[u8]) -> u16 {
        self.stream.write_all(request).unwrap();
        self.answer().0
    }

    pub(crate) fn answer(&mut self) -> (u16, Vec<u8>) {
        self.buffer.clear();
        let head = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            self.fill();
        };
        let text = String::from_utf8_lossy(&self.buffer[..head]).to_ascii_lowercase();
        let status = text[9..12].parse().unwrap();
        let length = text
            .lines()
            .find_map(|l| l.strip_prefix("content-length:"))
            .map(|v| v.trim().parse::<usize>().unwrap());
        match length {
            Some(length) => {
                while self.buffer.len() < head + length {
                    self.fill();
                }
            }
            None if status == 304 || status == 204 => {}
            None => {
                while !self.buffer.ends_with(b"0\r\n\r\n") {
                    self.fill();
                }
            }
        }
        (status, self.buffer[head..].to_vec())
    }

    fn fill(&mut self) {
        let mut chunk = [0; 16 * 1024];
        let n = self.stream.read(&mut chunk).unwrap();
        assert!(n > 0, "the server closed the connection");
        self.buffer.extend_from_slice(&chunk[..n]);
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

pub(crate) fn get(addr: SocketAddr, path: &str) -> (u16, Vec<u8>) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    let mut connection = Connection::open(addr);
    connection.stream.write_all(request.as_bytes()).unwrap();
    connection.answer()
}

/// Downloads `path` over one connection; MiB a second.
pub(crate) fn download(addr: SocketAddr, path: &str, expected: usize) -> Run {
    let mut stream = TcpStream::connect(addr).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
    let started = Instant::now();
    stream.write_all(request.as_bytes()).unwrap();
    let (mut total, mut chunk) = (0, vec![0; 256 * 1024]);
    loop {
        match stream.read(&mut chunk).unwrap() {
            0 => break,
            n => total += n,
        }
    }
    assert!(total >= expected, "{total} of {expected} bytes came");
    mib_per_second(expected, started)
}

/// Uploads `bytes` zero bytes over one connection; MiB a second until the answer is there.
pub(crate) fn upload(addr: SocketAddr, path: &str, bytes: usize) -> Run {
    let mut connection = Connection::open(addr);
    let head = format!("POST {path} HTTP/1.1\r\nHost: {addr}\r\nContent-Length: {bytes}\r\n\r\n");
    let started = Instant::now();
    connection.stream.write_all(head.as_bytes()).unwrap();
    let chunk = vec![0; 256 * 1024];
    let mut left = bytes;
    while left > 0 {
        let n = left.min(chunk.len());
        connection.stream.write_all(&chunk[..n]).unwrap();
        left -= n;
    }
    assert_eq!(connection.answer().0, 200);
    mib_per_second(bytes, started)
}

fn mib_per_second(bytes: usize, started: Instant) -> Run {
    let mib = bytes as f64 / (1024.0 * 1024.0);
    Run { rate: mib / started.elapsed().as_secs_f64(), p99: 0.0 }
}
