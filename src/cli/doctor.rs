//! `countersign doctor`.

use super::Exit;
use super::args::DoctorArgs;
use super::output::{CliError, Output};

/// # Errors
/// [`CliError`]
pub fn run(_args: &DoctorArgs, _out: &mut Output) -> Result<Exit, CliError> {
    Err(CliError::new("doctor", "this command is not built yet"))
}
