//! The process: sockets, threads, rooms put together, and how it ends.
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

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pingora::listeners::tls::TlsSettings;
use pingora::listeners::{L4BufferSettings, ListenerConfig};
use pingora::services::Service as _;
use pingora::services::listening::Service;
use tokio::runtime::Runtime;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use self::assemble::Rooms;
pub use self::assemble::StartError;
use self::listen::{ListenError, Sockets};
use self::threads::Threads;
use self::tls::{Certificate, TlsError};
use crate::admin;
use crate::clock::Clock;
use crate::config::{Config, ConfigError, HostHeader};

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

/// How [`run`] runs.
#[derive(Default)]
pub struct Options {
    /// Take over the listeners of the process that runs on the same data directory.
    pub upgrade: bool,
    /// Called at `SIGHUP`.
    pub reload: Option<Reload>,
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
                let _ = started.send(Ok((server.public, server.admin, server.rooms.clone())));
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
        Ok(Ok((public, admin, rooms))) => {
            Ok(Handle { public, admin, rooms, stop: Some(stop), thread: Some(thread) })
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
    rooms: Arc<Rooms>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Handle {
    /// Takes a new configuration, all of it or nothing.
    ///
    /// # Errors
    /// The reason, as text; the old one goes on.
    pub fn reload(&self, config: &Config) -> Result<(), String> {
        reload::apply(&self.rooms, config)
    }

    /// The rooms, for tests that look inside.
    pub fn rooms(&self) -> &Rooms {
        &self.rooms
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
    public: SocketAddr,
    admin: Option<SocketAddr>,
    rooms: Arc<Rooms>,
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
        // Once a process; a second time is no fault.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let public = sockets.bind(config.server.listen)?;
        let admin = config.admin.listen.map(|address| sockets.bind(address)).transpose()?;
        let certificate = config.server.tls.as_ref().map(Certificate::load).transpose()?;
        let background = threads::many("background", 1).map_err(RunError::Threads)?;
        let proxy = Threads::new("proxy", config.server.threads()).map_err(RunError::Threads)?;
        let grace = config.server.grace;
        let rooms = background.block_on(Rooms::assemble(config, clock))?;
        let (stopping, stop) = watch::channel(false);

        let door = rooms.connection_handler();
        let mut listener = ListenerConfig::tcp(public.to_string()).l4_buffer(one_write());
        if let Some(certificate) = &certificate {
            listener = listener.tls(tls_settings(certificate.clone()));
            background.spawn(certificate.clone().watch(stop.clone()));
        }
        let accepting = proxy.spawn(listen_on(listener, door, &sockets, stop.clone()));
        if let Some(admin) = admin {
            let listener = ListenerConfig::tcp(admin.to_string());
            let app = admin::App::new(rooms.source());
            background.spawn(listen_on(listener, app, &sockets, stop.clone()));
        }
        rooms.spawn(&background, &stop);
        tracing::info!(%public, admin = ?admin, "listening");
        Ok(Self {
            public,
            admin,
            rooms,
            sockets,
            certificate,
            stopping,
            accepting,
            grace,
            proxy,
            background,
        })
    }

    /// Stops listening, waits for running requests as long as the grace lasts, and ends the threads.
    fn stop(self, ending: Ending) {
        if ending == Ending::Close {
            self.background.block_on(self.sockets.empty());
        }
        drop(self.sockets);
        let _ = self.stopping.send(true);
        let open = || self.rooms.state.connections.open();
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
        self.rooms.state.spans.shutdown();
        self.background.shutdown_timeout(Duration::from_millis(500));
        tracing::info!("stopped");
    }
}

/// An answer of our own goes out in one write, head and body: pingora's 1460 bytes are less than a
/// token answer.
fn one_write() -> L4BufferSettings {
    L4BufferSettings::default().write(16 * 1024)
}

fn tls_settings(certificate: Arc<Certificate>) -> TlsSettings {
    // With a resolver the two paths are not looked at.
    #[expect(clippy::unwrap_used, reason = "it makes a struct of its arguments; it cannot fail")]
    let mut settings = TlsSettings::intermediate("", "").unwrap();
    settings.set_cert_resolver(certificate);
    settings.enable_h2();
    settings
}

/// Runs `app` on a listener until told to stop.
fn listen_on<A>(
    listener: ListenerConfig,
    app: A,
    sockets: &Sockets,
    stop: watch::Receiver<bool>,
) -> impl Future<Output = ()> + Send + 'static
where
    A: pingora::apps::ServerApp + Send + Sync + 'static,
{
    let mut service = Service::new(String::new(), app);
    service.add_listener(listener);
    let table = sockets.table();
    async move { service.start_service(Some(table), stop, 1).await }
}
