//! Reads what an argument names: a file, an address, or stdin; at most a limit of bytes.

use std::io::Read as _;

use url::Url;

use super::block_on;
use super::output::CliError;
use crate::clock::Clock;
use crate::dns::Resolver;
use crate::issuer::FetchSettings;
use crate::issuer::fetch::{FetchRequest, Fetched, Fetcher, Wanted};

/// A document, and the media type that its server gave.
#[derive(Debug)]
pub struct Document {
    pub body: Vec<u8>,
    pub content_type: Option<String>,
}

/// Reads at most `limit` bytes of `source`: `-` for stdin, `https://…`, or a file.
///
/// # Errors
/// [`CliError`] that names the file, or the code of the failed fetch.
pub fn read(source: &str, limit: usize) -> Result<Document, CliError> {
    if source == "-" {
        let body =
            bounded(std::io::stdin().lock(), limit).map_err(|why| CliError::new("stdin", why))?;
        return Ok(Document { body, content_type: None });
    }
    if source.starts_with("https://") || source.starts_with("http://") {
        let url = Url::parse(source).map_err(|why| CliError::new(source, why))?;
        return fetch(&url, limit);
    }
    let body = std::fs::File::open(source)
        .map_err(|why| why.to_string())
        .and_then(|file| bounded(file, limit))
        .map_err(|why| CliError::new(source, why))?;
    Ok(Document { body, content_type: None })
}

pub(super) fn bounded(reader: impl std::io::Read, limit: usize) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(bound).read_to_end(&mut body).map_err(|why| why.to_string())?;
    Ok(body)
}

fn fetch(url: &Url, limit: usize) -> Result<Document, CliError> {
    let failed = |what: &str, why: &dyn std::fmt::Display| {
        CliError::new(what, format!("{why}")).hint(format!("`countersign doctor {url}` says more"))
    };
    let resolver = Resolver::system().map_err(|why| failed("dns", &why))?;
    // A link-local IP address that the user typed is meant; a name that resolves to one is refused.
    let literal = matches!(url.host(), Some(url::Host::Ipv4(_) | url::Host::Ipv6(_)));
    let settings = FetchSettings { allow_link_local: literal, ..FetchSettings::default() };
    let (wanted, now) = (Wanted::KeySet, Clock::system().now());
    let ask = FetchRequest { url, wanted, settings: &settings, limit, etag: None, now };
    let fetcher = Fetcher::new(resolver);
    let got = block_on(async { fetcher.get(ask).await.map_err(|e| failed(e.code(), &e)) })?;
    match got {
        Fetched::Document { body, content_type, .. } => {
            Ok(Document { body: body.to_vec(), content_type })
        }
        Fetched::NotModified { .. } => Err(failed("status", &"304 to a plain request")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_than_shows_that_it_is_too_much() {
        assert_eq!(bounded(std::io::repeat(b'x'), 10).unwrap().len(), 11);
        assert_eq!(bounded(&b"abc"[..], 10).unwrap(), b"abc");
    }
}
