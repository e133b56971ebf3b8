//! `[[issuer]]`.

use std::path::Path;

use url::Url;

use super::super::error::Checked;
use super::super::raw::{RawIssuer, RawMissingAudience};
use super::place::At;
use super::{claims, headers, jwks, secret, tenants};
use crate::issuer::publisher::COMMON_PATH;
use crate::issuer::{FetchSettings, IssuerSettings, RefreshSettings, Source, conflicts};
use crate::jose::alg::{AlgSet, Family};
use crate::jose::jwk::SignatureForm;
use crate::jose::names::{Issuer, IssuerName, Limits};
use crate::jose::policy::{
    AudienceRule, ClientSource, HmacSecret, IssuerPolicy, MissingAudience, names_client,
};
use crate::proxy::settings::UpstreamSettings;
use crate::setting::{self, OneOrMany};

pub(super) fn all(
    raw: Vec<RawIssuer>,
    base: &Path,
    upstream: Option<&UpstreamSettings>,
    limits: &Limits,
) -> Checked<Vec<IssuerSettings>> {
    let many = raw.len() > 1;
    let at = |i| At::root("issuer").index(i);
    let all = raw.into_iter().enumerate();
    let all = all
        .map(|(i, raw)| one(raw, &at(i), base, upstream, limits, many))
        .collect::<Checked<Vec<_>>>()?;
    conflicts::check(&all).map_err(|(index, conflict)| {
        let (key, hint) = conflict.key_and_hint();
        at(index).key(key).fault(&conflict).hint(hint)
    })?;
    Ok(all)
}

fn one(
    raw: RawIssuer,
    at: &At,
    base: &Path,
    upstream: Option<&UpstreamSettings>,
    limits: &Limits,
    many: bool,
) -> Checked<IssuerSettings> {
    let spellings = tenants::spellings(&raw, at)?;
    let name = raw.name.clone().or_else(|| label(spellings.first()));
    let name = name
        .ok_or_else(|| at.fault("`name` is missing, and `issuer` has no host to take it from"))?;
    let algorithms = match &raw.algorithms {
        Some(OneOrMany(names)) => at.key("algorithms").algs(names)?,
        None => AlgSet::asymmetric(),
    };
    let source = jwks::source(&raw, at, base, upstream)?;
    let jwks_paths = jwks_paths(&raw, at, &source, upstream, &name, many)?;
    let mut policy = IssuerPolicy::new(name, spellings.plain);
    policy.tenants = spellings.tenants;
    policy.secrets = secrets(&raw, at, algorithms, base)?;
    policy.algorithms = algorithms;
    policy.published = !matches!(source, Source::Secrets);
    policy.headers = headers::required(&raw, at, &source)?;
    policy.audience = audience(&raw, at, policy.bound_client(), &policy.issuers, &source)?;
    claims::check(&raw.claims, &at.key("claims"))?;
    policy.max_lifetime = raw.max_lifetime.as_ref().map(|life| life.0);
    at.key("max_lifetime")
        .fault("a token must live at least a second")
        .when(policy.max_lifetime.is_some_and(|life| life.as_secs() == 0))?;
    if let Some(setting::Duration(leeway)) = &raw.leeway {
        at.between("leeway", leeway.as_secs() as usize, 0, 300)?;
        policy.leeway = *leeway;
    }
    policy.output_issuer = tenants::output(&raw, at)?;
    policy.issuer_when_missing = when_missing(&raw, at, many)?;
    policy.sender_constrained = raw.accept_sender_constrained;
    if raw.accept_der {
        policy.signature_form = SignatureForm::JoseOrDer;
    }
    policy.padded = raw.padded;
    policy.access_tokens = raw.access_tokens.unwrap_or(policy.access_tokens);
    policy.carry_original = raw.carry_original.unwrap_or(policy.carry_original);
    refresh(&raw.refresh, &at.key("refresh"))?;
    policy.claims = raw.claims;
    Ok(IssuerSettings {
        policy,
        source,
        jwks_paths,
        refresh: raw.refresh,
        fetch: fetch(raw.fetch, &at.key("fetch"), base)?,
        limits: *limits,
    })
}

/// A short name for an issuer: its host, with the port behind a dash.
pub(super) fn label(issuer: &str) -> Option<IssuerName> {
    let url = Url::parse(issuer).ok().filter(Url::has_host);
    let url = url.or_else(|| Url::parse(&format!("https://{issuer}")).ok())?;
    let host = url.host_str()?.trim_matches(['[', ']']).replace(':', "-");
    let host = host.trim_start_matches('.');
    let text = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}-{port}"));
    IssuerName::parse(text.get(..64).unwrap_or(&text)).ok()
}

fn secrets(raw: &RawIssuer, at: &At, algorithms: AlgSet, base: &Path) -> Checked<Vec<HmacSecret>> {
    let mut texts = raw.secret.0.clone();
    if let Some(file) = &raw.secret_file {
        texts.push(secret::from_file(&at.key("secret_file"), &base.join(file))?);
    }
    let hmac = algorithms.iter().find(|alg| alg.family() == Family::Secret);
    match (hmac, texts.is_empty()) {
        (None, true) => Ok(Vec::new()),
        (None, false) => Err(at
            .key(if raw.secret.0.is_empty() { "secret_file" } else { "secret" })
            .fault("no algorithm in `algorithms` uses it")
            .hint("add `algorithms = [\"HS256\"]`")),
        (Some(alg), true) => Err(at
            .key("algorithms")
            .fault(format_args!("{alg} needs `secret` or `secret_file`"))
            .hint("a secret is never taken from a key set, where anybody could read it")),
        (Some(_), false) => secret::hmac(at, &texts, raw.secret_encoding, algorithms),
    }
}

fn jwks_paths(
    raw: &RawIssuer,
    at: &At,
    source: &Source,
    upstream: Option<&UpstreamSettings>,
    name: &IssuerName,
    many: bool,
) -> Checked<Vec<String>> {
    let mut paths = raw.jwks_path.0.clone();
    let is_path = |path: &String| {
        path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && !b"?#*".contains(&b))
    };
    if let Some(wrong) = paths.iter().find(|path| !is_path(path)) {
        return Err(at
            .key("jwks_path")
            .fault(format_args!("invalid path `{wrong}`"))
            .hint("it starts with `/`, without `?`, `#` and `*`"));
    }
    // Clients already know this path.
    if let (Source::Url(url), Some(upstream)) = (source, upstream)
        && let Some(path) = path_below(url, upstream)
        && !(many && path == COMMON_PATH)
    {
        paths.push(path);
    }
    if many && paths.is_empty() && !matches!(source, Source::Secrets) {
        paths.push(format!("/_countersign/jwks/{name}.json"));
    }
    paths.sort_unstable();
    paths.dedup();
    Ok(paths)
}

/// The path of `url` on the public listener, when the upstream serves it.
pub(super) fn path_below(url: &Url, upstream: &UpstreamSettings) -> Option<String> {
    let path = url.path().strip_prefix(upstream.base_path())?;
    (url.origin() == upstream.url.origin() && path.starts_with('/')).then(|| path.to_owned())
}

/// Whether tokens without `iss` belong to this issuer. It must be the only one: if two issuers share a
/// key, one could issue tokens for the other.
fn when_missing(raw: &RawIssuer, at: &At, many: bool) -> Checked<bool> {
    if !raw.issuer_when_missing {
        return Ok(false);
    }
    let at = at.key("issuer_when_missing");
    at.fault("with several [[issuer]] a token without `iss` could belong to any of them")
        .hint("run one countersign for this issuer alone")
        .when(many)?;
    at.fault("the tenant is read from `iss`, so every token needs one")
        .when(raw.tenants.is_some())?;
    at.fault("`output_issuer` is missing: a verifier needs an `iss`")
        .hint("write the `iss` the verifier is configured with")
        .when(raw.output_issuer.is_none())?;
    Ok(true)
}

/// `bound` is the client that `required_headers` demands.
fn audience(
    raw: &RawIssuer,
    at: &At,
    bound: Option<&str>,
    issuers: &[Issuer],
    source: &Source,
) -> Checked<AudienceRule> {
    let mut rule = AudienceRule { accept: raw.audience.0.clone(), when_missing: None };
    let Some(missing) = &raw.audience_when_missing else { return Ok(rule) };
    let at = at.key("audience_when_missing");
    at.key("clients")
        .fault("a client is empty")
        .when(missing.clients.iter().any(String::is_empty))?;
    at.key("clients")
        .fault("it names no client, and `required_headers` does not require `client`")
        .hint("without one, a token of any client of the issuer would log in to yours")
        .when(missing.clients.is_empty() && bound.is_none())?;
    rule.when_missing = Some(MissingAudience {
        audience: missing.audience.clone(),
        clients: missing.clients.clone(),
        client_sources: client_sources(missing, &at, issuers, source)?,
    });
    Ok(rule)
}

/// What names the client of a token without `azp` and `client_id`. Each is checked as far as possible: an
/// address that does not contain the client's name is an error.
fn client_sources(
    raw: &RawMissingAudience,
    at: &At,
    issuers: &[Issuer],
    source: &Source,
) -> Checked<Vec<ClientSource>> {
    let at = at.key("vouched_by");
    let source_of = |word: &String| match word.as_str() {
        "iss" => {
            let named = |iss: &Issuer| raw.clients.iter().any(|c| names_client(iss.as_str(), c));
            at.fault("no `issuer` has one of the `clients` in its path")
                .hint("`https://api.example.com/apps/CLIENT` names CLIENT")
                .when(!issuers.iter().any(named))?;
            Ok(ClientSource::Issuer)
        }
        "jwks" => {
            let [client] = raw.clients.as_slice() else {
                return Err(at.fault("with \"jwks\", `clients` must have exactly one entry"));
            };
            let address = match source {
                Source::Url(url) => Some(url.as_str()),
                Source::UrlPerKid(template) => Some(template.as_str()),
                // The operator supplies the keys, and states here that they belong to this client only.
                Source::File(_) | Source::Inline(_) | Source::Secrets => None,
            };
            at.fault(format_args!("the address in `jwks` does not name {client}"))
                .hint("else a token of any client of the issuer would log in to yours")
                .when(address.is_some_and(|address| !names_client(address, client)))?;
            Ok(ClientSource::Keys)
        }
        other => Err(at.choice(other, &["iss", "jwks"])),
    };
    raw.vouched_by.0.iter().map(source_of).collect()
}

fn refresh(refresh: &RefreshSettings, at: &At) -> Checked<()> {
    at.key("min_age").fault("it is above `max_age`").when(refresh.min_age > refresh.max_age)?;
    at.key("cooldown")
        .fault("tokens with made-up kids would flood the issuer")
        .when(refresh.cooldown.is_zero())
}

fn fetch(mut fetch: FetchSettings, at: &At, base: &Path) -> Checked<FetchSettings> {
    for (name, value) in &fetch.headers {
        at.key("headers").key(name).header_line(name, value)?;
    }
    fetch.redirects = fetch.redirects.min(10);
    fetch.ca = fetch.ca.map(|path| base.join(path));
    Ok(fetch)
}
