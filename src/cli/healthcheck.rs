//! `countersign healthcheck`: one GET on the admin listener, for images without a shell or `curl`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::Exit;
use super::args::HealthcheckArgs;
use super::output::{CliError, Output};

/// # Errors
/// [`CliError`] when the address is none. An admin listener that does not answer is a "no".
pub fn run(args: &HealthcheckArgs, out: &mut Output) -> Result<Exit, CliError> {
    let admin = super::args::listen_addr(&args.admin).map_err(|why| {
        CliError::new("--admin", why).hint("give the address of the admin listener")
    })?;
    let path = if args.live { "/healthz" } else { "/readyz" };
    match get(reachable(admin), path, Duration::from_secs(args.timeout.clamp(1, 60))) {
        Ok(200) => Ok(Exit::Good),
        Ok(status) => {
            out.note(format_args!("not ready: {path} answered {status}"));
            Ok(Exit::No)
        }
        Err(error) => {
            out.note(format_args!("not ready: {admin}: {error}"));
            Ok(Exit::No)
        }
    }
}

/// An address that listens on every interface is asked on the loopback one.
fn reachable(mut addr: SocketAddr) -> SocketAddr {
    if addr.ip().is_unspecified() {
        match addr {
            SocketAddr::V4(_) => addr.set_ip(std::net::Ipv4Addr::LOCALHOST.into()),
            SocketAddr::V6(_) => addr.set_ip(std::net::Ipv6Addr::LOCALHOST.into()),
        }
    }
    addr
}

/// The status of one HTTP/1.1 GET.
fn get(addr: SocketAddr, path: &str, timeout: Duration) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&addr, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n")?;
    let mut head = Vec::new();
    stream.take(4096).read_to_end(&mut head)?;
    let text = String::from_utf8_lossy(&head);
    text.strip_prefix("HTTP/1.")
        .and_then(|rest| rest.get(2..5))
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| std::io::Error::other("the answer is not HTTP"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interface_is_asked_on_loopback() {
        let at = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(at("0.0.0.0:9090"), "127.0.0.1:9090");
        assert_eq!(at("[::]:9090"), "[::1]:9090");
        assert_eq!(at("10.0.0.1:9090"), "10.0.0.1:9090");
    }
}
