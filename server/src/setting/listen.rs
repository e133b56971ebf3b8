//! The addresses of a listener, and whether an upstream is one of them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::{Host, Url};

use super::Invalid;

/// Where a listener listens: one address, or one of each family under one port.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String", inline)]
pub struct Listen {
    /// If it cannot be bound, the start fails.
    pub first: SocketAddr,
    /// The same port at the other family. Omitted if the system lacks that family.
    pub also: Option<SocketAddr>,
}

impl Listen {
    /// Every address of this machine, of both families.
    pub fn everywhere(port: u16) -> Self {
        Self::both(Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED, port)
    }

    /// Loopback, both families: a browser asks `localhost` at `::1` first.
    pub fn localhost(port: u16) -> Self {
        Self::both(Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST, port)
    }

    fn both(v4: Ipv4Addr, v6: Ipv6Addr, port: u16) -> Self {
        Self { first: (v4, port).into(), also: Some((v6, port).into()) }
    }

    pub fn port(&self) -> u16 {
        self.first.port()
    }

    /// Whether a request to `url` would reach this listener, as far as the URL tells: a literal address of
    /// this machine, or `localhost`, with our port. Names are not resolved.
    pub fn is_at(&self, url: &Url) -> bool {
        if url.port_or_known_default() != Some(self.port()) {
            return false;
        }
        let at: Vec<IpAddr> = match url.host() {
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                let local = name == "localhost" || name.ends_with(".localhost");
                let both = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
                if local { both.to_vec() } else { Vec::new() }
            }
            Some(Host::Ipv4(ip)) => vec![ip.into()],
            Some(Host::Ipv6(ip)) => vec![IpAddr::V6(ip).to_canonical()],
            None => Vec::new(),
        };
        let mine = [Some(self.first), self.also];
        at.into_iter().any(|ip| mine.iter().flatten().any(|own| reaches(ip, own.ip())))
    }
}

/// Whether a connection to `to` reaches a socket bound to `own`.
fn reaches(to: IpAddr, own: IpAddr) -> bool {
    if to == own {
        return true;
    }
    // The unspecified address as a destination is this machine (Linux, macOS).
    own.is_unspecified() && (to.is_unspecified() || to.is_loopback() || is_ours(to))
        || to.is_unspecified() && own.is_loopback()
}

/// Whether an address is one of this machine's: only those can be bound.
fn is_ours(ip: IpAddr) -> bool {
    std::net::UdpSocket::bind((ip, 0)).is_ok()
}

impl From<SocketAddr> for Listen {
    fn from(first: SocketAddr) -> Self {
        Self { first, also: None }
    }
}

impl FromStr for Listen {
    type Err = Invalid;

    /// `127.0.0.1:8080`, `[::]:8080`, `localhost:8080` (both families), or `:8080` for every address.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let port = |port: &str| port.parse::<u16>().ok();
        let listen = if let Some(text) = text.strip_prefix(':') {
            port(text).map(Self::everywhere)
        } else if let Some(text) = text.strip_prefix("localhost:") {
            port(text).map(Self::localhost)
        } else {
            text.parse::<SocketAddr>().ok().map(Self::from)
        };
        let lacks_port = || Invalid::new(format_args!("`{text}` lacks a port"));
        listen.ok_or_else(|| match text.parse::<IpAddr>() {
            _ if text.is_empty() => {
                Invalid::new("the address is empty").hint("write `127.0.0.1:8080`")
            }
            _ if text.bytes().all(|b| b.is_ascii_digit()) => {
                Invalid::new(format_args!("`{text}` is a port without an address"))
                    .hint(format_args!("write `127.0.0.1:{text}`, or `:{text}` for every address"))
            }
            Ok(IpAddr::V6(_)) => lacks_port().hint(format_args!("write `[{text}]:8080`")),
            Ok(IpAddr::V4(_)) => lacks_port().hint(format_args!("write `{text}:8080`")),
            Err(_) => Invalid::new(format_args!("invalid address `{text}`"))
                .hint("write `127.0.0.1:8080` or `0.0.0.0:8080`"),
        })
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        super::text(from, str::parse)
    }
}

impl Serialize for Listen {
    /// As the configuration writes it.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let port = self.port();
        match self.also {
            None => to.collect_str(&self.first),
            Some(also) if also.ip().is_unspecified() => to.collect_str(&format_args!(":{port}")),
            Some(_) => to.collect_str(&format_args!("localhost:{port}")),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        self.also.map_or(Ok(()), |also| write!(f, " and {also}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let at = |text: &str| text.parse::<Listen>().unwrap().to_string();
        assert_eq!(at(":8080"), "0.0.0.0:8080 and [::]:8080");
        assert_eq!(at("localhost:1"), "127.0.0.1:1 and [::1]:1");
        assert_eq!(at("[::]:8080"), "[::]:8080");
        assert_eq!(at("127.0.0.1:8080"), "127.0.0.1:8080");
        for text in [":8080", "localhost:1", "[::]:8080"] {
            assert_eq!(serde_json::to_value(text.parse::<Listen>().unwrap()).unwrap(), text);
        }
        let no = |text: &str| text.parse::<Listen>().unwrap_err().to_string();
        assert!(no("127.0.0.1").contains("lacks a port"));
        assert!(no("::1").contains("write `[::1]:8080`"));
        assert!(no("8080").contains("write `127.0.0.1:8080`, or `:8080`"));
        assert!(no("").contains("is empty"));
        for bad in ["example.com:80", "127.0.0.1:99999", "::1:80:", ":", "localhost"] {
            assert!(bad.parse::<Listen>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_upstream_that_is_this_listener_is_seen() {
        let is_at = |listen: &str, url: &str| {
            listen.parse::<Listen>().unwrap().is_at(&Url::parse(url).unwrap())
        };
        for (listen, url) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("127.0.0.1:8080", "http://localhost:8080/oidc"),
            ("127.0.0.1:8080", "http://0x7f000001:8080"),
            ("127.0.0.1:8080", "http://[::ffff:127.0.0.1]:8080"),
            ("127.0.0.1:8080", "http://0.0.0.0:8080"),
            ("localhost:8080", "http://[::1]:8080"),
            ("0.0.0.0:8080", "http://127.9.9.9:8080"),
            (":80", "http://localhost"),
            (":443", "https://auth.localhost."),
        ] {
            assert!(is_at(listen, url), "{listen} {url}");
        }
        for (listen, url) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8081"),
            ("127.0.0.1:8080", "http://127.0.0.2:8080"),
            ("127.0.0.1:8080", "http://[::1]:8080"),
            (":8080", "http://192.0.2.1:8080"),
            (":8080", "http://auth:8080"),
            (":8080", "https://localhost"),
        ] {
            assert!(!is_at(listen, url), "{listen} {url}");
        }
    }
}
