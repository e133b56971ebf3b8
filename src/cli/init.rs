//! `countersign init`: a commented configuration and the verifier's block that goes with it.

use std::io::Write;
use std::path::Path;

use super::Exit;
use super::args::InitArgs;
use super::output::{CliError, Output};
use crate::config::{self, RunOverrides};
use crate::env::NoEnv;

/// Stands for the address the proxy will have where nobody said.
const SOMEWHERE: &str = "https://login.example.com";

/// # Errors
/// [`CliError`] when an address is none, or the file exists or cannot be written.
pub fn run(args: &InitArgs, out: &mut Output) -> Result<Exit, CliError> {
    let overrides = RunOverrides {
        upstream: Some(args.upstream.clone()),
        public_url: args.public_url.clone(),
        ..RunOverrides::default()
    };
    config::load(None, &overrides, &NoEnv)?;
    let text = file(args);
    if args.output == "-" {
        out.text(text);
        return Ok(Exit::Good);
    }
    write(Path::new(&args.output), &text, args.force)?;
    out.note(format_args!("wrote {}", args.output));
    out.note(format_args!("next: countersign run --config {}", args.output));
    out.note("");
    out.note("convex/auth.config.ts:");
    out.text(block(args));
    Ok(Exit::Good)
}

fn write(path: &Path, text: &str, force: bool) -> Result<(), CliError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).truncate(true);
    // `create_new` looks and makes in one step: nothing that appears in between is overwritten.
    if force {
        options.create(true)
    } else {
        options.create_new(true)
    };
    let write = |mut file: std::fs::File| file.write_all(text.as_bytes());
    options.open(path).and_then(write).map_err(|error| {
        let failed = CliError::new(path.display(), &error);
        match error.kind() {
            std::io::ErrorKind::AlreadyExists => failed.hint("--force overwrites it"),
            _ => failed,
        }
    })
}

/// A string as TOML and JSON both write it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn file(args: &InitArgs) -> String {
    let upstream = quoted(&args.upstream);
    let issuer = quoted(args.upstream.trim_end_matches('/'));
    let public_url = match &args.public_url {
        Some(url) => format!("public_url = {}", quoted(url)),
        None => format!("#public_url = {}", quoted(SOMEWHERE)),
    };
    // A hosted server answers only to its own name; one beside us hears the name clients use.
    let hosted = url::Url::parse(&args.upstream)
        .is_ok_and(|url| url.scheme() == "https" && url.domain().is_some());
    let host = match hosted {
        true => {
            "# The Host it hears: its own name. \"client\" passes on the one clients use.\nhost = \"upstream\""
        }
        false => {
            "# The Host it hears is the one clients use; \"upstream\" would be its own name.\n#host = \"client\""
        }
    };
    let audience = quoted(args.audience.as_deref().unwrap_or("my-app"));
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

# The auth server. Issuer, key set and token endpoints are learnt from its discovery document.
[upstream]
url = {upstream}
{host}

# The verifier to please: "convex", "standard", "federation", "hasura" or "login".
[profile]
name = "convex"

[signing]
algorithm = "RS256"
# By itself, or by hand: `countersign keys rotate`.
#rotate_every = "90d"

# Without a discovery document, or to hold its tokens to an audience, say who the issuer is:
#[[issuer]]
#issuer = {issuer}
#jwks = "/.well-known/jwks.json"
#algorithms = ["ES384"]
#audience = {audience}

# And where its tokens stand, one block for each path:
#[[tokens]]
#path = "/oauth/token"
#json = ["access_token", "id_token"]

# Pages that exchange a token themselves (POST /_countersign/token):
#[exchange]
#cors_origins = ["https://app.example.com"]
"#
    )
}

/// The provider as the verifier's own file wants it.
fn block(args: &InitArgs) -> String {
    let issuer = quoted(args.upstream.trim_end_matches('/'));
    let public = args.public_url.as_deref().unwrap_or(SOMEWHERE).trim_end_matches('/');
    let jwks = quoted(&format!("{public}/.well-known/jwks.json"));
    let application = match &args.audience {
        Some(audience) => format!("{}, // the `aud` of your tokens", quoted(audience)),
        None => format!("{}, // the `aud` of your tokens: change it", quoted("my-app")),
    };
    let reached = match &args.public_url {
        Some(_) => "",
        None => " // where this proxy is reached from the internet: change it",
    };
    format!(
        r#"import type {{ AuthConfig }} from "convex/server";

export default {{
  providers: [
    {{
      type: "customJwt",
      issuer: {issuer}, // the `iss` of your tokens: `countersign inspect TOKEN` shows it
      jwks: {jwks},{reached}
      algorithm: "RS256",
      applicationID: {application}
    }},
  ],
}} satisfies AuthConfig;
"#
    )
}
