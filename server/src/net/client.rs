//! A client for our own requests. It never uses proxies from the environment: they would bypass the
//! address check. It never follows a redirect by itself.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response};
use url::Url;

use super::address::Reach;
use super::dns::{Alias, Resolver};
use super::error::FetchError;
use super::tls::TlsOptions;

/// How a client is built. Two clients with the same settings are interchangeable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientSettings {
    pub user_agent: &'static str,
    pub reach: Reach,
    pub connect_timeout: Duration,
    /// The limit for a whole request; `None` if the caller limits it.
    pub timeout: Option<Duration>,
    pub tls: TlsOptions,
    /// The host to dial for `tls.sni`, if that is another name.
    pub host: Option<String>,
}

impl ClientSettings {
    /// No total limit.
    pub fn new(user_agent: &'static str, reach: Reach, connect_timeout: Duration) -> Self {
        Self {
            user_agent,
            reach,
            connect_timeout,
            timeout: None,
            tls: TlsOptions::default(),
            host: None,
        }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct HttpClient {
    client: Client,
    reach: Reach,
    alias: Option<Alias>,
    /// The limit that a timeout error reports.
    limit: Duration,
}

impl HttpClient {
    /// # Errors
    /// [`FetchError::Request`] when a certificate cannot be used.
    pub fn new(settings: &ClientSettings, resolver: &Resolver) -> Result<Self, FetchError> {
        let reach = settings.reach;
        let alias = match (&settings.tls.sni, &settings.host) {
            (Some(name), Some(host)) if name != host => {
                Some(Alias { name: name.clone(), host: host.clone() })
            }
            _ => None,
        };
        let tls = settings.tls.config().map_err(|why| FetchError::Request { why })?;
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(settings.user_agent)
            .connect_timeout(settings.connect_timeout)
            .redirect(Policy::none())
            .no_proxy()
            .retry(reqwest::retry::never())
            .dns_resolver(resolver.guarded(reach, alias.clone()))
            // One request per some minutes to each of many servers: idle connections are not worth
            // their sockets.
            .pool_idle_timeout(Duration::from_secs(20))
            .pool_max_idle_per_host(1);
        if !settings.tls.http2 {
            builder = builder.http1_only();
        }
        if let Some(timeout) = settings.timeout {
            builder = builder.timeout(timeout);
        }
        let limit = settings.timeout.unwrap_or(settings.connect_timeout);
        let client = builder.build().map_err(|e| FetchError::of(&e, limit))?;
        Ok(Self { client, reach, alias, limit })
    }

    pub fn get(&self, url: Url) -> RequestBuilder {
        self.client.get(url)
    }

    pub fn post(&self, url: Url) -> RequestBuilder {
        self.client.post(url)
    }

    pub fn request(&self, method: Method, url: impl reqwest::IntoUrl) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// Sends a request made by this client. It checks an address in the URL itself here, because no
    /// resolver sees it. The resolver checks names.
    ///
    /// # Errors
    /// [`FetchError`], never one about the answer's status.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, FetchError> {
        let mut request = request.build().map_err(|e| FetchError::of(&e, self.limit))?;
        self.reach.check_literal(request.url())?;
        if let Some(alias) = &self.alias
            && request.url().host_str() == Some(alias.host.as_str())
        {
            let renamed = request.url_mut().set_host(Some(&alias.name));
            renamed.map_err(|e| FetchError::Request { why: e.to_string() })?;
        }
        self.client.execute(request).await.map_err(|e| FetchError::of(&e, self.limit))
    }

    /// The body of an answer, at most `limit` bytes, as it arrives.
    ///
    /// # Errors
    /// [`FetchError::TooLarge`], or why it broke off.
    pub async fn body(&self, response: &mut Response, limit: usize) -> Result<Bytes, FetchError> {
        if response.content_length().is_some_and(|n| n > limit as u64) {
            return Err(FetchError::TooLarge { limit });
        }
        let mut body = BytesMut::new();
        let broken = |e: reqwest::Error| FetchError::of(&e, self.limit);
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if body.len() + chunk.len() > limit {
                return Err(FetchError::TooLarge { limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}

/// All lines of a field, joined as one list (RFC 9110 §5.3).
pub fn joined(response: &Response, name: &reqwest::header::HeaderName) -> String {
    let lines = response.headers().get_all(name).iter();
    let lines: Vec<_> = lines.map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
    lines.join(",")
}
