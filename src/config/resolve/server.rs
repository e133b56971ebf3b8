//! `[server]`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use url::{Host, Url};

use super::super::env::Env;
use super::super::error::{Checked, Fault};
use super::super::raw::RawConfig;
use super::super::settings::{ExchangeSettings, ServerLimits, ServerSettings, TlsFiles};
use super::Context;
use super::place::{At, Given};
use crate::serve::Listen;

/// Without the exchange, which needs the issuers.
pub(super) fn resolve(
    raw: &RawConfig,
    context: &Context<'_>,
    env: &impl Env,
) -> Checked<ServerSettings> {
    let at = At::root("server");
    let raw = &raw.server;
    let listen_at = at.key("listen");
    let given = Given::of(&context.overrides.listen, "--listen", &raw.listen, &listen_at);
    let listen = match (given.text(), env.var("PORT").filter(|port| !port.is_empty())) {
        (Some(text), _) => text.parse().map_err(|why: String| given.fault(why))?,
        // A platform that sets it sends requests from outside.
        (None, Some(port)) => Listen::everywhere(port.trim().parse().map_err(|_| {
            Fault::new("PORT", format_args!("the variable says `{port}`, which is not a port"))
                .hint("unset it, or say where to listen with --listen (COUNTERSIGN_LISTEN)")
        })?),
        (None, None) => SocketAddr::from(([127, 0, 0, 1], 8080)).into(),
    };
    let url_at = at.key("public_url");
    let given = Given::of(&context.overrides.public_url, "--public-url", &raw.public_url, &url_at);
    let public_url = given.text().map(|text| public_url(&given.at(), text)).transpose()?;
    let threads = context.overrides.threads.or(raw.threads).unwrap_or(context.cores);
    at.between("threads", threads, 1, 1024)?;
    let max_age =
        at.duration("max_age", raw.max_age.as_deref())?.unwrap_or(Duration::from_secs(300));
    at.between("max_age", max_age.as_secs() as usize, 1, 7 * 86_400)?;
    let grace = at.duration("grace", raw.grace.as_deref())?.unwrap_or(Duration::from_secs(30));
    let tls = raw.tls.as_ref().map(|tls| TlsFiles {
        cert: context.base.join(&tls.cert),
        key: context.base.join(&tls.key),
    });
    Ok(ServerSettings {
        listen,
        public_url,
        tls,
        threads,
        max_age: u32::try_from(max_age.as_secs()).unwrap_or(300),
        grace,
        limits: limits(raw, &at.key("limits"))?,
        exchange: ExchangeSettings::default(),
    })
}

/// A request that is passed on to ourselves comes round until every connection is in use.
///
/// # Errors
/// A [`Fault`] where the upstream is this proxy.
pub(super) fn not_ourselves(
    upstream: &Url,
    server: &ServerSettings,
    context: &Context<'_>,
) -> Checked<()> {
    let key = if context.overrides.upstream.is_some() { "--upstream" } else { "upstream.url" };
    let hint = "name the auth server itself, as it is reached from this machine";
    if server.listen.is_at(upstream) {
        let why = format!("{upstream} is where this proxy itself listens ({})", server.listen);
        return Err(Fault::new(key, why).hint(hint));
    }
    match &server.public_url {
        Some(public) if is_below(upstream, public) => {
            let why = format!("{upstream} is this proxy's own `public_url`");
            Err(Fault::new(key, why).hint(hint))
        }
        _ => Ok(()),
    }
}

/// Whether `url` is `base`, or a path below it.
fn is_below(url: &Url, base: &Url) -> bool {
    let (path, prefix) = (url.path().trim_end_matches('/'), base.path().trim_end_matches('/'));
    let rest = path.strip_prefix(prefix);
    url.origin() == base.origin()
        && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn limits(raw: &super::super::raw::RawServer, at: &At) -> Checked<ServerLimits> {
    let raw = &raw.limits;
    let default = ServerLimits::default();
    let limits = ServerLimits {
        header: at.size("header", raw.header.as_deref())?.unwrap_or(default.header),
        body: at.size("body", raw.body.as_deref())?.unwrap_or(default.body),
        answer: at.size("answer", raw.answer.as_deref())?.unwrap_or(default.answer),
        connections: raw.connections.unwrap_or(default.connections),
        idle_timeout: at
            .duration("idle_timeout", raw.idle_timeout.as_deref())?
            .unwrap_or(default.idle_timeout),
        read_timeout: at
            .duration("read_timeout", raw.read_timeout.as_deref())?
            .unwrap_or(default.read_timeout),
    };
    at.between("header", limits.header, 1024, 1024 * 1024)?;
    at.between("body", limits.body, 1024, 64 * 1024 * 1024)?;
    at.between("answer", limits.answer, 1024, 64 * 1024 * 1024)?;
    at.between("connections", limits.connections, 1, 10_000_000)?;
    Ok(limits)
}

/// The address clients use ends up in documents verifiers read, so it must be one they can trust.
fn public_url(at: &At, text: &str) -> Checked<Url> {
    let url = at.url(text)?;
    if url.query().is_some() {
        return Err(at.fault("it is a prefix of paths, so it has no query"));
    }
    if url.scheme() == "http" && !is_local(&url) {
        return Err(at
            .fault("keys and tokens over plain `http:` can be replaced on the way")
            .hint("write `https:`; `http:` is for localhost and private names"));
    }
    Ok(url)
}

/// Loopback, private addresses, and names that the public DNS has not.
fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let private = ["localhost", "local", "internal", "test", "svc", "lan", "home.arpa"];
            !name.contains('.')
                || private
                    .iter()
                    .any(|end| name.strip_suffix(end).is_some_and(|head| head.ends_with('.')))
        }
        Some(Host::Ipv4(ip)) => is_private(ip.into()),
        Some(Host::Ipv6(ip)) => is_private(ip.into()),
        None => false,
    }
}

/// Addresses that are not routed on the internet.
pub(super) fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            ip.is_loopback()
                || ip.is_private()
                || ip.is_link_local()
                || ip.is_unspecified()
                // Carrier-grade NAT, RFC 6598.
                || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(ip) => {
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_is_by_whole_segments() {
        let below =
            |url: &str, base: &str| is_below(&Url::parse(url).unwrap(), &Url::parse(base).unwrap());
        assert!(below("https://a.example/", "https://a.example"));
        assert!(below("https://A.example:443/oidc", "https://a.example"));
        assert!(below("https://a.example/login/x", "https://a.example/login/"));
        // A gateway may give two servers one name.
        assert!(!below("https://a.example/oidc", "https://a.example/login"));
        assert!(!below("https://a.example/login2", "https://a.example/login"));
        assert!(!below("http://a.example/", "https://a.example"));
        assert!(!below("https://b.example/", "https://a.example"));
    }

    #[test]
    fn a_public_url_is_safe() {
        let at = At::root("server.public_url");
        let ok = ["https://a.example", "http://localhost:8080", "http://10.1.2.3", "http://proxy"];
        for url in ok {
            assert!(public_url(&at, url).is_ok(), "{url}");
        }
        let bad = [
            "http://a.example",
            "https://u:p@a.example",
            "https://a.example/#x",
            "https://a.example/?x",
            "ftp://a.example",
            "a.example",
            "http://8.8.8.8",
            "http://notlocalhost.com",
            "http://xlocal.example",
        ];
        for url in bad {
            assert!(public_url(&at, url).is_err(), "{url}");
        }
    }
}
