//! Why a listener is not there, and what to do about it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use crate::setting::Listen;

/// Ports below this one need a privilege on most systems.
const UNPRIVILEGED: u16 = 1024;

/// Which of the two listeners the error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    Public,
    Admin,
}

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("cannot listen on {address}: {}", reason(.why))]
    Bind { address: SocketAddr, why: io::Error, listener: Listener },
    #[error(
        "cannot listen on {address} for the admin pages: it is the address for clients already"
    )]
    Same { address: SocketAddr },
    #[error("cannot take over the listeners of the running process at {path}: {why}")]
    TakeOver { path: String, why: String },
    #[error("no running process handed over its listeners at {path}")]
    NotHandedOver { path: String },
}

pub(super) fn reason(why: &io::Error) -> String {
    match why.kind() {
        io::ErrorKind::AddrInUse => "address in use".to_owned(),
        io::ErrorKind::AddrNotAvailable => "not an address of this machine".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => why.to_string(),
    }
}

impl ListenError {
    /// Two listeners at one address would share its socket, and clients would reach the admin pages.
    pub(super) fn if_same(public: &[SocketAddr], admin: &Listen) -> Result<(), Self> {
        let mut admin = [Some(admin.first), admin.also].into_iter().flatten();
        let same = admin.find(|address| public.contains(address));
        same.map_or(Ok(()), |address| Err(Self::Same { address }))
    }

    /// The same error of the admin listener, whose port may be that of `public`.
    pub(super) fn of_admin(self, public: &[SocketAddr]) -> Self {
        match self {
            Self::Bind { address, why, .. }
                if why.kind() == io::ErrorKind::AddrInUse
                    && public.iter().any(|public| public.port() == address.port()) =>
            {
                Self::Same { address }
            }
            Self::Bind { address, why, .. } => {
                Self::Bind { address, why, listener: Listener::Admin }
            }
            other => other,
        }
    }

    /// What to do about it, for people.
    pub fn hint(&self) -> String {
        match self {
            Self::Bind { address, why, listener } => of_bind(*address, why.kind(), *listener),
            Self::Same { address } => {
                format!("use another port: {}", Listener::Admin.flag(other_port(*address)))
            }
            Self::NotHandedOver { .. } => {
                "send SIGQUIT to the running process within six seconds of this start".to_owned()
            }
            Self::TakeOver { .. } => {
                "--data-dir (COUNTERSIGN_DATA_DIR) must be that of the running \
                 process; without one, leave --upgrade out"
                    .to_owned()
            }
        }
    }
}

impl Listener {
    /// The flag that makes it listen at `address`.
    fn flag(self, address: impl std::fmt::Display) -> String {
        match self {
            Self::Public => format!("`--listen {address}` (COUNTERSIGN_LISTEN)"),
            Self::Admin => format!("`--admin {address}` (COUNTERSIGN_ADMIN)"),
        }
    }
}

fn of_bind(address: SocketAddr, why: io::ErrorKind, listener: Listener) -> String {
    let port = address.port();
    match why {
        io::ErrorKind::AddrInUse => {
            let look = match cfg!(target_os = "linux") {
                true => format!("ss -ltnp 'sport = :{port}'"),
                false => format!("lsof -nP -iTCP:{port} -sTCP:LISTEN"),
            };
            format!(
                "`{look}` shows which process has it (as root, if it is another user's): stop that one, or \
                 use another port: {}",
                listener.flag(other_port(address))
            )
        }
        io::ErrorKind::PermissionDenied if port < UNPRIVILEGED => {
            let grant = match (cfg!(target_os = "linux"), std::env::current_exe()) {
                (true, Ok(program)) => format!(
                    ", or grant it: `AmbientCapabilities=CAP_NET_BIND_SERVICE` in the systemd unit, or `sudo \
                     setcap cap_net_bind_service=+ep {}`",
                    program.display()
                ),
                _ => String::new(),
            };
            format!(
                "a port below {UNPRIVILEGED} needs a privilege that this user lacks: take another one, {}{grant}",
                listener.flag(other_port(address))
            )
        }
        io::ErrorKind::AddrNotAvailable => {
            let look = match cfg!(target_os = "linux") {
                true => "ip -brief address",
                false => "ifconfig",
            };
            // The admin pages are never offered to every address.
            let instead = match listener {
                Listener::Public => {
                    format!("{} takes all of them", listener.flag(format_args!(":{port}")))
                }
                Listener::Admin => {
                    let here = listener.flag(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
                    format!("{here} is for this machine alone")
                }
            };
            format!("`{look}` lists the addresses of this machine; {instead}")
        }
        _ => {
            let here = SocketAddr::from((Ipv4Addr::LOCALHOST, other_port(address).port()));
            format!("take another address: {}", listener.flag(here))
        }
    }
}

/// The same address with a port that is probably free and needs no privilege.
fn other_port(address: SocketAddr) -> SocketAddr {
    let port = match address.port() {
        low @ ..UNPRIVILEGED => low + 8000,
        u16::MAX => 8080,
        port => port + 1,
    };
    SocketAddr::new(address.ip(), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(address: &str, why: io::ErrorKind, admin: bool) -> String {
        let address = address.parse().unwrap();
        let error = ListenError::Bind { address, why: why.into(), listener: Listener::Public };
        if admin { error.of_admin(&[]).hint() } else { error.hint() }
    }

    #[test]
    fn a_hint_names_the_flag_and_an_address_that_works() {
        let (used, no, none) = (
            io::ErrorKind::AddrInUse,
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::AddrNotAvailable,
        );
        for (address, why, admin, part) in [
            ("127.0.0.1:8080", used, false, "`--listen 127.0.0.1:8081` (COUNTERSIGN_LISTEN)"),
            ("127.0.0.1:65535", used, false, "`--listen 127.0.0.1:8080`"),
            ("[::1]:9090", used, true, "`--admin [::1]:9091` (COUNTERSIGN_ADMIN)"),
            ("0.0.0.0:443", no, false, "`--listen 0.0.0.0:8443`"),
            ("0.0.0.0:80", no, true, "`--admin 0.0.0.0:8080`"),
            ("0.0.0.0:8080", no, false, "`--listen 127.0.0.1:8081`"),
            ("192.0.2.1:8080", none, false, "`--listen :8080` (COUNTERSIGN_LISTEN) takes all"),
            ("192.0.2.1:9090", none, true, "`--admin 127.0.0.1:9090` (COUNTERSIGN_ADMIN) is for"),
        ] {
            let hint = hint(address, why, admin);
            assert!(hint.contains(part), "{hint}");
        }
        if cfg!(target_os = "linux") {
            let hint = hint("0.0.0.0:443", no, false);
            assert!(hint.contains("setcap cap_net_bind_service=+ep /"), "{hint}");
            assert!(hint.contains("`AmbientCapabilities=CAP_NET_BIND_SERVICE`"), "{hint}");
        }
    }

    #[test]
    fn an_admin_listener_at_the_port_for_clients_says_so() {
        let address: SocketAddr = "127.0.0.1:9090".parse().unwrap();
        let why = io::ErrorKind::AddrInUse.into();
        let error = ListenError::Bind { address, why, listener: Listener::Public };
        let error = error.of_admin(&["0.0.0.0:9090".parse().unwrap()]);
        assert!(error.to_string().contains("for clients already"), "{error}");
        assert!(error.hint().contains("`--admin 127.0.0.1:9091`"), "{}", error.hint());
    }
}
