//! `[server]`.

use std::time::Duration;

use url::Url;

use super::super::error::Checked;
use super::super::raw::RawConfig;
use super::super::settings::{ExchangeSettings, ServerLimits, ServerSettings, TlsFiles};
use super::super::value;
use super::Context;
use super::place::{At, Given};
use crate::net::Class;

/// Without the exchange, which needs the issuers.
pub(super) fn resolve(raw: &RawConfig, context: &Context<'_>) -> Checked<ServerSettings> {
    let at = At::root("server");
    let raw = &raw.server;
    let listen_at = at.key("listen");
    let given = Given::of(&context.overrides.listen, "--listen", &raw.listen, &listen_at);
    let listen = match given.text() {
        None => ([127, 0, 0, 1], 8080).into(),
        Some(text) => value::listen_addr(text).map_err(|why| given.fault(why))?,
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
    if url.scheme() == "http" && !Class::of_url(&url).is_some_and(Class::is_inside) {
        return Err(at
            .fault("keys and tokens over plain `http:` can be replaced on the way")
            .hint("write `https:`; `http:` is for localhost and private names"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

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
