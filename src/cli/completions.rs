//! `countersign completions`: generated from the arguments.

use clap::CommandFactory;

use super::Exit;
use super::args::{Cli, CompletionsArgs};
use super::output::{CliError, Output};

/// # Errors
/// [`CliError`] when stdout takes no more.
pub fn run(args: &CompletionsArgs, out: &mut Output) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "countersign", &mut script);
    out.bytes(&script).map_err(|error| CliError::new("stdout", error))?;
    Ok(Exit::Good)
}
