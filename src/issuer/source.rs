//! Reading an issuer's keys once, wherever they come from.

use std::path::Path;

use url::Url;

use super::fetch::{Ask, FetchError, Fetched, Fetcher};
use super::policy::Outcome;
use super::{IssuerSettings, Source};
use crate::jose::jwks::{self, DocumentRefusal, KeySet, Normalized, Options, Report};
use crate::jose::names::{Kid, UnixTime};

/// Characters of a kid that may stand in an address we ask for: none that could lead elsewhere.
const KID_IN_URL: usize = 128;

/// Why the keys were not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Document(#[from] DocumentRefusal),
    #[error("{path}: {why}")]
    File { path: String, why: String },
    #[error("the kid cannot stand in an address")]
    Kid,
}

impl SourceError {
    /// A stable name: metric label, status field.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Fetch(e) => e.code(),
            Self::Document(e) => e.code(),
            Self::File { .. } => "file",
            Self::Kid => "kid_address",
        }
    }

    /// What the policy makes of it.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Fetch(e) => Outcome::Bad { retry_after: e.retry_after() },
            _ => Outcome::Bad { retry_after: None },
        }
    }
}

/// What reading gave.
#[derive(Debug)]
pub(super) enum Got {
    Set {
        keys: KeySet,
        report: Report,
        etag: Option<String>,
        age: Option<std::time::Duration>,
    },
    /// What we have still holds.
    Same {
        age: Option<std::time::Duration>,
    },
}

/// Reads a whole key set. `etag` is that of the set we hold.
///
/// # Errors
/// [`SourceError`]; what was held before still counts.
pub(super) async fn read(
    settings: &IssuerSettings,
    fetcher: &Fetcher,
    options: &Options,
    etag: Option<&str>,
    now: UnixTime,
) -> Result<Got, SourceError> {
    match &settings.source {
        Source::Url(url) => from_url(url, settings, fetcher, options, etag, now).await,
        Source::File(path) => from_file(path, settings, options).await,
        Source::Inline(text) => {
            let Normalized { keys, report } = jwks::normalize(text.as_bytes(), options)?;
            Ok(Got::Set { keys, report, etag: None, age: None })
        }
        // One key each, asked for when a token names it; and none at all.
        Source::UrlPerKid(_) | Source::Secrets => Ok(Got::Same { age: None }),
    }
}

async fn from_url(
    url: &Url,
    settings: &IssuerSettings,
    fetcher: &Fetcher,
    options: &Options,
    etag: Option<&str>,
    now: UnixTime,
) -> Result<Got, SourceError> {
    let limit = options.limits.document;
    let ask = Ask { url, settings: &settings.fetch, limit, etag, now };
    match fetcher.get(ask).await? {
        Fetched::NotModified { age } => Ok(Got::Same { age }),
        Fetched::Document { body, etag, age, .. } => {
            let Normalized { keys, report } = jwks::normalize(&body, options)?;
            Ok(Got::Set { keys, report, etag, age })
        }
    }
}

async fn from_file(
    path: &Path,
    settings: &IssuerSettings,
    options: &Options,
) -> Result<Got, SourceError> {
    let at = |why: String| SourceError::File { path: path.display().to_string(), why };
    let meta = tokio::fs::metadata(path).await.map_err(|e| at(e.to_string()))?;
    if meta.len() > settings.limits.document as u64 {
        return Err(at(format!("is larger than {} bytes", settings.limits.document)));
    }
    let body = tokio::fs::read(path).await.map_err(|e| at(e.to_string()))?;
    let Normalized { keys, report } = jwks::normalize(&body, options)?;
    Ok(Got::Set { keys, report, etag: None, age: None })
}

/// Reads the one key that stands at `template` for `kid`.
///
/// # Errors
/// [`SourceError`]; `404` is the issuer's word that there is no such key.
pub(super) async fn read_one(
    template: &str,
    kid: &str,
    settings: &IssuerSettings,
    fetcher: &Fetcher,
    options: &Options,
    now: UnixTime,
) -> Result<Vec<crate::jose::jwk::PublicJwk>, SourceError> {
    let (url, kid) = address(template, kid).ok_or(SourceError::Kid)?;
    let limit = options.limits.document;
    let ask = Ask { url: &url, settings: &settings.fetch, limit, etag: None, now };
    let Fetched::Document { body, .. } = fetcher.get(ask).await? else { return Ok(Vec::new()) };
    let Normalized { keys, .. } = jwks::normalize(&body, options)?;
    let named = keys.keys().iter().filter_map(|key| {
        crate::jose::jwk::PublicJwk::new(key.material().clone(), Some(kid.clone()), key.alg()).ok()
    });
    Ok(named.collect())
}

/// The address of one key. A kid comes from an unverified token, so only plain characters pass: it
/// must not reach another path, host or query.
fn address(template: &str, kid: &str) -> Option<(Url, Kid)> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if kid.len() > KID_IN_URL || !kid.chars().all(plain) || kid.chars().all(|c| c == '.') {
        return None;
    }
    let url = Url::parse(&template.replace("{kid}", kid)).ok()?;
    // The place of the kid must lie in the path or the query: the origin is the operator's.
    let without = Url::parse(&template.replace("{kid}", "")).ok()?;
    (url.origin() == without.origin()).then_some((url, Kid::parse(kid).ok()?))
}

/// Whether a kid has a place in the path or query of `template`.
pub(super) fn is_template(template: &str) -> bool {
    template.contains("{kid}") && address(template, "kid").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kid_from_a_token_reaches_no_other_place() {
        let template = "https://keys.example/{kid}";
        let kid = "4f1d-2b.x_9";
        assert_eq!(address(template, kid).unwrap().0.as_str(), "https://keys.example/4f1d-2b.x_9");
        for bad in ["..", ".", "", "a/b", "a%2fb", "a?b", "a#b", "@evil", "a b", &"k".repeat(200)] {
            assert!(address(template, bad).is_none(), "{bad}");
        }
        assert!(address("https://{kid}.example/", "evil").is_none());
    }
}
