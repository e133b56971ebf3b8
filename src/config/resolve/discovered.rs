//! The issuer, learnt from the upstream's discovery document.

use url::Url;

use super::super::settings::Config;
use super::issuer::{label, path_below};
use super::jwks::below;
use super::upstream::forwarded;
use crate::issuer::discovery::Belief;
use crate::issuer::publisher::COMMON_PATH;
use crate::issuer::{FetchSettings, IssuerSettings, RefreshSettings, Source, forwarded as served};
use crate::jose::names::{Issuer, IssuerName};
use crate::jose::policy::IssuerPolicy;
use crate::jose::tenants::IssuerTemplate;
use crate::net::Class;
use crate::proxy::settings::UpstreamSettings;
use crate::rewrite::discovery::Discovered;

/// Why no issuer can be learnt from a discovery document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveredFault {
    #[error("`issuer` {0}")]
    Issuer(crate::jose::names::NameError),
    #[error(
        "`issuer` is a template, `{0}`, and which tenants may log in cannot be learnt: configure an \
         [[issuer]] with it and `tenants`"
    )]
    Template(Issuer),
    #[error(
        "`issuer` is `{issuer}`, which is neither at the upstream's origin, {upstream}, nor at \
         `public_url`'s; if that is right, configure an [[issuer]] with it"
    )]
    Elsewhere { issuer: Issuer, upstream: String },
    #[error("`jwks_uri` is missing")]
    JwksMissing,
    #[error("`jwks_uri` {0}")]
    Jwks(&'static str),
    #[error(
        "`jwks_uri` is plain `http:` on another host, {0}, where keys can be replaced on the way; if \
         that is right, configure an [[issuer]] whose `jwks` is that address"
    )]
    JwksPlain(String),
}

impl DiscoveredFault {
    pub fn code(&self) -> &'static str {
        match self {
            Self::Issuer(_) => "discovery_issuer",
            Self::Template(_) => "discovery_issuer_template",
            Self::Elsewhere { .. } => "discovery_issuer_elsewhere",
            Self::JwksMissing => "jwks_uri_missing",
            Self::Jwks(_) | Self::JwksPlain(_) => "jwks_uri",
        }
    }
}

/// A learnt issuer, and why its document is believed.
#[derive(Debug, Clone)]
pub struct Learnt {
    pub issuer: IssuerSettings,
    pub belief: Belief,
}

/// The issuer that the upstream's discovery document names. Without a document (`None`): one whose `iss`
/// is the upstream's address and whose keys are at `/.well-known/jwks.json`.
///
/// `private`: the upstream's name resolves to private addresses alone. Keys that belong to the upstream
/// are always read from the upstream itself: the public name may already lead to this proxy.
///
/// # Errors
/// [`DiscoveredFault`]
pub fn issuer_from_discovery(
    found: Option<&Discovered>,
    upstream: &UpstreamSettings,
    config: &Config,
    private: bool,
) -> Result<Learnt, DiscoveredFault> {
    let (issuers, source, belief) = match found {
        Some(found) => {
            let issuer = Issuer::parse(&found.issuer).map_err(DiscoveredFault::Issuer)?;
            if IssuerTemplate::looks_like_template(&found.issuer) {
                return Err(DiscoveredFault::Template(issuer));
            }
            let belief = belief(&issuer, upstream, config, private)?;
            let uri = found.jwks_uri.as_deref().ok_or(DiscoveredFault::JwksMissing)?;
            let url = jwks_url(uri, &found.issuer, upstream, config)?;
            let inside = private || is_inside(upstream);
            let other = access_token_issuer(found, &issuer, inside);
            (std::iter::once(issuer).chain(other).collect(), url, belief)
        }
        None => (spellings(&upstream.url)?, below(upstream, COMMON_PATH), Belief::Guess),
    };
    let name = issuers.first().and_then(|issuer| label(issuer.as_str()));
    let name = name.map_or_else(|| IssuerName::parse("issuer"), Ok);
    let name = name.map_err(DiscoveredFault::Issuer)?;
    let mut policy = IssuerPolicy::new(name, issuers);
    policy.output_issuer.clone_from(&config.discovery.issuer);
    let issuer = IssuerSettings {
        policy,
        jwks_paths: path_below(&source, upstream).into_iter().collect(),
        fetch: fetch_settings(&source, upstream, config),
        source: Source::Url(source),
        refresh: RefreshSettings::default(),
        limits: config.bridge.limits,
    };
    Ok(Learnt { issuer, belief })
}

/// The settings for fetching `url` where a document, not the configuration, may have named it. A server
/// other than the upstream is dialled at public addresses alone, even if it is only another port of the same
/// host: a document must not send us to addresses inside the operator's network.
pub fn fetch_settings(url: &Url, upstream: &UpstreamSettings, config: &Config) -> FetchSettings {
    let public = config.server.public_url.as_ref();
    let at_upstream = url.origin() == upstream.url.origin();
    FetchSettings {
        inside: at_upstream,
        ca: upstream.tls.ca.clone(),
        forwarded: at_upstream.then(|| forwarded(upstream, public)),
        ..FetchSettings::default()
    }
}

/// Why the document may name `issuer` as its own (RFC 8414 §3.3). Without this check a server that was
/// taken over could sign in the name of any other issuer.
fn belief(
    issuer: &Issuer,
    upstream: &UpstreamSettings,
    config: &Config,
    private: bool,
) -> Result<Belief, DiscoveredFault> {
    let url = Url::parse(issuer.as_str()).ok();
    let same = |base: &Url| {
        url.as_ref().is_some_and(|url| {
            // The upstream may listen on another port behind its own TLS proxy on 443.
            let fronted = url.scheme() == "https" && url.port().is_none();
            url.origin() == base.origin() || (fronted && url.host() == base.host())
        })
    };
    if same(&upstream.url) {
        return Ok(Belief::Upstream);
    }
    if config.server.public_url.as_ref().is_some_and(same) {
        return Ok(Belief::PublicUrl);
    }
    if private || is_inside(upstream) {
        return Ok(Belief::PrivateUpstream);
    }
    let upstream = upstream.url.origin().ascii_serialization();
    Err(DiscoveredFault::Elsewhere { issuer: issuer.clone(), upstream })
}

fn is_inside(upstream: &UpstreamSettings) -> bool {
    Class::of_url(&upstream.url).is_some_and(Class::is_inside)
}

/// The `iss` of the issuer's access tokens, if it is another name (AD FS). A document that is believed
/// because of its host may name another issuer on that host alone.
fn access_token_issuer(found: &Discovered, issuer: &Issuer, inside: bool) -> Option<Issuer> {
    let other = Issuer::parse(found.access_token_issuer.as_deref()?).ok()?;
    let url = |issuer: &Issuer| Url::parse(issuer.as_str()).ok();
    let same_host = url(&other).zip(url(issuer)).is_some_and(|(other, own)| {
        other.has_host() && (other.host(), other.port()) == (own.host(), own.port())
    });
    let believed = same_host || inside;
    (believed && other != *issuer && !IssuerTemplate::looks_like_template(other.as_str()))
        .then_some(other)
}

/// The URL without and with a trailing slash: issuers differ, and there is no document that says which.
fn spellings(url: &Url) -> Result<Vec<Issuer>, DiscoveredFault> {
    let plain = url.as_str().trim_end_matches('/');
    [plain.to_owned(), format!("{plain}/")]
        .iter()
        .map(|text| Issuer::parse(text).map_err(DiscoveredFault::Issuer))
        .collect()
}

/// Where the keys are fetched. An address at the origin of the issuer, of the upstream or of this proxy is
/// read at the upstream. So is a plain `http:` address on their hosts: a server that does not know of the
/// TLS in front of it writes that. Any other host is asked by `https:` alone.
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
    if url.origin() == upstream.url.origin() {
        return Ok(url);
    }
    let issuer = Url::parse(issuer).ok();
    let plain = url.scheme() == "http";
    let of = |base: Option<&Url>| {
        base.is_some_and(|base| {
            base.origin() == url.origin() || (plain && base.has_host() && base.host() == url.host())
        })
    };
    if of(issuer.as_ref()) || of(config.server.public_url.as_ref()) {
        return Ok(served::below(&upstream.url, &url));
    }
    if plain {
        return Err(DiscoveredFault::JwksPlain(url.host_str().unwrap_or_default().to_owned()));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{RunOverrides, load_text};
    use crate::env::NoEnv;

    /// What a document at `upstream` leads to: why it is believed, where the keys are read, and whether
    /// that fetch may dial private addresses.
    fn learnt(
        upstream: &str,
        public: Option<&str>,
        issuer: &str,
        jwks: &str,
        private: bool,
    ) -> Result<(Belief, String, bool), &'static str> {
        let overrides = RunOverrides {
            upstream: Some(upstream.to_owned()),
            public_url: public.map(str::to_owned),
            ..RunOverrides::default()
        };
        let config = load_text("", None, &overrides, &NoEnv).unwrap();
        let found = Discovered {
            issuer: issuer.to_owned(),
            jwks_uri: Some(jwks.to_owned()),
            ..Discovered::default()
        };
        let upstream = config.upstream.clone().unwrap();
        let learnt = issuer_from_discovery(Some(&found), &upstream, &config, private);
        let learnt = learnt.map_err(|fault| fault.code())?;
        let Source::Url(url) = learnt.issuer.source else { return Err("no URL") };
        Ok((learnt.belief, url.to_string(), learnt.issuer.fetch.inside))
    }

    const HOSTED: &str = "https://auth.example.com";

    #[test]
    fn a_document_may_not_name_somebody_else_as_the_issuer() {
        let google = "https://accounts.google.com";
        let own = "https://auth.example.com/keys";
        let belief = |upstream, public, issuer, private| {
            learnt(upstream, public, issuer, own, private).map(|(belief, ..)| belief)
        };
        let elsewhere = Err("discovery_issuer_elsewhere");
        assert_eq!(
            belief(HOSTED, None, "https://auth.example.com/oidc", false),
            Ok(Belief::Upstream)
        );
        assert_eq!(belief(HOSTED, None, google, false), elsewhere);
        assert_eq!(belief(HOSTED, Some("https://login.example.com"), google, false), elsewhere);
        for near in [
            "https://auth.example.com.evil.example",
            "https://auth.example.com:8443",
            "http://auth.example.com",
            "https://login.example.com:1",
            "auth.example.com",
            "urn:issuer",
        ] {
            let public = Some("https://login.example.com");
            assert_eq!(belief(HOSTED, public, near, false), elsewhere, "{near}");
        }
        let public = Some("https://login.example.com/app");
        assert_eq!(
            belief(HOSTED, public, "https://login.example.com/oidc", false),
            Ok(Belief::PublicUrl)
        );
        // What only the operator reaches may go by any name.
        for inside in ["http://127.0.0.1:3000", "http://keycloak:8080", "http://10.1.2.3"] {
            assert_eq!(
                belief(inside, public, google, false),
                Ok(Belief::PrivateUpstream),
                "{inside}"
            );
        }
        let named = "http://keycloak.corp-network.example:8080";
        assert_eq!(belief(named, public, google, false), elsewhere);
        assert_eq!(belief(named, public, google, true), Ok(Belief::PrivateUpstream));
        // The upstream's port is behind the TLS of the same host.
        let fronted = "https://keycloak.corp-network.example/realms/a";
        assert_eq!(belief(named, None, fronted, false), Ok(Belief::Upstream));
    }

    #[test]
    fn a_document_names_the_issuer_of_its_access_tokens() {
        let named = |upstream: &str, other: &str| {
            let text = format!("{upstream}/adfs");
            let found = Discovered {
                issuer: text.clone(),
                access_token_issuer: Some(other.to_owned()),
                jwks_uri: Some(format!("{text}/keys")),
                ..Discovered::default()
            };
            let overrides =
                RunOverrides { upstream: Some(upstream.to_owned()), ..RunOverrides::default() };
            let config = load_text("", None, &overrides, &NoEnv).unwrap();
            let upstream = config.upstream.clone().unwrap();
            let learnt = issuer_from_discovery(Some(&found), &upstream, &config, false).unwrap();
            let issuers = learnt.issuer.policy.issuers;
            assert_eq!(issuers[0].as_str(), text);
            issuers[1..].iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let trust = "http://auth.example.com/adfs/services/trust";
        assert_eq!(named(HOSTED, trust), [trust]);
        for refused in [
            "https://auth.example.com/adfs",
            "https://accounts.google.com",
            "https://auth.example.com.evil.example",
            "https://auth.example.com:8443/realms/other",
            "https://auth.example.com/{tenantid}/",
            "urn:trust",
            "",
        ] {
            assert_eq!(named(HOSTED, refused), [""; 0], "{refused}");
        }
        // What only the operator reaches may go by any name.
        assert_eq!(named("http://10.1.2.3", trust), [trust]);
    }

    #[test]
    fn keys_are_read_at_the_upstream_or_at_a_public_address() {
        let local = "http://127.0.0.1:3001/oidc";
        let public = Some("https://login.example.com");
        let iss = "https://login.example.com/oidc";
        let keys = |jwks: &str| {
            learnt(local, public, iss, jwks, false).map(|(_, at, inside)| (at, inside))
        };
        let at_upstream = |path: &str| Ok((format!("http://127.0.0.1:3001/oidc{path}"), true));
        assert_eq!(keys("https://login.example.com/oidc/jwks?x"), at_upstream("/jwks?x"));
        assert_eq!(keys("https://login.example.com/jwks"), at_upstream("/jwks"));
        // The server writes `http:`, since it does not know of the TLS in front of it.
        assert_eq!(keys("http://login.example.com/oidc/jwks"), at_upstream("/jwks"));
        assert_eq!(keys("http://login.example.com:8080/oidc/jwks"), at_upstream("/jwks"));
        assert_eq!(
            keys("http://127.0.0.1:3001/keys"),
            Ok(("http://127.0.0.1:3001/keys".into(), true))
        );
        // Another host is dialled at public addresses alone.
        for other in ["https://keys.example/jwks", "https://localhost.:9443/", "https://10.0.0.1/"]
        {
            assert_eq!(keys(other), Ok((other.to_owned(), false)));
        }
        for refused in [
            "http://keycloak:8080/jwks",
            "/jwks",
            "login.example.com/jwks",
            "ftp://a/",
            "https://u:p@a/",
        ] {
            assert_eq!(keys(refused), Err("jwks_uri"), "{refused}");
        }
    }
}
