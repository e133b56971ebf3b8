//! Resolves names to addresses. The process has one resolver and one cache. The result must be
//! inside the [`Reach`] of the client that asks.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Url;

use super::address::{AddressRefused, Class, Reach, is_localhost};

const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The process's resolver: `/etc/hosts`, then the servers of `/etc/resolv.conf`. Cheap to clone.
#[derive(Clone)]
pub struct Resolver(Arc<TokioResolver>);

impl Resolver {
    /// Without the file it asks the server of this machine, as resolv.conf(5) says. An image made
    /// from scratch has no file, and may need none.
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
        // RFC 6761 §6.3: never ask a server for it; it may be missing in the hosts file.
        if is_localhost(bare) {
            let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            return Ok(loopback.map(|ip| SocketAddr::new(ip, port)).to_vec());
        }
        let found = self.0.lookup_ip(bare).await.map_err(io::Error::other)?;
        Ok(found.iter().map(|ip| SocketAddr::new(ip, port)).collect())
    }

    /// Whether `url` leads to private addresses alone, by its host or by what the name resolves to.
    pub async fn leads_inside(&self, url: &Url) -> bool {
        if let Some(class) = Class::of_url(url) {
            return class.is_inside();
        }
        let found = self.resolve(url.host_str().unwrap_or_default(), 443).await.unwrap_or_default();
        !found.is_empty() && found.iter().all(|at| Class::of(at.ip()).is_inside())
    }

    /// The resolver of one client. With `alias`, its first name resolves to the addresses of the
    /// second.
    pub(super) fn guarded(&self, reach: Reach, alias: Option<Alias>) -> Arc<dyn Resolve> {
        Arc::new(Guarded { resolver: self.clone(), reach, alias })
    }
}

/// The name that TLS uses, and the host that is dialled for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Alias {
    pub(super) name: String,
    pub(super) host: String,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

struct Guarded {
    resolver: Resolver,
    reach: Reach,
    alias: Option<Alias>,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (resolver, reach) = (self.resolver.clone(), self.reach);
        let alias = self.alias.as_ref().filter(|alias| alias.name == name.as_str());
        let host = alias.map_or_else(|| name.as_str().to_owned(), |alias| alias.host.clone());
        Box::pin(async move {
            // Port 0 means the URL's own port.
            let found = resolver.resolve(&host, 0).await?;
            Ok(Box::new(permitted(found, reach)?.into_iter()) as Addrs)
        })
    }
}

/// Removes the addresses that may not be dialled; an error if none is left.
fn permitted(found: Vec<SocketAddr>, reach: Reach) -> Result<Vec<SocketAddr>, AddressRefused> {
    let refused = found.iter().find_map(|address| reach.check(address.ip()).err());
    let rest: Vec<_> = found.into_iter().filter(|a| reach.check(a.ip()).is_ok()).collect();
    match refused {
        Some(refused) if rest.is_empty() => Err(refused),
        _ => Ok(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_one_good_address_keeps_that_one() {
        let at = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 0);
        let both = || vec![at("169.254.169.254"), at("10.0.0.1"), at("8.8.8.8")];
        let kept = permitted(both(), Reach::CONFIGURED).unwrap();
        assert_eq!(kept, vec![at("10.0.0.1"), at("8.8.8.8")]);
        assert_eq!(permitted(both(), Reach::PUBLIC), Ok(vec![at("8.8.8.8")]));
        let bad = permitted(vec![at("169.254.169.254")], Reach::CONFIGURED);
        assert_eq!(bad, Err(AddressRefused("169.254.169.254".parse().unwrap())));
    }

    /// The check comes after the resolver, so a spelling that resolves to a forbidden address is
    /// refused too.
    #[tokio::test]
    async fn names_of_this_machine_are_inside_whatever_their_spelling() {
        let resolver = Resolver::of(Path::new("/there/is/no/such/file")).unwrap();
        for name in ["localhost", "LocalHost", "localhost.", "x.localhost", "x.localhost."] {
            let found = resolver.guarded(Reach::PUBLIC, None).resolve(name.parse().unwrap()).await;
            let Err(error) = found else { panic!("{name} was resolved") };
            assert!(error.downcast_ref::<AddressRefused>().is_some(), "{name}: {error}");
            let found = resolver.guarded(Reach::CONFIGURED, None);
            assert!(found.resolve(name.parse().unwrap()).await.is_ok(), "{name}");
        }
        let alias = Alias { name: "auth.example".into(), host: "127.0.0.1".into() };
        let guarded = resolver.guarded(Reach::CONFIGURED, Some(alias));
        let found: Vec<_> =
            guarded.resolve("auth.example".parse().unwrap()).await.unwrap().collect();
        assert_eq!(found, ["127.0.0.1:0".parse().unwrap()]);
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
