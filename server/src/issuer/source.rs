//! Reading an issuer's keys once, wherever they come from.

use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use url::Url;

use super::fetch::{Document, FetchError, FetchRequest, Fetched, Fetcher, Wanted};
use super::status::Reason;
use super::{IssuerSettings, Source};
use crate::jose::jwk::PublicJwk;
use crate::jose::jwks::{self, DocumentRefusal, KeySet, Normalized, Options, Report};
use crate::jose::names::{Kid, UnixTime};

/// The longest kid, in characters, that is put into an address.
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
    #[error("the kid is too long or has characters that are not allowed in the URL")]
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

    /// In short, for people.
    pub fn reason(&self) -> Reason {
        let status = match self {
            Self::Fetch(e) => e.status(),
            _ => None,
        };
        Reason { code: self.code(), status }
    }

    /// How long the issuer asked us to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Fetch(e) => e.retry_after(),
            _ => None,
        }
    }
}

/// The result of a reading.
#[derive(Debug)]
pub(super) struct Got {
    /// `None`: the set we have is still current.
    pub(super) set: Option<Box<NewSet>>,
    /// How long the issuer calls it fresh.
    pub(super) age: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct NewSet {
    pub(super) keys: KeySet,
    pub(super) report: Report,
    pub(super) etag: Option<String>,
    /// An unknown name in `Content-Encoding`.
    pub(super) unknown_coding: Option<String>,
}

impl NewSet {
    pub(super) fn new(keys: KeySet, report: Report) -> Self {
        Self { keys, report, etag: None, unknown_coding: None }
    }
}

impl Got {
    fn same(age: Option<Duration>) -> Self {
        Self { set: None, age }
    }

    fn document(body: &[u8], options: &Options) -> Result<Self, SourceError> {
        let Normalized { keys, report } = jwks::normalize(body, options)?;
        Ok(Self { set: Some(Box::new(NewSet::new(keys, report))), age: None })
    }
}

/// The inputs of one reading.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) settings: &'a IssuerSettings,
    pub(super) fetcher: &'a Fetcher,
    pub(super) options: &'a Options,
    /// The `ETag` of the set we hold.
    pub(super) etag: Option<&'a str>,
    pub(super) now: UnixTime,
}

impl Reading<'_> {
    /// Reads a whole key set. `held` is the set we have, for issuers with a URL per kid.
    ///
    /// # Errors
    /// [`SourceError`]. The set we have then stays in use.
    pub(super) async fn set(self, held: Option<&KeySet>) -> Result<Got, SourceError> {
        match &self.settings.source {
            Source::Url(url) => self.url(url).await,
            Source::File(path) => self.file(path).await,
            Source::Inline(text) => Got::document(text.as_bytes(), self.options),
            Source::UrlPerKid(template) => self.each(template, held).await,
            Source::Secrets => Ok(Got::same(None)),
        }
    }

    async fn url(self, url: &Url) -> Result<Got, SourceError> {
        match self.fetcher.get(self.ask(url)).await? {
            Fetched::NotModified { age } => Ok(Got::same(age)),
            Fetched::Document(Document { body, etag, age, unknown_coding, .. }) => {
                let mut got = match (Got::document(&body, self.options), &unknown_coding) {
                    // The unknown coding is the likelier cause.
                    (Err(_), Some(coding)) => {
                        return Err(FetchError::Encoding(coding.clone()).into());
                    }
                    (got, _) => got?,
                };
                got.age = age;
                if let Some(set) = &mut got.set {
                    set.etag = etag;
                    set.unknown_coding = unknown_coding;
                }
                Ok(got)
            }
        }
    }

    fn ask<'a>(&'a self, url: &'a Url) -> FetchRequest<'a> {
        let limit = self.options.limits.document;
        let settings = &self.settings.fetch;
        let (wanted, etag, now) = (Wanted::KeySet, self.etag, self.now);
        FetchRequest { url, wanted, settings, limit, etag, now }
    }

    async fn file(self, path: &Path) -> Result<Got, SourceError> {
        let at = |e: std::io::Error| SourceError::File {
            path: path.display().to_string(),
            why: e.to_string(),
        };
        let limit = self.options.limits.document as u64;
        let file = tokio::fs::File::open(path).await.map_err(at)?;
        let mut body = Vec::new();
        file.take(limit + 1).read_to_end(&mut body).await.map_err(at)?;
        if body.len() as u64 > limit {
            return Err(FetchError::TooLarge { limit: self.options.limits.document }.into());
        }
        Got::document(&body, self.options)
    }

    /// Fetches each key that we have again. A key that is gone is left out.
    async fn each(self, template: &str, held: Option<&KeySet>) -> Result<Got, SourceError> {
        let mut keys = Vec::new();
        for key in held.map(KeySet::keys).unwrap_or_default() {
            if let Some(kid) = key.kid() {
                keys.extend(self.one(template, kid.as_str()).await?);
            }
        }
        let set = NewSet::new(KeySet::new(keys), Report::default());
        Ok(Got { set: Some(Box::new(set)), age: None })
    }

    /// Reads the key at `template` for `kid`; empty if the issuer says that there is none (404, 410, 403).
    ///
    /// # Errors
    /// [`SourceError`].
    pub(super) async fn one(
        self,
        template: &str,
        kid: &str,
    ) -> Result<Vec<PublicJwk>, SourceError> {
        let (url, kid) = address(template, kid).ok_or(SourceError::Kid)?;
        let document = match self.fetcher.document(self.ask(&url)).await {
            Err(FetchError::Status { status: 404 | 410 | 403, .. }) => return Ok(Vec::new()),
            got => got?,
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
    if kid.len() > KID_IN_URL || !kid.chars().all(plain) || kid.chars().all(|c| c == '.') {
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
