//! How fast bytes go by: an exponential window over about a second, for people, chokers and watermarks.
//!
//! Not here: the estimate that the request depth follows, which must not sink while nothing is asked
//! ([`pipeline`](crate::pipeline)).

use std::time::{Duration, Instant};

use crate::decay::decay;

/// Bytes are gathered this long before they change the rate, so that a burst read at once is no spike.
const STEP: Duration = Duration::from_millis(100);

/// The window: after this much silence a rate is down to a third.
const WINDOW_SECONDS: f64 = 1.0;

/// A rate in bytes per second.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    rate: f64,
    /// How much of a window was seen, up to 1: a young meter must not read low for the rest.
    seen: f64,
    gathered: u64,
    since: Instant,
}

impl Meter {
    pub(crate) fn new(now: Instant) -> Self {
        Self { rate: 0.0, seen: 0.0, gathered: 0, since: now }
    }

    /// So many bytes went by.
    #[inline]
    pub(crate) fn count(&mut self, bytes: u64, now: Instant) {
        self.gathered += bytes;
        if now.saturating_duration_since(self.since) >= STEP {
            (self.rate, self.seen) = self.at(now);
            (self.gathered, self.since) = (0, now);
        }
    }

    /// The rate when bytes last went by.
    pub(crate) fn latest(&self) -> u64 {
        self.rate as u64
    }

    /// The rate as of now.
    pub(crate) fn per_second(&self, now: Instant) -> u64 {
        if now.saturating_duration_since(self.since) < STEP {
            self.rate as u64
        } else {
            self.at(now).0 as u64
        }
    }

    /// The rate with what was gathered taken in, and how much of a window that is.
    fn at(&self, now: Instant) -> (f64, f64) {
        let seconds = now.saturating_duration_since(self.since).as_secs_f64();
        let kept = decay(seconds / WINDOW_SECONDS);
        let (old, new) = (self.seen * kept, 1.0 - kept);
        ((self.rate * old + self.gathered as f64 / seconds * new) / (old + new), old + new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_flow_is_met_and_silence_forgets_it() {
        #[expect(clippy::disallowed_methods, reason = "a test needs some moment to start from")]
        let mut now = Instant::now();
        let mut meter = Meter::new(now);
        for _ in 0..1000 {
            now += Duration::from_millis(10);
            meter.count(10_000, now);
        }
        assert!((990_000..=1_010_000).contains(&meter.per_second(now)), "{}", meter.per_second(now));
        assert!(meter.per_second(now + Duration::from_secs(1)) < 400_000);
        assert!(meter.per_second(now + Duration::from_secs(20)) < 100);
    }

    #[test]
    fn a_young_meter_does_not_read_low() {
        #[expect(clippy::disallowed_methods, reason = "a test needs some moment to start from")]
        let mut now = Instant::now();
        let mut meter = Meter::new(now);
        for _ in 0..20 {
            now += Duration::from_millis(10);
            meter.count(10_000, now);
        }
        assert!((990_000..=1_010_000).contains(&meter.per_second(now)), "{}", meter.per_second(now));
    }
}
