//! An upstream behind TLS on real sockets: a private CA, server names, a client certificate, and
//! the HTTP `Host`.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::proxy::{Proxy, ResponseExt as _, Upstream, provider};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls_pki_types::PrivateKeyDer;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};

/// A certification authority in its own folder.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
    dir: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "a private CA");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { issuer: Issuer::new(params, key), certificate, dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    fn leaf(
        &self,
        names: &[&str],
        usage: ExtendedKeyUsagePurpose,
    ) -> (rcgen::Certificate, KeyPair) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// A client certificate and its key, as files.
    fn client(&self, name: &str) -> (PathBuf, PathBuf) {
        let (certificate, key) = self.leaf(&[name], ExtendedKeyUsagePurpose::ClientAuth);
        let (cert, private) = (self.dir.path().join("c.pem"), self.dir.path().join("k.pem"));
        std::fs::write(&cert, certificate.pem()).unwrap();
        std::fs::write(&private, key.serialize_pem()).unwrap();
        (cert, private)
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        Arc::new(roots)
    }
}

/// Terminates TLS in front of `upstream` with a certificate for `names`. With `clients`, it
/// requires a client certificate from that authority.
async fn terminate(
    upstream: SocketAddr,
    authority: &Authority,
    names: &[&str],
    clients: Option<&Authority>,
) -> (SocketAddr, Arc<std::sync::Mutex<Vec<Option<String>>>>) {
    terminate_as(upstream, authority, names, clients, &[]).await
}

/// The same, with ALPN for the protocols in `alpn`.
async fn terminate_as(
    upstream: SocketAddr,
    authority: &Authority,
    names: &[&str],
    clients: Option<&Authority>,
    alpn: &[&str],
) -> (SocketAddr, Arc<std::sync::Mutex<Vec<Option<String>>>>) {
    let (certificate, key) = authority.leaf(names, ExtendedKeyUsagePurpose::ServerAuth);
    let crypto = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(crypto.clone())
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = match clients {
        Some(clients) => config.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(clients.roots(), crypto).build().unwrap(),
        ),
        None => config.with_no_client_auth(),
    };
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let names = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, names) = (acceptor.clone(), names.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let name = stream.get_ref().1.server_name().map(str::to_owned);
                names.lock().unwrap().push(name);
                let mut inner = TcpStream::connect(upstream).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut inner).await;
            });
        }
    });
    (address, seen)
}

fn configured(ca: Option<&Path>, more: &[(&str, &Path)], issuer: &str) -> String {
    let mut toml = String::from("[upstream.tls]\n");
    for (key, path) in ca.iter().map(|path| ("ca", *path)).chain(more.iter().copied()) {
        writeln!(toml, "{key} = {:?}", path.to_str().unwrap()).unwrap();
    }
    // The keys are fetched from elsewhere, so that the test covers the upstream's TLS alone.
    write!(toml, "[[issuer]]\nissuer = \"{issuer}\"\njwks = \"{issuer}/jwks\"\n").unwrap();
    toml.push_str("[[tokens]]\npath = \"/token\"\njson = \"id_token\"\n");
    toml
}

async fn get(proxy: &Proxy, path: &str) -> (u16, Value) {
    let answer = reqwest::get(proxy.url(path)).await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// One request through our own call, and one through pingora's proxy.
async fn works(upstream: &Upstream, proxy: &Proxy) {
    let (status, saw) = get(proxy, "/seen").await;
    assert_eq!((status, &saw["target"]), (200, &"/seen".into()));
    let token = upstream.token(&upstream.claims());
    upstream.tell(|told| told.token = format!(r#"{{"id_token":"{token}"}}"#).into_bytes());
    let answer = reqwest::Client::new().post(proxy.url("/token")).body("a=b").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let new: Value = answer.json().await.unwrap();
    let new = new["id_token"].as_str().unwrap();
    assert_ne!(new, token);
    assert_eq!(upstream.claims_of(new), upstream.claims_of(&token));
}

/// Both kinds of request get the same refusal, and nothing reaches the upstream.
async fn fails(proxy: &Proxy) {
    let (status, body) = get(proxy, "/seen").await;
    assert_eq!((status, &body["code"]), (502, &"upstream_unreachable".into()), "{body}");
    let answer = reqwest::Client::new().post(proxy.url("/token")).body("a=b").send().await.unwrap();
    assert_eq!(answer.status(), 502);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["code"], "upstream_unreachable");
}

fn https(name: &str, address: SocketAddr) -> String {
    format!("https://{name}:{}", address.port())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_ca_by_name_and_by_address() {
    provider();
    let upstream = Upstream::start().await;
    let authority = Authority::new();
    let (address, names) =
        terminate(upstream.address, &authority, &["localhost", "127.0.0.1"], None).await;
    let toml = configured(Some(&authority.path()), &[], &upstream.url());
    for (name, sni) in [("localhost", Some("localhost")), ("127.0.0.1", None)] {
        let proxy = Proxy::ready(&https(name, address), &toml).await;
        works(&upstream, &proxy).await;
        let seen = std::mem::take(&mut *names.lock().unwrap());
        // SNI carries names only, not addresses (RFC 6066 §3).
        assert!(!seen.is_empty() && seen.iter().all(|n| n.as_deref() == sni), "{seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_ca_or_name_is_refused() {
    provider();
    let upstream = Upstream::start().await;
    let (authority, other) = (Authority::new(), Authority::new());
    let (address, _) = terminate(upstream.address, &authority, &["localhost"], None).await;
    let url = https("localhost", address);
    for ca in [Some(other.path()), None] {
        let toml = configured(ca.as_deref(), &[], &upstream.url());
        fails(&Proxy::ready(&url, &toml).await).await;
    }
    // The right authority, but a name that is not in the certificate.
    let toml = configured(Some(&authority.path()), &[], &upstream.url());
    fails(&Proxy::ready(&https("127.0.0.1", address), &toml).await).await;
    works(&upstream, &Proxy::ready(&url, &toml).await).await;
    // Verification is off, which is for experiments only.
    let toml = toml.replace("[upstream.tls]\n", "[upstream.tls]\nverify = false\n");
    works(&upstream, &Proxy::ready(&https("127.0.0.1", address), &toml).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_asked_for_is_the_one_checked() {
    provider();
    let upstream = Upstream::start().await;
    let authority = Authority::new();
    let (address, names) = terminate(upstream.address, &authority, &["auth.internal"], None).await;
    let url = https("127.0.0.1", address);
    let toml = configured(Some(&authority.path()), &[], &upstream.url());
    let named = |name: &str| {
        let with = format!("[upstream.tls]\nsni = \"{name}\"\n");
        toml.replace("[upstream.tls]\n", &with)
    };
    works(&upstream, &Proxy::ready(&url, &named("auth.internal")).await).await;
    let seen = std::mem::take(&mut *names.lock().unwrap());
    assert!(seen.iter().all(|name| name.as_deref() == Some("auth.internal")), "{seen:?}");
    fails(&Proxy::ready(&url, &named("evil.internal")).await).await;
    fails(&Proxy::ready(&url, &toml).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_shown() {
    provider();
    let upstream = Upstream::start().await;
    let (authority, clients) = (Authority::new(), Authority::new());
    let (address, _) =
        terminate(upstream.address, &authority, &["localhost"], Some(&clients)).await;
    let url = https("localhost", address);
    let ca = authority.path();
    let toml = |client: Option<&(PathBuf, PathBuf)>| {
        let files: Vec<(&str, &Path)> = match client {
            Some((cert, key)) => vec![("client_cert", cert), ("client_key", key)],
            None => Vec::new(),
        };
        configured(Some(&ca), &files, &upstream.url())
    };
    let own = clients.client("countersign");
    works(&upstream, &Proxy::ready(&url, &toml(Some(&own))).await).await;
    // No certificate, or one from an authority that the upstream does not know. With TLS 1.3, the
    // client notices only at its first read.
    let wrong = authority.client("countersign");
    for client in [None, Some(&wrong)] {
        let proxy = Proxy::ready(&url, &toml(client)).await;
        for request in [
            reqwest::Client::new().get(proxy.url("/seen")),
            reqwest::Client::new().post(proxy.url("/token")).body("a=b"),
        ] {
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 502);
            let body: Value = answer.json().await.unwrap();
            let code = body["code"].as_str().unwrap();
            assert!(["upstream_unreachable", "upstream_invalid"].contains(&code), "{code}");
        }
    }
}

/// Behind TLS and with another name than ours, the server gets its own name as `Host` unless
/// another is configured.
#[tokio::test(flavor = "multi_thread")]
async fn host_is_the_servers_own_unless_configured() {
    provider();
    let upstream = Upstream::start().await;
    let authority = Authority::new();
    let (address, _) = terminate(upstream.address, &authority, &["localhost"], None).await;
    let toml = configured(Some(&authority.path()), &[], &upstream.url());
    let own = format!("localhost:{}", address.port());
    for (configured, host) in [
        ("", own.as_str()),
        ("host = \"client\"\n", "login.example"),
        ("host = \"upstream\"\n", own.as_str()),
        ("host = \"auth.example:8443\"\n", "auth.example:8443"),
    ] {
        let toml = format!("[upstream]\n{configured}{toml}");
        let proxy = Proxy::ready(&https("localhost", address), &toml).await;
        let answer = reqwest::Client::new().get(proxy.url("/seen")).header("host", "login.example");
        let saw: Value = answer.send().await.unwrap().json().await.unwrap();
        let fields = saw["fields"].as_array().unwrap();
        let of = |name: &str| {
            let found: Vec<_> = fields.iter().filter(|f| f[0] == name).collect();
            assert_eq!(found.len(), 1, "{name}: {found:?}");
            found[0][1].as_str().unwrap().to_owned()
        };
        assert_eq!(of("host"), host, "{configured}");
        assert_eq!(of("x-forwarded-host"), "login.example", "{configured}");
    }
}

/// The server chooses the protocol (RFC 7301), and gRPC needs one that chooses HTTP/2.
#[tokio::test(flavor = "multi_thread")]
async fn grpc_asks_for_http2() {
    provider();
    let authority = Authority::new();
    let upstream = Upstream::start().await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    for (alpn, expected, code) in [
        (&["http/1.1", "h2"][..], 200, "/seen"),
        (&["h2"], 200, "/seen"),
        (&[], 502, "upstream_http2"),
        // This server aborts the handshake.
        (&["http/1.1"], 502, "upstream_http2"),
    ] {
        let (address, _) =
            terminate_as(upstream.address, &authority, &["127.0.0.1"], None, alpn).await;
        let toml = configured(Some(&authority.path()), &[], &upstream.url());
        let proxy = Proxy::start(&format!("https://{address}"), &toml);
        let call = client.post(proxy.url("/seen")).header("content-type", "application/grpc");
        let answer = call.body("x").send().await.unwrap();
        assert_eq!(answer.status(), expected, "{alpn:?}");
        let body = answer.text().await.unwrap();
        assert!(body.contains(code), "{alpn:?} {body}");
    }
}
