//! The peers that we are compared with, and the upstream behind both sides.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{self, ParsedPublicKey};
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::{Algorithm, DecodingKey};
use pingora::Result;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;

use crate::process::Pinned;
use crate::tokens::{Issuer, b64};

/// nginx in the foreground with a configuration of ours; one worker.
pub(crate) fn nginx(core: &str, dir: &Path, name: &str, http: &str, addr: SocketAddr) -> Pinned {
    let conf = dir.join(format!("{name}.conf"));
    let text = format!(
        "daemon off; worker_processes 1; pid {dir}/{name}.pid; error_log {dir}/{name}.err crit;\n\
         events {{ worker_connections 20000; }}\n\
         http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;\n\
         client_body_temp_path {dir}/{name}.body; proxy_temp_path {dir}/{name}.tmp;\n\
         fastcgi_temp_path {dir}/{name}.f; uwsgi_temp_path {dir}/{name}.u; scgi_temp_path {dir}/{name}.s;\n\
         open_file_cache max=100; types {{ application/json json; application/octet-stream bin; }}\n\
         {http} }}\n",
        dir = dir.display()
    );
    std::fs::write(&conf, text).unwrap();
    let conf = conf.display().to_string();
    let mut server =
        Pinned::start(core, "nginx", &["-c", &conf, "-p", "/"], &dir.join(format!("{name}.log")));
    server.wait_for(addr);
    server
}

/// The upstream: static files and one token answer.
pub(crate) fn upstream(core: &str, dir: &Path, addr: SocketAddr, token_answer: &str) -> Pinned {
    let http = format!(
        "server {{ listen {addr}; root {dir}/www; default_type application/json;\n\
         location = /token {{ default_type application/json; return 200 '{token_answer}'; }} }}",
        dir = dir.display()
    );
    nginx(core, dir, "upstream", &http, addr)
}

/// nginx as a caching proxy before the upstream, tuned: cache in memory, keep-alive both ways.
pub(crate) fn caching_nginx(
    core: &str,
    dir: &Path,
    addr: SocketAddr,
    upstream: SocketAddr,
) -> Pinned {
    let cache = PathBuf::from("/dev/shm").join(format!("countersign-bench-{}", std::process::id()));
    let http = format!(
        "proxy_cache_path {} keys_zone=jwks:1m; upstream up {{ server {upstream}; keepalive 32; }}\n\
         server {{ listen {addr}; location / {{ proxy_pass http://up; proxy_http_version 1.1;\n\
         proxy_set_header Connection ''; proxy_cache jwks; proxy_cache_valid 200 1h; }} }}",
        cache.display()
    );
    nginx(core, dir, "caching", &http, addr)
}

/// nginx as a plain proxy: keep-alive both ways, and the header fields countersign adds.
pub(crate) fn passing_nginx(
    core: &str,
    dir: &Path,
    addr: SocketAddr,
    upstream: SocketAddr,
) -> Pinned {
    let http = format!(
        "upstream up {{ server {upstream}; keepalive 32; }}\n\
         server {{ listen {addr}; location / {{ proxy_pass http://up; proxy_http_version 1.1;\n\
         proxy_set_header Connection ''; proxy_set_header Host $http_host;\n\
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n\
         proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $http_host;\n\
         proxy_set_header X-Request-Id $request_id; proxy_set_header Via '1.1 nginx'; }} }}"
    );
    nginx(core, dir, "passing", &http, addr)
}

/// The least a pingora proxy can do.
struct Bare(SocketAddr);

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();
    fn new_ctx(&self) {}
    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.0, false, String::new())))
    }
}

/// Runs the bare proxy; never returns. The harness starts itself in this mode.
pub(crate) fn run_bare_proxy(listen: &str, upstream: &str) -> ! {
    // Like ours: one thread, no work stealing.
    let conf = ServerConf { threads: 1, work_stealing: false, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Bare(upstream.parse().unwrap()));
    service.add_tcp(listen);
    server.add_service(service);
    server.run_forever()
}

/// How [`run_bare_crypto`] verifies.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verifier {
    /// By aws-lc, with a key that was parsed once.
    AwsLc,
    /// As countersign does: by jsonwebtoken, which parses an EC key at each verification.
    Jsonwebtoken,
}

/// One thread that only verifies ES384 and signs RS256. The signing key is parsed once. Prints
/// operations per second.
pub(crate) fn run_bare_crypto(seconds: f64, by: Verifier) {
    let issuer = Issuer::es384();
    let key =
        ParsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, issuer.public_point()).unwrap();
    let decoding = DecodingKey::from_ec_der(issuer.public_point());
    let rsa = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let rng = SystemRandom::new();
    let tokens: Vec<String> = (0..2000).map(|n| issuer.token("http://issuer", n)).collect();
    let parts: Vec<(&str, Vec<u8>)> = tokens
        .iter()
        .map(|t| {
            let (input, sig) = t.rsplit_once('.').unwrap();
            let sig =
                base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, sig);
            (input, sig.unwrap())
        })
        .collect();
    let mut out = vec![0; rsa.public_modulus_len()];
    let (started, mut done) = (Instant::now(), 0_u64);
    while started.elapsed() < Duration::from_secs_f64(seconds) {
        let (input, sig) = &parts[done as usize % parts.len()];
        match by {
            Verifier::AwsLc => key.verify_sig(input.as_bytes(), sig).unwrap(),
            Verifier::Jsonwebtoken => {
                let verifier = (DEFAULT_PROVIDER.verifier_factory)(&Algorithm::ES384, &decoding);
                verifier.unwrap().verify(input.as_bytes(), sig).unwrap();
            }
        }
        rsa.sign(&signature::RSA_PKCS1_SHA256, &rng, input.as_bytes(), &mut out).unwrap();
        assert!(!b64(&out).is_empty());
        done += 1;
    }
    let rate = done as f64 / started.elapsed().as_secs_f64();
    std::io::stdout().write_all(format!("{rate}\n").as_bytes()).unwrap();
}

/// An upstream that swallows uploads, in a thread of the load.
pub(crate) fn sink() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || swallow(stream));
        }
    });
    addr
}

fn swallow(mut stream: std::net::TcpStream) -> Option<()> {
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let mut seen = Vec::new();
        let head = loop {
            if let Some(at) = seen.windows(4).position(|w: &[u8]| w == b"\r\n\r\n") {
                break at + 4;
            }
            let n = stream.read(&mut buffer).ok().filter(|n| *n > 0)?;
            seen.extend_from_slice(&buffer[..n]);
        };
        let text = String::from_utf8_lossy(&seen[..head]).to_ascii_lowercase();
        let length: usize =
            text.lines().find_map(|l| l.strip_prefix("content-length:"))?.trim().parse().ok()?;
        let mut left = length.saturating_sub(seen.len() - head);
        while left > 0 {
            left -= stream.read(&mut buffer).ok().filter(|n| *n > 0)?.min(left);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").ok()?;
    }
}
