//! Names to addresses. One resolver and one cache for the process; a key set's host must not lead to
//! link-local or metadata addresses unless the operator said so (server-side request forgery).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The process's resolver: `/etc/hosts`, then the servers of `/etc/resolv.conf`. Cheap to clone.
#[derive(Clone)]
pub struct Resolver(Arc<TokioResolver>);

/// A host led only to addresses that are never dialled for a key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name leads to {0}, a link-local or metadata address")]
pub struct Banned(pub IpAddr);

impl Resolver {
    /// Without the file, the server of this machine, as resolv.conf(5) has it: an image made from
    /// scratch has none, and may need none.
    ///
    /// # Errors
    /// When the system's resolver configuration cannot be read.
    pub fn system() -> io::Result<Self> {
        Self::of(Path::new(RESOLV_CONF))
    }

    fn of(file: &Path) -> io::Result<Self> {
        let builder = if file.exists() {
            TokioResolver::builder_tokio().map_err(io::Error::other)?
        } else {
            let server = NameServerConfig::udp_and_tcp(Ipv4Addr::LOCALHOST.into());
            let config = ResolverConfig::from_name_servers(vec![server]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        Ok(Self(Arc::new(builder.build().map_err(io::Error::other)?)))
    }

    /// Addresses of `host` (a name or a literal, IPv6 with or without brackets).
    ///
    /// # Errors
    /// When the name does not exist or no server answers.
    pub async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        // RFC 6761 §6.3: never ask a server for it, and it need not stand in the hosts file.
        if bare.eq_ignore_ascii_case("localhost") {
            let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            return Ok(loopback.map(|ip| SocketAddr::new(ip, port)).to_vec());
        }
        let found = self.0.lookup_ip(bare).await.map_err(io::Error::other)?;
        Ok(found.iter().map(|ip| SocketAddr::new(ip, port)).collect())
    }

    /// The resolver for fetching keys. `allow_link_local` lifts the ban.
    pub fn guarded(&self, allow_link_local: bool) -> Arc<dyn Resolve> {
        Arc::new(Guarded { resolver: self.clone(), allow_link_local })
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

impl Resolve for Resolver {
    /// With the ban.
    fn resolve(&self, name: Name) -> Resolving {
        Guarded { resolver: self.clone(), allow_link_local: false }.resolve(name)
    }
}

struct Guarded {
    resolver: Resolver,
    allow_link_local: bool,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (resolver, allow) = (self.resolver.clone(), self.allow_link_local);
        Box::pin(async move {
            // Port 0 stands for the URL's own.
            let found = resolver.resolve(name.as_str(), 0).await?;
            let addresses = if allow { found } else { permitted(found)? };
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Leaves the banned addresses out; an error when nothing else is there.
fn permitted(found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Banned> {
    let first_banned = found.iter().map(SocketAddr::ip).find(|ip| is_banned(*ip));
    let rest: Vec<_> = found.into_iter().filter(|a| !is_banned(a.ip())).collect();
    match first_banned {
        Some(ip) if rest.is_empty() => Err(Banned(ip)),
        _ => Ok(rest),
    }
}

/// Link-local (RFC 3927 §2.1, RFC 4291 §2.5.6) and the metadata addresses of clouds that lie outside
/// those ranges, also in their IPv4-mapped (RFC 4291 §2.5.5) and NAT64 (RFC 6052 §2.1) spellings.
pub fn is_banned(ip: IpAddr) -> bool {
    // Metadata services outside the link-local ranges.
    const V4: [Ipv4Addr; 2] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16)];
    const V6: [Ipv6Addr; 2] = [
        Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254),
        Ipv6Addr::new(0xfd20, 0x0ce, 0, 0, 0, 0, 0, 0x254),
    ];
    match ip {
        IpAddr::V4(v4) => v4.is_link_local() || V4.contains(&v4),
        IpAddr::V6(v6) => match embedded(v6) {
            Some(v4) => is_banned(IpAddr::V4(v4)),
            None => v6.is_unicast_link_local() || V6.contains(&v6),
        },
    }
}

/// The IPv4 address inside an IPv6 one.
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    if let Some(v4) = v6.to_ipv4_mapped() {
        return Some(v4);
    }
    let s = v6.segments();
    let nat64 = s[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
    // IPv4-compatible, deprecated by RFC 4291 §2.5.5.1; `::1` and `::` are none.
    let compatible = s[..6] == [0; 6] && s[6] != 0;
    (nat64 || compatible).then(|| {
        let [a, b] = s[6].to_be_bytes();
        let [c, d] = s[7].to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_addresses_are_banned_in_every_spelling() {
        for text in [
            "169.254.169.254",
            "169.254.0.1",
            "fe80::1",
            "febf::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "100.100.100.200",
        ] {
            assert!(is_banned(text.parse().unwrap()), "{text}");
        }
        for text in ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "8.8.8.8", "fd00::1", "::"] {
            assert!(!is_banned(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_name_with_one_good_address_keeps_that_one() {
        let at = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 0);
        let good = permitted(vec![at("169.254.169.254"), at("10.0.0.1")]).unwrap();
        assert_eq!(good, vec![at("10.0.0.1")]);
        let bad = permitted(vec![at("169.254.169.254")]);
        assert_eq!(bad, Err(Banned("169.254.169.254".parse().unwrap())));
    }

    #[tokio::test]
    async fn literals_and_localhost_need_no_server() {
        let resolver = Resolver::of(Path::new("/there/is/no/such/file")).unwrap();
        let v6 = resolver.resolve("[::1]", 80).await.unwrap();
        assert_eq!(v6, vec!["[::1]:80".parse().unwrap()]);
        let local = resolver.resolve("localhost", 80).await.unwrap();
        assert!(local.contains(&"127.0.0.1:80".parse().unwrap()));
    }
}
