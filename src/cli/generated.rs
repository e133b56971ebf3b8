//! `countersign completions` and `countersign man`: generated from the arguments.

use clap::CommandFactory as _;

use super::Exit;
use super::args::{Cli, CompletionsArgs, ManArgs};
use super::output::{CliError, Output};

/// # Errors
/// [`CliError`] when stdout takes no more.
pub(super) fn completions(args: &CompletionsArgs, out: &mut Output) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "countersign", &mut script);
    out.bytes(&script).map_err(|error| CliError::new("stdout", error))?;
    Ok(Exit::Good)
}

/// One page per command, `countersign.1`, `countersign-run.1`, ….
///
/// # Errors
/// [`CliError`] when the folder cannot be written.
pub(super) fn man(args: &ManArgs) -> Result<Exit, CliError> {
    std::fs::create_dir_all(&args.dir)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), &args.dir))
        .map_err(|error| CliError::new(args.dir.display(), error))?;
    Ok(Exit::Good)
}
