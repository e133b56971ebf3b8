//! An issuer learnt from the upstream's discovery document.

use url::{Host, Url};

use super::super::settings::Config;
use super::issuer::{below, label, path_below};
use super::server::is_private;
use crate::issuer::publisher::COMMON_PATH;
use crate::issuer::{FetchSettings, IssuerSettings, RefreshSettings, Source};
use crate::jose::names::{Issuer, IssuerName};
use crate::jose::policy::IssuerPolicy;
use crate::jose::tenants::IssuerTemplate;
use crate::proxy::settings::UpstreamSettings;
use crate::rewrite::discovery::Discovered;

/// Why a discovery document gives no issuer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveredFault {
    #[error("`issuer` {0}")]
    Issuer(crate::jose::names::NameError),
    #[error(
        "`issuer` is a template, `{0}`, and which tenants may log in is not to be learnt: configure \
         an [[issuer]] with it and `tenants`"
    )]
    Template(Issuer),
    #[error("`jwks_uri` is missing")]
    JwksMissing,
    #[error("`jwks_uri` {0}")]
    Jwks(&'static str),
}

impl DiscoveredFault {
    pub fn code(&self) -> &'static str {
        match self {
            Self::Issuer(_) => "discovery_issuer",
            Self::Template(_) => "discovery_issuer_template",
            Self::JwksMissing => "jwks_uri_missing",
            Self::Jwks(_) => "jwks_uri",
        }
    }
}

/// The issuer the upstream says it is, or, where it has no discovery document (`None`), one whose
/// `iss` is the upstream's address and whose keys are at `/.well-known/jwks.json`.
///
/// The operator named the upstream, so the document is trusted for the issuer's name. Its keys are
/// read from the upstream itself wherever they belong to it: the public name may already lead to
/// this proxy.
///
/// # Errors
/// [`DiscoveredFault`]
pub fn issuer_from_discovery(
    found: Option<&Discovered>,
    upstream: &UpstreamSettings,
    config: &Config,
) -> Result<IssuerSettings, DiscoveredFault> {
    let (issuers, source) = match found {
        Some(found) => {
            let issuer = Issuer::parse(&found.issuer).map_err(DiscoveredFault::Issuer)?;
            if IssuerTemplate::is_meant(&found.issuer) {
                return Err(DiscoveredFault::Template(issuer));
            }
            let uri = found.jwks_uri.as_deref().ok_or(DiscoveredFault::JwksMissing)?;
            let url = jwks_url(uri, &found.issuer, upstream, config)?;
            (vec![issuer], url)
        }
        None => (spellings(&upstream.url)?, below(upstream, COMMON_PATH)),
    };
    let name = issuers.first().and_then(|issuer| label(issuer.as_str()));
    let name = match name {
        Some(name) => name,
        None => IssuerName::parse("issuer").map_err(DiscoveredFault::Issuer)?,
    };
    let mut policy = IssuerPolicy::new(name, issuers);
    policy.output_issuer.clone_from(&config.discovery.issuer);
    Ok(IssuerSettings {
        policy,
        jwks_paths: path_below(&source, upstream).into_iter().collect(),
        source: Source::Url(source),
        refresh: RefreshSettings::default(),
        fetch: FetchSettings { ca: upstream.tls.ca.clone(), ..FetchSettings::default() },
        limits: config.bridge.limits,
    })
}

/// Without and with a trailing slash: issuers disagree, and there is nobody to ask.
fn spellings(url: &Url) -> Result<Vec<Issuer>, DiscoveredFault> {
    let plain = url.as_str().trim_end_matches('/');
    [plain.to_owned(), format!("{plain}/")]
        .iter()
        .map(|text| Issuer::parse(text).map_err(DiscoveredFault::Issuer))
        .collect()
}

/// Where the keys are fetched. An address of the issuer's, the upstream's or this proxy's own origin
/// is read at the upstream; another host must be a public `https:` one, as a document must not send
/// us to addresses inside the operator's network.
fn jwks_url(
    uri: &str,
    issuer: &str,
    upstream: &UpstreamSettings,
    config: &Config,
) -> Result<Url, DiscoveredFault> {
    let refuse = |why| Err(DiscoveredFault::Jwks(why));
    let Ok(url) = Url::parse(uri) else {
        return refuse("is not an absolute URL");
    };
    if !matches!(url.scheme(), "http" | "https") {
        return refuse("is neither `http:` nor `https:`");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("carries a user name or password");
    }
    let issuer = Url::parse(issuer).ok();
    let public = config.server.public_url.as_ref();
    if url.origin() == upstream.url.origin() {
        return Ok(url);
    }
    let of = |base: Option<&Url>| base.is_some_and(|base| base.origin() == url.origin());
    if of(issuer.as_ref()) || of(public) {
        // The upstream may be the issuer's path (`https://host/oidc` at `http://localhost:3001/oidc`
        // or `http://localhost:3001`): its base path is not added a second time.
        let base = upstream.base_path();
        let path = match url.path().strip_prefix(base) {
            Some(rest) if rest.starts_with('/') => rest,
            _ => url.path(),
        };
        let query = url.query().map(|query| format!("{path}?{query}"));
        return Ok(below(upstream, query.as_deref().unwrap_or(path)));
    }
    if url.scheme() == "http" {
        return refuse("is plain `http:` on another host");
    }
    let private = match url.host() {
        Some(Host::Ipv4(ip)) => is_private(ip.into()),
        Some(Host::Ipv6(ip)) => is_private(ip.into()),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => true,
    };
    if private {
        return refuse("is a private address on another host");
    }
    Ok(url)
}
