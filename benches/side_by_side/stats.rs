//! Medians, ratios and spreads of runs that alternate between two sides.

/// The result of one run of one side.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    /// Requests (or operations, or MiB) a second.
    pub(crate) rate: f64,
    /// 99th percentile of the latency in milliseconds; zero where it was not taken.
    pub(crate) p99: f64,
}

pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let mid = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[mid],
        _ => f64::midpoint(values[mid - 1], values[mid]),
    }
}

pub(crate) fn spread(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    values
        .into_iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)))
}

/// Runs of ours and of the peer, taken alternately so that both see the same machine.
#[derive(Default)]
pub(crate) struct Pair {
    pub(crate) ours: Vec<Run>,
    pub(crate) peer: Vec<Run>,
}

impl Pair {
    pub(crate) fn alternate(
        rounds: usize,
        mut ours: impl FnMut() -> Run,
        mut peer: impl FnMut() -> Run,
    ) -> Self {
        let mut pair = Self::default();
        for round in 0..rounds {
            // Swapping the order cancels a drift of the machine.
            if round % 2 == 0 {
                pair.ours.push(ours());
                pair.peer.push(peer());
            } else {
                pair.peer.push(peer());
                pair.ours.push(ours());
            }
        }
        pair
    }

    pub(crate) fn ratio(&self) -> f64 {
        self.of_rounds(|run| run.rate)
    }

    pub(crate) fn p99_ratio(&self) -> f64 {
        self.of_rounds(|run| run.p99)
    }

    /// The median of the rounds' ratios. The two runs of a round follow each other directly, so a machine
    /// that is slow for some seconds is slow for both.
    fn of_rounds(&self, of: impl Fn(&Run) -> f64) -> f64 {
        median(self.ours.iter().zip(&self.peer).map(|(ours, peer)| of(ours) / of(peer)))
    }

    pub(crate) fn describe(runs: &[Run], unit: &str) -> String {
        let rates = || runs.iter().map(|r| r.rate);
        let (lo, hi) = spread(rates());
        let mut text = format!("{:.0} {unit} ({lo:.0}–{hi:.0})", median(rates()));
        let p99 = median(runs.iter().map(|r| r.p99));
        if p99 > 0.0 {
            text.push_str(&format!(", p99 {p99:.2} ms"));
        }
        text
    }
}
