//! The auth server behind this proxy: its address, and how connections to it are made.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::Connector;
use pingora::protocols::TcpKeepalive;
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy};
use pingora::utils::tls::{CertKey, WrappedX509, parse_x509};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::time::Instant;
use url::Url;

use crate::answer::Failure;
use crate::dns::Resolver;
use crate::proxy::settings::{HostHeader, UpstreamSettings, base_path};

/// How long resolved addresses are used before the name is resolved again.
const ADDRESS_TTL: Duration = Duration::from_secs(30);
/// TCP keep-alive idle time; detects dead WebSocket peers.
pub const TCP_KEEP_ALIVE: Duration = Duration::from_secs(60);
/// An empty root store: the roots are set per connection. Otherwise pingora would read the system's
/// store at start, and a container built from scratch has none.
pub(super) const NO_ROOTS: &str = "/dev/null";
/// Connections to the upstream kept in the pool.
pub(super) const POOL: usize = 128;

#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}: {why}")]
pub struct UpstreamError {
    path: PathBuf,
    why: String,
}

struct Addresses {
    /// One peer per address, made once and shared by all requests.
    list: Vec<Arc<HttpPeer>>,
    until: Instant,
}

/// The upstream's address and connection settings.
pub struct Upstream {
    pub url: Url,
    /// Makes and pools connections.
    pub(super) connector: Connector,
    /// A peer with all settings but the address.
    template: HttpPeer,
    host_header: HostHeader,
    resolver: Resolver,
    addresses: ArcSwap<Addresses>,
    next: AtomicUsize,
    /// The idle time in seconds that the upstream announced in `Keep-Alive`.
    idle: AtomicU32,
}

impl Upstream {
    /// # Errors
    /// [`UpstreamError`] when a certificate or key file cannot be used.
    pub fn new(settings: &UpstreamSettings, resolver: Resolver) -> Result<Self, UpstreamError> {
        let UpstreamSettings { url, host, tls: tls_settings, timeouts } = settings.clone();
        let tls = url.scheme() == "https";
        let host_name = url.host_str().unwrap_or_default();
        let bare = host_name.trim_start_matches('[').trim_end_matches(']');
        let sni = tls_settings.sni.clone().unwrap_or_else(|| bare.to_owned());
        let mut template = HttpPeer::new((Ipv4Addr::UNSPECIFIED, 0), tls, sni);
        let options = &mut template.options;
        options.connection_timeout = Some(timeouts.connect);
        options.total_connection_timeout = Some(timeouts.connect * 2);
        options.read_timeout = Some(timeouts.read);
        options.write_timeout = Some(timeouts.write);
        options.idle_timeout = Some(timeouts.idle);
        options.tcp_keepalive = Some(TcpKeepalive {
            idle: TCP_KEEP_ALIVE,
            interval: TCP_KEEP_ALIVE / 4,
            count: 4,
            #[cfg(target_os = "linux")]
            user_timeout: Duration::ZERO,
        });
        // `headers::strip_request` removes the hop-by-hop fields.
        options.http_upstream_request_policy = HttpUpstreamRequestPolicy::preserve();
        options.verify_cert = tls_settings.verify;
        options.verify_hostname = tls_settings.verify;
        if tls {
            options.ca = Some(roots(tls_settings.ca.as_deref())?);
        }
        if let Some(files) = tls_settings.client() {
            template.client_cert_key = Some(Arc::new(client_identity(&files.cert, &files.key)?));
        }
        let mut connector = ConnectorOptions::new(POOL);
        connector.ca_file = Some(NO_ROOTS.to_owned());
        Ok(Self {
            url,
            connector: Connector::new(Some(connector)),
            template,
            host_header: host.unwrap_or(HostHeader::Client),
            resolver,
            addresses: ArcSwap::from_pointee(Addresses { list: Vec::new(), until: Instant::now() }),
            next: AtomicUsize::new(0),
            idle: AtomicU32::new(u32::MAX),
        })
    }

    /// The path that is prepended to every request's path: `""` or `/auth`.
    pub fn base_path(&self) -> &str {
        base_path(&self.url)
    }

    /// The `Host` sent to the upstream; `None` passes on the client's.
    pub fn host_header(&self) -> Option<&str> {
        match &self.host_header {
            HostHeader::Client => None,
            HostHeader::Upstream => Some(self.authority()),
            HostHeader::Name(name) => Some(name),
        }
    }

    /// `host` or `host:port`, as in a `Host` field.
    pub fn authority(&self) -> &str {
        &self.url[url::Position::BeforeHost..url::Position::AfterPort]
    }

    /// The peer of the next address to try.
    ///
    /// # Errors
    /// [`Failure::UpstreamUnreachable`] when the name does not resolve.
    pub async fn peer(&self) -> Result<Arc<HttpPeer>, Failure> {
        let known = self.addresses.load();
        if !known.list.is_empty() && known.until > Instant::now() {
            return Ok(self.pick(&known.list));
        }
        let host = self.url.host_str().unwrap_or_default();
        let port = self.url.port_or_known_default().unwrap_or_default();
        match self.resolver.resolve(host, port).await {
            Ok(list) if !list.is_empty() => {
                let peer_at = |address: SocketAddr| {
                    Arc::new(HttpPeer { _address: address.into(), ..self.template.clone() })
                };
                let list: Vec<_> = list.into_iter().map(peer_at).collect();
                let peer = self.pick(&list);
                let until = Instant::now() + ADDRESS_TTL;
                self.addresses.store(Arc::new(Addresses { list, until }));
                Ok(peer)
            }
            // If the name does not resolve now, use the old addresses.
            _ if !known.list.is_empty() => Ok(self.pick(&known.list)),
            other => {
                if let Err(why) = other {
                    tracing::warn!(host, %why, "the upstream's name cannot be resolved");
                }
                Err(Failure::UpstreamUnreachable)
            }
        }
    }

    /// How long an idle connection is kept: the shorter of the configured time and the upstream's.
    pub fn idle_timeout(&self) -> Option<Duration> {
        let announced = Duration::from_secs(self.idle.load(Ordering::Relaxed).into());
        self.template.options.idle_timeout.map(|own| own.min(announced))
    }

    /// Notes how long the upstream keeps an idle connection, so that this side closes first. A
    /// request sent on a closing connection is lost, and a request that uses up an authorization
    /// code cannot be repeated.
    pub fn note_keep_alive(&self, keep_alive: Option<&http::HeaderValue>) {
        let Some(seconds) = keep_alive.and_then(|v| v.to_str().ok()).and_then(timeout) else {
            return;
        };
        // One second less, for the time in transit.
        let idle = u32::try_from(seconds.saturating_sub(1).max(1)).unwrap_or(u32::MAX);
        self.idle.fetch_min(idle, Ordering::Relaxed);
    }

    /// Makes the next connection try another address, where there are several.
    pub fn connecting_failed(&self) {
        self.next.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of known addresses.
    pub fn addresses(&self) -> usize {
        self.addresses.load().list.len()
    }

    fn pick(&self, list: &[Arc<HttpPeer>]) -> Arc<HttpPeer> {
        list[self.next.load(Ordering::Relaxed) % list.len()].clone()
    }
}

/// Parses `Keep-Alive: timeout=5, max=100` (RFC 2068 §19.7.1.1).
fn timeout(keep_alive: &str) -> Option<u64> {
    let mut parts = keep_alive.split(',').map(str::trim);
    parts.find_map(|part| part.strip_prefix("timeout=")).and_then(|text| text.parse().ok())
}

/// Mozilla's root certificates, and the configured ones.
fn roots(ca: Option<&Path>) -> Result<Arc<[WrappedX509]>, UpstreamError> {
    let own = ca.map(certificates).transpose()?.unwrap_or_default();
    let public = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned();
    Ok(public.chain(own).map(|der| WrappedX509::new(der.to_vec(), parse_x509)).collect())
}

fn client_identity(cert: &Path, key: &Path) -> Result<CertKey, UpstreamError> {
    let chain = certificates(cert)?.into_iter().map(|der| der.to_vec()).collect();
    let key = PrivateKeyDer::from_pem_file(key).map_err(|e| unreadable(key, &e))?;
    Ok(CertKey::new(chain, key.secret_der().to_vec()))
}

/// Every certificate of a PEM file. Each is parsed here once, because pingora panics on an invalid
/// one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, UpstreamError> {
    let list: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<_, _>>)
        .map_err(|e| unreadable(path, &e))?;
    if list.is_empty() {
        return Err(unreadable(path, &"it holds no certificate"));
    }
    for der in &list {
        x509_parser::parse_x509_certificate(der).map_err(|e| unreadable(path, &e))?;
    }
    Ok(list)
}

fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> UpstreamError {
    UpstreamError { path: path.to_owned(), why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configured_ca_adds_to_the_public_roots() {
        let key = rcgen::KeyPair::generate().unwrap();
        let ca = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        std::fs::write(&file, ca.pem()).unwrap();
        let public = roots(None).unwrap().len();
        assert_eq!(public, webpki_root_certs::TLS_SERVER_ROOT_CERTS.len());
        assert_eq!(roots(Some(&file)).unwrap().len(), public + 1);
        assert!(roots(Some(&dir.path().join("missing.pem"))).is_err());
    }

    #[test]
    fn the_upstreams_idle_timeout_is_read() {
        assert_eq!(timeout("timeout=5"), Some(5));
        assert_eq!(timeout("max=3, timeout=72"), Some(72));
        assert_eq!(timeout("max=3"), None);
        assert_eq!(timeout("timeout=soon"), None);
    }
}
