//! Sends spans to the collector: one bounded POST on the background threads.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, Request, Response};
use opentelemetry_http::{Bytes, HttpClient, HttpError};
use tokio::runtime::Handle;

use crate::dns::Resolver;
use crate::net::{ClientSettings, FetchError, HttpClient as Client, Reach, TlsOptions};

/// For one attempt, from connecting to the last byte of the answer.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(3);
const USER_AGENT: &str = concat!("countersign/", env!("CARGO_PKG_VERSION"));
/// Maximum bytes of an answer; a collector answers `{}`, or which spans it rejects.
const ANSWER: usize = 64 * 1024;

/// Sends for the exporter, whose thread has no runtime.
#[derive(Debug)]
pub(super) struct Sender {
    client: Client,
    /// The operator's headers, with credentials.
    headers: HeaderMap,
    runtime: Handle,
    /// The last attempt failed; logged once.
    failing: AtomicBool,
}

impl Sender {
    /// # Errors
    /// Why no client could be made, as text.
    pub(super) fn new(
        headers: HeaderMap,
        ca: Option<&Path>,
        resolver: &Resolver,
        runtime: Handle,
    ) -> Result<Self, String> {
        // No redirects: the headers go to the configured address only.
        let settings = ClientSettings {
            timeout: Some(TIMEOUT),
            tls: TlsOptions::with_ca(ca),
            ..ClientSettings::new(USER_AGENT, Reach::CONFIGURED, CONNECT)
        };
        let client = Client::new(&settings, resolver).map_err(|e| e.to_string())?;
        Ok(Self { client, headers, runtime, failing: AtomicBool::new(false) })
    }

    fn log_change(&self, outcome: &Result<Response<Bytes>, FetchError>) {
        let fault = match outcome {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => {
                Some(FetchError::Status { status: response.status().as_u16(), retry_after: None })
            }
            Err(error) => Some(error.clone()),
        };
        let failed = self.failing.swap(fault.is_some(), Ordering::Relaxed);
        match fault {
            Some(error) if !failed => {
                tracing::warn!(code = error.code(), %error, "spans cannot be sent");
            }
            None if failed => tracing::info!("spans are sent again"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let request = self
            .client
            .request(parts.method, parts.uri.to_string())
            .headers(parts.headers)
            .headers(self.headers.clone())
            .body(body);
        let outcome = match self.runtime.spawn(send(self.client.clone(), request)).await {
            Ok(outcome) => outcome,
            // The server has stopped.
            Err(_) => Err(FetchError::Broken { why: "stopped".to_owned() }),
        };
        self.log_change(&outcome);
        outcome.map_err(Into::into)
    }
}

async fn send(
    client: Client,
    request: reqwest::RequestBuilder,
) -> Result<Response<Bytes>, FetchError> {
    let mut response = client.send(request).await?;
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = response.status();
    *answer.headers_mut() = response.headers().clone();
    *answer.body_mut() = client.body(&mut response, ANSWER).await?;
    Ok(answer)
}
