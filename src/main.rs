//! Parse the arguments, run the command, exit with its status.

use std::process::ExitCode;

/// Measured (docs/decisions.md): a request allocates and frees some dozens of pieces of memory, and mimalloc
/// does that equally well on glibc, static glibc and musl.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    countersign::cli::main()
}
