//! What the command line takes. Other people's scripts depend on these names.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use crate::config::env::ProcessEnv;
use crate::config::{self, Config, ConfigError, RunOverrides};

macro_rules! after_help {
    ($try:literal) => {
        concat!(
            "Exit status: 0 good; 1 the answer is no (invalid token, faults found); 2 could not run.\n\n",
            "Start:  countersign run --upstream https://auth.example.com\n",
            "Look:   countersign doctor https://auth.example.com",
            $try
        )
    };
}
#[cfg(feature = "demo")]
const AFTER_HELP: &str = after_help!("\nTry:    countersign demo");
/// Built without it, the command is not there to be tried.
#[cfg(not(feature = "demo"))]
const AFTER_HELP: &str = after_help!("");

/// Makes what an auth server issues acceptable to a strict verifier: a reverse proxy that
/// normalises its JWKS and countersigns its tokens.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, about, long_about = None, after_help = AFTER_HELP)]
#[command(disable_help_subcommand = true, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the proxy
    Run(RunArgs),
    /// Show the main job on an embedded, broken issuer
    #[cfg(feature = "demo")]
    Demo(DemoArgs),
    /// Normalise a JWKS: the document on stdout, what was done on stderr
    Normalize(NormalizeArgs),
    /// Check the signature of a JWS against a key set
    Verify(VerifyArgs),
    /// Countersign one token offline, as the proxy would
    Resign(ResignArgs),
    /// Find out why a verifier refuses an issuer, and how to fix it
    Doctor(DoctorArgs),
    /// Decode a token without trusting it
    Inspect(InspectArgs),
    /// List, rotate, import or export the signing keys
    Keys(KeysArgs),
    /// Write a commented countersign.toml
    Init(InitArgs),
    /// Ask a running proxy whether it is ready (for a container's health check)
    Healthcheck(HealthcheckArgs),
    /// Print shell completions
    Completions(CompletionsArgs),
    /// Write the man pages
    #[command(hide = true)]
    Man(ManArgs),
    /// Print the JSON schema of countersign.toml
    #[command(hide = true)]
    Schema,
}

/// Flags win over environment variables, those over the configuration file.
#[derive(Debug, Default, Clone, Args)]
pub struct RunArgs {
    /// Configuration file (TOML)
    #[arg(long, short, value_name = "FILE", env = "COUNTERSIGN_CONFIG", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// The auth server, `https://auth.example.com`; alone it is enough
    #[arg(long, value_name = "URL", env = "COUNTERSIGN_UPSTREAM", value_hint = ValueHint::Url)]
    pub upstream: Option<String>,
    /// The `Host` the auth server hears: `client`, `upstream` or a name [default: `upstream` for an
    /// `https` upstream that has another name than the public URL, else `client`]
    #[arg(long, value_name = "HOST", env = "COUNTERSIGN_UPSTREAM_HOST")]
    pub upstream_host: Option<String>,
    /// Address of the public listener [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", env = "COUNTERSIGN_LISTEN")]
    pub listen: Option<String>,
    /// What clients and the verifier call this proxy, `https://auth.example.com`
    #[arg(long, value_name = "URL", env = "COUNTERSIGN_PUBLIC_URL", value_hint = ValueHint::Url)]
    pub public_url: Option<String>,
    /// Address of the admin listener, or `off` [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDR", env = "COUNTERSIGN_ADMIN")]
    pub admin: Option<String>,
    /// Where signing keys and last good key sets are kept
    #[arg(long, value_name = "DIR", env = "COUNTERSIGN_DATA_DIR", value_hint = ValueHint::DirPath)]
    pub data_dir: Option<PathBuf>,
    /// Proxy threads [default: one per core]
    #[arg(long, value_name = "N", env = "COUNTERSIGN_THREADS")]
    pub threads: Option<usize>,
    /// The verifier to please: `convex`, `standard`, `federation`, `hasura` or `login` [default: convex]
    #[arg(long, value_name = "NAME", env = "COUNTERSIGN_PROFILE")]
    pub profile: Option<String>,
    /// `error`, `warn`, `info`, `debug`, `trace`, or `target=level` pairs [default: info]
    #[arg(long, value_name = "LEVEL", env = "COUNTERSIGN_LOG")]
    pub log: Option<String>,
    /// `text` or `json` [default: text]
    #[arg(long, value_name = "FORMAT", env = "COUNTERSIGN_LOG_FORMAT")]
    pub log_format: Option<String>,
    /// Check the configuration and exit
    #[arg(long)]
    pub check: bool,
    /// Take over the listeners of a running proxy without dropping a connection
    #[arg(long)]
    pub upgrade: bool,
}

impl RunArgs {
    /// What wins over the configuration file.
    pub fn overrides(&self) -> RunOverrides {
        RunOverrides {
            upstream: self.upstream.clone(),
            upstream_host: self.upstream_host.clone(),
            listen: self.listen.clone(),
            public_url: self.public_url.clone(),
            admin: self.admin.clone(),
            data_dir: self.data_dir.clone(),
            threads: self.threads,
            profile: self.profile.clone(),
            log: self.log.clone(),
            log_format: self.log_format.clone(),
        }
    }

    /// The configuration of file, flags and environment together.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn load(&self) -> Result<Config, ConfigError> {
        config::load(self.config.as_deref(), &self.overrides(), &ProcessEnv)
    }
}

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Keep issuer and proxy running after the demonstration
    #[arg(long)]
    pub serve: bool,
    /// One JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    Text,
    Json,
}

#[derive(Debug, Args)]
pub struct NormalizeArgs {
    /// A file, an address, or `-` for stdin
    #[arg(value_name = "FILE|URL|-", default_value = "-", value_hint = ValueHint::AnyPath)]
    pub source: String,
    /// Publish what this verifier takes: `convex`, `standard`, `federation`, `hasura` or `login`
    #[arg(long, value_name = "NAME", default_value = "convex")]
    pub profile: String,
    /// How the report on stderr is written
    #[arg(long, value_enum, default_value = "text")]
    pub report: ReportFormat,
}

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The key set: a file or an address (with --batch a line may bring its own)
    #[arg(long, value_name = "FILE|URL", required_unless_present = "batch", value_hint = ValueHint::AnyPath)]
    pub jwks: Option<String>,
    /// Allow this algorithm; repeat for more [default: every asymmetric one]
    #[arg(long = "alg", value_name = "ALG")]
    pub algs: Vec<String>,
    /// JSON lines in (`{"token":…}` or `{"token":…,"jwks":{…}}`), `{"valid":…,"reason":…}` out
    #[arg(long)]
    pub batch: bool,
    /// One JSON object instead of text
    #[arg(long)]
    pub json: bool,
    /// A file with the token (with --batch: the lines), or `-` for stdin
    #[arg(value_name = "TOKEN-FILE|-", default_value = "-", value_hint = ValueHint::FilePath)]
    pub token: String,
}

#[derive(Debug, Args)]
pub struct ResignArgs {
    /// Configuration file (TOML)
    #[arg(long, short, value_name = "FILE", env = "COUNTERSIGN_CONFIG", value_hint = ValueHint::FilePath)]
    pub config: PathBuf,
    /// Where the signing keys are kept, instead of the configuration's
    #[arg(long, value_name = "DIR", env = "COUNTERSIGN_DATA_DIR", value_hint = ValueHint::DirPath)]
    pub data_dir: Option<PathBuf>,
    /// The audience wanted, where the token names several
    #[arg(long, value_name = "AUD")]
    pub audience: Option<String>,
    /// One JSON object instead of the token alone
    #[arg(long)]
    pub json: bool,
    /// A file with the token, or `-` for stdin
    #[arg(value_name = "TOKEN-FILE|-", default_value = "-", value_hint = ValueHint::FilePath)]
    pub token: String,
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The issuer, or the address of its JWKS
    #[arg(value_name = "ISSUER-OR-JWKS-URL", value_hint = ValueHint::Url)]
    pub url: String,
    /// A token to check too, or `@FILE`
    #[arg(long, value_name = "T|@F")]
    pub token: Option<String>,
    /// `iss` the verifier is configured with [default: the address]
    #[arg(long, value_name = "ISS")]
    pub issuer: Option<String>,
    /// `aud` the verifier is configured with
    #[arg(long, value_name = "AUD")]
    pub audience: Option<String>,
    /// The verifier: `convex`, `standard`, `federation`, `hasura` or `login`
    #[arg(long, value_name = "NAME", default_value = "convex")]
    pub profile: String,
    /// The kind of provider that must accept; without it, either is enough
    #[arg(long = "for", value_enum, value_name = "KIND")]
    pub way: Option<Provider>,
    /// One JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

/// The two kinds of provider a Convex deployment may configure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Provider {
    CustomJwt,
    Oidc,
}

#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The token itself, `@FILE`, or `-` for stdin
    #[arg(value_name = "TOKEN|@FILE|-", default_value = "-")]
    pub token: String,
    /// One JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct KeysArgs {
    #[command(subcommand)]
    pub command: KeysCommand,
}

/// Where the ring is.
#[derive(Debug, Clone, Args)]
pub struct KeysPlace {
    /// Configuration file, for its store and algorithm
    #[arg(long, short, value_name = "FILE", env = "COUNTERSIGN_CONFIG", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Where the signing keys are kept
    #[arg(long, value_name = "DIR", env = "COUNTERSIGN_DATA_DIR", value_hint = ValueHint::DirPath)]
    pub data_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// The keys, their states and times
    List {
        #[command(flatten)]
        place: KeysPlace,
        /// JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Publish a new key; it signs once every cache can have seen it
    Rotate {
        #[command(flatten)]
        place: KeysPlace,
        /// Sign with it at once (after a compromise: verifiers refuse tokens until they refetch)
        #[arg(long)]
        now: bool,
        #[arg(long)]
        json: bool,
    },
    /// Take in an existing private key, PEM or JWK
    Import {
        #[command(flatten)]
        place: KeysPlace,
        /// A file with the key, or `-` for stdin
        #[arg(value_name = "FILE|-", value_hint = ValueHint::FilePath)]
        file: String,
        #[arg(long)]
        json: bool,
    },
    /// Print the public set, or the private keys for a backup
    Export {
        #[command(flatten)]
        place: KeysPlace,
        /// The public JWKS alone
        #[arg(long)]
        public: bool,
        /// The public JWKS as a `data:` URI
        #[arg(long)]
        data_uri: bool,
    },
}

#[derive(Debug, Args)]
pub struct InitArgs {
    /// The auth server, `https://auth.example.com`
    #[arg(long, value_name = "URL", env = "COUNTERSIGN_UPSTREAM", value_hint = ValueHint::Url)]
    pub upstream: String,
    /// What clients and the verifier will call this proxy
    #[arg(long, value_name = "URL", env = "COUNTERSIGN_PUBLIC_URL", value_hint = ValueHint::Url)]
    pub public_url: Option<String>,
    /// The `aud` of your tokens (the client ID)
    #[arg(long, value_name = "AUD")]
    pub audience: Option<String>,
    /// The file to write, or `-` for stdout
    #[arg(long, short, value_name = "FILE|-", default_value = "countersign.toml", value_hint = ValueHint::FilePath)]
    pub output: String,
    /// Overwrite the file
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct HealthcheckArgs {
    /// The admin listener of the proxy
    #[arg(long, value_name = "ADDR", env = "COUNTERSIGN_ADMIN", default_value = "127.0.0.1:9090")]
    pub admin: String,
    /// Seconds to wait for the answer
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    pub timeout: u64,
    /// Ask whether it is alive (`/healthz`) instead of ready (`/readyz`)
    #[arg(long)]
    pub live: bool,
}

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub struct ManArgs {
    /// The folder to write to
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
}

/// An address to listen on: `127.0.0.1:8080`, `[::]:8080`, `:8080` (every interface) or
/// `localhost:8080`.
///
/// # Errors
/// What an address looks like.
pub fn listen_addr(text: &str) -> Result<SocketAddr, String> {
    crate::setting::listen_addr(text).map_err(|invalid| match invalid.hint {
        Some(hint) => format!("{}; {hint}", invalid.why),
        None => invalid.why,
    })
}
