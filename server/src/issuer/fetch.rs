//! One bounded HTTP GET of a document of the auth server: a key set or a discovery document.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Response, StatusCode};
use url::Url;

use super::FetchSettings;
use super::forwarded::authority;
use super::headers::{freshness, retry_after};
use crate::coding::{self, CodingError};
use crate::dns::Resolver;
use crate::jose::names::UnixTime;
use crate::net::client::joined;
pub use crate::net::error::FetchError;
use crate::net::{ClientSettings, HttpClient, Reach};

/// Some hosts block unknown or empty user agents.
const USER_AGENT: &str =
    concat!("countersign/", env!("CARGO_PKG_VERSION"), " (JWKS fetcher; like Mozilla/5.0)");

/// `Accept` for a key set. RFC 7517 §8.5 first; some servers answer `406` to it alone, some to its absence.
pub const ACCEPT_KEY_SET: &str = "application/jwk-set+json, application/json;q=0.9, */*;q=0.1";
/// `Accept` for a discovery document.
pub const ACCEPT_DISCOVERY: &str = "application/json, */*;q=0.1";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document {
    pub body: Bytes,
    pub etag: Option<String>,
    pub age: Option<Duration>,
    /// `Content-Type`, for the report.
    pub content_type: Option<String>,
    /// An unknown name in `Content-Encoding`; the body was not decoded.
    pub unknown_coding: Option<String>,
}

/// A document, or the answer that the one we have is still current.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    Document(Document),
    NotModified { age: Option<Duration> },
}

/// Fetches for all issuers: one client, and so one connection pool, for each different set of
/// transport settings; as a rule one or two in all.
#[derive(Debug)]
pub struct Fetcher {
    pub resolver: Resolver,
    clients: Mutex<HashMap<ClientSettings, HttpClient>>,
}

/// The inputs of one fetch.
#[derive(Debug, Clone, Copy)]
pub struct FetchRequest<'a> {
    pub url: &'a Url,
    /// The `Accept` field.
    pub accept: &'static str,
    pub settings: &'a FetchSettings,
    /// Most bytes of the body, both encoded and decoded.
    pub limit: usize,
    /// The `ETag` of the document we hold.
    pub etag: Option<&'a str>,
    /// For `Retry-After` and `Expires` dates.
    pub now: UnixTime,
}

impl Fetcher {
    pub fn new(resolver: Resolver) -> Self {
        Self { resolver, clients: Mutex::default() }
    }

    /// Gets one document within the limits.
    ///
    /// # Errors
    /// [`FetchError`], always with a code; never hangs longer than `total_timeout`.
    pub async fn get(&self, request: FetchRequest<'_>) -> Result<Fetched, FetchError> {
        let client = self.client(request.settings)?;
        let limit = request.settings.total_timeout;
        // reqwest's own total limit restarts at each redirect, which we follow ourselves.
        let fetched = tokio::time::timeout(limit, follow(&client, request)).await;
        fetched.unwrap_or(Err(FetchError::Timeout { limit }))
    }

    /// [`Fetcher::get`] without a condition: then `304` is a fault.
    ///
    /// # Errors
    /// As [`Fetcher::get`].
    pub async fn document(&self, request: FetchRequest<'_>) -> Result<Document, FetchError> {
        match self.get(FetchRequest { etag: None, ..request }).await? {
            Fetched::Document(document) => Ok(document),
            Fetched::NotModified { .. } => {
                Err(FetchError::Status { status: 304, retry_after: None })
            }
        }
    }

    fn client(&self, settings: &FetchSettings) -> Result<HttpClient, FetchError> {
        let settings = client_settings(settings);
        let mut clients = self.clients.lock();
        if let Some(client) = clients.get(&settings) {
            return Ok(client.clone());
        }
        let client = HttpClient::new(&settings, &self.resolver)?;
        clients.insert(settings, client.clone());
        Ok(client)
    }
}

fn client_settings(settings: &FetchSettings) -> ClientSettings {
    let reach = Reach { link_local: settings.allow_link_local, inside: settings.inside };
    let mut client = ClientSettings::new(USER_AGENT, reach, settings.connect_timeout);
    if let Some(forwarded) = &settings.forwarded {
        client.tls = forwarded.tls.clone();
        client.host = forwarded.upstream.host_str().map(str::to_owned);
        // Only HTTP/1.1 can send a `Host` other than the URL's: in HTTP/2 `:authority` is the URL's
        // (RFC 9113 §8.3.1). The proxy itself uses HTTP/1.1 to the upstream too.
        client.tls.http2 = forwarded.is_own_name();
    }
    if settings.ca.is_some() {
        client.tls.ca.clone_from(&settings.ca);
    }
    client
}

async fn follow(client: &HttpClient, request: FetchRequest<'_>) -> Result<Fetched, FetchError> {
    let settings = request.settings;
    let mut url = request.url.clone();
    for _ in 0..=settings.redirects {
        let response = client.send(client.get(url.clone()).headers(headers(request)?)).await?;
        if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            return read(client, response, request).await;
        }
        url = next_hop(&url, response.headers(), settings)?;
    }
    Err(FetchError::Redirects { limit: settings.redirects })
}

fn headers(request: FetchRequest<'_>) -> Result<HeaderMap, FetchError> {
    let invalid =
        |name: &str| FetchError::Request { why: format!("the header `{name}` is not valid") };
    let value = |name: &str, text: &str| HeaderValue::from_str(text).map_err(|_| invalid(name));
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static(request.accept));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(coding::ACCEPTED));
    if let Some(etag) = request.etag {
        headers.insert(header::IF_NONE_MATCH, value("If-None-Match", etag)?);
    }
    if let Some(forwarded) = &request.settings.forwarded {
        if !forwarded.is_own_name() {
            headers.insert(header::HOST, value("Host", &forwarded.host)?);
        }
        if let Some(public) = &forwarded.public {
            headers.insert("x-forwarded-host", value("X-Forwarded-Host", authority(public))?);
            headers.insert("x-forwarded-proto", value("X-Forwarded-Proto", public.scheme())?);
        }
    }
    for (name, text) in &request.settings.headers {
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid(name))?;
        let mut value = value(name, text.expose())?;
        // The operator's headers may hold credentials.
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

/// The URL of a redirect (RFC 9110 §10.2.2), never at another origin: that would be a login page, or
/// another network. Two exceptions: `https:` on the same host, both on their default ports; and the names
/// by which clients know the upstream. Those may lead to this proxy, so the request goes to the upstream itself.
fn next_hop(from: &Url, headers: &HeaderMap, settings: &FetchSettings) -> Result<Url, FetchError> {
    let location = headers.get(header::LOCATION).and_then(|v| v.to_str().ok());
    let location = location.ok_or(FetchError::RedirectLocation)?;
    let to = from.join(location).map_err(|_| FetchError::RedirectLocation)?;
    if to.origin() == from.origin() || is_upgrade(from, &to) {
        return Ok(to);
    }
    let at_upstream = settings.forwarded.as_ref().and_then(|forwarded| forwarded.at_upstream(&to));
    // An upstream that demands `https:` redirects us to the address that we just fetched.
    at_upstream
        .filter(|url| url != from)
        .ok_or_else(|| FetchError::RedirectCrossOrigin { to: to.origin().ascii_serialization() })
}

fn is_upgrade(from: &Url, to: &Url) -> bool {
    let at_default_port = |url: &Url, scheme: &str| url.scheme() == scheme && url.port().is_none();
    at_default_port(from, "http") && at_default_port(to, "https") && from.host() == to.host()
}

async fn read(
    client: &HttpClient,
    mut response: Response,
    request: FetchRequest<'_>,
) -> Result<Fetched, FetchError> {
    let status = response.status();
    let age = freshness(response.headers(), request.now);
    if status == StatusCode::NOT_MODIFIED && request.etag.is_some() {
        return Ok(Fetched::NotModified { age });
    }
    if status == StatusCode::NO_CONTENT {
        return Err(FetchError::Empty);
    }
    if !request.settings.status.contains(&status.as_u16()) {
        let retry_after = retry_after(response.headers(), request.now);
        return Err(FetchError::Status { status: status.as_u16(), retry_after });
    }
    let text = |name: HeaderName| {
        response.headers().get(name).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned())
    };
    let (etag, content_type) = (text(header::ETAG), text(header::CONTENT_TYPE));
    let codings = joined(&response, &header::CONTENT_ENCODING);
    let limit = request.limit;
    let raw = client.body(&mut response, limit).await?;
    let decoded = coding::decode_document(&raw, &codings, limit).map_err(|error| match error {
        CodingError::TooLarge => FetchError::TooLarge { limit },
        CodingError::Corrupt | CodingError::Unknown => FetchError::Corrupt,
    })?;
    let unknown_coding = decoded.unknown;
    let body = match decoded.body {
        Cow::Borrowed(_) => raw,
        Cow::Owned(decoded) => decoded.into(),
    };
    if body.is_empty() {
        return Err(FetchError::Empty);
    }
    Ok(Fetched::Document(Document { body, etag, age, content_type, unknown_coding }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::issuer::Forwarded;

    fn next(from: &str, location: &str, forwarded: Option<Forwarded>) -> Result<String, String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, location.parse().unwrap());
        let forwarded = forwarded.map(std::sync::Arc::new);
        let settings = FetchSettings { forwarded, ..FetchSettings::default() };
        let to = next_hop(&Url::parse(from).unwrap(), &headers, &settings);
        to.map(String::from).map_err(|error| error.code().to_owned())
    }

    #[test]
    fn a_configured_host_may_have_a_private_address() {
        let settings: FetchSettings = serde_json::from_str(r#"{ "redirects": 1 }"#).unwrap();
        assert!(settings.inside && !settings.allow_link_local && settings.forwarded.is_none());
    }

    #[test]
    fn a_redirect_leads_to_the_same_server_or_nowhere() {
        let elsewhere = Err("redirect_cross_origin".to_owned());
        let plain = "http://auth.example/keys";
        assert_eq!(
            next(plain, "https://auth.example/k", None),
            Ok("https://auth.example/k".into())
        );
        assert_eq!(next("https://auth.example/keys", plain, None), elsewhere);
        assert_eq!(next(plain, "https://auth.example:8443/keys", None), elsewhere);
        assert_eq!(next("http://auth.example:81/", "https://auth.example/", None), elsewhere);

        let forwarded = |upstream: &str| Forwarded {
            upstream: Url::parse(upstream).unwrap(),
            host: "login.example".into(),
            public: Some(Url::parse("https://login.example/app").unwrap()),
            tls: crate::net::TlsOptions::default(),
        };
        let inner = "http://10.0.0.1:3000/oidc/x";
        for (to, at) in [
            ("https://login.example/oidc/x/", Ok("http://10.0.0.1:3000/oidc/x/")),
            ("http://login.example/oidc/x/?y", Ok("http://10.0.0.1:3000/oidc/x/?y")),
            ("https://login.example/x/", Ok("http://10.0.0.1:3000/oidc/x/")),
            ("/oidc/y", Ok("http://10.0.0.1:3000/oidc/y")),
            ("https://login.example:444/oidc/x/", Err("redirect_cross_origin")),
            ("https://evil.example/oidc/x/", Err("redirect_cross_origin")),
            // The address that was just fetched, with another scheme.
            ("https://login.example/oidc/x", Err("redirect_cross_origin")),
        ] {
            let found = next(inner, to, Some(forwarded("http://10.0.0.1:3000/oidc")));
            assert_eq!(found, at.map(str::to_owned).map_err(str::to_owned), "{to}");
        }
    }
}
