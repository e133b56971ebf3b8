//! Parses the raw configuration into checked types, so that later code need not check again.

mod claims;
pub(super) mod discovered;
mod exchange;
mod headers;
mod issuer;
mod jwks;
mod otel;
mod place;
mod public_url;
mod secret;
mod server;
mod signing;
mod tenants;
mod tokens;
pub(super) mod upstream;
mod verifier;

use std::path::Path;

use super::error::Checked;
use super::overrides::RunOverrides;
use super::raw::{RawConfig, RawDiscovery};
use super::settings::Config;
use crate::env::{Env, default_data_dir};
use crate::jose::names::Limits;
use crate::proxy::settings::DiscoverySettings;
use place::At;

/// The whole configuration. Relative paths start at `base`, the folder of the file.
pub(super) fn config(
    mut raw: RawConfig,
    overrides: &RunOverrides,
    base: &Path,
    env: &impl Env,
) -> Checked<Config> {
    let data_dir = match (overrides.data_dir(), &raw.data_dir) {
        (Some(dir), _) => dir.to_owned(),
        (None, Some(dir)) => base.join(dir),
        (None, None) => default_data_dir(env),
    };
    limits(&raw.limits)?;
    let mut upstream =
        raw.upstream.map(|upstream| upstream::resolve(upstream, base)).transpose()?;
    let mut server = server::resolve(raw.server, overrides.threads, base)?;
    let mut issuers = issuer::all(raw.issuer, base, upstream.as_ref(), &raw.limits)?;
    public_url::check_paths(server.public_url.as_ref(), &issuers)?;
    if let Some(upstream) = &mut upstream {
        server::not_ourselves(&upstream.url, &server)?;
        let public = server.public_url.as_ref();
        upstream::default_host(upstream, public);
        upstream::fetch_like_clients(&mut issuers, upstream, public);
    }
    At::root("upstream")
        .fault("neither an upstream nor an [[issuer]] is configured")
        .hint("`countersign run --upstream https://auth.example.com` is enough to start")
        .when(upstream.is_none() && issuers.is_empty())?;
    server.exchange = exchange::resolve(raw.exchange, base, &issuers)?;
    tokens::check(&mut raw.tokens)?;
    let at = At::root("bridge");
    at.between("threads", raw.bridge.threads(), 1, 1024)?;
    at.between("queue", raw.bridge.queue, 1, 1_000_000)?;
    Ok(Config {
        admin: raw.admin,
        profile: verifier::resolve(&raw.profile)?,
        keyring: signing::resolve(raw.signing, base, &data_dir, server.max_age, env)?,
        discover: issuers.is_empty(),
        tokens: raw.tokens,
        discovery: discovery(raw.discovery, &issuers, server.public_url.is_some())?,
        bridge: crate::bridge::BridgeSettings { limits: raw.limits, ..raw.bridge },
        log: raw.log,
        otel: otel::resolve(raw.otel, base, env)?,
        server,
        upstream,
        issuers,
        data_dir,
    })
}

fn limits(limits: &Limits) -> Checked<()> {
    let at = At::root("limits");
    at.between("keys", limits.keys, 1, 10_000)?;
    at.between("depth", limits.depth, 4, 128)?;
    at.between("token", limits.token, 512, 1024 * 1024)?;
    at.between("document", limits.document, 1024, 64 * 1024 * 1024)?;
    at.between("signature_checks", limits.signature_checks as usize, 1, 64)
}

fn discovery(
    mut raw: RawDiscovery,
    issuers: &[crate::issuer::IssuerSettings],
    has_public_url: bool,
) -> Checked<DiscoverySettings> {
    let at = At::root("discovery");
    let endpoints = raw.endpoints.unwrap_or(has_public_url);
    at.key("endpoints")
        .fault("endpoints are rewritten to `server.public_url`, which is not set")
        .hint(
            "write `public_url = \"https://login.example.com\"` in [server], with the address that \
                 clients use for this proxy (or --public-url, COUNTERSIGN_PUBLIC_URL); or leave \
                 `endpoints` out",
        )
        .when(endpoints && !has_public_url)?;
    if let [only] = issuers {
        let output = &only.policy.output_issuer;
        at.key("issuer")
            .fault("a verifier compares it with `iss`, and they would differ")
            .hint("set the same `output_issuer` in [[issuer]]")
            .when(raw.issuer.is_some() && raw.issuer != *output)?;
        raw.issuer.clone_from(output);
    }
    Ok(DiscoverySettings { issuer: raw.issuer, endpoints })
}
