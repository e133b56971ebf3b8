//! `[upstream]`.

use std::path::PathBuf;

use super::super::error::Checked;
use super::super::raw::{RawConfig, RawTimeouts, RawUpstreamTls};
use super::super::settings::{
    HostHeader, TlsFiles, UpstreamSettings, UpstreamTimeouts, UpstreamTls,
};
use super::super::value;
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
    let host = raw.and_then(|raw| raw.host.as_deref());
    let host = host.map(|text| host_header(text, &at.key("host"))).transpose()?;
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

fn host_header(text: &str, at: &At) -> Checked<HostHeader> {
    const WORDS: [&str; 2] = ["client", "upstream"];
    match text {
        "client" => return Ok(HostHeader::Client),
        "upstream" => return Ok(HostHeader::Upstream),
        _ => {}
    }
    let fault = |why: &str| at.fault(format_args!("`{text}` is {why}"));
    if let Some(meant) = value::nearest(text, WORDS).filter(|_| !text.contains(['.', ':'])) {
        return Err(fault("neither `client`, `upstream` nor a host's name")
            .hint(format_args!("did you mean `{meant}`?")));
    }
    // RFC 9110 §7.2: a host and a port, never credentials.
    match text.parse::<http::uri::Authority>() {
        Ok(name) if !text.contains('@') && !name.host().is_empty() => {
            Ok(HostHeader::Name(text.to_owned()))
        }
        _ => Err(fault("no name of a host")
            .hint("write `client`, `upstream`, or a name like `auth.example.com`")),
    }
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
