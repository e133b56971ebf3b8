//! Fetches as the verifier does: `Accept: application/json`, up to ten redirects, gzip only, and no
//! more patience than a person has.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, header, redirect};
use url::Url;

use crate::coding;
use crate::dns::Resolver;
use crate::doctor::{Answer, address};
use crate::issuer::fetch::{self, Unread};

/// Bytes read of one answer; no key set comes near.
const LIMIT: usize = 4 * 1024 * 1024;

pub(super) struct Fetcher {
    client: Client,
    resolver: Resolver,
}

impl Fetcher {
    pub(super) fn new() -> Result<Self, String> {
        let resolver = Resolver::system().map_err(|e| e.to_string())?;
        let client = Client::builder()
            .tls_backend_preconfigured(fetch::tls_config(None)?)
            .user_agent(concat!("countersign-doctor/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::limited(10))
            .dns_resolver(Arc::new(resolver.clone()))
            .connect_timeout(Duration::from_secs(10))
            .timeout(Duration::from_secs(30))
            .build()
            .map_err(|e| e.to_string())?;
        Ok(Self { client, resolver })
    }

    /// `Err` says why there is no answer.
    pub(super) async fn get(&self, url: &str) -> Result<Answer, String> {
        let request = self.client.get(url).header(header::ACCEPT, "application/json");
        let request = request.header(header::ACCEPT_ENCODING, "gzip");
        let mut response = request.send().await.map_err(|e| chain(&e))?;
        let text = |v: &header::HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
        let headers: Vec<_> =
            response.headers().iter().map(|(n, v)| (n.as_str().to_owned(), text(v))).collect();
        let content_type = response.headers().get(header::CONTENT_TYPE).map(text);
        let (status, from) = (response.status().as_u16(), response.url().to_string());
        let body = fetch::body(&mut response, LIMIT).await.map_err(|unread| match unread {
            Unread::TooLarge => format!("the answer is larger than {} MiB", LIMIT >> 20),
            Unread::Broken(error) => chain(&error),
        })?;
        let mut body = Vec::from(body);
        let coding = headers.iter().find(|(name, _)| name == "content-encoding");
        if let Some((_, gzip)) = coding.filter(|(_, coding)| coding.eq_ignore_ascii_case("gzip")) {
            let decoded = coding::decode(&body, gzip, LIMIT).map(Cow::into_owned);
            body = decoded.map_err(|_| "the answer does not decode as gzip".to_owned())?;
        }
        Ok(Answer { url: from, status, content_type, headers, body })
    }

    /// Why the host of `url` cannot be reached from the internet, when all its addresses say so.
    pub(super) async fn closed(&self, url: &str) -> Option<&'static str> {
        let url = Url::parse(url).ok()?;
        let port = url.port_or_known_default()?;
        let found = self.resolver.resolve(url.host_str()?, port).await.ok()?;
        let all: Option<Vec<_>> =
            found.iter().map(|socket| address::unreachable_ip(socket.ip())).collect();
        all?.first().copied()
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
