//! The arguments of the command line. Scripts depend on these names.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use super::output::Output;
use crate::config::{self, Config, ConfigError, Found, RunOverrides, any_path};
#[cfg(feature = "verifier")]
use crate::doctor::finding::ProviderKind;
use crate::env::ProcessEnv;
use crate::jose::alg::Alg;
use crate::jose::sign::{SigningKey, SigningKeyError};

macro_rules! after_help {
    ($try:literal) => {
        concat!(
            "Exit status: 0 good; 1 the answer is no (invalid token, faults found); 2 could not run.\n\n",
            "Start:  countersign run --upstream https://auth.example.com",
            $try
        )
    };
}
#[cfg(feature = "verifier")]
const AFTER_HELP: &str =
    after_help!("\nLook:   countersign doctor https://auth.example.com\nTry:    countersign demo");
/// Without the feature `verifier`, `doctor` and `demo` do not exist, so the help does not name them.
#[cfg(not(feature = "verifier"))]
const AFTER_HELP: &str = after_help!("");

/// Makes what an auth server issues acceptable to a strict verifier: a reverse proxy that
/// normalises its JWKS and countersigns its tokens.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, about, long_about = None, after_help = AFTER_HELP)]
#[command(arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the proxy
    Run(RunArgs),
    /// Show the main job on an embedded, broken issuer
    #[cfg(feature = "verifier")]
    Demo(DemoArgs),
    /// Normalise a JWKS: the document on stdout, what was done on stderr
    Normalize(NormalizeArgs),
    /// Check the signature of a JWS against a key set
    Verify(VerifyArgs),
    /// Countersign one token offline, as the proxy would
    Resign(ResignArgs),
    /// Find out why a verifier refuses an issuer, and how to fix it
    #[cfg(feature = "verifier")]
    Doctor(DoctorArgs),
    /// Decode a token without trusting it
    Inspect(InspectArgs),
    /// List, rotate, import, export or make signing keys
    #[command(arg_required_else_help = true)]
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Write a commented countersign.toml
    Init(InitArgs),
    /// Ask a running proxy whether it is ready (for a container's health check)
    Healthcheck(HealthcheckArgs),
    /// Print shell completions
    Completions {
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the version
    Version,
    /// Write the man pages
    #[command(hide = true)]
    Man {
        /// The folder to write to
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
    /// Print the JSON schema of countersign.toml
    #[command(hide = true)]
    Schema,
}

/// Flags win over environment variables, those over the configuration file.
#[derive(Debug, Default, Clone, Args)]
pub struct RunArgs {
    /// Configuration file (TOML) [default: countersign.toml, where there is one]
    #[arg(long, short, value_name = "FILE", env = "COUNTERSIGN_CONFIG", value_parser = any_path(), value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub overrides: RunOverrides,
    /// Check the configuration and exit
    #[arg(long)]
    pub check: bool,
    /// Take over the listeners of a running proxy without dropping a connection
    #[arg(long)]
    pub upgrade: bool,
}

impl RunArgs {
    /// The configuration of file, flags and environment together.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn load(&self) -> Result<Config, ConfigError> {
        let found = config::find(self.config.as_deref());
        config::load(found.path.as_deref(), &self.overrides, &ProcessEnv)
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
    /// Publish what this verifier accepts: `convex`, `standard`, `federation`, `hasura` or `login`
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
    /// The token itself, `@FILE`, the name of a file, or `-` for stdin (with --batch: a file of lines)
    #[arg(value_name = "TOKEN|@FILE|-", default_value = "-", value_hint = ValueHint::FilePath)]
    pub token: String,
}

#[derive(Debug, Args)]
pub struct ResignArgs {
    #[command(flatten)]
    pub place: ConfigPlace,
    /// The audience to keep if the token has several
    #[arg(long, value_name = "AUD")]
    pub audience: Option<String>,
    /// One JSON object instead of the token alone
    #[arg(long)]
    pub json: bool,
    /// The token itself, `@FILE`, the name of a file, or `-` for stdin
    #[arg(value_name = "TOKEN|@FILE|-", default_value = "-", value_hint = ValueHint::FilePath)]
    pub token: String,
}

#[cfg(feature = "verifier")]
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The issuer, or the address of its JWKS
    #[arg(value_name = "ISSUER-OR-JWKS-URL", value_hint = ValueHint::Url)]
    pub url: String,
    /// A token to check too, or `@FILE`. Give two of one person to see which claims change
    #[arg(long, value_name = "TOKEN|@FILE")]
    pub token: Vec<String>,
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
    pub kind: Option<ProviderKind>,
    /// Follow documents and redirects into private networks
    #[arg(long)]
    pub allow_private: bool,
    /// Show every check, not only the faults
    #[arg(long, short)]
    pub verbose: bool,
    /// One JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The token itself, `@FILE`, the name of a file, or `-` for stdin
    #[arg(value_name = "TOKEN|@FILE|-", default_value = "-", value_hint = ValueHint::FilePath)]
    pub token: String,
    /// One JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

/// The configuration, and with it the ring, of a proxy that may be running.
#[derive(Debug, Clone, Args)]
pub struct ConfigPlace {
    /// Configuration file of the proxy [default: countersign.toml, where there is one]
    #[arg(long, short, value_name = "FILE", env = "COUNTERSIGN_CONFIG", value_parser = any_path(), value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Where the signing keys are kept
    #[arg(long, value_name = "DIR", env = "COUNTERSIGN_DATA_DIR", value_parser = any_path(), value_hint = ValueHint::DirPath)]
    pub data_dir: Option<PathBuf>,
    /// The store: `file:DIR`, `readonly:DIR`, `env:NAME` or `redis://HOST:PORT/DB`
    #[arg(long, value_name = "STORE", env = "COUNTERSIGN_STORE")]
    pub store: Option<String>,
}

impl ConfigPlace {
    /// The configuration file, and the settings that override it. A note names a file found by default.
    pub fn find(&self, out: &mut Output) -> (Found, RunOverrides) {
        let found = config::find(self.config.as_deref());
        if let Some(note) = found.note() {
            out.note(note);
        }
        let (data_dir, store) = (self.data_dir.clone(), self.store.clone());
        let overrides = RunOverrides { data_dir, store, ..RunOverrides::default() };
        (found, overrides)
    }
}

#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// The keys, their states and times
    List {
        #[command(flatten)]
        place: ConfigPlace,
        /// JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Publish a new key; it signs once every cache can have seen it
    Rotate {
        #[command(flatten)]
        place: ConfigPlace,
        /// Sign with it at once (after a compromise: verifiers refuse tokens until they refetch)
        #[arg(long)]
        now: bool,
        /// JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Import an existing private key, PEM or JWK
    Import {
        #[command(flatten)]
        place: ConfigPlace,
        /// A file with the key, or `-` for stdin
        #[arg(value_name = "FILE|-", value_hint = ValueHint::FilePath)]
        file: String,
        /// JSON instead of text
        #[arg(long)]
        json: bool,
    },
    /// Print the public key set, or write the private keys into a file for a backup
    Export {
        #[command(flatten)]
        place: ConfigPlace,
        /// The public JWKS, which is the default
        #[arg(long, hide = true)]
        public: bool,
        /// The public JWKS as a `data:` URI
        #[arg(long, conflicts_with = "private")]
        data_uri: bool,
        /// Write the private keys into this new file (PEM, mode 0600)
        #[arg(long, value_name = "FILE", conflicts_with = "public", value_hint = ValueHint::FilePath)]
        private: Option<PathBuf>,
        /// With --private: print the result as JSON
        #[arg(long, requires = "private")]
        json: bool,
    },
    /// Make a key for `store = "env:NAME"`, in a file of its own
    Generate(GenerateArgs),
}

#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// The new file (PEM, mode 0600)
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
    /// The key's signature algorithm
    #[arg(long, value_parser = signing_algorithm(), value_name = "ALG", ignore_case = true, default_value = "RS256")]
    pub algorithm: Alg,
    /// The base64 of the PEM, on one line: for variables that cannot hold line breaks
    #[arg(long)]
    pub base64: bool,
    /// JSON instead of text
    #[arg(long)]
    pub json: bool,
}

/// The algorithms that countersign signs with.
fn signing_algorithm() -> impl TypedValueParser<Value = Alg> {
    let names = SigningKey::ALGORITHMS.iter().map(Alg::name);
    PossibleValuesParser::new(names).try_map(|name| {
        let known = SigningKey::ALGORITHMS.iter().find(|a| a.name().eq_ignore_ascii_case(&name));
        known.ok_or(SigningKeyError::Alg(name))
    })
}

#[derive(Debug, Args)]
pub struct InitArgs {
    /// The auth server, `https://auth.example.com`
    #[arg(long, value_name = "URL", env = "COUNTERSIGN_UPSTREAM", value_hint = ValueHint::Url)]
    #[cfg_attr(feature = "verifier", arg(required_unless_present = "from"))]
    #[cfg_attr(not(feature = "verifier"), arg(required = true))]
    pub upstream: Option<String>,
    /// Ask this address, the issuer or its JWKS, and write the `[[issuer]]` that fits
    #[cfg(feature = "verifier")]
    #[arg(long, value_name = "ISSUER-OR-JWKS-URL", value_hint = ValueHint::Url)]
    pub from: Option<String>,
    /// `iss` of the tokens, where it is not the address
    #[cfg(feature = "verifier")]
    #[arg(long, value_name = "ISS", requires = "from")]
    pub issuer: Option<String>,
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
