//! `[upstream]`.

use std::path::PathBuf;

use super::super::error::Checked;
use super::super::raw::{RawConfig, RawTimeouts, RawUpstreamTls};
use super::super::settings::{
    HostHeader, TlsFiles, UpstreamSettings, UpstreamTimeouts, UpstreamTls,
};
use super::Context;
use super::place::{At, Given};

pub(super) fn resolve(raw: &RawConfig, context: &Context<'_>) -> Checked<Option<UpstreamSettings>> {
    let at = At::root("upstream");
    let raw = raw.upstream.as_ref();
    let no_url = None;
    let file = raw.map_or(&no_url, |raw| &raw.url);
    let url_at = at.key("url");
    let given = Given::of(&context.overrides.upstream, "--upstream", file, &url_at);
    let Some(text) = given.text() else {
        return match raw {
            None => Ok(None),
            Some(_) => Err(at.fault("`url` is missing")),
        };
    };
    let url = given.at().url(text)?;
    if url.query().is_some() {
        return Err(given.fault("it is a prefix of paths, so it has no query"));
    }
    let host = match raw.and_then(|raw| raw.host.as_deref()) {
        // An auth server beside us hears the name it is known by; behind TLS, a host is found by
        // the name in its certificate.
        None if url.scheme() == "http" => HostHeader::Client,
        None | Some("upstream") => HostHeader::Upstream,
        Some("client") => HostHeader::Client,
        Some(other) => return Err(at.key("host").choice(other, &["upstream", "client"])),
    };
    let tls = match raw {
        Some(raw) => tls(&raw.tls, &at.key("tls"), |path| context.base.join(path))?,
        None => UpstreamTls::default(),
    };
    let timeouts = match raw {
        Some(raw) => timeouts(&raw.timeouts, &at.key("timeouts"))?,
        None => UpstreamTimeouts::default(),
    };
    Ok(Some(UpstreamSettings { url, host, tls, timeouts }))
}

fn tls(raw: &RawUpstreamTls, at: &At, file: impl Fn(&str) -> PathBuf) -> Checked<UpstreamTls> {
    let client = match (&raw.client_cert, &raw.client_key) {
        (Some(cert), Some(key)) => Some(TlsFiles { cert: file(cert), key: file(key) }),
        (None, None) => None,
        (Some(_), None) => return Err(at.fault("`client_cert` needs `client_key`")),
        (None, Some(_)) => return Err(at.fault("`client_key` needs `client_cert`")),
    };
    Ok(UpstreamTls {
        ca: raw.ca.as_deref().map(&file),
        client,
        sni: raw.sni.clone(),
        verify: raw.verify.unwrap_or(true),
    })
}

fn timeouts(raw: &RawTimeouts, at: &At) -> Checked<UpstreamTimeouts> {
    let default = UpstreamTimeouts::default();
    Ok(UpstreamTimeouts {
        connect: at.duration("connect", raw.connect.as_deref())?.unwrap_or(default.connect),
        read: at.duration("read", raw.read.as_deref())?.unwrap_or(default.read),
        write: at.duration("write", raw.write.as_deref())?.unwrap_or(default.write),
        idle: at.duration("idle", raw.idle.as_deref())?.unwrap_or(default.idle),
    })
}
