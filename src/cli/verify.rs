//! `countersign verify`.

use super::Exit;
use super::args::VerifyArgs;
use super::output::{CliError, Output};

/// # Errors
/// [`CliError`]
pub fn run(_args: &VerifyArgs, _out: &mut Output) -> Result<Exit, CliError> {
    Err(CliError::new("verify", "this command is not built yet"))
}
