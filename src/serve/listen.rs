//! The listening sockets. They are bound before anything else is built, so that a port in use is
//! one clear line and nothing is half started; or they are taken over from the running process.
//! They are drained before they are closed.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, IntoRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pingora::server::Fds;
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

pub use super::listen_error::ListenError;
use super::listen_error::{Listener, reason};
use crate::proxy::http::downstream::WRITE_TIMEOUT;
use crate::proxy::http::upstream::TCP_KEEP_ALIVE;
use crate::setting::Listen;

/// If no new connection arrives for this long, a socket that accepts no new ones is empty. A
/// started handshake takes less time within a site.
const QUIET: Duration = Duration::from_millis(50);
/// If the system does not stop new connections, the queue may never be empty.
const LONGEST: Duration = Duration::from_secs(1);
/// Connections that may wait to be accepted; the kernel limits it further.
const BACKLOG: i32 = 1024;

/// The sockets, under their address as text: pingora's listeners look them up in this table.
pub struct Sockets {
    pub(super) fds: Arc<Mutex<Fds>>,
    /// Duplicates of the same sockets, because pingora's are inaccessible. While these are open,
    /// none is closed.
    copies: Mutex<Vec<OwnedFd>>,
}

impl Sockets {
    /// Waits until a running process hands over its sockets at `path` (send it `SIGQUIT`).
    ///
    /// # Errors
    /// [`ListenError::NotHandedOver`] if none does within some seconds, [`ListenError::TakeOver`] if there
    /// can be no socket at `path`.
    pub fn taken_over(path: &Path) -> Result<Self, ListenError> {
        let at = || path.display().to_string();
        can_wait_at(path).map_err(|why| ListenError::TakeOver { path: at(), why: reason(&why) })?;
        tracing::info!(
            path = at(),
            "waiting six seconds for the running process to hand over its listeners: send it SIGQUIT"
        );
        let mut fds = Fds::new();
        fds.get_from_sock(path.to_string_lossy().as_ref()).map_err(|why| {
            match why.to_string() {
                why if why.starts_with("EAGAIN") => ListenError::NotHandedOver { path: at() },
                why => ListenError::TakeOver { path: at(), why },
            }
        })?;
        Ok(Self { fds: Arc::new(Mutex::new(fds)), copies: Mutex::default() })
    }

    /// Binds the addresses of `listen`, unless they were taken over. Returns the real addresses if
    /// the port was 0. Omits the second family if the system does not have it.
    ///
    /// # Errors
    /// [`ListenError::Bind`].
    pub fn bind_all(&self, listen: &Listen) -> Result<Vec<SocketAddr>, ListenError> {
        let first = self.bind_with(listen.first, TcpListener::bind)?;
        let mut bound = vec![first];
        if let Some(mut also) = listen.also {
            also.set_port(first.port());
            match self.bind_with(also, only_v6) {
                Ok(address) => bound.push(address),
                // Another process may use the port that the system chose for the first.
                Err(ListenError::Bind { why, .. }) if listen.port() == 0 || is_lacking(&why) => {
                    tracing::debug!(%also, %why, "not listening on the second family");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(bound)
    }

    /// Binds `address` with `bind`, unless it was taken over. Returns the real address if the port was 0.
    fn bind_with(
        &self,
        address: SocketAddr,
        bind: impl FnOnce(SocketAddr) -> io::Result<TcpListener>,
    ) -> Result<SocketAddr, ListenError> {
        let mut fds = self.fds.lock();
        if let Some(fd) = fds.get(&address.to_string()) {
            match copy(*fd) {
                Ok(copy) => {
                    bound_connections(&copy);
                    self.copies.lock().push(copy);
                }
                Err(error) => tracing::debug!(%error, "this listener is closed without emptying"),
            }
            return Ok(address);
        }
        let fault = |why| ListenError::Bind { address, why, listener: Listener::Public };
        let listener = bind(address).map_err(fault)?;
        listener.set_nonblocking(true).map_err(fault)?;
        let bound = listener.local_addr().map_err(fault)?;
        bound_connections(&listener);
        self.copies.lock().push(listener.try_clone().map_err(fault)?.into());
        fds.add(bound.to_string(), listener.into_raw_fd());
        Ok(bound)
    }

    /// Refuses new connections and waits until the queued ones were accepted. The caller then
    /// closes the sockets, which would reset queued connections: their clients have connected, and
    /// may have sent a request. For a stop, not for a hand-over: the sockets are unusable
    /// afterwards.
    pub async fn empty(&self) {
        let copies = std::mem::take(&mut *self.copies.lock());
        for copy in &copies {
            if let Err(error) = refuse_new(copy) {
                tracing::debug!(%error, "new connections are not turned away");
            }
        }
        let until = Instant::now() + LONGEST;
        for copy in &copies {
            while Instant::now() < until && has_queued(copy).await {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    /// Hands the sockets to the process that waits at `path`. Blocks for seconds if there is none.
    ///
    /// # Errors
    /// The reason, as text.
    pub fn hand_over(&self, path: &Path) -> Result<(), String> {
        let fds = self.fds.lock();
        fds.send_to_sock(path.to_string_lossy().as_ref()).map(|_| ()).map_err(|e| e.to_string())
    }
}

/// Whether a socket can be made at `path`: where it cannot, pingora panics. Tried beside it, under a name of
/// the same length, because a running process connects to `path` itself as soon as it is there.
fn can_wait_at(path: &Path) -> io::Result<()> {
    let remove = |path: &Path| match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    if path.parent().is_some_and(|folder| !folder.is_dir()) {
        return Err(io::Error::other("there is no such folder, so no proxy runs with it"));
    }
    let beside = path.with_file_name("upgrade.look");
    remove(path)?;
    remove(&beside)?;
    UnixListener::bind(&beside)?;
    remove(&beside)
}

/// A socket for IPv6 only: the first one has the port for IPv4.
fn only_v6(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
    socket.set_only_v6(true)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Whether the system, or this container, has no IPv6.
fn is_lacking(why: &io::Error) -> bool {
    let family = why.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error());
    family || why.kind() == io::ErrorKind::AddrNotAvailable
}

/// Sets TCP keep-alive, which detects vanished clients, and the TCP user timeout, which ends a
/// connection whose client reads nothing of what was written. Connections inherit both from their
/// listener.
fn bound_connections(listener: &impl AsFd) {
    let keep_alive = TcpKeepalive::new().with_time(TCP_KEEP_ALIVE);
    let keep_alive = keep_alive.with_interval(TCP_KEEP_ALIVE / 4).with_retries(4);
    let socket = SockRef::from(listener);
    if let Err(error) = socket.set_tcp_keepalive(&keep_alive) {
        tracing::debug!(%error, "clients that vanish will not be noticed");
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = socket.set_tcp_user_timeout(Some(WRITE_TIMEOUT)) {
        tracing::debug!(%error, "clients that read nothing are bounded by the write timeout alone");
    }
}

/// Whether a connection is queued, or arrives soon.
async fn has_queued(listener: &OwnedFd) -> bool {
    // Registered again each time: that reports the state and not only its change.
    #[expect(deprecated, reason = "for bare numbers; a borrowed descriptor stays open meanwhile")]
    let Ok(listener) = AsyncFd::with_interest(listener.as_fd(), Interest::READABLE) else {
        return false;
    };
    tokio::time::timeout(QUIET, listener.readable()).await.is_ok()
}

/// From here on the kernel ignores new connection requests and completes the started ones. A
/// refused client retries after a second: it finds the port closed, or the next process.
#[cfg(target_os = "linux")]
fn refuse_new(listener: &OwnedFd) -> io::Result<()> {
    use socket2::SockFilter;
    const FLAGS: u32 = 13; // Offset in the TCP header, RFC 9293 §3.1.
    const SYN: u32 = 0x02;
    const LOAD_BYTE: u16 = 0x30; // BPF_LD | BPF_B | BPF_ABS
    const JUMP_IF_SET: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K: how many bytes to keep
    socket2::SockRef::from(listener).attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(JUMP_IF_SET, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ])
}

#[cfg(not(target_os = "linux"))]
fn refuse_new(_: &OwnedFd) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A second descriptor of a socket that this process received as a bare number.
#[cfg(target_os = "linux")]
fn copy(fd: RawFd) -> io::Result<OwnedFd> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    let this = pidfd_open(getpid(), PidfdFlags::empty())?;
    Ok(pidfd_getfd(this, fd, PidfdGetfdFlags::empty())?)
}

#[cfg(not(target_os = "linux"))]
fn copy(_: RawFd) -> io::Result<OwnedFd> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Default for Sockets {
    fn default() -> Self {
        Self { fds: Arc::new(Mutex::new(Fds::new())), copies: Mutex::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_that_vanished_is_noticed() {
        let sockets = Sockets::default();
        let address = sockets.bind_with("127.0.0.1:0".parse().unwrap(), TcpListener::bind).unwrap();
        let copy = sockets.copies.lock().pop().unwrap();
        let listener = TcpListener::from(copy);
        let _client = std::net::TcpStream::connect(address).unwrap();
        let (accepted, _) = loop {
            // It does not block.
            if let Ok(accepted) = listener.accept() {
                break accepted;
            }
            tokio::task::yield_now().await;
        };
        let accepted = SockRef::from(&accepted);
        assert!(accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_keepalive_time().unwrap(), TCP_KEEP_ALIVE);
    }

    #[test]
    fn a_port_in_use_is_one_clear_line() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = Sockets::default().bind_with(address, TcpListener::bind).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen on {address}: address in use"));
    }

    #[test]
    fn where_no_socket_can_be_nothing_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let long = dir.path().join("x".repeat(120));
        let taken = dir.path().join("taken");
        std::fs::create_dir_all(&long).unwrap();
        std::fs::create_dir_all(taken.join("upgrade.sock")).unwrap();
        for folder in [dir.path().join("none"), long, taken] {
            let error = Sockets::taken_over(&folder.join("upgrade.sock")).err().unwrap();
            assert!(matches!(error, ListenError::TakeOver { .. }), "{error}");
        }
    }

    #[test]
    fn localhost_is_both_families_under_one_port() {
        let sockets = Sockets::default();
        let bound = sockets.bind_all(&Listen::localhost(0)).unwrap();
        assert!(bound[0].is_ipv4());
        for address in &bound {
            assert_eq!(address.port(), bound[0].port());
            std::net::TcpStream::connect(address).unwrap();
        }
        let has_v6 = std::net::UdpSocket::bind("[::1]:0").is_ok();
        assert_eq!(bound.len(), if has_v6 { 2 } else { 1 });
    }

    #[test]
    fn port_0_becomes_a_real_one() {
        let sockets = Sockets::default();
        let bound = sockets.bind_with("127.0.0.1:0".parse().unwrap(), TcpListener::bind).unwrap();
        assert_ne!(bound.port(), 0);
        assert_eq!(sockets.bind_with(bound, TcpListener::bind).unwrap(), bound);
    }
}
