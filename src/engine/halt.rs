//! A torrent whose writing has stopped, and its way back: a full disk gets room again, a drive is plugged back in.
//!
//! Nothing is asked of peers meanwhile. Every few seconds the store tries to write what it still holds; only when
//! that works, or there was nothing to try it with, the torrent goes on.

use std::time::{Duration, Instant};

/// Time between two tries. Short enough that a person who freed space sees it go on, long enough that a dead disk
/// costs nothing.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing yet.
    Nothing,
    /// The store is to try again.
    Retry,
    /// Writing works again, as far as can be told.
    GoOn,
}

/// Where a halted torrent is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Halt {
    /// The next look.
    due: Instant,
    /// The store has tried again, and neither success nor failure was heard yet.
    trying: bool,
}

impl Halt {
    /// Writing has stopped, for the first time or again.
    pub(super) fn new(now: Instant) -> Self {
        Self { due: now + RETRY_INTERVAL, trying: false }
    }

    /// When to look next.
    pub(super) fn deadline(&self) -> Instant {
        self.due
    }

    /// Looks at the clock.
    pub(super) fn look(&mut self, now: Instant) -> Due {
        if now < self.due {
            return Due::Nothing;
        }
        if self.trying {
            return Due::GoOn;
        }
        *self = Self { due: now + RETRY_INTERVAL, trying: true };
        Due::Retry
    }

    /// A piece was written; says whether that answers a try. Writes of before the stop can still be reported after it.
    pub(super) fn is_over(&self) -> bool {
        self.trying
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_halted_torrent_tries_before_it_goes_on() {
        let begun = Instant::now();
        let mut halt = Halt::new(begun);
        assert_eq!(halt.look(begun), Due::Nothing);
        assert!(!halt.is_over(), "what is written now was begun before the stop");
        assert_eq!(halt.look(halt.deadline()), Due::Retry);
        assert!(halt.is_over());
        assert_eq!(halt.look(begun + RETRY_INTERVAL), Due::Nothing);
        assert_eq!(halt.look(halt.deadline()), Due::GoOn, "silence means that there was nothing to write");
    }
}
