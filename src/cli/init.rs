//! `countersign init`: a commented configuration and the verifier's block that goes with it.

use super::Exit;
use super::args::InitArgs;
use super::output::{CliError, Output};

/// # Errors
/// [`CliError`] when the file exists or cannot be written.
pub fn run(_args: &InitArgs, _out: &mut Output) -> Result<Exit, CliError> {
    Err(CliError::new("init", "this command is not built yet"))
}
