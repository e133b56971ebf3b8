//! `[upstream]`.

use std::path::Path;
use std::sync::Arc;

use url::Url;

use super::super::error::Checked;
use super::place::At;
use super::public_url;
use crate::issuer::forwarded::authority;
use crate::issuer::{Forwarded, IssuerSettings, Source};
use crate::net::TlsOptions;
use crate::proxy::settings::{HostHeader, UpstreamSettings};

pub(super) fn resolve(mut upstream: UpstreamSettings, base: &Path) -> Checked<UpstreamSettings> {
    let at = At::root("upstream");
    public_url::prefix_alone(&at.key("url"), &upstream.url).when(upstream.url.query().is_some())?;
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

/// The `Host` sent to the upstream if the configuration does not say. A hosted server under another name
/// than the public URL gets its own name: it finds its tenant by that name and answers to no other. Any
/// other server gets the name that clients use. Needs the public URL, so it runs after `[server]`.
pub(super) fn default_host(upstream: &mut UpstreamSettings, public: Option<&Url>) {
    let hosted = upstream.own_name_not_sent(public).is_some();
    let default = if hosted { HostHeader::Upstream } else { HostHeader::Client };
    upstream.host.get_or_insert(default);
}

/// For our own requests to the upstream: with the same `Host` and forwarding fields as clients' requests.
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

/// Fetches key sets at the upstream with the `Host` and forwarding fields of a client's request.
pub(super) fn fetch_like_clients(
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
