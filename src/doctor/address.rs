//! Addresses that a verifier on the internet cannot reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Why `url` cannot be reached from the internet, if it cannot; `None` also for names that only the
/// resolver could tell.
pub fn unreachable(url: &str) -> Option<&'static str> {
    let url = Url::parse(url).ok()?;
    match url.host()? {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let ends = |suffixes: &[&str]| suffixes.iter().any(|s| name.ends_with(s));
            if name == "localhost" || name.ends_with(".localhost") {
                Some("this machine only")
            } else if ends(&[".local", ".internal", ".lan", ".home.arpa", ".svc", ".intranet"])
                || !name.contains('.')
            {
                Some("a name of a local network")
            } else {
                None
            }
        }
        Host::Ipv4(ip) => unreachable_ip(IpAddr::V4(ip)),
        Host::Ipv6(ip) => unreachable_ip(IpAddr::V6(ip)),
    }
}

/// The same for an address a name resolved to.
pub fn unreachable_ip(ip: IpAddr) -> Option<&'static str> {
    match ip {
        _ if ip.is_loopback() => Some("this machine only"),
        _ if ip.is_unspecified() => Some("no address at all"),
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let closed = v4.is_private() || v4.is_link_local() || shared;
            closed.then_some("a private network")
        }
        IpAddr::V6(v6) => match embedded(v6) {
            Some(v4) => unreachable_ip(IpAddr::V4(v4)),
            None => {
                let first = v6.segments()[0];
                let closed = first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80;
                closed.then_some("a private network")
            }
        },
    }
}

/// The IPv4 address in an IPv6 one: mapped, compatible (RFC 4291 §2.5.5), NAT64 (RFC 6052 §2.1).
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = v6.segments();
    let inside = v6.to_ipv4_mapped().is_some()
        || s[..6] == [0x64, 0xff9b, 0, 0, 0, 0]
        || (s[..6] == [0; 6] && s[6] != 0);
    inside.then(|| {
        let [.., high, low] = s;
        Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))
    })
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
            "http://[64:ff9b::a00:1]",
            "http://[::10.0.0.1]",
            "http://0.0.0.0",
        ] {
            assert!(unreachable(url).is_some(), "{url}");
        }
        for url in ["https://auth.example.com", "https://8.8.8.8", "https://[2606:4700::1111]"] {
            assert_eq!(unreachable(url), None, "{url}");
        }
    }
}
