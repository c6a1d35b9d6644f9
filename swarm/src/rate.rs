//! A meter of bytes per second over the last few seconds, by an exponential window.
//!
//! Not here: limits (`shaper`). The meter is plain arithmetic in a fixed order, so that a seeded run gives the
//! same figures on every machine.

use std::time::{Duration, Instant};

use afflux_peer::decay::decay;

/// What passed this long ago counts 1/e of what passes now (ours: short enough to follow a peer that slows
/// down within a choking round, long enough to smooth over a block a second).
pub const WINDOW: Duration = Duration::from_secs(4);

/// A meter younger than this divides by this much time: the first block of a burst is no rate yet.
pub const AGE_MIN: Duration = Duration::from_secs(1);

/// Bytes per second, weighted towards the present.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rate {
    /// Every byte that passed, each less by how long ago it was.
    weight_bytes: f64,
    began: Option<Instant>,
    updated: Option<Instant>,
}

impl Rate {
    /// A meter that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// `bytes` passed just now. A `now` earlier than the last one counts as the last one.
    pub fn update(&mut self, bytes: u64, now: Instant) {
        self.began.get_or_insert(now);
        self.weight_bytes = self.weight_at(now) + bytes as f64;
        self.updated = self.updated.max(Some(now));
    }

    /// Bytes per second at this moment; falls towards zero in silence without being told.
    pub fn per_second(&self, now: Instant) -> u64 {
        let Some(began) = self.began else { return 0 };
        let age = now.saturating_duration_since(began).max(AGE_MIN);
        // The window's own weight: a young meter has seen only a part of it, and must not read low for that.
        let seen_s = WINDOW.as_secs_f64() * (1.0 - decay(age.as_secs_f64() / WINDOW.as_secs_f64()));
        (self.weight_at(now) / seen_s) as u64
    }

    fn weight_at(&self, now: Instant) -> f64 {
        let silence = self.updated.map_or(Duration::ZERO, |then| now.saturating_duration_since(then));
        self.weight_bytes * decay(silence.as_secs_f64() / WINDOW.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::epoch;

    fn seconds(s: f64) -> Duration {
        Duration::from_secs_f64(s)
    }

    #[test]
    fn a_steady_flow_reads_as_itself_from_the_first_second_on() {
        let start = epoch();
        let mut rate = Rate::new();
        for tick in 0..400u32 {
            let now = start + seconds(0.05) * tick;
            rate.update(5_000, now);
            if tick >= 40 {
                let read = rate.per_second(now);
                assert!((96_000..=106_000).contains(&read), "{read} after {tick} ticks");
            }
        }
    }

    #[test]
    fn silence_lets_it_fall_to_zero() {
        let start = epoch();
        let mut rate = Rate::new();
        (0..100u32).for_each(|tick| rate.update(10_000, start + seconds(0.1) * tick));
        let end = start + seconds(10.0);
        let full = rate.per_second(end);
        let later = rate.per_second(end + WINDOW);
        assert!(later < full / 2 && later > 0);
        assert_eq!(rate.per_second(end + WINDOW * 41), 0);
    }

    #[test]
    fn a_burst_is_spread_over_at_least_a_second() {
        let start = epoch();
        let mut rate = Rate::new();
        rate.update(1_000_000, start);
        let read = rate.per_second(start);
        assert!(read <= 1_200_000, "{read}");
        assert!(read >= 900_000, "{read}");
    }

    #[test]
    fn nothing_seen_is_zero_and_time_going_back_does_no_harm() {
        let start = epoch();
        let mut rate = Rate::new();
        assert_eq!(rate.per_second(start), 0);
        rate.update(1_000, start + seconds(5.0));
        rate.update(1_000, start);
        assert!(rate.per_second(start) > 0);
    }
}
