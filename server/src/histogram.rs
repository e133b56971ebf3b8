//! Durations counted by upper bound. Plain atomics; the `admin` module renders them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

/// Counts up to each of `N` bounds, in microseconds and ascending, and above the last.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    bounds_us: &'static [u64; N],
    counts: [AtomicU64; N],
    over: AtomicU64,
    sum_us: AtomicU64,
}

impl<const N: usize> Histogram<N> {
    pub const fn new(bounds_us: &'static [u64; N]) -> Self {
        Self {
            bounds_us,
            counts: [const { AtomicU64::new(0) }; N],
            over: AtomicU64::new(0),
            sum_us: AtomicU64::new(0),
        }
    }

    /// Two atomic additions.
    pub fn record(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let slot = self.bounds_us.iter().position(|&top| us <= top);
        let count = slot.map_or(&self.over, |slot| &self.counts[slot]);
        count.fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    pub fn snapshot(&self) -> Distribution {
        let bounds = self.bounds_us.iter().map(|us| Some(*us as f64 / 1e6)).chain([None]);
        let counts = self.counts.iter().chain([&self.over]).map(|n| n.load(Ordering::Relaxed));
        Distribution {
            buckets: bounds.zip(counts).map(|(le, count)| Bucket { le, count }).collect(),
            sum: self.sum_us.load(Ordering::Relaxed) as f64 / 1e6,
        }
    }
}

/// The content of a histogram at one moment: counts by upper bound, not cumulated. The last bound is
/// `null`, infinity.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Distribution {
    pub buckets: Vec<Bucket>,
    /// Seconds of all observations.
    pub sum: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bucket {
    /// Seconds.
    pub le: Option<f64>,
    pub count: u64,
}

impl Distribution {
    /// Observations in all.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_holds_it() {
        let histogram = Histogram::new(&[50, 100]);
        for us in [50, 51, 9_000_000] {
            histogram.record(Duration::from_micros(us));
        }
        let taken = histogram.snapshot();
        let bucket = |le| Bucket { le, count: 1 };
        assert_eq!(taken.buckets, [bucket(Some(5e-5)), bucket(Some(1e-4)), bucket(None)]);
        assert_eq!((taken.sum, taken.count()), (9.000_101, 3));
    }
}
