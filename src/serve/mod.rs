//! The process: sockets, threads, everything put together, and how it ends.
//!
//! Pingora's listeners and proxy are used without pingora's `Server`: that one sleeps a fixed time at
//! a stop, retries a port in use for half a minute, and can run once a process. Here a stop ends as
//! soon as the last request has, and several servers fit in one process.

mod assemble;
mod discovery;
pub mod listen;
mod probe;
mod reload;
mod signals;
mod threads;
pub mod tls;
mod volume;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
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
pub use self::assemble::StartError;
use self::listen::{ListenError, Sockets};
use self::threads::Threads;
use self::tls::{Certificate, TlsError};
use crate::admin;
use crate::clock::Clock;
use crate::config::{Config, ConfigError, HostHeader};
use crate::issuer::publisher::COMMON_PATH;

/// Why the server could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("cannot start threads: {0}")]
    Threads(std::io::Error),
}

/// Where the configuration comes from when it is read again.
pub type Reload = Box<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>;

/// What is done once a server listens.
pub type OnStart = Box<dyn FnOnce(&Started)>;

/// How [`run`] runs.
#[derive(Default)]
pub struct Options {
    /// Take over the listeners of the process that runs on the same data directory.
    pub upgrade: bool,
    /// Called at `SIGHUP`.
    pub reload: Option<Reload>,
    /// Called once when it listens.
    pub started: Option<OnStart>,
}

/// What a person wants to know of a server that has just started.
#[derive(Debug, Clone)]
pub struct Started {
    /// Where the public listener is, the first address first.
    pub public: Vec<SocketAddr>,
    /// The same of the admin listener; empty: it is off.
    pub admin: Vec<SocketAddr>,
    /// What clients and the verifier call it, as far as that is known: `public_url`, or the listener.
    pub url: String,
    /// Where the signing keys are kept.
    pub store: String,
    /// The key that signs.
    pub kid: String,
    /// It was made at this start.
    pub made: bool,
    /// Where other things are kept; `None`: nowhere.
    pub data_dir: Option<PathBuf>,
}

/// Runs until a signal ends it. `SIGTERM` and `SIGINT` let running requests finish; `SIGQUIT` hands
/// the listeners to a new process first; `SIGHUP` reads the configuration again.
///
/// # Errors
/// [`RunError`]; nothing listens then.
pub fn run(config: Config, options: Options) -> Result<(), RunError> {
    let handover = handover(&config.data_dir);
    let sockets = match options.upgrade {
        true => Sockets::taken_over(&handover)?,
        false => Sockets::new(),
    };
    if let Some(upstream) = &config.upstream
        && upstream.host == Some(HostHeader::Upstream)
    {
        tracing::info!(
            upstream = upstream.url.host_str(),
            "the upstream hears its own name as `Host`, as hosted servers want it; `--upstream-host \
             client` passes on the name that clients use"
        );
    }
    let server = Server::start(config, sockets, Clock::system())?;
    server.log_start(options.started.is_some());
    volume::warn_if_lost(&server.app.config.load().keyring.store);
    if let Some(started) = options.started {
        started(&server.started());
    }
    let ending = server.background.block_on(signals::serve(&server, options.reload, &handover));
    server.stop(ending);
    Ok(())
}

/// Where a running process waits to be asked for its listeners.
fn handover(data_dir: &Path) -> PathBuf {
    data_dir.join("upgrade.sock")
}

/// Starts a server on threads of its own; for tests and the demonstration. Port 0 is allowed.
///
/// # Errors
/// [`RunError`].
pub fn start_in_process(config: Config) -> Result<Handle, RunError> {
    start_with_clock(config, Clock::system())
}

/// The same by another clock, which may run fast.
///
/// # Errors
/// [`RunError`].
pub fn start_with_clock(config: Config, clock: Clock) -> Result<Handle, RunError> {
    #[cfg(debug_assertions)]
    crate::log::copy::start();
    let (started, starting) = std::sync::mpsc::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = std::thread::Builder::new().name("countersign".into()).spawn(move || {
        match Server::start(config, Sockets::new(), clock) {
            Ok(server) => {
                let _ = started.send(Ok((
                    server.public[0],
                    server.admin.first().copied(),
                    server.app.clone(),
                )));
                // Also when the handle was dropped.
                let _ = server.background.block_on(stopped);
                server.stop(Ending::Close);
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        }
    });
    let thread = thread.map_err(RunError::Threads)?;
    match starting.recv() {
        Ok(Ok((public, admin, app))) => {
            Ok(Handle { public, admin, app, stop: Some(stop), thread: Some(thread) })
        }
        Ok(Err(error)) => Err(error),
        Err(_) => Err(RunError::Threads(std::io::Error::other("the server's thread died"))),
    }
}

/// A running server. Dropping it stops it.
pub struct Handle {
    pub public: SocketAddr,
    /// `None`: the admin listener is off.
    pub admin: Option<SocketAddr>,
    app: Arc<App>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Handle {
    /// Takes a new configuration, all of it or nothing.
    ///
    /// # Errors
    /// The reason, as text; the old one goes on.
    pub fn reload(&self, config: &Config) -> Result<(), String> {
        reload::apply(&self.app, config)
    }

    /// What serves, for tests that look inside.
    pub fn rooms(&self) -> &App {
        &self.app
    }

    /// Lets running requests finish, then ends.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.end();
    }
}

/// What becomes of the listeners at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Close,
    /// Another process has them too.
    HandedOver,
}

/// The listeners and the threads they run on.
struct Server {
    /// One address, or one of each family.
    public: Vec<SocketAddr>,
    /// Empty: the admin listener is off.
    admin: Vec<SocketAddr>,
    app: Arc<App>,
    sockets: Sockets,
    certificate: Option<Arc<Certificate>>,
    stopping: watch::Sender<bool>,
    /// Ends when no connection is taken any more.
    accepting: tokio::task::JoinHandle<()>,
    grace: Duration,
    /// Moves bytes.
    proxy: Threads,
    /// Fetches keys, rotates ours, answers the admin listener.
    background: Runtime,
}

impl Server {
    fn start(config: Config, sockets: Sockets, clock: Clock) -> Result<Self, RunError> {
        // Already installed is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let public = sockets.bind_all(&config.server.listen)?;
        let admin = match &config.admin.listen {
            Some(listen) => sockets.bind_all(listen)?,
            None => Vec::new(),
        };
        let certificate = config.server.tls.as_ref().map(Certificate::load).transpose()?;
        let background = threads::many("background", 1).map_err(RunError::Threads)?;
        let proxy = Threads::new("proxy", config.server.threads()).map_err(RunError::Threads)?;
        let grace = config.server.grace;
        let app = background.block_on(App::assemble(config, clock))?;
        let (stopping, stop) = watch::channel(false);

        let listener = |at: &SocketAddr| ListenerConfig::tcp(at.to_string()).l4_buffer(one_write());
        let listeners = public.iter().map(listener).collect();
        if let Some(certificate) = &certificate {
            background.spawn(certificate.clone().watch(stop.clone()));
        }
        let handler = app.connection_handler(certificate.clone().map(acceptor));
        let accepting = proxy.spawn(listen_on(listeners, handler, &sockets, stop.clone()));
        if !admin.is_empty() {
            let listeners = admin.iter().map(|at| ListenerConfig::tcp(at.to_string())).collect();
            let status = admin::App::new(app.source());
            background.spawn(listen_on(listeners, status, &sockets, stop.clone()));
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
            grace,
            proxy,
            background,
        })
    }

    /// Where clients, the verifier and the operator go next.
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
            made: keyring.was_made(),
            data_dir: config.keyring.store.has_disk().then(|| config.data_dir.clone()),
        }
    }

    /// `shown`: a person is shown the rest in another way.
    fn log_start(&self, shown: bool) {
        let started = self.started();
        let all = |list: &[SocketAddr]| {
            list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let admin = if started.admin.is_empty() { "off".into() } else { all(&started.admin) };
        if shown {
            tracing::info!(public = all(&started.public), admin, "listening");
            return;
        }
        tracing::info!(
            public = all(&started.public),
            admin,
            url = started.url,
            jwks = format!("{}{COMMON_PATH}", started.url),
            store = started.store,
            kid = started.kid,
            "listening"
        );
    }

    /// Stops listening, waits for running requests as long as the grace lasts, and ends the threads.
    fn stop(self, ending: Ending) {
        if ending == Ending::Close {
            self.background.block_on(self.sockets.empty());
        }
        drop(self.sockets);
        let _ = self.stopping.send(true);
        let open = || self.app.state.connections.open();
        self.background.block_on(async {
            let until = Instant::now() + self.grace;
            let _ = tokio::time::timeout_at(until, self.accepting).await;
            // The last one taken is counted as soon as its task has begun.
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

/// An address that can be dialled from here: who listens everywhere is also on loopback.
pub(crate) fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        match address {
            SocketAddr::V4(_) => address.set_ip(std::net::Ipv4Addr::LOCALHOST.into()),
            SocketAddr::V6(_) => address.set_ip(std::net::Ipv6Addr::LOCALHOST.into()),
        }
    }
    address
}

/// An answer of our own goes out in one write, head and body: pingora's 1460 bytes are less than a
/// token answer.
fn one_write() -> L4BufferSettings {
    L4BufferSettings::default().write(16 * 1024)
}

fn acceptor(certificate: Arc<Certificate>) -> Acceptor {
    // With a resolver the two paths are not looked at.
    #[expect(clippy::unwrap_used, reason = "it makes a struct of its arguments; it cannot fail")]
    let mut settings = TlsSettings::intermediate("", "").unwrap();
    settings.set_cert_resolver(certificate);
    settings.enable_h2();
    settings.build()
}

/// Runs `app` on its listeners until told to stop.
fn listen_on<A>(
    listeners: Vec<ListenerConfig>,
    app: A,
    sockets: &Sockets,
    stop: watch::Receiver<bool>,
) -> impl Future<Output = ()> + Send + 'static
where
    A: pingora::apps::ServerApp + Send + Sync + 'static,
{
    let mut service = Service::new(String::new(), app);
    for listener in listeners {
        service.add_listener(listener);
    }
    let table = sockets.table();
    async move { service.start_service(Some(table), stop, 1).await }
}
