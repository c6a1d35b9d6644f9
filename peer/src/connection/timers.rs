//! All timers of a connection, on one screen.

use std::time::Instant;

/// What may be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// We have sent nothing for long: say that we live (BEP 3).
    KeepAlive,
    /// The peer has sent nothing for too long: it is gone.
    Silent,
    /// The peer has taken nothing that we send for too long: it is gone.
    TransmitStalled,
    /// The peer owes us blocks and is later than its history says: ask less of it.
    Late,
    /// The peer owes us blocks and the peer timeout is over: give them to others.
    Lapse,
    /// A piece of metadata hasn't come.
    Metadata,
    /// We have wanted nothing of the peer for a while: say so.
    Disinterest,
}

impl Timer {
    pub(super) const ALL: [Self; 7] = [
        Self::KeepAlive,
        Self::Silent,
        Self::TransmitStalled,
        Self::Late,
        Self::Lapse,
        Self::Metadata,
        Self::Disinterest,
    ];
}

/// When each is due.
#[derive(Clone, Debug, Default)]
pub(super) struct Timers {
    due: [Option<Instant>; Timer::ALL.len()],
}

impl Timers {
    #[inline]
    pub(super) fn set(&mut self, timer: Timer, due: Option<Instant>) {
        self.due[timer as usize] = due;
    }

    pub(super) fn get(&self, timer: Timer) -> Option<Instant> {
        self.due[timer as usize]
    }

    pub(super) fn earliest(&self) -> Option<Instant> {
        self.due.iter().flatten().min().copied()
    }

    /// Takes the timer if it is due.
    pub(super) fn take_due(&mut self, timer: Timer, now: Instant) -> bool {
        let due = self.get(timer).is_some_and(|due| due <= now);
        if due {
            self.set(timer, None);
        }
        due
    }
}
