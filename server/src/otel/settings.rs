//! Where spans are sent.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::setting::{self, Secret};

/// Spans of requests, exported by OTLP over HTTP; needs a binary built with the feature `otel`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OtelSettings {
    /// The collector, `http://127.0.0.1:4318`; `/v1/traces` is appended. Without it nothing is exported.
    pub endpoint: Option<setting::Url>,
    /// `service.name` of the spans.
    pub service_name: String,
    /// Share of the requests that are exported. A request in a client's trace follows the client's decision.
    pub sample_ratio: f64,
    /// Header lines to send. Use `${VAR}` for credentials.
    pub headers: BTreeMap<String, Secret>,
    /// Header lines to send, each value in a file.
    pub header_files: BTreeMap<String, PathBuf>,
    /// A PEM file with additional CA certificates.
    pub ca: Option<PathBuf>,
}

impl Default for OtelSettings {
    fn default() -> Self {
        Self {
            endpoint: None,
            service_name: "countersign".to_owned(),
            sample_ratio: 1.0,
            headers: BTreeMap::new(),
            header_files: BTreeMap::new(),
            ca: None,
        }
    }
}
