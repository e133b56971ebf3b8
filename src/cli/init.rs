//! `countersign init`: a commented configuration and the verifier's block that goes with it.

use std::io::{ErrorKind, Write};
use std::path::Path;

use super::Exit;
use super::args::InitArgs;
use super::output::{CliError, Output, shell_word};
use crate::auth_config::{self, EXAMPLE_URL, Provider};
use crate::config::{self, RunOverrides};
use crate::env::NoEnv;
use crate::issuer::publisher::COMMON_PATH;
use crate::jose::json::quote as quoted;

/// The auth server that the file is for.
struct IssuerTarget {
    upstream: String,
    issuer: String,
    /// `jwks` of an `[[issuer]]`, where discovery alone does not lead to the keys.
    jwks: Option<String>,
}

/// # Errors
/// [`CliError`] when an address is invalid, or the file exists or cannot be written.
pub fn run(args: &InitArgs, out: &mut Output) -> Result<Exit, CliError> {
    let target = target(args)?;
    let overrides = RunOverrides {
        upstream: Some(target.upstream.clone()),
        public_url: args.public_url.clone(),
        ..RunOverrides::default()
    };
    config::load(None, &overrides, &NoEnv)?;
    let text = file(args, &target);
    if args.output == "-" {
        out.text(text);
        return Ok(Exit::Good);
    }
    write(Path::new(&args.output), &text, args.force)?;
    let file = shell_word(&args.output);
    out.note(format_args!("wrote {}", args.output));
    out.note("next:");
    out.note(format_args!("  countersign run --check --config {file}   # is the file good?"));
    out.note(format_args!("  countersign run --config {file}           # starts the proxy"));
    if args.public_url.is_none() {
        out.note("set `public_url` in it once you know the address that clients use for the proxy");
    }
    out.note("");
    out.note("convex/auth.config.ts:");
    let provider = Provider {
        issuer: target.issuer,
        jwks_path: COMMON_PATH.to_owned(),
        algorithm: "RS256".to_owned(),
        audience: args.audience.clone(),
    };
    out.text(auth_config::file(&[provider], args.public_url.as_deref()));
    Ok(Exit::Good)
}

fn target(args: &InitArgs) -> Result<IssuerTarget, CliError> {
    #[cfg(feature = "verifier")]
    if let Some(from) = &args.from {
        return target_from(args, from);
    }
    let upstream = args.upstream.clone().unwrap_or_default();
    let issuer = upstream.trim_end_matches('/').to_owned();
    Ok(IssuerTarget { upstream, issuer, jwks: None })
}

/// What `doctor` finds out about the address.
#[cfg(feature = "verifier")]
fn target_from(args: &InitArgs, from: &str) -> Result<IssuerTarget, CliError> {
    use super::doctor::{fetch_case, ours};
    use crate::doctor::finding::{Question, Setup};

    let (address, issuer) = (from.to_owned(), args.issuer.clone());
    let case = fetch_case(Question { address, issuer, ..Question::default() }, false)?;
    let given = args.upstream.clone();
    let (upstream, jwks) = match case.ours.setup {
        Setup::Upstream(upstream) => (given.unwrap_or(upstream), None),
        Setup::Issuer { upstream, .. } => {
            let upstream = given.unwrap_or(upstream);
            let jwks = ours::jwks_setting(&upstream, &case.jwks_url);
            (upstream, Some(jwks))
        }
        Setup::None => {
            let url = url::Url::parse(&case.jwks_url);
            let what = url.map_or(from.to_owned(), |url| url.origin().ascii_serialization());
            let why = case.ours.read.err().map(|no_answer| no_answer.why).unwrap_or_default();
            return Err(CliError::new(what, why).hint(format!("countersign doctor {from}")));
        }
    };
    Ok(IssuerTarget { upstream, issuer: case.spelled, jwks })
}

fn write(path: &Path, text: &str, force: bool) -> Result<(), CliError> {
    let mut options = std::fs::OpenOptions::new();
    // `create_new` checks and creates in one step, so it cannot overwrite a file that has just appeared.
    options.write(true).truncate(true).create(force).create_new(!force);
    let write = |mut file: std::fs::File| file.write_all(text.as_bytes());
    options.open(path).and_then(write).map_err(|error| {
        let failed = |why: &str| CliError::new(path.display(), why);
        let file = shell_word(&path.display().to_string());
        match error.kind() {
            ErrorKind::AlreadyExists => failed("it exists already, and was left as it is").hint(format!(
                "`--output FILE` writes another file, `--force` overwrites this one; `countersign run --check \
                 --config {file}` says whether it is good"
            )),
            ErrorKind::NotFound => {
                let dir = shell_word(&path.parent().unwrap_or(path).display().to_string());
                failed("its folder does not exist").hint(format!("`mkdir -p {dir}` makes it"))
            }
            ErrorKind::PermissionDenied => failed("this user may not write there")
                .hint("`--output FILE` writes it elsewhere, `--output -` to stdout"),
            _ => failed(&error.to_string()),
        }
    })
}

fn file(args: &InitArgs, target: &IssuerTarget) -> String {
    let upstream = quoted(&target.upstream);
    let issuer = quoted(&target.issuer);
    let public_url = match &args.public_url {
        Some(url) => format!("public_url = {}", quoted(url)),
        None => format!("#public_url = {}", quoted(EXAMPLE_URL)),
    };
    // A hosted server answers only to its own name. A server next to the proxy gets the name clients use.
    let hosted = url::Url::parse(&target.upstream)
        .is_ok_and(|url| url.scheme() == "https" && url.domain().is_some());
    let host = match hosted {
        true => {
            "# The Host sent to it: its own name. \"client\" sends the one clients use.\nhost = \"upstream\""
        }
        false => {
            "# The Host sent to it is the one clients use; \"upstream\" would be its own name.\n#host = \"client\""
        }
    };
    let audience = quoted(args.audience.as_deref().unwrap_or("my-app"));
    let server = match target.jwks {
        Some(_) => "# The auth server.",
        None => {
            "# The auth server. Issuer, key set and token endpoints are learnt from its discovery \
             document."
        }
    };
    let sharp = if args.audience.is_some() { "" } else { "#" };
    let issuer = match &target.jwks {
        Some(jwks) => format!(
            "# Who issues the tokens, and where its keys are.\n[[issuer]]\nissuer = {issuer}\njwks = {}\n\
             {sharp}audience = {audience}\n",
            quoted(jwks)
        ),
        None => format!(
            "# Without a discovery document, or to hold its tokens to an audience, say who the issuer \
             is:\n#[[issuer]]\n#issuer = {issuer}\n#jwks = \"/.well-known/jwks.json\"\n\
             #algorithms = [\"ES384\"]\n#audience = {audience}\n"
        ),
    };
    format!(
        r#"# Every key with its meaning: conf/countersign.toml in countersign's sources.
# `countersign run --check --config FILE` says whether this file is good.

[server]
listen = "127.0.0.1:8080"
# What clients and the verifier call this proxy.
{public_url}

# Health, metrics and the status page; never for the internet.
[admin]
listen = "127.0.0.1:9090"

{server}
[upstream]
url = {upstream}
{host}

# The verifier to satisfy: "convex", "standard", "federation", "hasura" or "login".
[profile]
name = "convex"

[signing]
algorithm = "RS256"
# By itself, or by hand: `countersign keys rotate`.
#rotate_every = "90d"

{issuer}
# Where its answers contain tokens, one block for each path:
#[[tokens]]
#path = "/oauth/token"
#json = ["access_token", "id_token"]

# Pages that exchange a token themselves (POST /_countersign/token):
#[exchange]
#cors_origins = ["https://app.example.com"]
"#
    )
}
