//! The bridge's settings.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::jose::names::Limits;
use crate::setting;

/// Verifying and signing, `[bridge]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BridgeSettings {
    /// Size of the cache of countersigned tokens; `0` for none.
    #[serde(rename = "cache", with = "setting::Size")]
    pub cache_bytes: usize,
    /// Threads that verify and sign; half the cores.
    pub threads: Option<usize>,
    /// Tokens that may wait for a thread; more get 503.
    pub queue: usize,
    /// `[limits]`, a table of its own.
    #[serde(skip)]
    pub limits: Limits,
}

impl Default for BridgeSettings {
    fn default() -> Self {
        let limits = Limits::default();
        Self { cache_bytes: 32 * 1024 * 1024, threads: None, queue: 1024, limits }
    }
}

impl BridgeSettings {
    /// Threads on this machine: those configured, else half its cores.
    pub fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.unwrap_or_else(|| cores().div_ceil(2))
    }
}
