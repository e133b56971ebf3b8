//! Parse the arguments, run the command, exit with its status.

use std::process::ExitCode;

fn main() -> ExitCode {
    countersign::cli::main()
}
