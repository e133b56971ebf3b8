//! The part of the configuration that comes from the command line.

use std::path::{Path, PathBuf};

use clap::ValueHint;
use clap::builder::{OsStringValueParser, TypedValueParser};

/// A path that may be empty: `VARIABLE=` in a manifest counts as unset.
pub fn any_path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// Settings from the command line of `run`. They override the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct RunOverrides {
    /// The auth server, `https://auth.example.com`; alone it is enough
    #[arg(long, value_name = "URL", env = "COUNTERSIGN_UPSTREAM", value_hint = ValueHint::Url)]
    pub upstream: Option<String>,
    /// The `Host` sent to the auth server: `client`, `upstream` or a name [default: `upstream` for an
    /// `https` upstream that has another name than the public URL, else `client`]
    #[arg(long, value_name = "HOST", env = "COUNTERSIGN_UPSTREAM_HOST")]
    pub upstream_host: Option<String>,
    /// Address of the public listener [default: every address at port PORT where that variable is set,
    /// else 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", env = "COUNTERSIGN_LISTEN")]
    pub listen: Option<String>,
    /// What clients and the verifier call this proxy, `https://auth.example.com`
    #[arg(long, value_name = "URL", env = "COUNTERSIGN_PUBLIC_URL", value_hint = ValueHint::Url)]
    pub public_url: Option<String>,
    /// Address of the admin listener, or `off` [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDR", env = "COUNTERSIGN_ADMIN")]
    pub admin: Option<String>,
    /// Where signing keys and last good key sets are kept
    #[arg(long, value_name = "DIR", env = "COUNTERSIGN_DATA_DIR", value_parser = any_path(), value_hint = ValueHint::DirPath)]
    pub data_dir: Option<PathBuf>,
    /// Where the signing keys are kept: `file:DIR`, `readonly:DIR`, `env:NAME` or `redis://HOST:PORT/DB`
    #[arg(long, value_name = "STORE", env = "COUNTERSIGN_STORE")]
    pub store: Option<String>,
    /// Proxy threads [default: one per core]
    #[arg(long, value_name = "N", env = "COUNTERSIGN_THREADS")]
    pub threads: Option<usize>,
    /// The verifier to satisfy: `convex`, `standard`, `federation`, `hasura` or `login` [default: convex]
    #[arg(long, value_name = "NAME", env = "COUNTERSIGN_PROFILE")]
    pub profile: Option<String>,
    /// `error`, `warn`, `info`, `debug`, `trace`, or `target=level` pairs [default: info]
    #[arg(long, value_name = "LEVEL", env = "COUNTERSIGN_LOG")]
    pub log: Option<String>,
    /// `text` or `json` [default: text]
    #[arg(long, value_name = "FORMAT", env = "COUNTERSIGN_LOG_FORMAT")]
    pub log_format: Option<String>,
}

/// A flag that replaces the value of a key.
pub(super) struct Flag<'a> {
    pub(super) name: &'static str,
    pub(super) table: &'static str,
    pub(super) key: &'static str,
    pub(super) value: Option<&'a str>,
}

impl RunOverrides {
    /// Every flag whose value has the same form as in the file. An empty value counts as unset:
    /// `VARIABLE=` and `${VARIABLE:-}` in a manifest.
    pub(super) fn flags(&self) -> [Flag<'_>; 9] {
        [
            ("--upstream", "upstream", "url", &self.upstream),
            ("--upstream-host", "upstream", "host", &self.upstream_host),
            ("--listen", "server", "listen", &self.listen),
            ("--public-url", "server", "public_url", &self.public_url),
            ("--admin", "admin", "listen", &self.admin),
            ("--store", "signing", "store", &self.store),
            ("--profile", "profile", "name", &self.profile),
            ("--log", "log", "level", &self.log),
            ("--log-format", "log", "format", &self.log_format),
        ]
        .map(|(name, table, key, value)| {
            let value = value.as_deref().filter(|value| !value.is_empty());
            Flag { name, table, key, value }
        })
    }

    pub(super) fn data_dir(&self) -> Option<&Path> {
        self.data_dir.as_deref().filter(|dir| !dir.as_os_str().is_empty())
    }
}
