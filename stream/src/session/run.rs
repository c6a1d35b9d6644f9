//! How long somebody has played on from one place: what tells watching from a look, and where in the film they are.
//!
//! What was sent is ahead of the picture by all that the player holds, which may be minutes. But the picture can't be further on than
//! the time that has passed since it began at its place. A player that a user pauses takes what it can hold and is silent then;
//! how much of that it has shown nobody can see, so a position is a good guess and no more.

use std::time::{Duration, Instant};

use super::Place;

/// Who stays so long at a place and what follows it watches. Probes, previews beside the time line and players that look for their
/// place are gone by then.
pub const WATCHED_MIN: Duration = Duration::from_secs(10);

/// A player that takes nothing for so long is paused. Browsers read in bursts of some seconds.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// No player holds more ahead of its picture: what mpv keeps of a stream, the most of all.
pub const HELD_BYTES_MAX: u64 = 150 * 1024 * 1024;

/// A stretch of a file that was played without a jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where it began.
    pub begun: Place,
    /// Up to here it was sent.
    pub sent_to: u64,
    /// When bytes of it were last sent.
    pub sent_at: Instant,
    /// For how long it was played.
    pub played: Duration,
    /// `played` was reckoned at this time.
    counted_to: Instant,
}

impl Run {
    pub(super) fn begin(begun: Place, now: Instant) -> Run {
        Run { begun, sent_to: begun.offset, sent_at: now, played: Duration::ZERO, counted_to: now }
    }

    /// The second at which its player is, where `seconds_at` knows of bytes which second they belong to.
    pub fn seconds(&self, seconds_at: impl Fn(u64) -> Option<f64>) -> Option<f64> {
        let (begun, sent) = (seconds_at(self.begun.offset)?, seconds_at(self.sent_to)?);
        let held = seconds_at(self.sent_to.saturating_sub(HELD_BYTES_MAX))?;
        let least = begun.max(held).min(sent);
        Some((begun + self.played.as_secs_f64()).max(least).min(sent))
    }

    /// Bytes of it were sent up to a place.
    pub(super) fn handle_sent(&mut self, to: u64, at: Instant) {
        self.sent_to = self.sent_to.max(to);
        self.sent_at = self.sent_at.max(at);
    }

    /// Time passes; it is played if a reader is there and takes bytes, or nothing is left to be taken.
    pub(super) fn follow(&mut self, is_read: bool, is_at_end: bool, now: Instant) {
        let silence = now.saturating_duration_since(self.sent_at);
        if (is_read && silence < SILENCE_MAX) || is_at_end {
            self.played += now.saturating_duration_since(self.counted_to);
        }
        self.counted_to = self.counted_to.max(now);
    }

    fn lasts(&self) -> bool {
        self.played >= WATCHED_MIN
    }
}

/// What a session's readers watched.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watched {
    /// The run of the newest reader, or of the last one.
    current: Option<Run>,
    /// The newest that lasted.
    lasting: Option<Run>,
}

impl Watched {
    /// The run of a reader that has just turned out to be a player's: the current one goes on if it begins about where that ends.
    pub(super) fn join(&self, begun: Place, jumped: bool, now: Instant) -> Run {
        let goes_on = |run: &Run| {
            let reached = Place { offset: run.sent_to, ..run.begun };
            !jumped && begun.file == reached.file && !super::is_away(begun, reached)
        };
        self.current.filter(goes_on).unwrap_or_else(|| Run::begin(begun, now))
    }

    /// The newest reader's run is at this.
    pub(super) fn set(&mut self, run: Run) {
        self.current = Some(run);
        if run.lasts() {
            self.lasting = Some(run);
        }
    }

    pub(super) fn current(&self) -> Option<Run> {
        self.current
    }

    pub(super) fn lasting(&self) -> Option<Run> {
        self.lasting
    }
}
