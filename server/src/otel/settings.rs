//! Where spans are sent.

use std::path::PathBuf;

use url::Url;

use crate::setting::Secret;

/// `[otel]`
#[derive(Debug, Clone)]
pub struct OtelSettings {
    /// The URL that spans are posted to, with its path.
    pub endpoint: Url,
    pub service_name: String,
    /// Share of the requests that start a trace here, `0.0..=1.0`.
    pub sample_ratio: f64,
    pub headers: Vec<(String, Secret)>,
    /// Additional CA certificates, PEM.
    pub ca: Option<PathBuf>,
}
