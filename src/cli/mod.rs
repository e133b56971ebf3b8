//! The command line: one file per subcommand. [`output`] prints
//! results and errors, clap prints help and usage errors.

pub mod args;
#[cfg(feature = "verifier")]
pub mod demo;
#[cfg(feature = "verifier")]
pub mod doctor;
mod generated;
pub mod healthcheck;
pub mod init;
pub mod inspect;
pub mod keys;
pub mod normalize;
pub mod output;
pub mod resign;
pub mod run;
pub mod source;
pub mod token;
pub mod verify;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use output::{CliError, Output};

use crate::profile::Profile;

/// The exit status of a command that ran. A command that could not run returns a [`CliError`], exit
/// status 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done, or the answer is yes.
    Good,
    /// 1: the answer is no: an invalid token, faults found.
    No,
}

/// Runs the command line of this process. Clap prints help and usage errors itself and ends the process:
/// help on stdout with status 0, a usage error on stderr with status 2.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut out = Output::system();
    match dispatch(&cli.command, &mut out) {
        Ok(Exit::Good) => ExitCode::SUCCESS,
        Ok(Exit::No) => ExitCode::from(1),
        Err(error) => {
            out.error(&error);
            ExitCode::from(2)
        }
    }
}

fn dispatch(command: &Command, out: &mut Output) -> Result<Exit, CliError> {
    match command {
        Command::Run(args) => run::run(args, out),
        #[cfg(feature = "verifier")]
        Command::Demo(args) => demo::run(args, out),
        Command::Normalize(args) => normalize::run(args, out),
        Command::Verify(args) => verify::run(args, out),
        Command::Resign(args) => resign::run(args, out),
        #[cfg(feature = "verifier")]
        Command::Doctor(args) => doctor::run(args, out),
        Command::Inspect(args) => inspect::run(args, out),
        Command::Keys { command } => keys::run(command, out),
        Command::Completions { shell } => generated::completions(*shell, out),
        Command::Init(args) => init::run(args, out),
        Command::Healthcheck(args) => healthcheck::run(args, out),
        Command::Man { dir } => generated::man(dir),
        Command::Version => {
            out.line(concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")));
            Ok(Exit::Good)
        }
        Command::Schema => {
            out.text(crate::config::SCHEMA);
            Ok(Exit::Good)
        }
    }
}

/// Runs `work` on this thread.
fn block_on<T, E: From<CliError>>(work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|why| CliError::new("runtime", why))?.block_on(work)
}

/// The verifier that `--profile` names.
fn profile(name: &str) -> Result<Profile, CliError> {
    Profile::named(name).ok_or_else(|| {
        CliError::new("--profile", format!("unknown profile `{name}`"))
            .hint(format!("known profiles: {}", Profile::NAMES.join(", ")))
    })
}
