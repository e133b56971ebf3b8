//! Classifies the address of an IP or a host name, and says which classes a client of ours may dial
//! (server-side request forgery).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// The class of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Routed on the internet.
    Public,
    /// `0.0.0.0` and `::`; a system that dials them dials itself.
    Unspecified,
    Loopback,
    /// A private network, or one that is never routed.
    Private,
    /// RFC 3927, RFC 4291 §2.5.6; most clouds have their metadata services here.
    LinkLocal,
    /// A cloud's metadata service outside the link-local ranges.
    Metadata,
}

impl Class {
    pub fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => of_v4(v4),
            IpAddr::V6(v6) => of_v6(v6),
        }
    }

    /// The class of a host as written in a URL, if that is known without a resolver.
    pub fn of_host(host: &Host<&str>) -> Option<Self> {
        match host {
            Host::Ipv4(ip) => Some(of_v4(*ip)),
            Host::Ipv6(ip) => Some(of_v6(*ip)),
            Host::Domain(name) => of_name(name),
        }
    }

    /// As [`Class::of_host`], for the host of a URL.
    pub fn of_url(url: &Url) -> Option<Self> {
        Self::of_host(&url.host()?)
    }

    /// This machine or its network: the internet cannot reach it.
    pub fn is_inside(self) -> bool {
        self != Self::Public
    }
}

/// Names that the public DNS does not have (RFC 6761, RFC 6762, RFC 8375, and common use).
const LOCAL_SUFFIXES: [&str; 9] = [
    ".local",
    ".internal",
    ".test",
    ".svc",
    ".lan",
    ".intranet",
    ".home.arpa",
    ".localdomain",
    ".corp",
];

fn of_name(name: &str) -> Option<Class> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    if is_localhost(&name) {
        return Some(Class::Loopback);
    }
    let local = !name.contains('.') || LOCAL_SUFFIXES.iter().any(|end| name.ends_with(end));
    local.then_some(Class::Private)
}

/// RFC 6761 §6.3: `localhost` and every name below it are this machine, with or without the final
/// dot.
pub fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

fn of_v4(ip: Ipv4Addr) -> Class {
    /// Alibaba Cloud, Azure, Oracle Cloud (classic).
    const METADATA: [Ipv4Addr; 3] = [
        Ipv4Addr::new(100, 100, 100, 200),
        Ipv4Addr::new(168, 63, 129, 16),
        Ipv4Addr::new(192, 0, 0, 192),
    ];
    let [a, b, c, _] = ip.octets();
    match (a, b, c) {
        _ if METADATA.contains(&ip) => Class::Metadata,
        _ if ip.is_link_local() => Class::LinkLocal,
        _ if ip.is_loopback() => Class::Loopback,
        // RFC 1122 §3.2.1.3: "this network"; Linux dials itself for `0.0.0.0`.
        (0, ..) => Class::Unspecified,
        _ if ip.is_private() => Class::Private,
        // Carrier-grade NAT (RFC 6598), IETF assignments (RFC 6890), benchmarks (RFC 2544),
        // multicast and reserved.
        (100, 64..=127, _) | (192, 0, 0) | (198, 18 | 19, _) | (224.., ..) => Class::Private,
        _ => Class::Public,
    }
}

fn of_v6(ip: Ipv6Addr) -> Class {
    /// AWS, Google Cloud.
    const METADATA: [Ipv6Addr; 2] = [
        Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254),
        Ipv6Addr::new(0xfd20, 0x0ce, 0, 0, 0, 0, 0, 0x254),
    ];
    if ip.is_unspecified() {
        return Class::Unspecified;
    }
    if ip.is_loopback() {
        return Class::Loopback;
    }
    if let Some(v4) = embedded(ip) {
        return of_v4(v4);
    }
    let s = ip.segments();
    match s[0] {
        _ if METADATA.contains(&ip) => Class::Metadata,
        _ if ip.is_unicast_link_local() => Class::LinkLocal,
        // Site-local addresses are deprecated (RFC 3879) and still not routed.
        _ if ip.is_unique_local() || s[0] & 0xffc0 == 0xfec0 || ip.is_multicast() => Class::Private,
        // The operator's own NAT64 (RFC 8215).
        0x64 if s[1] == 0xff9b && s[2] == 1 => Class::Private,
        _ => Class::Public,
    }
}

/// The IPv4 address inside an IPv6 address: mapped and compatible (RFC 4291 §2.5.5), translated
/// (RFC 2765), NAT64 (RFC 6052 §2.1), 6to4 (RFC 3056).
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = v6.segments();
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => of(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => of(high, low),
        _ => None,
    }
}

/// The classes that a client may dial besides public addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reach {
    /// Link-local and metadata addresses (`allow_link_local`).
    pub link_local: bool,
    /// Loopback and private addresses, if the configuration itself names the host.
    pub inside: bool,
}

impl Reach {
    /// A host that the configuration names.
    pub const CONFIGURED: Self = Self { link_local: false, inside: true };
    /// A host that only a document from outside names.
    pub const PUBLIC: Self = Self { link_local: false, inside: false };

    /// # Errors
    /// [`AddressRefused`] for an address that may not be dialled.
    pub fn check(self, ip: IpAddr) -> Result<(), AddressRefused> {
        let permitted = match Class::of(ip) {
            Class::Public => true,
            Class::LinkLocal | Class::Metadata => self.link_local,
            Class::Unspecified | Class::Loopback | Class::Private => self.inside,
        };
        if permitted { Ok(()) } else { Err(AddressRefused(ip)) }
    }

    /// Checks a host that is an address itself. No resolver sees it. URL parsing has already
    /// normalised every spelling (decimal, octal, hexadecimal).
    ///
    /// # Errors
    /// As [`Reach::check`].
    pub fn check_literal(self, url: &Url) -> Result<(), AddressRefused> {
        match url.host() {
            Some(Host::Ipv4(ip)) => self.check(ip.into()),
            Some(Host::Ipv6(ip)) => self.check(ip.into()),
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }
}

/// An address that may not be dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRefused(pub IpAddr);

impl AddressRefused {
    /// A stable name: metric label, status field.
    pub fn code(self) -> &'static str {
        match Class::of(self.0) {
            Class::LinkLocal | Class::Metadata => "address_banned",
            _ => "address_inside",
        }
    }
}

impl std::fmt::Display for AddressRefused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(ip) = self;
        match Class::of(*ip) {
            Class::LinkLocal | Class::Metadata => {
                write!(f, "{ip} is a link-local or metadata address; `allow_link_local` permits it")
            }
            _ => write!(
                f,
                "{ip} is an address inside the network, and only a document names its host; an \
                 [[issuer]] whose `jwks` names it permits it"
            ),
        }
    }
}

impl std::error::Error for AddressRefused {}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(text: &str) -> Class {
        Class::of(text.parse().unwrap())
    }

    #[test]
    fn metadata_and_link_local_addresses_are_known_in_every_spelling() {
        for text in [
            "169.254.169.254",
            "169.254.0.1",
            "fe80::1",
            "febf::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "::ffff:169.254.169.254",
            "::ffff:0:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "100.100.100.200",
            "::ffff:100.100.100.200",
            "168.63.129.16",
            "64:ff9b::a83f:8110",
            "192.0.0.192",
        ] {
            let class = class(text);
            assert!(matches!(class, Class::LinkLocal | Class::Metadata), "{text}: {class:?}");
            let refused = Reach::CONFIGURED.check(text.parse().unwrap()).unwrap_err();
            assert_eq!(refused.code(), "address_banned");
            assert!(Reach { link_local: true, inside: false }.check(refused.0).is_ok());
        }
    }

    #[test]
    fn inside_is_dialled_only_where_the_configuration_names_it() {
        for text in [
            "127.0.0.1",
            "127.8.9.1",
            "::1",
            "::ffff:127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "fd00::1",
            "fec0::1",
            "64:ff9b::a00:1",
            "64:ff9b:1::a00:1",
            "::10.0.0.1",
            "2002:0a00:0001::",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
        ] {
            let ip: IpAddr = text.parse().unwrap();
            assert!(class(text).is_inside(), "{text}");
            assert!(Reach::CONFIGURED.check(ip).is_ok(), "{text}");
            assert_eq!(Reach::PUBLIC.check(ip).unwrap_err().code(), "address_inside", "{text}");
        }
        for text in ["8.8.8.8", "192.0.2.1", "2606:4700::1111", "64:ff9b::808:808", "1.0.0.1"] {
            assert_eq!(class(text), Class::Public, "{text}");
            assert!(Reach::PUBLIC.check(text.parse().unwrap()).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_literal_is_judged_in_every_spelling_a_url_may_have() {
        for url in [
            "http://2852039166/",
            "http://0xa9fea9fe/",
            "http://0251.0376.0251.0376/",
            "http://169.254.43518/",
            "http://[::ffff:169.254.169.254]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://%31%36%39.254.169.254/",
            "https://168.63.129.16/",
            "https://[fd00:ec2::254]/",
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(Reach::CONFIGURED.check_literal(&url).unwrap_err().code(), "address_banned");
        }
        for url in ["http://2130706433/", "http://0x7f.1/", "http://[::]/", "http://10.0.1/"] {
            let url = Url::parse(url).unwrap();
            assert_eq!(Reach::PUBLIC.check_literal(&url).unwrap_err().code(), "address_inside");
            assert!(Reach::CONFIGURED.check_literal(&url).is_ok());
        }
    }

    #[test]
    fn local_names_are_known_without_a_resolver() {
        let of = |url: &str| Class::of_url(&Url::parse(url).unwrap());
        for url in
            ["http://localhost", "http://LOCALHOST.:1", "http://x.localhost.", "http://[::1]"]
        {
            assert_eq!(of(url), Some(Class::Loopback), "{url}");
        }
        for url in ["http://auth", "http://a.default.svc", "http://a.internal.", "http://a.test"] {
            assert_eq!(of(url), Some(Class::Private), "{url}");
        }
        for url in ["http://notlocalhost.com", "http://xlocal.example", "http://internal.example"] {
            assert_eq!(of(url), None, "{url}");
        }
    }
}
