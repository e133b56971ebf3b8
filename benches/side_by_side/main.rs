//! Our speed compared with our peers', both sides of a pair from one run on one machine. `make bench` runs it
//! and writes `docs/benchmarks.md`. Servers run on one core, the load and the upstream on the other. The two
//! sides of a row alternate.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::needless_pass_by_value,
    clippy::explicit_write,
    reason = "a benchmark stops at the first surprise, and measures time"
)]

mod least;
mod load;
mod peers;
mod plan;
mod process;
mod report;
mod rows;
mod setting;
mod stats;
mod tokens;

use std::io::Write as _;

/// The same allocator as ours: a slower one on one side would distort the result.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The heading of the part that people write.
const THOUGHTS: &str = "## What bounds each row";

fn main() {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("--bare-proxy") => peers::run_bare_proxy(&args[2], &args[3]),
        Some("--least-exchange") => least::run(&args[2], &args[3]),
        Some("--bare-crypto") => {
            return peers::run_bare_crypto(args[2].parse().unwrap(), peers::Verifier::AwsLc);
        }
        Some("--bare-jsonwebtoken") => {
            return peers::run_bare_crypto(args[2].parse().unwrap(), peers::Verifier::Jsonwebtoken);
        }
        _ => {}
    }
    // `cargo bench` hands over `--bench`; everything else names rows: `make bench ROWS="1 5"`.
    let only: Vec<u32> = args[1..].iter().filter_map(|a| a.parse().ok()).collect();
    let plan = plan::Plan::of_environment();
    process::pin_self(process::LOAD_CORE);
    let mut report = report::Report::new(&plan);
    for (number, row) in rows::ALL {
        if only.is_empty() || only.contains(number) {
            writeln!(std::io::stderr(), "row {number} …").unwrap();
            row(&plan, &mut report);
        }
    }
    let text = report.markdown();
    std::io::stdout().write_all(text.as_bytes()).unwrap();
    if only.is_empty() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/benchmarks.md");
        // Keep the text that people wrote below the figures.
        let before = std::fs::read_to_string(path).unwrap_or_default();
        let thoughts = before.find(THOUGHTS).map_or("", |at| &before[at..]);
        std::fs::write(path, format!("{text}\n{thoughts}")).unwrap();
    }
}
