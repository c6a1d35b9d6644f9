//! One level's bucket, one direction: a queue of bytes that are released at a rate.

use std::time::{Duration, Instant};

use super::{BURST_TIME, DEBT_TIME_MAX, QUANTUM_BYTES_MAX, QUANTUM_BYTES_MIN, QUANTUM_TIME};

const SECOND_NS: u128 = 1_000_000_000;

/// Two counters that only grow: bytes released by time, and bytes claimed. Claimed beyond released is the queue;
/// released beyond claimed is what can be had at once.
///
/// Keeping places in bytes rather than in time means that a change of rate moves everybody who waits.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Bytes per second; 0 is no limit.
    rate: u64,
    released_bytes: u64,
    claimed_bytes: u64,
    refilled: Instant,
    /// What time has released beyond whole bytes, in billionths of a byte: nothing is lost to rounding.
    fraction: u64,
}

impl Bucket {
    pub(super) fn new(rate: Option<u64>, now: Instant) -> Self {
        let mut bucket =
            Self { rate: rate.unwrap_or(0), released_bytes: 0, claimed_bytes: 0, refilled: now, fraction: 0 };
        bucket.released_bytes = bucket.burst_bytes();
        bucket
    }

    /// Without a limit, everybody's turn has come.
    pub(super) fn set_rate(&mut self, rate: Option<u64>, now: Instant) {
        self.refill(now);
        let was_limited = self.is_limited();
        self.rate = rate.unwrap_or(0);
        if !self.is_limited() || !was_limited {
            self.released_bytes = self.claimed_bytes;
            self.fraction = 0;
        }
        self.cap_burst();
    }

    /// Takes the next `bytes` of the queue; the place is where they end.
    pub(super) fn claim(&mut self, bytes: u32, now: Instant) -> u64 {
        self.refill(now);
        self.claimed_bytes = self.claimed_bytes.saturating_add(u64::from(bytes));
        self.claimed_bytes
    }

    /// Bytes that went past the queue. Beyond the largest debt they are forgiven.
    pub(super) fn debit(&mut self, bytes: u32, now: Instant) {
        self.refill(now);
        let debt_bytes = self.claimed_bytes.saturating_sub(self.released_bytes);
        let room_bytes = self.bytes_in(DEBT_TIME_MAX).saturating_sub(debt_bytes);
        self.claimed_bytes = self.claimed_bytes.saturating_add(u64::from(bytes).min(room_bytes));
    }

    /// Takes bytes past the queue that are payload, and so are owed in full: who borrows a whole block at a time
    /// would else pay only for the part that the largest debt leaves room for.
    pub(super) fn overdraw(&mut self, bytes: u32, now: Instant) {
        self.refill(now);
        self.claimed_bytes = self.claimed_bytes.saturating_add(u64::from(bytes));
    }

    /// A claim that won't be used. The last in the queue just goes; behind any other everybody moves up, and so
    /// do those ahead of it: they get their quantum early, once, and what follows waits the longer. Exact places
    /// would need a list of the queue.
    pub(super) fn abandon(&mut self, place: u64, bytes: u32) {
        if place == self.claimed_bytes {
            self.claimed_bytes = self.claimed_bytes.saturating_sub(u64::from(bytes));
            self.cap_burst();
        } else {
            self.refund(bytes);
        }
    }

    /// Released bytes that weren't used: everybody who waits moves up.
    pub(super) fn refund(&mut self, bytes: u32) {
        self.released_bytes = self.released_bytes.saturating_add(u64::from(bytes));
        self.cap_burst();
    }

    /// When the place's turn comes; `None` if it has come.
    pub(super) fn due(&mut self, place: u64, now: Instant) -> Option<Instant> {
        self.refill(now);
        let missing_bytes = place.checked_sub(self.released_bytes).filter(|&missing| missing > 0)?;
        if !self.is_limited() {
            return None;
        }
        let wait_ns = (u128::from(missing_bytes) * SECOND_NS - u128::from(self.fraction))
            .div_ceil(u128::from(self.rate));
        // A place a year away is as good as never, and never overflows an `Instant`.
        let wait = Duration::from_nanos(u64::try_from(wait_ns).unwrap_or(u64::MAX));
        Some(now + wait.min(Duration::from_secs(365 * 86_400)))
    }

    /// What can be had without waiting.
    pub(super) fn spare_bytes(&mut self, now: Instant) -> u64 {
        self.refill(now);
        self.released_bytes.saturating_sub(self.claimed_bytes)
    }

    /// How much of `bytes` can be had now: all, or a quantum at least. The error is when that will be.
    pub(super) fn ready_bytes(&mut self, bytes: u32, now: Instant) -> Result<u32, Instant> {
        match self.due_after(u64::from(bytes.min(self.quantum_bytes())), now) {
            Some(at) => Err(at),
            None => Ok(self.spare_bytes(now).min(u64::from(bytes)) as u32),
        }
    }

    /// When `bytes` more can have been let through than are claimed by now; `None` if they can be already.
    pub(super) fn due_after(&mut self, bytes: u64, now: Instant) -> Option<Instant> {
        self.due(self.claimed_bytes.saturating_add(bytes), now)
    }

    pub(super) fn quantum_bytes(&self) -> u32 {
        let bytes = self.bytes_in(QUANTUM_TIME);
        bytes.clamp(u64::from(QUANTUM_BYTES_MIN), u64::from(QUANTUM_BYTES_MAX)) as u32
    }

    pub(super) fn is_limited(&self) -> bool {
        self.rate > 0
    }

    fn refill(&mut self, now: Instant) {
        if now <= self.refilled {
            return;
        }
        let elapsed = now.saturating_duration_since(self.refilled);
        self.refilled = now;
        let released = u128::from(self.rate) * elapsed.as_nanos() + u128::from(self.fraction);
        self.fraction = (released % SECOND_NS) as u64;
        let bytes = u64::try_from(released / SECOND_NS).unwrap_or(u64::MAX);
        self.released_bytes = self.released_bytes.saturating_add(bytes);
        self.cap_burst();
    }

    fn cap_burst(&mut self) {
        self.released_bytes = self.released_bytes.min(self.claimed_bytes.saturating_add(self.burst_bytes()));
    }

    fn burst_bytes(&self) -> u64 {
        if self.is_limited() { self.bytes_in(BURST_TIME).max(u64::from(QUANTUM_BYTES_MIN)) } else { 0 }
    }

    fn bytes_in(&self, time: Duration) -> u64 {
        let bytes = u128::from(self.rate) * time.as_nanos() / SECOND_NS;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}
