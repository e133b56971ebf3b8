//! The environment of a measurement: upstream, countersign with a given configuration, and its peers.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use countersign::jose::alg::Alg;
use countersign::jose::sign::SigningKey;

use crate::load;
use crate::peers;
use crate::process::{LOAD_CORE, Pinned, SERVER_CORE, free_port};
use crate::tokens::{Issuer, b64};

/// The binary from `scripts/static-build`, else the one that cargo builds for benches.
pub(crate) fn binary() -> String {
    std::env::var("BENCH_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_countersign").to_owned())
}
pub(crate) const EXCHANGE: &str = "/_countersign/token";
pub(crate) const JWKS: &str = "/.well-known/jwks.json";
pub(crate) const ISSUER: &str = "http://issuer.bench";
pub(crate) const BIG: usize = 100 * 1024 * 1024;

pub(crate) struct Setting {
    dir: tempfile::TempDir,
    pub(crate) issuer: Issuer,
    pub(crate) upstream_addr: SocketAddr,
    pub(crate) token: String,
    _upstream: Pinned,
}

/// A running countersign.
pub(crate) struct Ours {
    pub(crate) process: Pinned,
    pub(crate) addr: SocketAddr,
    pub(crate) started: Duration,
}

impl Setting {
    pub(crate) fn new() -> Self {
        Self::with_issuer(Issuer::es384(), 2)
    }

    /// With `extra_keys` RSA keys next to the issuer's own in its set.
    pub(crate) fn with_issuer(issuer: Issuer, extra_keys: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let www = dir.path().join("www");
        std::fs::create_dir(&www).unwrap();
        let mut keys = vec![issuer.jwk("i")];
        keys.extend(rsa_jwks(extra_keys));
        std::fs::write(www.join("jwks.json"), format!(r#"{{"keys":[{}]}}"#, keys.join(",")))
            .unwrap();
        std::fs::write(www.join("1k"), vec![b'x'; 1024]).unwrap();
        std::fs::write(www.join("100m.bin"), vec![0; BIG]).unwrap();
        let token = issuer.token(ISSUER, 0);
        let upstream_addr = free_port();
        let answer = format!(
            r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":3600,"scope":"openid"}}"#
        );
        let upstream = peers::upstream(LOAD_CORE, dir.path(), upstream_addr, &answer);
        Self { dir, issuer, upstream_addr, token, _upstream: upstream }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn url(&self, addr: SocketAddr, path: &str) -> String {
        format!("http://{addr}{path}")
    }

    fn issuer_block(&self) -> String {
        format!(
            "[[issuer]]\nname = \"bench\"\nissuer = \"{ISSUER}\"\njwks = \"http://{}/jwks.json\"\n",
            self.upstream_addr
        )
    }

    /// countersign in front of `upstream`. Keys and last good set are in a data folder that survives a
    /// restart. It logs warnings alone.
    pub(crate) fn countersign(&self, upstream: SocketAddr, extra: &str) -> Ours {
        self.start(upstream, "warn", &format!("{}{extra}", self.issuer_block()))
    }

    /// The same with the log `level`.
    pub(crate) fn logging(&self, level: &str) -> Ours {
        self.start(self.upstream_addr, level, &self.issuer_block())
    }

    fn start(&self, upstream: SocketAddr, level: &str, tail: &str) -> Ours {
        let (addr, admin) = (free_port(), free_port());
        let config = self.dir().join("countersign.toml");
        let data = self.dir().join("data");
        let text = format!(
            "[server]\nlisten = \"{addr}\"\npublic_url = \"http://{addr}\"\nthreads = 1\n[server.limits]\nconnections = 20000\n\
             [admin]\nlisten = \"{admin}\"\n[upstream]\nurl = \"http://{upstream}\"\n\
             [signing]\nstore = \"file:{}\"\n[log]\nlevel = \"{level}\"\n[limits]\nkeys = 2000\n\
             document = \"2MiB\"\n{tail}",
            data.display()
        );
        std::fs::write(&config, text).unwrap();
        self.start_again(&config, addr)
    }

    pub(crate) fn start_again(&self, config: &Path, addr: SocketAddr) -> Ours {
        let log = self.log_path();
        let begun = Instant::now();
        let config = config.display().to_string();
        let process = Pinned::start(SERVER_CORE, &binary(), &["run", "--config", &config], &log);
        let patience = begun + Duration::from_secs(20);
        loop {
            let ready =
                std::net::TcpStream::connect(addr).is_ok() && load::get(addr, JWKS).0 == 200;
            if ready {
                return Ours { process, addr, started: begun.elapsed() };
            }
            assert!(
                Instant::now() < patience,
                "countersign does not serve: {}",
                std::fs::read_to_string(&log).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.dir().join("countersign.log")
    }

    pub(crate) fn config_path(&self) -> PathBuf {
        self.dir().join("countersign.toml")
    }

    pub(crate) fn bare_proxy(&self, upstream: SocketAddr) -> (Pinned, SocketAddr) {
        self.myself("--bare-proxy", &upstream.to_string())
    }

    pub(crate) fn least_exchange(&self) -> (Pinned, SocketAddr) {
        self.myself("--least-exchange", &b64(self.issuer.public_point()))
    }

    /// The harness itself as a server.
    fn myself(&self, mode: &str, argument: &str) -> (Pinned, SocketAddr) {
        let addr = free_port();
        let me = std::env::current_exe().unwrap().display().to_string();
        let log = self.dir().join(format!("{}.log", mode.trim_matches('-')));
        let mut server =
            Pinned::start(SERVER_CORE, &me, &[mode, &addr.to_string(), argument], &log);
        server.wait_for(addr);
        (server, addr)
    }

    pub(crate) fn node(&self) -> (Pinned, SocketAddr) {
        let addr = free_port();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/node_exchange.mjs");
        let modules = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node");
        let jwks = self.dir().join("www/jwks.json").display().to_string();
        let args = [script, &addr.port().to_string(), &jwks, ISSUER, modules];
        let mut node = Pinned::start(SERVER_CORE, "node", &args, &self.dir().join("node.log"));
        node.wait_for(addr);
        (node, addr)
    }

    /// nginx that passes requests on, with the header fields countersign adds.
    pub(crate) fn passing_nginx(&self) -> (Pinned, SocketAddr) {
        let addr = free_port();
        let server = peers::passing_nginx(SERVER_CORE, self.dir(), addr, self.upstream_addr);
        assert_eq!(load::get(addr, "/1k").1, vec![b'x'; 1024]);
        (server, addr)
    }

    /// nginx that has cached exactly the body countersign serves.
    pub(crate) fn caching_nginx(&self, body: &[u8]) -> (Pinned, SocketAddr) {
        std::fs::write(self.dir().join("www/published.json"), body).unwrap();
        let addr = free_port();
        let server = peers::caching_nginx(SERVER_CORE, self.dir(), addr, self.upstream_addr);
        assert_eq!(load::get(addr, "/published.json").1, body);
        (server, addr)
    }
}

fn rsa_jwks(count: usize) -> Vec<String> {
    // Making a key takes a tenth of a second: many keys share four moduli under different kids.
    let made: Vec<SigningKey> =
        (0..count.min(4)).map(|_| SigningKey::generate(Alg::Rs256).unwrap()).collect();
    (0..count)
        .map(|n| {
            let kid = countersign::jose::names::Kid::parse(&format!("rsa-{n}")).unwrap();
            made[n % made.len()].public().to_json(&kid, Some(Alg::Rs256))
        })
        .collect()
}
