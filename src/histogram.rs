//! Durations counted by upper bound. Plain atomics; the admin room renders them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts below `N` bounds, given in microseconds and rising, and above the last.
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
    pub fn took(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let slot = self.bounds_us.iter().position(|&top| us <= top);
        let count = slot.map_or(&self.over, |slot| &self.counts[slot]);
        count.fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    pub fn snapshot(&self) -> Latency {
        let counts = self.counts.iter().chain([&self.over]);
        Latency {
            buckets_us: self.bounds_us.to_vec(),
            counts: counts.map(|count| count.load(Ordering::Relaxed)).collect(),
            sum_us: self.sum_us.load(Ordering::Relaxed),
        }
    }
}

/// What a histogram held at one moment.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Latency {
    /// Upper bounds in microseconds; one more count than bounds.
    pub buckets_us: Vec<u64>,
    pub counts: Vec<u64>,
    pub sum_us: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_holds_it() {
        let histogram = Histogram::new(&[50, 100]);
        for us in [50, 51, 9_000_000] {
            histogram.took(Duration::from_micros(us));
        }
        let latency = histogram.snapshot();
        assert_eq!(latency.counts, [1, 1, 1]);
        assert_eq!(latency.buckets_us, [50, 100]);
        assert_eq!(latency.sum_us, 9_000_101);
    }
}
