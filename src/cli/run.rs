//! `countersign run`: the proxy.

use super::Exit;
use super::args::RunArgs;
use super::output::{CliError, Output};

/// # Errors
/// [`CliError`] for a bad configuration or what keeps the proxy from running.
pub fn run(args: &RunArgs, out: &mut Output) -> Result<Exit, CliError> {
    let _config = args.load()?;
    if args.check {
        out.note("the configuration is good");
        return Ok(Exit::Good);
    }
    Err(CliError::new("run", "this command is not built yet"))
}
