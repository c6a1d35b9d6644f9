//! Times of a transport stream: ticks of 90 kHz that begin again after 2^33 of them, every 26.5 hours.

/// A time of a clock that nobody knows the start of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticks(u64);

const PERIOD: u64 = 1 << 33;

pub(super) const TICKS_A_SECOND: i64 = 90_000;

impl Ticks {
    pub(super) fn new(ticks: u64) -> Self {
        Self(ticks % PERIOD)
    }

    /// How long after another it is, the shorter way round: back where that is the nearer. So a stream of up to 13 hours has one
    /// meaning, whether or not the clock begins again in it.
    pub(super) fn since(self, other: Self) -> i64 {
        let ahead = (self.0 + PERIOD - other.0) % PERIOD;
        if ahead < PERIOD / 2 { ahead as i64 } else { ahead as i64 - PERIOD as i64 }
    }
}

/// Ticks as microseconds; none before the start.
pub(super) fn micros(ticks: i64) -> u64 {
    u64::try_from(ticks).unwrap_or(0).saturating_mul(100) / 9
}

/// The first and the last of some times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) first: Ticks,
    pub(super) last: Ticks,
}

impl Span {
    pub(super) fn at(ticks: Ticks) -> Self {
        Self { first: ticks, last: ticks }
    }

    /// Both, which are near each other.
    pub(super) fn with(self, other: Self) -> Self {
        let first = if other.first.since(self.first) < 0 { other.first } else { self.first };
        let last = if other.last.since(self.last) > 0 { other.last } else { self.last };
        Self { first, last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_begins_again_goes_on() {
        let before = Ticks::new(PERIOD - 90_000);
        let after = Ticks::new(PERIOD + 90_000);
        assert_eq!(after.since(before), 180_000);
        assert_eq!(before.since(after), -180_000);
        let span = Span::at(after).with(Span::at(before));
        assert_eq!((span.first, span.last), (before, after));
    }

    #[test]
    fn ticks_are_microseconds_of_their_own() {
        assert_eq!([micros(90_000), micros(9), micros(-5), micros(i64::MAX)][..3], [1_000_000, 100, 0]);
    }
}
