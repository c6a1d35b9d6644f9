//! How long pieces take, and from when on one is late.

use std::time::Duration;

use super::TICK;

/// How long pieces with deadlines took, and how much that varies: each new one counts for a tenth.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usual {
    time: Duration,
    deviation: Duration,
}

impl Usual {
    pub(super) fn note(&mut self, took: Duration) {
        if self.time.is_zero() {
            self.time = took;
            return;
        }
        let apart = took.abs_diff(self.time);
        let first = self.deviation.is_zero();
        self.deviation = if first { apart } else { (self.deviation * 9 + apart) / 10 };
        self.time = (self.time * 9 + took) / 10;
    }

    /// How far ahead pieces are handed out; a tick more, since the next one comes no sooner.
    pub(super) fn horizon(&self) -> Duration {
        self.time + self.deviation * 4 + TICK
    }

    /// How many times a piece that was last asked for so long ago is late.
    pub(super) fn times_late(&self, waited: Duration) -> usize {
        let unit = (self.time + self.deviation / 2).max(Duration::from_millis(1));
        if self.time.is_zero() { 0 } else { (waited.as_nanos() / unit.as_nanos()) as usize }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual(millis: &[u64]) -> Usual {
        let mut usual = Usual::default();
        millis.iter().for_each(|&millis| usual.note(Duration::from_millis(millis)));
        usual
    }

    #[test]
    fn a_new_piece_counts_for_a_tenth() {
        let two = usual(&[1000, 2000]);
        assert_eq!((two.time, two.deviation), (Duration::from_millis(1100), Duration::from_millis(1000)));
        let three = usual(&[1000, 2000, 1100]);
        assert_eq!((three.time, three.deviation), (Duration::from_millis(1100), Duration::from_millis(900)));
    }

    #[test]
    fn the_horizon_is_the_usual_time_four_deviations_and_a_tick() {
        assert_eq!(usual(&[]).horizon(), Duration::from_secs(1));
        assert_eq!(usual(&[1000, 2000]).horizon(), Duration::from_millis(6100));
    }

    #[test]
    fn a_piece_is_late_once_per_usual_time_and_half_a_deviation() {
        let two = usual(&[1000, 2000]);
        let late = |millis| two.times_late(Duration::from_millis(millis));
        assert_eq!((late(1599), late(1600), late(3200)), (0, 1, 2));
        assert_eq!(usual(&[]).times_late(Duration::from_secs(99)), 0, "nothing is known yet");
    }
}
