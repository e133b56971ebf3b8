//! `[upstream]`.

use std::path::PathBuf;
use std::sync::Arc;

use url::Url;

use super::super::error::Checked;
use super::super::raw::{RawConfig, RawTimeouts, RawUpstreamTls};
use super::super::settings::{
    HostHeader, TlsFiles, UpstreamSettings, UpstreamTimeouts, UpstreamTls,
};
use super::super::value;
use super::Context;
use super::place::{At, Given};
use crate::issuer::forwarded::authority;
use crate::issuer::{Forwarded, IssuerSettings, Source};
use crate::net::TlsOptions;

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
    let no_host = None;
    let (file, host_at) = (raw.map_or(&no_host, |raw| &raw.host), at.key("host"));
    let given_host = Given::of(&context.overrides.upstream_host, "--upstream-host", file, &host_at);
    let host = given_host.text().map(|text| host_header(text, &given_host.at())).transpose()?;
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

/// What the upstream hears as `Host` where nothing says so, once it is known what clients call us: its
/// own name where it is a hosted server under another one, which finds its tenant by the name and
/// answers to no other; else the name that clients use.
pub(super) fn default_host(upstream: &mut UpstreamSettings, public: Option<&Url>) {
    let hosted = upstream.unheard_name(public).is_some();
    let default = if hosted { HostHeader::Upstream } else { HostHeader::Client };
    upstream.host.get_or_insert(default);
}

/// How the upstream is asked on our own account: as it hears of its clients' requests.
pub(super) fn forwarded(upstream: &UpstreamSettings, public: Option<&Url>) -> Arc<Forwarded> {
    let own = authority(&upstream.url);
    let host = match &upstream.host {
        Some(HostHeader::Name(name)) => name,
        Some(HostHeader::Upstream) => own,
        Some(HostHeader::Client) | None => public.map_or(own, authority),
    };
    let client = upstream.tls.client.as_ref();
    Arc::new(Forwarded {
        upstream: upstream.url.clone(),
        host: host.to_owned(),
        public: public.cloned(),
        tls: TlsOptions {
            ca: upstream.tls.ca.clone(),
            client: client.map(|files| (files.cert.clone(), files.key.clone())),
            sni: upstream.tls.sni.clone(),
            verify: upstream.tls.verify,
            http2: true,
        },
    })
}

/// Key sets that the upstream serves are asked for as its clients would.
pub(super) fn ask_as_clients(
    issuers: &mut [IssuerSettings],
    upstream: &UpstreamSettings,
    public: Option<&Url>,
) {
    let forwarded = forwarded(upstream, public);
    for issuer in issuers {
        let served = match &issuer.source {
            Source::Url(url) => url.origin() == upstream.url.origin(),
            Source::UrlPerKid(template) => Url::parse(&template.replace("{kid}", ""))
                .is_ok_and(|url| url.origin() == upstream.url.origin()),
            Source::File(_) | Source::Inline(_) | Source::Secrets => false,
        };
        if served {
            issuer.fetch.forwarded = Some(forwarded.clone());
        }
    }
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
