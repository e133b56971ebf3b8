//! What `countersign run` would do with an issuer. It calls the code of `run` itself: the configuration's
//! loader, the discovery rules, the issuers' fetcher, the normaliser. It stores and serves nothing.

use url::Url;

use crate::clock::Clock;
use crate::config::env::NoEnv;
use crate::config::{self, RunOverrides, fetch_settings, issuer_from_discovery};
use crate::dns::Resolver;
use crate::doctor::finding::{NoAnswer, Ours, ReadKeys, Setup};
use crate::issuer::discovery;
use crate::issuer::fetch::{ACCEPT_KEY_SET, FetchRequest, Fetcher};
use crate::issuer::{IssuerSettings, Source};
use crate::jose::json::quote as quoted;
use crate::jose::jwks;
use crate::rewrite::discovery::read as read_document;

/// `upstream`: where the auth server is, without a query. `issuer`: `iss` of its tokens.
pub(super) async fn assess(
    upstream: &str,
    issuer: &str,
    jwks_url: &str,
    resolver: Resolver,
) -> Ours {
    let fetcher = Fetcher::new(resolver);
    let upstream_alone = match by_upstream(upstream, &fetcher).await {
        Ok(read) if read.policy.issuers.iter().any(|i| i.as_str() == issuer) => {
            return Ours { setup: Setup::Upstream(upstream.to_owned()), read: Ok(read) };
        }
        Ok(read) => {
            let learnt = read.policy.issuers.first().map_or("", |issuer| issuer.as_str());
            let why = format!("its discovery document says `issuer` {learnt}");
            NoAnswer::new("discovery_issuer", why)
        }
        Err(no_answer) => no_answer,
    };
    // Proxy the whole origin, so that clients keep the paths they know.
    let origin = Url::parse(upstream).map(|url| url.origin().ascii_serialization());
    let upstream = origin.unwrap_or_else(|_| upstream.to_owned());
    let file = file(&upstream, issuer, jwks_url);
    let read = by_file(&file, &fetcher).await;
    let setup = match read {
        Ok(_) => Setup::Issuer { upstream, file, why: upstream_alone.why },
        Err(_) => Setup::None,
    };
    Ours { setup, read }
}

/// The smallest configuration with an `[[issuer]]`.
fn file(upstream: &str, issuer: &str, jwks_url: &str) -> String {
    let jwks = quoted(&jwks_setting(upstream, jwks_url));
    let (upstream, issuer) = (quoted(upstream), quoted(issuer));
    format!("[upstream]\nurl = {upstream}\n\n[[issuer]]\nissuer = {issuer}\njwks = {jwks}\n")
}

/// `jwks` of an `[[issuer]]`: a path where it lies below the upstream, else the whole address.
pub(in crate::cli) fn jwks_setting(upstream: &str, jwks_url: &str) -> String {
    let (Ok(upstream), Ok(jwks)) = (Url::parse(upstream), Url::parse(jwks_url)) else {
        return jwks_url.to_owned();
    };
    let path = jwks.path().strip_prefix(upstream.path().trim_end_matches('/'));
    let below = jwks.origin() == upstream.origin() && jwks.query().is_none();
    let path = path.filter(|path| below && path.starts_with('/'));
    path.unwrap_or(jwks_url).to_owned()
}

async fn by_upstream(upstream: &str, fetcher: &Fetcher) -> Result<ReadKeys, NoAnswer> {
    let overrides = RunOverrides { upstream: Some(upstream.to_owned()), ..unused_listeners() };
    let config = config::load(None, &overrides, &NoEnv).map_err(config_error)?;
    let Some(upstream) = &config.upstream else {
        return Err(NoAnswer::new("config", "there is no upstream"));
    };
    let fetch = fetch_settings(&upstream.url, upstream, &config);
    let private = fetcher.resolver.leads_inside(&upstream.url).await;
    let learnt = |document: &[u8]| {
        let found = read_document(document).map_err(|e| NoAnswer::new(e.code(), e))?;
        issuer_from_discovery(Some(&found), upstream, &config, private)
            .map_err(|fault| NoAnswer::new(fault.code(), fault))
    };
    let now = Clock::system().now();
    let enough = |document: &[u8]| learnt(document).is_ok();
    let look = discovery::look(fetcher, &upstream.url, &fetch, now, enough).await;
    let mut refused = None;
    for document in look.documents() {
        match learnt(document) {
            Ok(learnt) => return read(&learnt.issuer, fetcher).await,
            Err(no_answer) => refused = refused.or(Some(no_answer)),
        }
    }
    let guess = issuer_from_discovery(None, upstream, &config, false);
    match (refused, guess) {
        (None, Ok(guess)) if look.says_none() => read(&guess.issuer, fetcher)
            .await
            .map_err(|_| NoAnswer::new("no_discovery", "there is no discovery document")),
        (refused, _) => {
            Err(refused.unwrap_or_else(|| NoAnswer::new("no_discovery", look.describe())))
        }
    }
}

/// Listeners that no auth server has: the default port may be that of the auth server.
fn unused_listeners() -> RunOverrides {
    RunOverrides {
        listen: Some("127.0.0.1:0".to_owned()),
        admin: Some("off".to_owned()),
        ..RunOverrides::default()
    }
}

async fn by_file(file: &str, fetcher: &Fetcher) -> Result<ReadKeys, NoAnswer> {
    let config =
        config::load_text(file, None, &unused_listeners(), &NoEnv).map_err(config_error)?;
    let issuer = config.issuers.first();
    read(issuer.ok_or_else(|| NoAnswer::new("config", "there is no issuer"))?, fetcher).await
}

fn config_error(error: config::ConfigError) -> NoAnswer {
    NoAnswer { code: "config", why: error.why }
}

async fn read(settings: &IssuerSettings, fetcher: &Fetcher) -> Result<ReadKeys, NoAnswer> {
    let Source::Url(url) = &settings.source else {
        return Err(NoAnswer::new("config", "the key set has no address"));
    };
    let (now, limits) = (Clock::system().now(), settings.limits);
    let request = FetchRequest {
        url,
        accept: ACCEPT_KEY_SET,
        settings: &settings.fetch,
        limit: limits.document,
        etag: None,
        now,
    };
    let document = fetcher.document(request).await.map_err(|e| NoAnswer::new(e.code(), e))?;
    let options = jwks::Options { now: Some(now), limits, ..jwks::Options::default() };
    let read = jwks::normalize(&document.body, &options)
        .map_err(|refusal| NoAnswer::new(refusal.code(), refusal))?;
    Ok(ReadKeys { keys: read.keys, report: read.report, policy: settings.policy.clone() })
}
