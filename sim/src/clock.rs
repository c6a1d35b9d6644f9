//! Virtual time: nanoseconds since the start of a run, and the machines' `Instant`s made of them.

use std::ops::{Add, Sub};
use std::time::{Duration, Instant};

/// A moment of a run, in nanoseconds since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(pub(crate) u64);

impl Time {
    /// A moment that never comes.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// Time since the start.
    pub(crate) fn elapsed(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// Time since an earlier moment; none since a later one.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Seconds since an earlier moment.
    pub(crate) fn seconds_since(self, earlier: Self) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / 1e9
    }

    /// So many seconds later, rounded up to the next nanosecond: what is due then has surely happened.
    pub(crate) fn after_seconds(self, seconds: f64) -> Self {
        // A cast of a float saturates, so infinity is `NEVER`.
        Self(self.0.saturating_add((seconds * 1e9).ceil() as u64))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(later.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Time {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

/// Turns moments of a run into what the machines take for the clock, and back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    epoch: Instant,
}

impl Clock {
    /// The machines only ever see differences, so any epoch gives the same run.
    #[allow(
        clippy::disallowed_methods,
        reason = "an Instant can't be made of nothing, and no outcome depends on which it is"
    )]
    pub(crate) fn new() -> Self {
        Self { epoch: Instant::now() }
    }

    pub(crate) fn instant(&self, time: Time) -> Instant {
        self.epoch + time.elapsed()
    }

    /// Moments before the start are the start.
    pub(crate) fn time(&self, instant: Instant) -> Time {
        Time::default() + instant.saturating_duration_since(self.epoch)
    }
}
