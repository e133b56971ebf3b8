//! `[upstream]`.

use std::path::Path;

use super::super::error::Checked;
use super::place::At;
use crate::proxy::settings::UpstreamSettings;

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
