//! `countersign inspect`.

use super::Exit;
use super::args::InspectArgs;
use super::output::{CliError, Output};

/// # Errors
/// [`CliError`]
pub fn run(_args: &InspectArgs, _out: &mut Output) -> Result<Exit, CliError> {
    Err(CliError::new("inspect", "this command is not built yet"))
}
