//! The only place that reads the time. The core gets a [`UnixTime`] as an argument. Schedules sleep here, so
//! that a test can run ten minutes of them in seconds.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::jose::names::UnixTime;

/// Wall time, and sleeping by it.
#[derive(Clone, Debug)]
pub struct Clock(Arc<ClockKind>);

#[derive(Debug)]
enum ClockKind {
    System,
    /// Runs `factor` times as fast as real time, from `start` on.
    Scaled {
        start: UnixTime,
        since: Instant,
        factor: f64,
    },
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(Arc::new(ClockKind::System))
    }

    /// For tests: starts at the system's time and runs `factor` times as fast. Only schedules run
    /// fast: waits on the network use tokio's clock.
    pub fn scaled(factor: f64) -> Self {
        assert!(factor > 0.0, "time runs forwards");
        Self(Arc::new(ClockKind::Scaled { start: system_now(), since: Instant::now(), factor }))
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    pub fn now(&self) -> UnixTime {
        match &*self.0 {
            ClockKind::System => system_now(),
            ClockKind::Scaled { start, since, factor } => {
                start.plus(since.elapsed().mul_f64(*factor))
            }
        }
    }

    /// Sleeps for `time` of this clock.
    pub async fn sleep(&self, time: Duration) {
        tokio::time::sleep(self.real(time)).await;
    }

    /// How long `time` of this clock is in real time: for caches, which have a clock of their own.
    pub fn real(&self, time: Duration) -> Duration {
        match &*self.0 {
            ClockKind::System => time,
            ClockKind::Scaled { factor, .. } => time.div_f64(*factor),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is clock.rs")]
fn system_now() -> UnixTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixTime::from_secs(since.map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_scaled_clock_sleeps_less_and_sees_more() {
        let clock = Clock::scaled(1000.0);
        let before = clock.now();
        clock.sleep(Duration::from_secs(60)).await;
        assert!(clock.now().since(before) >= Duration::from_secs(60));
    }

    #[test]
    fn the_system_clock_is_past_2024() {
        assert!(Clock::system().now() > UnixTime::from_secs(1_704_067_200));
    }
}
