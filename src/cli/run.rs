//! `countersign run`: the proxy.

use super::Exit;
use super::args::RunArgs;
use super::output::{CliError, Output};
use crate::keyring::{KeyringError, StoreError};
use crate::log;
use crate::serve::{self, Options, RunError, StartError};

/// # Errors
/// [`CliError`] for a bad configuration or what keeps the proxy from running.
pub fn run(args: &RunArgs, out: &mut Output) -> Result<Exit, CliError> {
    let config = args.load()?;
    if args.check {
        out.note("the configuration is good");
        return Ok(Exit::Good);
    }
    // Held to the end: what waits is written then.
    let _log =
        log::init(config.log.format, &config.log.filter).map_err(|e| CliError::new("log", e))?;
    let again = args.clone();
    let options = Options { upgrade: args.upgrade, reload: Some(Box::new(move || again.load())) };
    serve::run(config, options)?;
    Ok(Exit::Good)
}

impl From<RunError> for CliError {
    fn from(error: RunError) -> Self {
        let text = error.to_string();
        // `<what>: <why>` is how errors are written here already.
        let (what, why) = text.split_once(": ").unwrap_or(("run", &text));
        let hint = match &error {
            RunError::Listen(_) => Some("choose another address with --listen or --admin"),
            RunError::Start(
                StartError::DataDir { .. }
                | StartError::Keyring(KeyringError::Store(StoreError::Io { .. })),
            ) => Some("--data-dir (COUNTERSIGN_DATA_DIR) names a folder this user may write"),
            RunError::Tls(_) | RunError::Start(_) | RunError::Threads(_) => None,
        };
        let error = Self::new(what, why);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}
