//! `countersign doctor`: why a verifier refuses an issuer or a token, in its own words, and the fix.

mod fetch;
mod show;

use url::Url;

use self::fetch::Fetcher;
use super::Exit;
use super::args::{DoctorArgs, Provider};
use super::inspect::read_token;
use super::output::{CliError, Output};
use crate::clock::Clock;
use crate::doctor::exam::{self, claim, examine};
use crate::doctor::finding::{Case, Way};
use crate::doctor::oidc::{Fetched, discovery_url};
use crate::doctor::{Answer, custom_jwt};
use crate::inspect::tree::Tree;
use crate::profile::{Judge, Profile};

const DISCOVERY: &str = ".well-known/openid-configuration";

/// # Errors
/// [`CliError`] for an address or token that cannot be read. A fetch that fails is a finding.
pub fn run(args: &DoctorArgs, out: &mut Output) -> Result<Exit, CliError> {
    let profile = Profile::named(&args.profile).ok_or_else(|| {
        CliError::new("--profile", format!("there is no profile `{}`", args.profile))
            .hint(format!("one of: {}", Profile::NAMES.join(", ")))
    })?;
    if args.way.is_some() && profile.judge != Judge::Convex {
        return Err(CliError::new("--for", format!("`{}` has one kind of provider", profile.name))
            .hint("leave `--for` out"));
    }
    let token = args.token.as_deref().map(read_token).transpose()?;
    let token = token.map(|t| t.strip_prefix("Bearer ").unwrap_or(&t).trim().to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| CliError::new("runtime", e))?;
    let fetcher = Fetcher::new().map_err(|e| CliError::new("network", e))?;
    let case = runtime.block_on(gather(args, profile, token, &fetcher))?;
    let diagnosis = examine(&case);
    if args.json {
        out.json_pretty(&Json {
            issuer: &case.spelled,
            jwks: &case.jwks_url,
            profile: case.profile.name,
            accepts: !diagnosis.refused(),
            diagnosis: &diagnosis,
        });
    } else {
        out.text(show::text(&case, &diagnosis, out.color()));
    }
    Ok(if diagnosis.refused() { Exit::No } else { Exit::Good })
}

#[derive(serde::Serialize)]
struct Json<'a> {
    issuer: &'a str,
    jwks: &'a str,
    profile: &'a str,
    /// One of the ways in that count would accept.
    accepts: bool,
    #[serde(flatten)]
    diagnosis: &'a exam::Diagnosis,
}

async fn gather(
    args: &DoctorArgs,
    profile: Profile,
    token: Option<String>,
    fetcher: &Fetcher,
) -> Result<Case, CliError> {
    let given = address(&args.url)?;
    let token_iss = token.as_deref().and_then(|t| claim(t, "iss"));
    let is_jwks = names_a_key_set(&given);
    let issuer = match (&args.issuer, is_jwks) {
        (Some(issuer), _) => issuer.clone(),
        (None, false) => bare(&given),
        (None, true) => token_iss.clone().unwrap_or_else(|| given.origin().ascii_serialization()),
    };
    let with_scheme =
        if issuer.contains("://") { issuer.clone() } else { format!("https://{issuer}") };
    let found = match discovery_url(&with_scheme) {
        Ok(url) => fetcher.get(&url).await,
        Err(error) => Err(error.to_string()),
    };
    let spelled = spelling(&issuer, &found, token_iss.as_deref());
    // The verifier asks where the token's `iss` leads, slash or not.
    let discovery = match discovery_url(&spelled) {
        Ok(url) if discovery_url(&with_scheme).as_ref() != Ok(&url) => fetcher.get(&url).await,
        _ => found,
    };
    let announced = discovery.as_ref().ok().and_then(|a| member(a, "jwks_uri"));
    let jwks_url = match (&announced, is_jwks) {
        (_, true) => given.to_string(),
        (Some(announced), false) => announced.clone(),
        (None, false) => format!("{}/.well-known/jwks.json", with_scheme.trim_end_matches('/')),
    };
    let jwks = fetcher.get(&jwks_url).await;
    let oidc_jwks = match announced {
        Some(url) if url != jwks_url => Some(fetcher.get(&url).await),
        Some(_) => Some(jwks.clone()),
        None => None,
    };
    let mut closed = Vec::new();
    for url in [&with_scheme, &jwks_url] {
        let known = crate::doctor::address::unreachable(url).is_some();
        if let (false, Some(why)) = (known, fetcher.closed(url).await) {
            closed.push((url.clone(), why));
        }
    }
    Ok(Case {
        issuer,
        spelled,
        jwks_url,
        jwks,
        oidc: Fetched { discovery, jwks: oidc_jwks },
        token,
        audience: args.audience.clone(),
        now: Clock::system().now(),
        closed,
        profile,
        way: args.way.map(|way| match way {
            Provider::CustomJwt => Way::CustomJwt,
            Provider::Oidc => Way::Oidc,
        }),
    })
}

fn address(text: &str) -> Result<Url, CliError> {
    let full = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let url = Url::parse(&full).map_err(|e| CliError::new(text, e))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err(CliError::new(text, "it is no http or https address")
            .hint("give the issuer, https://auth.example.com, or the address of its JWKS")),
    }
}

/// The issuer of its discovery address, or of itself, without the slash that parsing adds.
fn bare(url: &Url) -> String {
    let text = url.as_str();
    let text = text.strip_suffix(DISCOVERY).unwrap_or(text);
    text.trim_end_matches('/').to_owned()
}

fn names_a_key_set(url: &Url) -> bool {
    let last = url.path_segments().and_then(|mut s| s.next_back()).unwrap_or_default();
    let last = last.to_ascii_lowercase();
    let named =
        ["jwks", "jwk", "keys", "certs", "token_key"].iter().any(|name| last.contains(name));
    named || (last.ends_with(".json") && !url.path().ends_with(DISCOVERY))
}

/// `iss` as the tokens spell it: what the token or the discovery document says, if that is the same
/// issuer but for scheme and slash; else as it was given.
fn spelling(issuer: &str, found: &Result<Answer, String>, token: Option<&str>) -> String {
    let announced = found.as_ref().ok().and_then(|answer| member(answer, "issuer"));
    let same = |other: &str| custom_jwt::same_issuer(other, issuer);
    token
        .map(str::to_owned)
        .filter(|iss| same(iss))
        .or(announced.filter(|iss| same(iss)))
        .unwrap_or_else(|| issuer.to_owned())
}

fn member(answer: &Answer, name: &str) -> Option<String> {
    Tree::parse(&answer.body).ok()?.get(name)?.text().map(str::to_owned)
}
