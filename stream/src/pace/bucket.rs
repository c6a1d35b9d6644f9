//! A bucket that fills at a rate. Exact: it counts in parts of a byte, so that however often it's looked at nothing is lost.

use std::time::{Duration, Instant};

/// Parts of a byte: what one byte per second fills in a nanosecond.
const PARTS: u128 = 1_000_000_000;

/// No time without a look adds more than this: bounds the arithmetic, and fills any bucket.
const ELAPSED_MAX: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    parts: u128,
    rate: u64,
    capacity: u64,
    at: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(super) fn new(rate: u64, capacity: u64, now: Instant) -> Bucket {
        Bucket { parts: u128::from(capacity) * PARTS, rate, capacity, at: now }
    }

    /// What came since the last look comes at the old rate. A smaller capacity spills the rest.
    pub(super) fn set(&mut self, rate: u64, capacity: u64, now: Instant) {
        self.refill(now);
        if capacity < self.capacity {
            self.parts = self.parts.min(u128::from(capacity) * PARTS);
        }
        (self.rate, self.capacity) = (rate, capacity);
    }

    pub(super) fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at).min(ELAPSED_MAX);
        let full = (u128::from(self.capacity) * PARTS).max(self.parts);
        self.parts = (self.parts + u128::from(self.rate) * elapsed.as_nanos()).min(full);
        self.at = self.at.max(now);
    }

    /// Raises what is in it to `bytes`, even beyond its capacity.
    pub(super) fn fill(&mut self, bytes: u64) {
        self.parts = self.parts.max(u128::from(bytes) * PARTS);
    }

    pub(super) fn spend(&mut self, bytes: u64) {
        self.parts = self.parts.saturating_sub(u128::from(bytes) * PARTS);
    }

    pub(super) fn refund(&mut self, bytes: u64) {
        let full = (u128::from(self.capacity) * PARTS).max(self.parts);
        self.parts = (self.parts + u128::from(bytes) * PARTS).min(full);
    }

    /// Whole bytes in it, as of the last look.
    pub(super) fn level(&self) -> u64 {
        u64::try_from(self.parts / PARTS).unwrap_or(u64::MAX)
    }

    pub(super) fn rate(&self) -> u64 {
        self.rate
    }

    /// When there will be `bytes` in it, which are more than there are now.
    pub(super) fn ready_at(&self, bytes: u64, now: Instant) -> Instant {
        let missing = (u128::from(bytes) * PARTS).saturating_sub(self.parts);
        let nanos = missing.div_ceil(u128::from(self.rate.max(1))).max(1);
        now + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}
