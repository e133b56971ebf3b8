//! `countersign keys`.

use super::Exit;
use super::args::KeysArgs;
use super::output::{CliError, Output};

/// # Errors
/// [`CliError`]
pub fn run(_args: &KeysArgs, _out: &mut Output) -> Result<Exit, CliError> {
    Err(CliError::new("keys", "this command is not built yet"))
}
