//! Addresses that a verifier on the internet cannot reach.

use std::net::IpAddr;

use url::{Host, Url};

use crate::net::Class;

/// Why the internet cannot reach `url`. `None` if it can, and for names that only the resolver could
/// judge.
pub fn unreachable(url: &str) -> Option<&'static str> {
    let url = Url::parse(url).ok()?;
    let class = Class::of_url(&url)?;
    match (url.host()?, class) {
        (Host::Domain(_), Class::Private) => Some("a name of a local network"),
        _ => described(class),
    }
}

/// The same for an IP address that a name resolved to.
pub fn unreachable_ip(ip: IpAddr) -> Option<&'static str> {
    described(Class::of(ip))
}

fn described(class: Class) -> Option<&'static str> {
    match class {
        Class::Public => None,
        Class::Loopback => Some("this machine only"),
        Class::Unspecified => Some("no address at all"),
        Class::Private | Class::LinkLocal | Class::Metadata => Some("a private network"),
    }
}

#[cfg(test)]
mod tests {
    use super::unreachable;

    #[test]
    fn what_the_internet_cannot_reach() {
        for url in [
            "http://localhost:3000",
            "http://127.0.0.1/jwks",
            "http://[::1]",
            "http://10.1.2.3",
            "http://192.168.0.1",
            "http://172.20.0.2",
            "http://100.64.0.1",
            "http://auth:3000",
            "http://auth.default.svc",
            "http://[fd00::1]",
            "http://[::ffff:10.0.0.1]",
            "http://0.0.0.0",
        ] {
            assert!(unreachable(url).is_some(), "{url}");
        }
        for url in ["https://auth.example.com", "https://8.8.8.8", "https://[2606:4700::1111]"] {
            assert_eq!(unreachable(url), None, "{url}");
        }
    }
}
