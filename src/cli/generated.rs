//! `countersign completions` and `countersign man`: generated from the arguments.

use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::Exit;
use super::args::Cli;
use super::output::{CliError, Output};

/// # Errors
/// [`CliError`] when stdout takes no more.
pub(super) fn completions(shell: Shell, out: &mut Output) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "countersign", &mut script);
    out.bytes(&script).map_err(|error| CliError::new("stdout", error))?;
    Ok(Exit::Good)
}

/// One page per command, `countersign.1`, `countersign-run.1`, ….
///
/// # Errors
/// [`CliError`] when the folder cannot be written.
pub(super) fn man(dir: &Path) -> Result<Exit, CliError> {
    std::fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), dir))
        .map_err(|error| CliError::new(dir.display(), error))?;
    Ok(Exit::Good)
}
