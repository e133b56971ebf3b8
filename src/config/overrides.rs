//! The part of the configuration that comes from the command line.

use std::path::PathBuf;

/// Settings from the command line of `run`. They override the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunOverrides {
    pub upstream: Option<String>,
    /// `client`, `upstream` or a name.
    pub upstream_host: Option<String>,
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

/// A flag that replaces the value of a key.
pub(super) struct Flag<'a> {
    pub(super) name: &'static str,
    pub(super) table: &'static str,
    pub(super) key: &'static str,
    pub(super) value: &'a Option<String>,
}

impl RunOverrides {
    /// Every flag whose value has the same form as in the file.
    pub(super) fn flags(&self) -> [Flag<'_>; 9] {
        let flag = |name, table, key, value| Flag { name, table, key, value };
        [
            flag("--upstream", "upstream", "url", &self.upstream),
            flag("--upstream-host", "upstream", "host", &self.upstream_host),
            flag("--listen", "server", "listen", &self.listen),
            flag("--public-url", "server", "public_url", &self.public_url),
            flag("--admin", "admin", "listen", &self.admin),
            flag("--store", "signing", "store", &self.store),
            flag("--profile", "profile", "name", &self.profile),
            flag("--log", "log", "level", &self.log),
            flag("--log-format", "log", "format", &self.log_format),
        ]
    }
}
