//! Parse the arguments, run the command, exit with its status.

use std::process::ExitCode;

/// Measured (docs/decisions.md): requests allocate and free some dozens of pieces, and this one does
/// it alike on glibc, static glibc and musl.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    countersign::cli::main()
}
