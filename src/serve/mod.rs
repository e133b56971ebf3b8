//! The process: sockets, threads, assembly, and the stop.
//!
//! It uses pingora's listeners and proxy without pingora's `Server`. That one sleeps a fixed time
//! at a stop, retries a port in use for half a minute, and can run once per process. Here a stop
//! ends as soon as the last request has ended, and several servers fit into one process.

mod assemble;
mod discovery;
pub mod listen;
mod listen_error;
mod probe;
mod reload;
mod signals;
mod threads;
pub mod tls;
mod volume;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pingora::listeners::tls::{Acceptor, TlsSettings};
use pingora::listeners::{L4BufferSettings, ListenerConfig};
use pingora::services::Service as _;
use pingora::services::listening::Service;
use tokio::runtime::Runtime;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use self::assemble::App;
use self::listen::{ListenError, Sockets};
use self::threads::Threads;
use self::tls::{Certificate, TlsError};
use crate::admin;
use crate::clock::Clock;
use crate::config::{Config, ConfigError, HostHeader};
use crate::issuer::IssuerError;
use crate::issuer::publisher::COMMON_PATH;
use crate::keyring::KeyringError;
use crate::proxy::http::connection::ConnectionHandler;
use crate::proxy::http::upstream::UpstreamError;

/// Why the server could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("signing keys: {0}")]
    Keyring(#[from] KeyringError),
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    #[error("upstream: {0}")]
    Upstream(#[from] UpstreamError),
    #[error("cannot read the system's resolver configuration: {0}")]
    Resolver(std::io::Error),
    #[error("exchange: {0}")]
    OpaqueExchange(String),
    #[error("otel: {0}")]
    Otel(String),
    #[error("cannot start threads: {0}")]
    Threads(std::io::Error),
}

/// Reads the configuration again.
pub type Reload = Box<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>;

/// Called when a server listens.
pub type OnStart = Box<dyn FnOnce(&Started)>;

/// Options of [`run`].
#[derive(Default)]
pub struct Options {
    /// Take over the listeners of the process on the same data directory.
    pub upgrade: bool,
    /// Called at `SIGHUP`.
    pub reload: Option<Reload>,
    /// Called once when it listens.
    pub started: Option<OnStart>,
}

/// What a person wants to know about a server that has just started.
#[derive(Debug, Clone)]
pub struct Started {
    /// The addresses of the public listener.
    pub public: Vec<SocketAddr>,
    /// The same for the admin listener; empty if it is off.
    pub admin: Vec<SocketAddr>,
    /// The address for clients and the verifier, as far as it is known: `public_url`, or the
    /// listener.
    pub url: String,
    /// The store of the signing keys.
    pub store: String,
    /// The key that signs.
    pub kid: String,
    /// It was created at this start.
    pub made: bool,
    /// The directory of other files; `None` if there is none.
    pub data_dir: Option<PathBuf>,
}

impl Started {
    /// `shown`: a person sees the rest in another form.
    fn log(&self, shown: bool) {
        let all = |list: &[SocketAddr]| {
            list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let public = all(&self.public);
        let admin = if self.admin.is_empty() { "off".into() } else { all(&self.admin) };
        if shown {
            tracing::info!(public, admin, "listening");
            return;
        }
        tracing::info!(
            public,
            admin,
            url = self.url,
            jwks = format!("{}{COMMON_PATH}", self.url),
            store = self.store,
            kid = self.kid,
            "listening"
        );
    }
}

/// Runs until a signal ends it. `SIGTERM` and `SIGINT` let running requests end. `SIGQUIT` first
/// hands the listeners to a new process. `SIGHUP` reads the configuration again.
///
/// # Errors
/// [`RunError`]; then nothing listens.
pub fn run(config: Config, options: Options) -> Result<(), RunError> {
    // Where a new process asks a running one for its listeners.
    let handover = config.data_dir.join("upgrade.sock");
    let sockets = match options.upgrade {
        true => Sockets::taken_over(&handover)?,
        false => Sockets::default(),
    };
    if let Some(upstream) = &config.upstream
        && upstream.host == Some(HostHeader::Upstream)
    {
        tracing::info!(
            upstream = upstream.url.host_str(),
            "the upstream receives its own name as `Host`, as hosted servers require; `--upstream-host \
             client` passes on the name that clients use"
        );
    }
    let server = Server::start(config, sockets, Clock::system())?;
    let started = server.started();
    started.log(options.started.is_some());
    volume::warn_if_lost(&server.app.config.load().keyring.store);
    if let Some(on_start) = options.started {
        on_start(&started);
    }
    let ending = server.background.block_on(signals::serve(&server, options.reload, &handover));
    server.stop(ending);
    Ok(())
}

/// Starts a server on its own threads; for tests and the demonstration. Port 0 is allowed.
///
/// # Errors
/// [`RunError`].
pub fn start_in_process(config: Config) -> Result<Handle, RunError> {
    start_with_clock(config, Clock::system())
}

/// The same with another clock, which may run fast.
///
/// # Errors
/// [`RunError`].
pub fn start_with_clock(config: Config, clock: Clock) -> Result<Handle, RunError> {
    #[cfg(debug_assertions)]
    crate::log::copy::start();
    let thread = || std::thread::Builder::new().name("countersign".into());
    // The caller's thread may belong to an async runtime, which must not be blocked.
    let starting = thread().spawn(move || Server::start(config, Sockets::default(), clock));
    let server = starting.map_err(RunError::Threads)?.join();
    let died = |_| RunError::Threads(std::io::Error::other("the server's thread died"));
    let server = server.map_err(died)??;
    let (public, admin) = (server.public[0], server.admin.first().copied());
    let app = server.app.clone();
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = thread().spawn(move || {
        // Also if the handle was dropped.
        let _ = server.background.block_on(stopped);
        server.stop(Ending::Close);
    });
    let thread = Some(thread.map_err(RunError::Threads)?);
    Ok(Handle { public, admin, app, stop: Some(stop), thread })
}

/// A running server. Dropping it stops it.
pub struct Handle {
    pub public: SocketAddr,
    /// `None` if the admin listener is off.
    pub admin: Option<SocketAddr>,
    app: Arc<App>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Handle {
    /// Applies a new configuration, all of it or nothing.
    ///
    /// # Errors
    /// The reason, as text; the old configuration stays.
    pub fn reload(&self, config: &Config) -> Result<(), String> {
        reload::apply(&self.app, config)
    }

    /// The application, for tests that look inside.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Lets running requests end, then stops.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What happens to the listeners at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Close,
    /// Another process has them too.
    HandedOver,
}

/// The listeners and the threads they run on.
struct Server {
    /// One address, or one per family.
    public: Vec<SocketAddr>,
    /// Empty if the admin listener is off.
    admin: Vec<SocketAddr>,
    app: Arc<App>,
    sockets: Sockets,
    certificate: Option<Arc<Certificate>>,
    stopping: watch::Sender<bool>,
    /// Ends when no connection is accepted any more.
    accepting: tokio::task::JoinHandle<()>,
    /// Moves bytes.
    proxy: Threads,
    /// Fetches keys, rotates ours, answers the admin listener.
    background: Runtime,
}

impl Server {
    fn start(config: Config, sockets: Sockets, clock: Clock) -> Result<Self, RunError> {
        // It may be installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let public = sockets.bind_all(&config.server.listen)?;
        let admin = match &config.admin.listen {
            Some(listen) => {
                ListenError::if_same(&public, listen)?;
                sockets.bind_all(listen).map_err(|error| error.of_admin(&public))?
            }
            None => Vec::new(),
        };
        let certificate = config.server.tls.as_ref().map(Certificate::load).transpose()?;
        let background = threads::many("background", 1).map_err(RunError::Threads)?;
        let proxy = Threads::new("proxy", config.server.threads()).map_err(RunError::Threads)?;
        let app = background.block_on(App::assemble(config, clock))?;
        let (stopping, stop) = watch::channel(false);

        if let Some(certificate) = &certificate {
            background.spawn(certificate.clone().watch(stop.clone()));
        }
        let tls = certificate.clone().map(acceptor);
        let handler = ConnectionHandler::new(app.state.clone(), tls);
        let accepting = proxy.spawn(listen_on(&public, handler, &sockets, stop.clone()));
        if !admin.is_empty() {
            let status = admin::App::new(app.source());
            background.spawn(listen_on(&admin, status, &sockets, stop.clone()));
        }
        app.spawn(&background, &stop);
        Ok(Self {
            public,
            admin,
            app,
            sockets,
            certificate,
            stopping,
            accepting,
            proxy,
            background,
        })
    }

    /// The next addresses for clients, the verifier and the operator.
    fn started(&self) -> Started {
        let config = self.app.config.load();
        let scheme = if config.server.tls.is_some() { "https" } else { "http" };
        let here = || format!("{scheme}://{}", reachable(self.public[0]));
        let keyring = &self.app.keyring;
        Started {
            public: self.public.clone(),
            admin: self.admin.clone(),
            url: config.server.public_text().map_or_else(here, ToOwned::to_owned),
            store: keyring.status().store,
            kid: keyring.snapshot().active.kid().to_string(),
            made: keyring.created_first_key(),
            data_dir: config.keyring.store.has_disk().then(|| config.data_dir.clone()),
        }
    }

    /// Stops listening, waits for running requests until the grace ends, and ends the threads.
    fn stop(self, ending: Ending) {
        if ending == Ending::Close {
            self.background.block_on(self.sockets.empty());
        }
        drop(self.sockets);
        let _ = self.stopping.send(true);
        let open = || self.app.state.open_connections();
        self.background.block_on(async {
            let until = Instant::now() + self.app.state.server.grace;
            let _ = tokio::time::timeout_at(until, self.accepting).await;
            // The last accepted connection is counted as soon as its task has started.
            tokio::time::sleep(Duration::from_millis(20)).await;
            while open() > 0 && Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        if open() > 0 {
            tracing::warn!(open = open(), "stopped with connections still open");
        }
        self.proxy.shutdown(Duration::from_millis(500));
        // Before the threads that send them end.
        self.app.state.spans.shutdown();
        self.background.shutdown_timeout(Duration::from_millis(500));
        tracing::info!("stopped");
    }
}

/// An address that can be dialled from here: a listener on all addresses is also on loopback.
pub(crate) fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        match address {
            SocketAddr::V4(_) => address.set_ip(std::net::Ipv4Addr::LOCALHOST.into()),
            SocketAddr::V6(_) => address.set_ip(std::net::Ipv6Addr::LOCALHOST.into()),
        }
    }
    address
}

fn acceptor(certificate: Arc<Certificate>) -> Acceptor {
    // With a resolver the two paths are not used.
    #[expect(clippy::unwrap_used, reason = "it makes a struct of its arguments; it cannot fail")]
    let mut settings = TlsSettings::intermediate("", "").unwrap();
    settings.set_cert_resolver(certificate);
    settings.enable_h2();
    settings.build()
}

/// Runs `app` at these addresses until told to stop.
fn listen_on<A>(
    addresses: &[SocketAddr],
    app: A,
    sockets: &Sockets,
    stop: watch::Receiver<bool>,
) -> impl Future<Output = ()> + Send + 'static
where
    A: pingora::apps::ServerApp + Send + Sync + 'static,
{
    let mut service = Service::new(String::new(), app);
    for address in addresses {
        // An answer of our own is sent in one write, head and body: pingora's 1460 bytes are less than a
        // token answer.
        let buffer = L4BufferSettings::default().write(16 * 1024);
        service.add_listener(ListenerConfig::tcp(address.to_string()).l4_buffer(buffer));
    }
    let table = sockets.fds.clone();
    async move { service.start_service(Some(table), stop, 1).await }
}
