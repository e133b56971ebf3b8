//! `countersign resign`.

use super::Exit;
use super::args::ResignArgs;
use super::output::{CliError, Output};

/// # Errors
/// [`CliError`]
pub fn run(_args: &ResignArgs, _out: &mut Output) -> Result<Exit, CliError> {
    Err(CliError::new("resign", "this command is not built yet"))
}
