//! Reads what an argument names: a file, an address, or stdin; at most a limit of bytes.

use std::fs::File;
use std::io::{self, Read};

use url::Url;

use super::block_on;
use super::output::CliError;
use crate::clock::Clock;
use crate::dns::Resolver;
use crate::issuer::FetchSettings;
use crate::issuer::fetch::{ACCEPT_KEY_SET, Document, FetchRequest, Fetcher};

/// Reads at most `limit` bytes of `source`: `-` for stdin, `https://…`, or a file.
///
/// # Errors
/// [`CliError`] that names the file, or the code of the failed fetch.
pub fn read(source: &str, limit: usize) -> Result<Document, CliError> {
    if source.starts_with("https://") || source.starts_with("http://") {
        let url = Url::parse(source).map_err(|why| CliError::new(source, why))?;
        return fetch(&url, limit);
    }
    let (what, body) = match source {
        "-" => ("stdin", bounded(io::stdin().lock(), limit)),
        _ => (source, File::open(source).and_then(|file| bounded(file, limit))),
    };
    let body = body.map_err(|why| CliError::new(what, why))?.into();
    Ok(Document { body, ..Document::default() })
}

pub(super) fn bounded(reader: impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(bound).read_to_end(&mut body)?;
    Ok(body)
}

fn fetch(url: &Url, limit: usize) -> Result<Document, CliError> {
    let failed = |what: &str, why: &dyn std::fmt::Display| {
        CliError::new(what, why).hint(format!("`countersign doctor {url}` says more"))
    };
    let resolver = Resolver::system().map_err(|why| failed("dns", &why))?;
    // A link-local IP address that the user typed is meant; a name that resolves to one is refused.
    let literal = matches!(url.host(), Some(url::Host::Ipv4(_) | url::Host::Ipv6(_)));
    let settings = FetchSettings { allow_link_local: literal, ..FetchSettings::default() };
    let (accept, now) = (ACCEPT_KEY_SET, Clock::system().now());
    let request = FetchRequest { url, accept, settings: &settings, limit, etag: None, now };
    let fetcher = Fetcher::new(resolver);
    block_on(async { fetcher.document(request).await.map_err(|e| failed(e.code(), &e)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_than_shows_that_it_is_too_much() {
        assert_eq!(bounded(io::repeat(b'x'), 10).unwrap().len(), 11);
        assert_eq!(bounded(&b"abc"[..], 10).unwrap(), b"abc");
    }
}
