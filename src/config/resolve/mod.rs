//! From the raw configuration to checked types: parsing, not checking afterwards.

mod claims;
pub(super) mod discovered;
mod exchange;
mod headers;
mod issuer;
mod otel;
mod place;
mod secret;
mod seen;
mod server;
mod signing;
mod tenants;
mod tokens;
mod upstream;
mod verifier;

use std::net::SocketAddr;
use std::path::Path;

use super::AdminSettings;
use super::env::{Env, default_data_dir};
use super::error::{Checked, Fault};
use super::overrides::RunOverrides;
use super::raw::RawConfig;
use super::settings::{BridgeSettings, Config, DiscoverySettings, LogSettings};
use crate::jose::names::{Issuer, Limits};
use crate::log;
use place::{At, Given};

/// What every part of the configuration is resolved against.
struct Context<'a> {
    overrides: &'a RunOverrides,
    /// Relative paths start here: the folder of the file.
    base: &'a Path,
    cores: usize,
}

/// The whole configuration.
pub(super) fn config(
    raw: &RawConfig,
    overrides: &RunOverrides,
    base: &Path,
    env: &impl Env,
) -> Checked<Config> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let context = Context { overrides, base, cores };
    let data_dir = match (&overrides.data_dir, &raw.data_dir) {
        (Some(dir), _) => dir.clone(),
        (None, Some(dir)) => base.join(dir),
        (None, None) => default_data_dir(env),
    };
    let limits = limits(raw)?;
    let upstream = upstream::resolve(raw, &context)?;
    let server = server::resolve(raw, &context, env)?;
    if let Some(upstream) = &upstream {
        server::not_ourselves(&upstream.url, &server, &context)?;
    }
    let issuers = issuer::all(raw, &context, upstream.as_ref(), &limits)?;
    if upstream.is_none() && issuers.is_empty() {
        return Err(Fault::new("upstream", "neither an upstream nor an [[issuer]] is configured")
            .hint("`countersign run --upstream https://auth.example.com` is enough to start"));
    }
    let discovery = discovery(raw, &issuers, server.public_url.is_some())?;
    let exchange = exchange::resolve(raw, &context, &issuers)?;
    let keyring = signing::resolve(raw, &context, &data_dir, server.max_age, env)?;
    Ok(Config {
        admin: admin(raw, &context)?,
        profile: verifier::resolve(raw, &context)?,
        keyring,
        discover: issuers.is_empty(),
        tokens: tokens::all(raw)?,
        discovery,
        bridge: bridge(raw, &context, limits)?,
        log: logging(raw, &context)?,
        otel: otel::resolve(&raw.otel, base, env)?,
        server: super::ServerSettings { exchange, ..server },
        upstream,
        issuers,
        data_dir,
    })
}

fn admin(raw: &RawConfig, context: &Context<'_>) -> Checked<AdminSettings> {
    let at = At::root("admin").key("listen");
    let given = Given::of(&context.overrides.admin, "--admin", &raw.admin.listen, &at);
    let listen = match given.text() {
        None => Some(SocketAddr::from(([127, 0, 0, 1], 9090)).into()),
        Some("off") => None,
        Some(text) => {
            let hint = "`off` turns the admin listener off";
            Some(text.parse().map_err(|why: String| given.fault(why).hint(hint))?)
        }
    };
    let hosts = raw.admin.hosts.as_ref().map(|many| many.0.clone()).unwrap_or_default();
    Ok(AdminSettings { listen, hosts })
}

fn limits(raw: &RawConfig) -> Checked<Limits> {
    let at = At::root("limits");
    let raw = &raw.limits;
    let default = Limits::default();
    let limits = Limits {
        document: at.size("document", raw.document.as_deref())?.unwrap_or(default.document),
        keys: raw.keys.unwrap_or(default.keys),
        depth: raw.depth.unwrap_or(default.depth),
        token: at.size("token", raw.token.as_deref())?.unwrap_or(default.token),
        signature_checks: raw.signature_checks.unwrap_or(default.signature_checks),
    };
    at.between("keys", limits.keys, 1, 10_000)?;
    at.between("depth", limits.depth, 4, 128)?;
    at.between("token", limits.token, 512, 1024 * 1024)?;
    at.between("document", limits.document, 1024, 64 * 1024 * 1024)?;
    at.between("signature_checks", limits.signature_checks as usize, 1, 64)?;
    Ok(limits)
}

fn bridge(raw: &RawConfig, context: &Context<'_>, limits: Limits) -> Checked<BridgeSettings> {
    let at = At::root("bridge");
    let default = BridgeSettings::for_cores(context.cores);
    let raw = &raw.bridge;
    let cache = at.size("cache", raw.cache.as_deref())?.map(|bytes| bytes as u64);
    let threads = raw.threads.unwrap_or(default.threads);
    let queue = raw.queue.unwrap_or(default.queue);
    at.between("threads", threads, 1, 1024)?;
    at.between("queue", queue, 1, 1_000_000)?;
    Ok(BridgeSettings { cache_bytes: cache.unwrap_or(default.cache_bytes), threads, queue, limits })
}

fn logging(raw: &RawConfig, context: &Context<'_>) -> Checked<LogSettings> {
    let at = At::root("log");
    let format_at = at.key("format");
    let given =
        Given::of(&context.overrides.log_format, "--log-format", &raw.log.format, &format_at);
    let format = match given.text() {
        None | Some("text") => log::Format::Text,
        Some("json") => log::Format::Json,
        Some(other) => return Err(given.choice(other, &["text", "json"])),
    };
    let level_at = at.key("level");
    let given = Given::of(&context.overrides.log, "--log", &raw.log.level, &level_at);
    let filter = match given.text() {
        None => log::Filter::default(),
        Some(text) => text.parse().map_err(|error| given.fault(error))?,
    };
    Ok(LogSettings { format, filter })
}

fn discovery(
    raw: &RawConfig,
    issuers: &[crate::issuer::IssuerSettings],
    has_public_url: bool,
) -> Checked<DiscoverySettings> {
    let at = At::root("discovery");
    let endpoints = raw.discovery.endpoints.unwrap_or(has_public_url);
    if endpoints && !has_public_url {
        return Err(at
            .key("endpoints")
            .fault("endpoints are rewritten to `server.public_url`, which is not set"));
    }
    let mut issuer = match &raw.discovery.issuer {
        Some(text) => Some(Issuer::parse(text).map_err(|why| at.key("issuer").fault(why))?),
        None => None,
    };
    if let [only] = issuers {
        let output = &only.policy.output_issuer;
        match (&issuer, output) {
            (None, Some(output)) => issuer = Some(output.clone()),
            (Some(discovery), output) if Some(discovery) != output.as_ref() => {
                return Err(at
                    .key("issuer")
                    .fault("a verifier compares it with `iss`, and they would differ")
                    .hint("set the same `output_issuer` in [[issuer]]"));
            }
            _ => {}
        }
    }
    Ok(DiscoverySettings { issuer, endpoints })
}
