//! One request to the range server: what it wants of the torrent while it reads on. The film's rate is known to it, as if
//! from the container.

use std::time::Duration;

use afflux_swarm::{Kind, ReaderKey, Window};

use super::{Act, Bytes};
use crate::clock::Time;

/// Least and most read-ahead of a reader that reads on.
const AHEAD_BYTES: Bytes = 1024 * 1024..32 * 1024 * 1024;
/// Most read-ahead in time.
const AHEAD_SECONDS: u64 = 120;
/// What a probe reads.
const PROBE_BYTES: u64 = 256 * 1024;
/// A reader still here after this is none, if it was sent that much; and after the longer time if it wasn't.
const PROBE_TIME: Duration = Duration::from_millis(100);
const PROBE_WAIT: Duration = Duration::from_millis(250);
/// Nor is one that was sent this much.
const PROBE_SENT_MAX: u64 = 8 * 1024 * 1024;
/// A reader that begins this near the end reads an index; of small files, only in the last eighth.
const TAIL_BYTES: u64 = 8 * 1024 * 1024;
const TAIL_FRACTION: u64 = 8;
/// What is urgent.
const URGENT_BYTES: Bytes = 256 * 1024..4 * 1024 * 1024;
const URGENT_SECONDS: u64 = 2;

/// What a reader says to the torrent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wish {
    Want(ReaderKey, Window),
    Forget(ReaderKey),
}

/// One reader.
#[derive(Debug)]
pub(crate) struct Reader {
    key: ReaderKey,
    opened: Time,
    start: u64,
    position: u64,
    end: u64,
    length: u64,
    rate: u64,
    tail: bool,
    waiting: bool,
    told: Option<Window>,
}

impl Reader {
    pub(crate) fn new(key: ReaderKey, range: Bytes, length: u64, rate: u64, now: Time) -> Self {
        let tail_bytes = TAIL_BYTES.min(length / TAIL_FRACTION);
        Self {
            key,
            opened: now,
            start: range.start,
            position: range.start,
            end: range.end,
            length,
            rate,
            tail: range.start > 0 && length - range.start <= tail_bytes,
            waiting: false,
            told: None,
        }
    }

    /// Sends what is there up to `contiguous`, as far as the player takes it, and says what is wanted now.
    pub(crate) fn pull(&mut self, contiguous: u64, most: u64, now: Time, acts: &mut Vec<Act>) {
        let taken = contiguous.min(most).min(self.end);
        self.position = self.position.max(taken);
        self.waiting = self.position < most.min(self.end);
        if self.is_done() {
            // Its answer is complete, and the server forgets it.
            if self.told.take().is_some() {
                acts.push(Act::Wish(Wish::Forget(self.key)));
            }
            return;
        }
        let window = self.window(now);
        if self.told != Some(window) {
            self.told = Some(window);
            acts.push(Act::Wish(Wish::Want(self.key, window)));
        }
    }

    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// The next byte to be sent.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Whether there is nothing to send at the position though the player would take it.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// Whether all was sent.
    pub(crate) fn is_done(&self) -> bool {
        self.position >= self.end
    }

    /// The player closes it.
    pub(crate) fn close(&mut self, acts: &mut Vec<Act>) {
        if self.told.take().is_some() {
            acts.push(Act::Wish(Wish::Forget(self.key)));
        }
    }

    /// When the window changes though nothing is sent.
    pub(crate) fn deadline(&self, now: Time) -> Time {
        if self.is_fresh(now) && !self.is_done() { self.opened + self.probe_time() } else { Time::NEVER }
    }

    fn window(&self, now: Time) -> Window {
        let probe = self.start == 0 && self.is_fresh(now);
        let upto = |bytes: u64| self.position.saturating_add(bytes).min(self.end);
        let urgent = self.rate.saturating_mul(URGENT_SECONDS).clamp(URGENT_BYTES.start, URGENT_BYTES.end);
        let (urgent_end, soon_end) = if probe {
            (upto(PROBE_BYTES), upto(PROBE_BYTES))
        } else if self.tail {
            (upto(URGENT_BYTES.end), self.end)
        } else if self.is_fresh(now) {
            (upto(urgent), upto(urgent))
        } else {
            (upto(urgent), upto(self.ahead_bytes().max(urgent)))
        };
        Window {
            position: self.position,
            urgent_end,
            soon_end,
            file_end: self.length,
            rate: Some(self.rate),
            waiting: self.waiting,
            kind: if probe { Kind::Probe } else { Kind::Play },
        }
    }

    /// Whether it hasn't shown yet that it reads on.
    fn is_fresh(&self, now: Time) -> bool {
        !self.tail && now - self.opened < self.probe_time()
    }

    fn probe_time(&self) -> Duration {
        match self.position - self.start {
            0..PROBE_BYTES => PROBE_WAIT,
            PROBE_BYTES..PROBE_SENT_MAX => PROBE_TIME,
            _ => Duration::ZERO,
        }
    }

    /// As much ahead as lies behind, within the bounds.
    fn ahead_bytes(&self) -> u64 {
        let most = AHEAD_BYTES.end.min(self.rate.saturating_mul(AHEAD_SECONDS)).max(AHEAD_BYTES.start);
        (self.position - self.start).clamp(AHEAD_BYTES.start, most)
    }
}
