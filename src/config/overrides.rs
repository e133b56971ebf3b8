//! The command line's share of the configuration.

use std::path::PathBuf;

/// What the command line of `run` says; it wins over the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunOverrides {
    pub upstream: Option<String>,
    pub listen: Option<String>,
    pub public_url: Option<String>,
    /// An address or `off`.
    pub admin: Option<String>,
    pub data_dir: Option<PathBuf>,
    /// `[signing] store`
    pub store: Option<String>,
    pub threads: Option<usize>,
    pub profile: Option<String>,
    pub log: Option<String>,
    pub log_format: Option<String>,
}
