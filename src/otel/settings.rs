//! Where spans are sent.

use std::path::PathBuf;

use url::Url;

use crate::setting::Secret;

/// `[otel]`
#[derive(Debug, Clone)]
pub struct OtelSettings {
    /// Where spans are posted, path and all.
    pub endpoint: Url,
    pub service_name: String,
    /// Of the requests that begin a trace here, `0.0..=1.0`.
    pub sample_ratio: f64,
    pub headers: Vec<(String, Secret)>,
    /// Extra CA certificates, PEM.
    pub ca: Option<PathBuf>,
}
