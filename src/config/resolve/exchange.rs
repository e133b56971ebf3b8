//! `[exchange]`.

use std::path::Path;
use std::time::Duration;

use url::Url;

use super::super::error::Checked;
use super::super::raw::{ClientAuth, RawExchange, RawIntrospection, RawSession};
use super::place::At;
use super::{secret, tokens};
use crate::issuer::IssuerSettings;
use crate::jose::names::{Audience, Issuer};
use crate::proxy::settings::{Cors, ExchangeSettings, IntrospectionSettings, SessionSettings};
use crate::rewrite::JsonPath;
use crate::setting::{self, OneOrMany, Secret};

const LIFETIME: Duration = Duration::from_secs(300);

pub(super) fn resolve(
    raw: &RawExchange,
    base: &Path,
    issuers: &[IssuerSettings],
) -> Checked<ExchangeSettings> {
    let at = At::root("exchange");
    let cors = cors(&at.key("cors_origins"), raw.cors_origins.as_ref())?;
    let introspection = raw.introspection.iter().enumerate();
    let introspection = introspection
        .map(|(i, raw)| one_introspection(raw, &at.key("introspection").index(i), base, issuers))
        .collect::<Checked<Vec<_>>>()?;
    let session = raw.session.as_ref().map(|raw| session(raw, &at.key("session"), issuers));
    let session = session.transpose()?;
    let takes_cookies = session.as_ref().is_some_and(|session| !session.cookies.is_empty());
    if cors == Cors::Any && takes_cookies {
        // Otherwise any page could get a token for the user who visits it.
        return Err(at
            .key("cors_origins")
            .fault("`*` with session cookies would give any page its visitor's token")
            .hint("list the origins of your own pages"));
    }
    Ok(ExchangeSettings { enabled: raw.enabled.unwrap_or(true), cors, introspection, session })
}

fn cors(at: &At, raw: Option<&OneOrMany>) -> Checked<Cors> {
    let Some(OneOrMany(origins)) = raw else { return Ok(Cors::Off) };
    match origins.as_slice() {
        [] => return Ok(Cors::Off),
        [any] if any == "*" => return Ok(Cors::Any),
        _ => {}
    }
    for origin in origins {
        let is_origin = Url::parse(origin).is_ok_and(|url| {
            url.origin().is_tuple() && url.origin().ascii_serialization() == *origin
        });
        if !is_origin {
            return Err(at
                .fault(format_args!("invalid origin `{origin}`"))
                .hint("write scheme, host and port alone: `https://app.example.com`"));
        }
    }
    Ok(Cors::Origins(origins.clone()))
}

fn one_introspection(
    raw: &RawIntrospection,
    at: &At,
    base: &Path,
    issuers: &[IssuerSettings],
) -> Checked<IntrospectionSettings> {
    let known = |name: &str| issuers.iter().find(|issuer| issuer.name().as_str() == name);
    let issuer = match (raw.issuer.as_deref(), issuers) {
        (Some(name), _) => known(name).ok_or_else(|| {
            let names: Vec<&str> = issuers.iter().map(|i| i.name().as_str()).collect();
            at.key("issuer").choice(name, &names)
        })?,
        (None, [only]) => only,
        (None, _) => {
            return Err(at
                .key("issuer")
                .fault("it must name an [[issuer]], whose rules the answer's claims are held to"));
        }
    };
    let client_secret = secret::optional(
        at,
        ("client_secret", raw.client_secret.as_deref()),
        ("client_secret_file", raw.client_secret_file.as_deref()),
        base,
    )?
    .ok_or_else(|| at.fault("`client_secret` is missing").hint("use `${VAR}` or a file"))?;
    let audience = raw.audience.as_deref();
    let audience = audience.map(|text| at.key("audience").name(text, Audience::parse));
    Ok(IntrospectionSettings {
        issuer: issuer.name().clone(),
        url: raw.url.0.clone(),
        client_id: raw.client_id.clone(),
        client_secret: Secret::new(client_secret.to_string()),
        credentials_in_body: raw.auth == Some(ClientAuth::Body),
        audience: audience.transpose()?,
        lifetime: lifetime(at, raw.lifetime.as_ref())?,
    })
}

fn session(raw: &RawSession, at: &At, issuers: &[IssuerSettings]) -> Checked<SessionSettings> {
    let issuer = at.key("issuer").name(&raw.issuer, Issuer::parse)?;
    let tenant = |other: &&IssuerSettings| {
        let mut templates = other.policy.tenants.iter().flat_map(|tenants| &tenants.templates);
        templates.any(|template| template.tenant(issuer.as_str()).is_some())
    };
    if let Some(taken) = issuers.iter().find(tenant) {
        return Err(at.key("issuer").fault(format_args!("it is a tenant of {}", taken.name())));
    }
    let taken = issuers.iter().find(|other| other.policy.issuers.contains(&issuer));
    if let Some(taken) = taken
        && issuers.len() > 1
    {
        // The claims of a session do not come from that issuer's tokens.
        return Err(at
            .key("issuer")
            .fault(format_args!("it is the `iss` of the issuer {}", taken.name()))
            .hint("with several issuers give sessions an `iss` of their own"));
    }
    let mut claims = Vec::new();
    for (claim, path) in &raw.claims {
        let at = at.key("claims").key(claim);
        if ["iss", "aud", "exp", "iat", "nbf"].contains(&claim.as_str()) {
            return Err(at.fault("it is set by the proxy, not by the answer"));
        }
        let path = at.name(path, JsonPath::parse)?;
        if !path.is_single() {
            return Err(at
                .fault("a claim has one value, and this path names several")
                .hint("write members alone, `user.id`; a dot in a name is `\\.`"));
        }
        claims.push((claim.clone(), path));
    }
    if !claims.iter().any(|(claim, _)| claim == "sub") {
        return Err(at.key("claims").fault("`sub` is missing: the claim that names the user"));
    }
    let cookies = tokens::names(&at.key("cookies"), raw.cookies.as_ref())?;
    let bearer = raw.bearer.unwrap_or(true);
    if cookies.is_empty() && !bearer {
        return Err(at.fault("neither cookies nor a bearer are passed on"));
    }
    Ok(SessionSettings {
        url: raw.url.0.clone(),
        cookies,
        bearer,
        issuer,
        audience: at.key("audience").name(&raw.audience, Audience::parse)?,
        lifetime: lifetime(at, raw.lifetime.as_ref())?,
        claims,
    })
}

fn lifetime(at: &At, given: Option<&setting::Duration>) -> Checked<Duration> {
    let lifetime = given.map_or(LIFETIME, |given| given.0);
    at.between("lifetime", lifetime.as_secs() as usize, 1, 30 * 86_400)?;
    Ok(lifetime)
}
