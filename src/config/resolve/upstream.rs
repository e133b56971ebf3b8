//! `[upstream]`.

use std::path::Path;
use std::sync::Arc;

use url::Url;

use super::super::error::Checked;
use super::place::At;
use crate::issuer::forwarded::authority;
use crate::issuer::{Forwarded, IssuerSettings, Source};
use crate::net::TlsOptions;
use crate::proxy::settings::{HostHeader, UpstreamSettings};

pub(super) fn resolve(mut upstream: UpstreamSettings, base: &Path) -> Checked<UpstreamSettings> {
    let at = At::root("upstream");
    if upstream.url.query().is_some() {
        return Err(at.key("url").fault("it is a prefix of paths, so it has no query"));
    }
    let tls = &mut upstream.tls;
    match (&tls.client_cert, &tls.client_key) {
        (Some(_), None) => return Err(at.key("tls").fault("`client_cert` needs `client_key`")),
        (None, Some(_)) => return Err(at.key("tls").fault("`client_key` needs `client_cert`")),
        _ => {}
    }
    for file in [&mut tls.ca, &mut tls.client_cert, &mut tls.client_key].into_iter().flatten() {
        *file = base.join(&file);
    }
    Ok(upstream)
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
    Arc::new(Forwarded {
        upstream: upstream.url.clone(),
        host: host.to_owned(),
        public: public.cloned(),
        tls: TlsOptions {
            ca: upstream.tls.ca.clone(),
            client: upstream.tls.client().map(|files| (files.cert, files.key)),
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
