//! The listening sockets: bound before anything else is made, so that a port in use is one clear
//! line and nothing half started; or taken over from the process before this one.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd as _;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use pingora::server::Fds;

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("cannot listen on {address}: {}", reason(.why))]
    Bind { address: SocketAddr, why: io::Error },
    #[error("cannot take over the listeners of the running process at {path}: {why}")]
    TakeOver { path: String, why: String },
}

fn reason(why: &io::Error) -> String {
    match why.kind() {
        io::ErrorKind::AddrInUse => "address in use".to_owned(),
        io::ErrorKind::AddrNotAvailable => "not an address of this machine".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => why.to_string(),
    }
}

/// The sockets, in the table pingora's listeners look into, under the address as text.
pub struct Sockets {
    fds: Arc<Mutex<Fds>>,
}

impl Sockets {
    pub fn new() -> Self {
        Self { fds: Arc::new(Mutex::new(Fds::new())) }
    }

    /// Waits for a running process (told by `SIGQUIT`) to hand over its sockets at `path`.
    ///
    /// # Errors
    /// [`ListenError::TakeOver`] when none does within some seconds.
    pub fn taken_over(path: &Path) -> Result<Self, ListenError> {
        let mut fds = Fds::new();
        fds.get_from_sock(path.to_string_lossy().as_ref()).map_err(|why| {
            ListenError::TakeOver { path: path.display().to_string(), why: why.to_string() }
        })?;
        Ok(Self { fds: Arc::new(Mutex::new(fds)) })
    }

    /// Binds `address`, unless it was taken over; the real address where the port was 0.
    ///
    /// # Errors
    /// [`ListenError::Bind`].
    pub fn bind(&self, address: SocketAddr) -> Result<SocketAddr, ListenError> {
        let mut fds = self.fds.lock();
        if fds.get(&address.to_string()).is_some() {
            return Ok(address);
        }
        let fault = |why| ListenError::Bind { address, why };
        let listener = TcpListener::bind(address).map_err(fault)?;
        listener.set_nonblocking(true).map_err(fault)?;
        let bound = listener.local_addr().map_err(fault)?;
        fds.add(bound.to_string(), listener.into_raw_fd());
        Ok(bound)
    }

    /// For pingora's listeners.
    pub fn table(&self) -> Arc<Mutex<Fds>> {
        self.fds.clone()
    }

    /// Hands the sockets to the process that waits at `path`. Blocks for seconds if none does.
    ///
    /// # Errors
    /// The reason, as text.
    pub fn hand_over(&self, path: &Path) -> Result<(), String> {
        let fds = self.fds.lock();
        fds.send_to_sock(path.to_string_lossy().as_ref()).map(|_| ()).map_err(|e| e.to_string())
    }
}

impl Default for Sockets {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_one_clear_line() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = Sockets::new().bind(address).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen on {address}: address in use"));
    }

    #[test]
    fn port_0_becomes_a_real_one() {
        let sockets = Sockets::new();
        let bound = sockets.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        assert_ne!(bound.port(), 0);
        assert_eq!(sockets.bind(bound).unwrap(), bound);
    }
}
