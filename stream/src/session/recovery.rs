//! What is tried against a stall, and when.

use std::time::{Duration, Instant};

/// A step against a stall, in the order in which they are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Announce again: the tracker may know peers that came since.
    Announce,
    /// Look the torrent up in the DHT again.
    Lookup,
    /// Connect to more peers than usual, and try web seeds.
    MorePeers,
}

impl Step {
    const ALL: [Step; 3] = [Step::Announce, Step::Lookup, Step::MorePeers];
}

/// Between steps of a round: what an announce or a lookup takes to bring its first peers.
pub(super) const STEP_PAUSE: Duration = Duration::from_secs(5);

/// Between the first round's last step and the next round; each later pause is twice as long.
pub(super) const ROUND_PAUSE: Duration = Duration::from_secs(30);

/// No pause is longer: what a stall of an hour costs trackers is an announce in ten minutes.
pub(super) const ROUND_PAUSE_MAX: Duration = Duration::from_secs(600);

/// The steps of one stall.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recovery {
    /// The step that comes next.
    step: usize,
    next_at: Instant,
    round_pause: Duration,
}

impl Recovery {
    /// Begins, with its first step.
    pub(super) fn begin(now: Instant) -> (Recovery, Step) {
        (Recovery { step: 1, next_at: now + STEP_PAUSE, round_pause: ROUND_PAUSE }, Step::ALL[0])
    }

    /// The step that is due. A driver that comes late gets one, not all that it missed.
    pub(super) fn step(&mut self, now: Instant) -> Option<Step> {
        if now < self.next_at {
            return None;
        }
        let step = Step::ALL[self.step];
        self.step = (self.step + 1) % Step::ALL.len();
        let pause = if self.step == 0 { self.round_pause } else { STEP_PAUSE };
        if self.step == 0 {
            self.round_pause = (self.round_pause * 2).min(ROUND_PAUSE_MAX);
        }
        self.next_at = now + pause;
        Some(step)
    }

    pub(super) fn next_at(&self) -> Instant {
        self.next_at
    }
}
