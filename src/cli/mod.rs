//! The command line: one file per subcommand. Only [`output`] prints.

pub mod args;
pub mod completions;
#[cfg(feature = "verifier")]
pub mod demo;
#[cfg(feature = "verifier")]
pub mod doctor;
pub mod healthcheck;
pub mod init;
pub mod inspect;
pub mod keys;
pub mod man;
pub mod normalize;
pub mod output;
pub mod resign;
pub mod run;
pub mod source;
pub mod token;
pub mod verify;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

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

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Good => Self::SUCCESS,
            Exit::No => Self::from(1),
        }
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let mut out = Output::system();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error, &mut out),
    };
    match dispatch(&cli.command, &mut out) {
        Ok(exit) => exit.into(),
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
        Command::Keys(args) => keys::run(args, out),
        Command::Completions(args) => completions::run(args, out),
        Command::Init(args) => init::run(args, out),
        Command::Healthcheck(args) => healthcheck::run(args, out),
        Command::Man(args) => man::run(args, out),
        Command::Version => {
            out.line(concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")));
            Ok(Exit::Good)
        }
        Command::Schema => man::schema(out),
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

/// Help and version go to stdout with status 0; a usage error keeps clap's text (it lists what is
/// possible and guesses what was meant) and status 2.
fn usage(error: &clap::Error, out: &mut Output) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            out.styled(&error.render());
            ExitCode::SUCCESS
        }
        _ => {
            out.styled_error(&error.render());
            ExitCode::from(2)
        }
    }
}
