//! `keys export` and `keys generate`. Private keys go into a new file of mode 0600 only: never to a
//! terminal or a pipe, and never over an existing file.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use zeroize::Zeroizing;

use super::super::Exit;
use super::super::args::GenerateArgs;
use super::super::output::{CliError, Output};
use super::load;
use crate::jose::jwks::KeySet;
use crate::jose::sign::{SigningKey, SigningKeyError};
use crate::keyring::{KeyringSettings, admit};
use crate::rotation::KeyState;

pub(super) fn public(
    settings: &KeyringSettings,
    data_uri: bool,
    out: &mut Output,
) -> Result<Exit, CliError> {
    let (ring, store) = load(settings)?;
    let keys = ring.keys.iter().map(|key| key.key.public().clone()).collect();
    let document = KeySet::new(keys).to_document();
    // On stderr, so that a script finds only the document on stdout.
    out.note(format_args!("store: {store}"));
    if data_uri {
        // Base64 needs no quoting wherever it is pasted.
        let body = STANDARD.encode(document);
        out.line(format_args!("data:application/json;charset=utf-8;base64,{body}"));
    } else {
        out.line(document);
    }
    Ok(Exit::Good)
}

/// What `export --private --json` prints.
#[derive(Serialize)]
struct Exported<'a> {
    store: &'a str,
    file: String,
    kids: Vec<String>,
}

/// Writes every key as PKCS#8 PEM, the active one first. `import` takes them back one by one.
pub(super) fn private(
    settings: &KeyringSettings,
    file: &Path,
    json: bool,
    out: &mut Output,
) -> Result<Exit, CliError> {
    let (mut ring, store) = load(settings)?;
    ring.keys.sort_by_key(|key| key.times.state != KeyState::Active);
    let mut text = Zeroizing::new(String::new());
    for key in &ring.keys {
        text.push_str(&pem(&key.key).map_err(|e| CliError::new(&key.times.kid, e))?);
    }
    write_private(file, &text)?;
    let kids: Vec<String> = ring.keys.iter().map(|key| key.times.kid.to_string()).collect();
    if json {
        out.json_pretty(&Exported { store: &store, file: file.display().to_string(), kids });
    } else {
        let (n, s) = (kids.len(), if kids.len() == 1 { "" } else { "s" });
        out.line(format_args!("{store}: {n} private key{s} written to {}", file.display()));
    }
    Ok(Exit::Good)
}

/// What `generate --json` prints.
#[derive(Serialize)]
struct Generated<'a> {
    file: String,
    kid: &'a str,
    alg: &'static str,
}

pub(super) fn generate(args: &GenerateArgs, out: &mut Output) -> Result<Exit, CliError> {
    let key = admit::generate(args.algorithm).map_err(|e| CliError::new("the key", e))?;
    let mut text = pem(&key).map_err(|e| CliError::new("the key", e))?;
    if args.base64 {
        *text = STANDARD.encode(text.as_bytes());
        text.push('\n');
    }
    write_private(&args.output, &text)?;
    let (kid, alg, file) = (key.kid().as_str(), key.alg().name(), args.output.display());
    if args.json {
        out.json_pretty(&Generated { file: file.to_string(), kid, alg });
        return Ok(Exit::Good);
    }
    out.line(format_args!("{kid} ({alg}) written to {file}"));
    out.note(
        "put its content into a variable of your platform, COUNTERSIGN_SIGNING_KEY say, and set",
    );
    out.note(
        "COUNTERSIGN_STORE=env:COUNTERSIGN_SIGNING_KEY (`[signing] store`); then delete the file",
    );
    Ok(Exit::Good)
}

fn pem(key: &SigningKey) -> Result<Zeroizing<String>, SigningKeyError> {
    let block = pem::Pem::new("PRIVATE KEY", key.to_pkcs8()?.to_vec());
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    Ok(Zeroizing::new(pem::encode_config(&block, config)))
}

fn write_private(file: &Path, text: &str) -> Result<(), CliError> {
    const WHERE_KEYS_GO: &str =
        "private keys go into a new file of mode 0600, never to a terminal or over a file";
    if file == Path::new("-") {
        return Err(CliError::new("-", "private keys are not printed").hint(WHERE_KEYS_GO));
    }
    let mut options = std::fs::OpenOptions::new();
    let made = options.write(true).create_new(true).mode(0o600).open(file);
    let mut made = made.map_err(|e| CliError::new(file.display(), e).hint(WHERE_KEYS_GO))?;
    made.write_all(text.as_bytes()).and_then(|()| made.sync_all()).map_err(|e| {
        // An incomplete file could pass for a backup.
        let _ = std::fs::remove_file(file);
        CliError::new(file.display(), e)
    })
}
