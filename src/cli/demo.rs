//! `countersign demo`.

use super::Exit;
use super::args::DemoArgs;
use super::output::{CliError, Output};

/// # Errors
/// [`CliError`]
pub fn run(_args: &DemoArgs, _out: &mut Output) -> Result<Exit, CliError> {
    Err(CliError::new("demo", "this command is not built yet"))
}
