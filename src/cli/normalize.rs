//! `countersign normalize`.

use super::Exit;
use super::args::NormalizeArgs;
use super::output::{CliError, Output};

/// # Errors
/// [`CliError`]
pub fn run(_args: &NormalizeArgs, _out: &mut Output) -> Result<Exit, CliError> {
    Err(CliError::new("normalize", "this command is not built yet"))
}
