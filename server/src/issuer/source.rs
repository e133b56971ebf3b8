//! Reading an issuer's keys once, wherever they come from.

use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use url::Url;

use super::fetch::{ACCEPT_KEY_SET, Document, FetchError, FetchRequest, Fetched, Fetcher};
use super::status::Reason;
use super::{IssuerSettings, Source};
use crate::jose::jwk::PublicJwk;
use crate::jose::jwks::{self, DocumentRefusal, KeySet, Normalized, Options, Report};
use crate::jose::names::{Kid, UnixTime};

/// The longest kid, in characters, that is put into an address.
const MAX_KID_IN_URL: usize = 128;

/// Why the keys were not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SourceError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Document(#[from] DocumentRefusal),
    #[error("{0}")]
    File(String),
    #[error("the kid is too long or has characters that are not allowed in the URL")]
    Kid,
}

impl SourceError {
    /// The stable name, for metrics and the status, and the HTTP status if there is one.
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::Fetch(e) => e.into(),
            Self::Document(e) => Reason::of(e.code()),
            Self::File(_) => Reason::of("file"),
            Self::Kid => Reason::of("kid_address"),
        }
    }

    /// How long the issuer asked us to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Fetch(e) => e.retry_after(),
            _ => None,
        }
    }
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct SourceRead {
    /// `None`: the set we have is still current.
    pub(super) set: Option<Normalized>,
    /// How long the issuer calls it fresh.
    pub(super) age: Option<Duration>,
    pub(super) etag: Option<String>,
    /// An unknown name in `Content-Encoding`.
    pub(super) unknown_coding: Option<String>,
}

impl SourceRead {
    /// Keys that were fetched one by one.
    pub(super) fn of_keys(keys: Vec<PublicJwk>) -> Self {
        let set = Normalized { keys: KeySet::new(keys), report: Report::default() };
        Self { set: Some(set), ..Self::default() }
    }
}

/// Reads the source once.
#[derive(Clone, Copy)]
pub(super) struct SourceReader<'a> {
    pub(super) settings: &'a IssuerSettings,
    pub(super) fetcher: &'a Fetcher,
    pub(super) options: &'a Options,
    /// The `ETag` of the set we hold.
    pub(super) etag: Option<&'a str>,
    pub(super) now: UnixTime,
}

impl SourceReader<'_> {
    /// Reads a whole key set. `held` are the keys we have, for issuers with a URL per kid.
    ///
    /// # Errors
    /// [`SourceError`]. The keys we have then stay in use.
    pub(super) async fn read(self, held: &[PublicJwk]) -> Result<SourceRead, SourceError> {
        match &self.settings.source {
            Source::Url(url) => self.read_url(url).await,
            Source::File(path) => self.read_file(path).await,
            Source::UrlPerKid(template) => self.read_kids(template, held).await,
            // The configuration has them; nothing is fetched.
            Source::Inline(_) | Source::Secrets => Ok(SourceRead::default()),
        }
    }

    async fn read_url(self, url: &Url) -> Result<SourceRead, SourceError> {
        let document = match self.fetcher.get(self.request(url)).await? {
            Fetched::NotModified { age } => return Ok(SourceRead { age, ..SourceRead::default() }),
            Fetched::Document(document) => document,
        };
        let Document { body, etag, age, unknown_coding, .. } = document;
        match (jwks::normalize(&body, self.options), unknown_coding) {
            // The unknown coding is the likelier cause.
            (Err(_), Some(coding)) => Err(FetchError::Encoding(coding).into()),
            (set, unknown_coding) => Ok(SourceRead { set: Some(set?), age, etag, unknown_coding }),
        }
    }

    fn request<'a>(&'a self, url: &'a Url) -> FetchRequest<'a> {
        let (settings, limit) = (&self.settings.fetch, self.options.limits.document);
        let (accept, etag, now) = (ACCEPT_KEY_SET, self.etag, self.now);
        FetchRequest { url, accept, settings, limit, etag, now }
    }

    async fn read_file(self, path: &Path) -> Result<SourceRead, SourceError> {
        let at = |e: std::io::Error| SourceError::File(format!("{}: {e}", path.display()));
        let limit = self.options.limits.document as u64;
        let file = tokio::fs::File::open(path).await.map_err(at)?;
        let mut body = Vec::new();
        file.take(limit + 1).read_to_end(&mut body).await.map_err(at)?;
        if body.len() as u64 > limit {
            return Err(FetchError::TooLarge { limit: self.options.limits.document }.into());
        }
        Ok(SourceRead { set: Some(jwks::normalize(&body, self.options)?), ..SourceRead::default() })
    }

    /// Fetches each key that we have again. A key that is gone is left out.
    async fn read_kids(
        self,
        template: &str,
        held: &[PublicJwk],
    ) -> Result<SourceRead, SourceError> {
        let mut keys = Vec::new();
        for kid in held.iter().filter_map(PublicJwk::kid) {
            keys.extend(self.read_kid(template, kid.as_str()).await?);
        }
        Ok(SourceRead::of_keys(keys))
    }

    /// Reads the key at `template` for `kid`; empty if the issuer says that there is none (404, 410, 403).
    ///
    /// # Errors
    /// [`SourceError`].
    pub(super) async fn read_kid(
        self,
        template: &str,
        kid: &str,
    ) -> Result<Vec<PublicJwk>, SourceError> {
        let (url, kid) = address(template, kid).ok_or(SourceError::Kid)?;
        let document = match self.fetcher.document(self.request(&url)).await {
            Err(FetchError::Status { status: 404 | 410 | 403, .. }) => return Ok(Vec::new()),
            fetched => fetched?,
        };
        let Normalized { keys, .. } = jwks::normalize(&document.body, self.options)?;
        let named = |key: &PublicJwk| {
            let named = PublicJwk::new(key.material().clone(), Some(kid.clone()), key.alg()).ok();
            named.map(|named| named.of_issuers(key.issuers().to_vec()))
        };
        Ok(keys.keys().iter().filter_map(named).collect())
    }
}

/// The address of one key. A kid comes from an unverified token, so only plain characters pass: it
/// must not reach another path, host or query.
fn address(template: &str, kid: &str) -> Option<(Url, Kid)> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if kid.len() > MAX_KID_IN_URL || !kid.chars().all(plain) || kid.chars().all(|c| c == '.') {
        return None;
    }
    let url = Url::parse(&template.replace("{kid}", kid)).ok()?;
    // `{kid}` must be in the path or the query: the operator alone chooses the origin.
    let without = Url::parse(&template.replace("{kid}", "")).ok()?;
    (url.origin() == without.origin()).then_some((url, Kid::parse(kid).ok()?))
}

/// Whether `template` has `{kid}` in its path or query.
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
