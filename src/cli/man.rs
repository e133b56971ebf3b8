//! Files generated from the sources: man pages and the configuration's schema.

use clap::CommandFactory;

use super::Exit;
use super::args::{Cli, ManArgs};
use super::output::{CliError, Output};

/// One page per command, `countersign.1`, `countersign-run.1`, ….
///
/// # Errors
/// [`CliError`] when the folder cannot be written.
pub fn run(args: &ManArgs, _out: &mut Output) -> Result<Exit, CliError> {
    let what = args.dir.display();
    std::fs::create_dir_all(&args.dir).map_err(|error| CliError::new(&what, error))?;
    clap_mangen::generate_to(Cli::command(), &args.dir)
        .map_err(|error| CliError::new(&what, error))?;
    Ok(Exit::Good)
}

/// # Errors
/// [`CliError`] when stdout takes no more.
pub fn schema(out: &mut Output) -> Result<Exit, CliError> {
    out.text(crate::config::SCHEMA);
    Ok(Exit::Good)
}
