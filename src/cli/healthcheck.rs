//! `countersign healthcheck`: one GET on the admin listener, for images without a shell or `curl`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::Exit;
use super::args::HealthcheckArgs;
use super::output::{CliError, Output, without_errno};
use crate::serve::reachable;
use crate::setting::{Invalid, Listen};

/// Bytes read of an answer: enough for a head and the reasons of some hundred issuers.
const LIMIT: u64 = 64 * 1024;

/// # Errors
/// [`CliError`] when `--admin` is not an address. If the listener does not answer, the exit status is 1.
pub fn run(args: &HealthcheckArgs, out: &mut Output) -> Result<Exit, CliError> {
    if args.admin == "off" {
        let why = "the admin listener is off, and only it can be asked";
        return Err(CliError::new("--admin", why)
            .hint("let it listen on loopback: COUNTERSIGN_ADMIN=127.0.0.1:9090"));
    }
    let admin: Listen = args.admin.parse().map_err(|invalid: Invalid| {
        let hint = invalid.hint.unwrap_or_default();
        CliError::new("--admin", invalid.why)
            .hint(format!("give the address of the admin listener: {hint}"))
    })?;
    let admin = reachable(admin.first);
    let path = if args.live { "/healthz" } else { "/readyz" };
    let (status, reasons) = match get(admin, path, Duration::from_secs(args.timeout.clamp(1, 60))) {
        Ok(answer) => answer,
        Err(error) => {
            out.note(format_args!("not ready: {admin}: {}", without_errno(&error.to_string())));
            if error.kind() == std::io::ErrorKind::ConnectionRefused {
                out.note(
                    "does it run? `countersign run`; is its admin listener elsewhere? `--admin`",
                );
            }
            return Ok(Exit::No);
        }
    };
    let good = status == 200;
    if !good {
        out.note(format_args!("not ready: {path} answered {status}"));
    }
    for reason in reasons {
        out.note(format_args!("{}{reason}", if good { "ready, but: " } else { "  " }));
    }
    Ok(if good { Exit::Good } else { Exit::No })
}

/// One HTTP/1.1 GET: the status, and why the proxy is not ready, or what it has to run without.
fn get(addr: SocketAddr, path: &str, timeout: Duration) -> std::io::Result<(u16, Vec<String>)> {
    let mut stream = TcpStream::connect_timeout(&addr, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(LIMIT).read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer);
    let status = text
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.get(2..5))
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| std::io::Error::other("the answer is not HTTP"))?;
    Ok((status, reasons(&text)))
}

/// The `reasons` of a `/readyz` body; empty for any other body.
fn reasons(answer: &str) -> Vec<String> {
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    // In a chunked body the JSON is between two lines with sizes (RFC 9112 §7.1).
    let json = body.find('{').zip(body.rfind('}')).and_then(|(from, to)| body.get(from..=to));
    let body: Value = json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    let reasons = body["reasons"].as_array().into_iter().flatten();
    reasons.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_read_from_any_framing() {
        let json = r#"{"ready":false,"reasons":["issuer a: no key set (status 404)"]}"#;
        let plain = format!("HTTP/1.1 503 x\r\ncontent-length: 9\r\n\r\n{json}");
        let chunked = format!("HTTP/1.1 503 x\r\n\r\n3f\r\n{json}\r\n0\r\n\r\n");
        for answer in [plain, chunked] {
            assert_eq!(reasons(&answer), ["issuer a: no key set (status 404)"]);
        }
        for other in ["", "HTTP/1.1 200 OK\r\n\r\nok\n", "HTTP/1.1 200 OK\r\n\r\n}{"] {
            assert!(reasons(other).is_empty(), "{other}");
        }
    }

    #[test]
    fn every_interface_is_asked_on_loopback() {
        let at = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(at("0.0.0.0:9090"), "127.0.0.1:9090");
        assert_eq!(at("[::]:9090"), "[::1]:9090");
        assert_eq!(at("10.0.0.1:9090"), "10.0.0.1:9090");
    }
}
