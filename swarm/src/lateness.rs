//! How far a peer's answers are from what was expected of them, and so from when on one counts as late.
//!
//! As TCP does for its round trips (RFC 6298): a smoothed mean and a smoothed deviation. What is smoothed is the
//! difference to the expected time, not the time itself, since that depends on how much was asked before.

use std::time::Duration;

use crate::limits::LATE_MARGIN;

/// Answers before the history says anything.
const ANSWERS_MIN: u32 = 4;

/// A block is late after the mean and so many deviations (RFC 6298 uses as many).
const DEVIATIONS: i64 = 4;

/// One peer's history.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lateness {
    /// Nanoseconds by which answers come later than expected; negative if sooner.
    mean: i64,
    deviation: i64,
    answers: u32,
}

impl Lateness {
    /// An answer took so long.
    pub(crate) fn answered(&mut self, took: Duration, expected: Duration) {
        let error = nanos(took) - nanos(expected);
        if self.answers == 0 {
            (self.mean, self.deviation) = (error, error.abs() / 2);
        } else {
            let off = error - self.mean;
            self.deviation += (off.abs() - self.deviation) / 4;
            self.mean += off / 8;
        }
        self.answers = self.answers.saturating_add(1);
    }

    /// By how much answers come later than expected, as far as the history tells: the mean and one deviation.
    pub(crate) fn usual(&self) -> Duration {
        if self.answers < ANSWERS_MIN {
            return Duration::ZERO;
        }
        Duration::from_nanos(self.mean.saturating_add(self.deviation).max(0).unsigned_abs())
    }

    /// How long after the expected time an answer is late. A peer without a history may take twice as long as expected.
    pub(crate) fn grace(&self, expected: Duration) -> Duration {
        if self.answers < ANSWERS_MIN {
            return expected + LATE_MARGIN;
        }
        let usual = self.mean.saturating_add(self.deviation.saturating_mul(DEVIATIONS)).max(0);
        Duration::from_nanos(usual.unsigned_abs()) + LATE_MARGIN
    }
}

/// A day is for ever, and keeps sums of a few representable.
fn nanos(duration: Duration) -> i64 {
    const DAY: i64 = 86_400_000_000_000;
    i64::try_from(duration.as_nanos()).unwrap_or(DAY).min(DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn an_unknown_peer_may_take_twice_as_long_as_expected() {
        assert_eq!(Lateness::default().grace(ms(300)), ms(300) + LATE_MARGIN);
    }

    #[test]
    fn a_regular_peer_is_late_soon_and_an_irregular_one_is_not() {
        let (mut regular, mut irregular) = (Lateness::default(), Lateness::default());
        for nth in 0..40 {
            regular.answered(ms(100), ms(100));
            irregular.answered(ms(if nth % 2 == 0 { 20 } else { 400 }), ms(100));
        }
        assert!(regular.grace(ms(100)) < LATE_MARGIN + ms(10), "{:?}", regular.grace(ms(100)));
        assert!(irregular.grace(ms(100)) > LATE_MARGIN + ms(500), "{:?}", irregular.grace(ms(100)));
    }

    #[test]
    fn a_peer_that_is_always_later_than_expected_is_not_late_by_that() {
        let mut slow = Lateness::default();
        (0..40).for_each(|_| slow.answered(ms(900), ms(300)));
        assert!(slow.grace(ms(300)) >= ms(600));
    }

    #[test]
    fn absurd_times_do_no_harm() {
        let mut history = Lateness::default();
        for _ in 0..10 {
            history.answered(Duration::MAX, Duration::ZERO);
            history.answered(Duration::ZERO, Duration::MAX);
        }
        assert!(history.grace(ms(1)) < Duration::from_secs(86_400 * 5));
    }
}
