//! `jwks` of an `[[issuer]]`: where the public keys are.

use std::path::Path;

use url::Url;

use super::super::error::{Checked, SettingFault};
use super::super::raw::RawIssuer;
use super::place::At;
use crate::issuer::Source;
use crate::proxy::settings::UpstreamSettings;
use crate::setting;

/// The source of the keys: a path at the upstream, a URL, a template, a file or the document itself.
pub(super) fn source(
    raw: &RawIssuer,
    at: &At,
    base: &Path,
    upstream: Option<&UpstreamSettings>,
) -> Checked<Source> {
    let at = at.key("jwks");
    let Some(text) = raw.jwks.as_deref() else {
        if !raw.secret.0.is_empty() || raw.secret_file.is_some() {
            return Ok(Source::Secrets);
        }
        return Err(at.fault("it is missing: where its public keys are").hint(
            "a path at the upstream, a URL, `file:PATH` or the JSON itself; `countersign doctor ISSUER` finds it",
        ));
    };
    if text.starts_with('/') {
        let Some(upstream) = upstream else {
            let fault = at.fault("a path needs an [upstream]");
            return Err(match at_issuer(raw, text) {
                Some(url) => fault.meant(url).hint(UNSURE),
                None => fault.hint("write the whole URL"),
            });
        };
        return Ok(Source::Url(below(upstream, text)));
    }
    if text.trim_start().starts_with('{') {
        return match serde_json::from_str::<serde::de::IgnoredAny>(text) {
            Ok(_) => Ok(Source::Inline(text.to_owned())),
            Err(error) => Err(at.fault(format_args!("the JSON does not parse: {error}"))),
        };
    }
    if let Some(path) = text.strip_prefix("file:") {
        // `file:///a`, `file:/a` and `file:a`.
        let path = path.strip_prefix("//").unwrap_or(path);
        return Ok(Source::File(base.join(path)));
    }
    if text.contains("{kid}") {
        let (before, _) = text.split_once("{kid}").unwrap_or((text, ""));
        let url = setting::http_url(before).map_err(|invalid| {
            at.fault(invalid.why).hint("write it like `https://auth.example.com/keys/{kid}`")
        })?;
        // The `kid` comes from an unverified token: it may choose a key, but never a host.
        at.fault("`{kid}` must be in the path, not in the host")
            .when(url.path() == "/" && !before.ends_with('/'))?;
        return Ok(Source::UrlPerKid(text.to_owned()));
    }
    match Url::parse(text) {
        Err(url::ParseError::RelativeUrlWithoutBase) => Err(relative(raw, &at, upstream, text)),
        _ => Ok(Source::Url(setting::http_url(text).map_err(|invalid| at.invalid(invalid))?)),
    }
}

const UNSURE: &str = "`countersign doctor ISSUER` says where its keys are";

/// The fault of an address that is neither absolute nor starts with a slash.
fn relative(
    raw: &RawIssuer,
    at: &At,
    upstream: Option<&UpstreamSettings>,
    text: &str,
) -> SettingFault {
    let path = format!("/{}", text.trim_start_matches("./"));
    // `auth.example.com/jwks` begins with a host, `jwks.json` is a file or the end of a path.
    let host = text.split_once('/').is_some_and(|(first, _)| {
        first.contains('.') && !first.starts_with('.') || first == "localhost"
    });
    if host && let Err(invalid) = setting::http_url(text) {
        return at.invalid(invalid);
    }
    let fault = at.fault(format_args!(
        "`{}` is neither a URL nor a path at the upstream, which would start with `/`",
        text.split(['?', '@']).next().unwrap_or_default()
    ));
    let file = match text.ends_with(".json") {
        true => format!("`file:{text}` is a file beside this configuration"),
        false => UNSURE.to_owned(),
    };
    // A query may hold a secret.
    let plain = !text.contains(['?', '@', '#']);
    match (upstream, at_issuer(raw, &path)) {
        (Some(upstream), _) if plain => fault
            .meant(below(upstream, &path))
            .hint(format_args!("`{path}` means the same, below [upstream]; {file}")),
        (None, Some(url)) if plain => fault.meant(url).hint(file),
        _ => fault.hint("write the whole URL"),
    }
}

/// A path below the issuer, which has its key set there more often than at its root.
fn at_issuer(raw: &RawIssuer, path: &str) -> Option<Url> {
    let issuer = setting::http_url(raw.issuer.0.first()?).ok()?;
    let plain = issuer.query().is_none() && !issuer.path().contains("%7B") && !path.contains('?');
    let mut url = issuer.clone();
    url.set_path(&format!("{}{path}", issuer.path().trim_end_matches('/')));
    plain.then_some(url)
}

/// A path below the upstream's base.
pub(super) fn below(upstream: &UpstreamSettings, path: &str) -> Url {
    let mut url = upstream.url.clone();
    let (path, query) = path.split_once('?').map_or((path, None), |(p, q)| (p, Some(q)));
    url.set_path(&format!("{}{path}", upstream.base_path()));
    url.set_query(query);
    url
}
