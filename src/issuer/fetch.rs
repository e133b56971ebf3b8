//! One bounded HTTP GET of a key set. Everything that can go wrong has a stable code.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, StatusCode};
use url::Url;

use super::FetchSettings;
use super::headers::{freshness, retry_after};
use crate::coding::{self, CodingError};
use crate::dns::{Banned, Resolver};
use crate::jose::names::UnixTime;

/// Some hosts block unknown or empty agents; this one says what it is.
const USER_AGENT: &str =
    concat!("countersign/", env!("CARGO_PKG_VERSION"), " (JWKS fetcher; like Mozilla/5.0)");
/// RFC 7517 §8.5 first; some servers answer `406` to it alone, some to its absence.
const ACCEPT: &str = "application/jwk-set+json, application/json;q=0.9, */*;q=0.1";

/// A document, or word that the known one still holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    Document {
        body: Bytes,
        etag: Option<String>,
        age: Option<Duration>,
        /// What stood in `Content-Type`, for the report.
        content_type: Option<String>,
    },
    NotModified {
        age: Option<Duration>,
    },
}

/// Why a fetch gave no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    #[error("the issuer answered {status}")]
    Status { status: u16, retry_after: Option<Duration> },
    #[error("no complete answer within {limit:?}")]
    Timeout { limit: Duration },
    #[error("no connection: {why}")]
    Connect { why: String },
    #[error("the name was not resolved: {why}")]
    Dns { why: String },
    #[error("TLS: {why}")]
    Tls { why: String },
    #[error("{0} is a link-local or metadata address; `allow_link_local` permits it")]
    Banned(IpAddr),
    #[error("the document is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("more than {limit} redirects")]
    Redirects { limit: u8 },
    #[error("a redirect to another origin, {to}")]
    RedirectCrossOrigin { to: String },
    #[error("a redirect without a usable `Location`")]
    RedirectLocation,
    #[error("the content encoding `{0}` is not one of gzip, br, zstd")]
    Encoding(String),
    #[error("the body does not decode as its content encoding says")]
    Corrupt,
    #[error("the body is empty")]
    Empty,
    #[error("the answer broke off: {why}")]
    Broken { why: String },
    #[error("the request cannot be made: {why}")]
    Request { why: String },
}

impl FetchError {
    /// A stable name: metric label, status field.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Timeout { .. } => "timeout",
            Self::Connect { .. } => "connect",
            Self::Dns { .. } => "dns",
            Self::Tls { .. } => "tls",
            Self::Banned(_) => "address_banned",
            Self::TooLarge { .. } => "too_large",
            Self::Redirects { .. } => "redirects",
            Self::RedirectCrossOrigin { .. } => "redirect_cross_origin",
            Self::RedirectLocation => "redirect_location",
            Self::Encoding(_) | Self::Corrupt => "encoding",
            Self::Empty => "empty",
            Self::Broken { .. } => "broken",
            Self::Request { .. } => "request",
        }
    }

    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Fetches for all issuers: one client, and so one connection pool, for each different set of
/// transport settings; as a rule one in all.
#[derive(Debug)]
pub struct Fetcher {
    resolver: Resolver,
    clients: Mutex<HashMap<ClientKey, Client>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ClientKey {
    connect_timeout: Duration,
    allow_link_local: bool,
    ca: Option<PathBuf>,
}

/// What one fetch is about.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    pub url: &'a Url,
    pub settings: &'a FetchSettings,
    /// Bytes of the body, as it comes and decoded.
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
    pub async fn get(&self, ask: Ask<'_>) -> Result<Fetched, FetchError> {
        let client = self.client(ask.settings)?;
        let limit = ask.settings.total_timeout;
        // reqwest's own total limit restarts at each redirect, which we follow ourselves.
        match tokio::time::timeout(limit, follow(&client, ask)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(FetchError::Timeout { limit }),
        }
    }

    fn client(&self, settings: &FetchSettings) -> Result<Client, FetchError> {
        let key = ClientKey {
            connect_timeout: settings.connect_timeout,
            allow_link_local: settings.allow_link_local,
            ca: settings.ca.clone(),
        };
        let mut clients = self.clients.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let client = build(&key, &self.resolver)?;
        clients.insert(key, client.clone());
        Ok(client)
    }
}

fn build(key: &ClientKey, resolver: &Resolver) -> Result<Client, FetchError> {
    let tls = tls_config(key.ca.as_deref()).map_err(|why| FetchError::Request { why })?;
    Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(USER_AGENT)
        .connect_timeout(key.connect_timeout)
        // Each hop is judged in `follow`; proxies from the environment would undo the address ban.
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .retry(reqwest::retry::never())
        .dns_resolver(resolver.guarded(key.allow_link_local))
        // Many issuers, one fetch in minutes each: idle connections are not worth their sockets.
        .pool_idle_timeout(Duration::from_secs(20))
        .pool_max_idle_per_host(1)
        .build()
        .map_err(|e| FetchError::Request { why: chain(&e) })
}

/// The roots of the web and, with them, the operator's own.
pub(crate) fn tls_config(ca: Option<&Path>) -> Result<rustls::ClientConfig, String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    if let Some(path) = ca {
        let at = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
        let pem = std::fs::read(path).map_err(|e| at(&e))?;
        let blocks = pem::parse_many(pem).map_err(|e| at(&e))?;
        for block in blocks.iter().filter(|b| b.tag() == "CERTIFICATE") {
            let der = rustls_pki_types::CertificateDer::from(block.contents().to_vec());
            roots.add(der).map_err(|e| at(&e))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

async fn follow(client: &Client, ask: Ask<'_>) -> Result<Fetched, FetchError> {
    let settings = ask.settings;
    let mut url = ask.url.clone();
    for _ in 0..=settings.redirects {
        let request = client.get(url.clone()).headers(headers(ask)?);
        let response = request.send().await.map_err(|e| sort(&e, settings))?;
        match response.status() {
            StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT => url = next_hop(&url, response.headers())?,
            _ => return read(response, ask).await,
        }
    }
    Err(FetchError::Redirects { limit: settings.redirects })
}

fn headers(ask: Ask<'_>) -> Result<HeaderMap, FetchError> {
    let bad = |what: &str| FetchError::Request { why: format!("the header `{what}` is not valid") };
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static(ACCEPT));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(coding::ACCEPTED));
    if let Some(etag) = ask.etag {
        let value = HeaderValue::from_str(etag).map_err(|_| bad("If-None-Match"))?;
        headers.insert(header::IF_NONE_MATCH, value);
    }
    for (name, value) in &ask.settings.headers {
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad(name))?;
        let mut value = HeaderValue::from_str(value).map_err(|_| bad(name))?;
        // The operator's headers may hold credentials.
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

/// RFC 9110 §10.2.2, and never to another origin: that would be a login page, or somebody's else
/// network.
fn next_hop(from: &Url, headers: &HeaderMap) -> Result<Url, FetchError> {
    let location = headers.get(header::LOCATION).and_then(|v| v.to_str().ok());
    let location = location.ok_or(FetchError::RedirectLocation)?;
    let to = from.join(location).map_err(|_| FetchError::RedirectLocation)?;
    if to.origin() == from.origin() {
        return Ok(to);
    }
    Err(FetchError::RedirectCrossOrigin { to: to.origin().ascii_serialization() })
}

async fn read(mut response: Response, ask: Ask<'_>) -> Result<Fetched, FetchError> {
    let status = response.status();
    let age = freshness(response.headers(), ask.now);
    if status == StatusCode::NOT_MODIFIED && ask.etag.is_some() {
        return Ok(Fetched::NotModified { age });
    }
    if status == StatusCode::NO_CONTENT {
        return Err(FetchError::Empty);
    }
    if !ask.settings.status.contains(&status.as_u16()) {
        let retry_after = retry_after(response.headers(), ask.now);
        return Err(FetchError::Status { status: status.as_u16(), retry_after });
    }
    let text = |name: HeaderName| {
        response.headers().get(name).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned())
    };
    let codings = text(header::CONTENT_ENCODING).unwrap_or_default();
    let (etag, content_type) = (text(header::ETAG), text(header::CONTENT_TYPE));
    let raw = body(&mut response, ask.limit).await.map_err(|unread| match unread {
        Unread::TooLarge => FetchError::TooLarge { limit: ask.limit },
        Unread::Broken(error) => sort(&error, ask.settings),
    })?;
    let body = match coding::decode(&raw, &codings, ask.limit) {
        Ok(Cow::Borrowed(_)) => raw,
        Ok(Cow::Owned(decoded)) => decoded.into(),
        Err(CodingError::Unknown) => {
            return Err(FetchError::Encoding(codings.chars().take(40).collect()));
        }
        Err(CodingError::Corrupt) => return Err(FetchError::Corrupt),
        Err(CodingError::TooLarge) => return Err(FetchError::TooLarge { limit: ask.limit }),
    };
    if body.is_empty() {
        return Err(FetchError::Empty);
    }
    Ok(Fetched::Document { body, etag, age, content_type })
}

/// Why a body was not read to its end.
#[derive(Debug)]
pub(crate) enum Unread {
    TooLarge,
    Broken(reqwest::Error),
}

/// The body of an answer as it comes, at most `limit` bytes of it.
pub(crate) async fn body(response: &mut Response, limit: usize) -> Result<Bytes, Unread> {
    if response.content_length().is_some_and(|n| n > limit as u64) {
        return Err(Unread::TooLarge);
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(Unread::Broken)? {
        if body.len() + chunk.len() > limit {
            return Err(Unread::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Puts the client's error under one of our codes. The causes are other crates' types, so the chain
/// is searched here and nowhere else.
fn sort(error: &reqwest::Error, settings: &FetchSettings) -> FetchError {
    sorted(error, settings.connect_timeout)
}

/// The same for another client; `limit` is what a timeout has run past.
pub(crate) fn sorted(error: &reqwest::Error, limit: Duration) -> FetchError {
    let why = chain(error);
    if let Some(Banned(ip)) = find(error) {
        return FetchError::Banned(*ip);
    }
    if error.is_timeout() {
        return FetchError::Timeout { limit };
    }
    if error.is_connect() {
        let tls = find::<rustls::Error>(error).is_some();
        let dns = why.contains("dns error");
        return match (tls, dns) {
            (true, _) => FetchError::Tls { why },
            (_, true) => FetchError::Dns { why },
            _ => FetchError::Connect { why },
        };
    }
    if error.is_builder() {
        return FetchError::Request { why };
    }
    FetchError::Broken { why }
}

fn find<E: std::error::Error + 'static>(error: &reqwest::Error) -> Option<&E> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(e) = cause {
        if let Some(found) = e.downcast_ref::<E>() {
            return Some(found);
        }
        // `io::Error` hides what it was made of from `source`.
        let io = e.downcast_ref::<std::io::Error>();
        let hidden = io.and_then(std::io::Error::get_ref).and_then(|inner| inner.downcast_ref());
        if hidden.is_some() {
            return hidden;
        }
        cause = e.source();
    }
    None
}

/// The causes in one line, the address left out: it may hold a password.
fn chain(error: &reqwest::Error) -> String {
    let mut parts = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(e) = cause {
        parts.push(e.to_string());
        cause = e.source();
    }
    if parts.is_empty() { "the request failed".to_owned() } else { parts.join(": ") }
}
