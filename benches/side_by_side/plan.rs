//! How much is measured.

/// How long and how often.
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) seconds: u32,
    pub(crate) million: usize,
    /// Cores of the machine, before anything is pinned.
    pub(crate) cores: usize,
}

impl Plan {
    /// From the environment; the defaults are those of the published document.
    pub(crate) fn of_environment() -> Self {
        let number = |name: &str, or: u32| {
            std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(or)
        };
        Self {
            rounds: number("BENCH_ROUNDS", 9) as usize,
            seconds: number("BENCH_SECONDS", 3),
            million: number("BENCH_EXCHANGES", 1_000_000) as usize,
            cores: std::thread::available_parallelism().map_or(0, usize::from),
        }
    }
}
