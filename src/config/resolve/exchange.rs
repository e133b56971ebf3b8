//! `[exchange]`.

use std::path::Path;
use std::time::Duration;

use super::super::error::Checked;
use super::super::raw::{ClientAuth, RawExchange, RawIntrospection};
use super::place::At;
use super::secret;
use crate::issuer::IssuerSettings;
use crate::proxy::settings::{Cors, ExchangeSettings, IntrospectionSettings, SessionSettings};

pub(super) fn resolve(
    raw: RawExchange,
    base: &Path,
    issuers: &[IssuerSettings],
) -> Checked<ExchangeSettings> {
    let at = At::root("exchange");
    let RawExchange { enabled, cors_origins: cors, introspection, session } = raw;
    let introspection = introspection.into_iter().enumerate();
    let introspection = introspection
        .map(|(i, raw)| one_introspection(raw, &at.key("introspection").index(i), base, issuers))
        .collect::<Checked<Vec<_>>>()?;
    if let Some(session) = &session {
        check_session(session, &at.key("session"), issuers)?;
    }
    let takes_cookies = session.as_ref().is_some_and(|session| !session.cookies.is_empty());
    at.key("cors_origins")
        .fault("`*` with session cookies would give any page its visitor's token")
        .hint("list the origins of your own pages")
        .when(cors == Cors::Any && takes_cookies)?;
    Ok(ExchangeSettings { enabled: enabled.unwrap_or(true), cors, introspection, session })
}

fn one_introspection(
    raw: RawIntrospection,
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
    let file = raw.client_secret_file.as_deref();
    let client_secret =
        secret::text_or_file(at, "client_secret", raw.client_secret, file, base)?
            .ok_or_else(|| at.fault("`client_secret` is missing").hint("use `${VAR}` or a file"))?;
    check_lifetime(at, raw.lifetime)?;
    Ok(IntrospectionSettings {
        issuer: issuer.name().clone(),
        url: raw.url.0,
        client_id: raw.client_id,
        client_secret,
        credentials_in_body: raw.auth == ClientAuth::Body,
        audience: raw.audience,
        lifetime: raw.lifetime,
    })
}

fn check_session(session: &SessionSettings, at: &At, issuers: &[IssuerSettings]) -> Checked<()> {
    let issuer = &session.issuer;
    let tenant = |other: &&IssuerSettings| {
        let mut templates = other.policy.tenants.iter().flat_map(|tenants| &tenants.templates);
        templates.any(|template| template.tenant(issuer.as_str()).is_some())
    };
    if let Some(other) = issuers.iter().find(tenant) {
        return Err(at.key("issuer").fault(format_args!("it is a tenant of {}", other.name())));
    }
    let same = issuers.iter().find(|other| other.policy.issuers.contains(issuer));
    // The claims of a session do not come from that issuer's tokens.
    if let Some(other) = same.filter(|_| issuers.len() > 1) {
        return Err(at
            .key("issuer")
            .fault(format_args!("it is the `iss` of the issuer {}", other.name()))
            .hint("with several issuers give sessions an `iss` of their own"));
    }
    for (claim, path) in &session.claims {
        let at = at.key("claims").key(claim);
        at.fault("it is set by the proxy, not by the answer")
            .when(["iss", "aud", "exp", "iat", "nbf"].contains(&claim.as_str()))?;
        at.fault("a claim has one value, and this path names several")
            .hint("write members alone, `user.id`; a dot in a name is `\\.`")
            .when(!path.is_single())?;
    }
    at.key("claims")
        .fault("`sub` is missing: the claim that names the user")
        .when(!session.claims.contains_key("sub"))?;
    at.key("cookies").not_empty(&session.cookies)?;
    at.fault("neither cookies nor a bearer are passed on")
        .when(session.cookies.is_empty() && !session.bearer)?;
    check_lifetime(at, session.lifetime)
}

fn check_lifetime(at: &At, lifetime: Duration) -> Checked<()> {
    at.between("lifetime", lifetime.as_secs() as usize, 1, 30 * 86_400)
}
