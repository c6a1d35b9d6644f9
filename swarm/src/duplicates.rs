//! What is asked twice: how much of it there may be, and whether it helps.
//!
//! A duplicate is bought when a block is late. All of them together stay within a part of what was received. When of the
//! last ones too few came before the block they were bought for, the swarm as a whole is slow and not one peer, so none are
//! bought for a while, for twice as long each time.

use std::time::{Duration, Instant};

use crate::limits::DUPLICATES_FREE_BYTES;

/// Outcomes that are looked at. Fewer say nothing.
const OUTCOMES: u32 = 16;

/// Of those, this many have to be won, or duplicates cost more than they bring.
const WON_MIN: u32 = 5;

/// How long none are bought the first time.
const STOP_MIN: Duration = Duration::from_secs(5);

/// How long at most.
const STOP_MAX: Duration = Duration::from_secs(300);

/// The budget of duplicates and its breaker.
#[derive(Clone, Debug)]
pub struct Duplicates {
    percent: u64,
    bytes: u64,
    won: u32,
    lost: u32,
    /// The last outcomes, the newest in the lowest bit; a won one is set.
    recent: u32,
    recent_count: u32,
    stop: Duration,
    stopped_until: Option<Instant>,
}

impl Duplicates {
    /// A budget of so many percent of what is received.
    pub fn new(percent: u32) -> Self {
        Self {
            percent: u64::from(percent),
            bytes: 0,
            won: 0,
            lost: 0,
            recent: 0,
            recent_count: 0,
            stop: STOP_MIN,
            stopped_until: None,
        }
    }

    /// Whether so many bytes may be asked for again, after so many were received.
    pub fn affords(&self, bytes: u64, received: u64) -> bool {
        let budget = received.saturating_mul(self.percent) / 100;
        self.percent > 0 && self.bytes + bytes <= budget + DUPLICATES_FREE_BYTES
    }

    /// Whether the breaker lets late blocks be bought.
    pub fn help(&self, now: Instant) -> bool {
        self.stopped_until(now).is_none()
    }

    /// So many bytes were asked for again.
    pub fn bought(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// One is decided: it came first, or what it was bought for did.
    pub fn decided(&mut self, won: bool, now: Instant) {
        let tally = if won { &mut self.won } else { &mut self.lost };
        *tally = tally.saturating_add(1);
        if self.stopped_until(now).is_some() {
            return;
        }
        self.recent = (self.recent << 1 | u32::from(won)) & ((1 << OUTCOMES) - 1);
        self.recent_count = (self.recent_count + 1).min(OUTCOMES);
        if self.recent_count < OUTCOMES {
            return;
        }
        if self.recent.count_ones() < WON_MIN {
            self.stopped_until = Some(now + self.stop);
            self.stop = (self.stop * 2).min(STOP_MAX);
            (self.recent, self.recent_count) = (0, 0);
        } else if self.recent.count_ones() >= OUTCOMES / 2 {
            self.stop = STOP_MIN;
        }
    }

    /// Bytes asked for more than once.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many came first.
    pub fn won(&self) -> u32 {
        self.won
    }

    /// How many didn't.
    pub fn lost(&self) -> u32 {
        self.lost
    }

    /// Until when none are bought, if so.
    pub fn stopped_until(&self, now: Instant) -> Option<Instant> {
        self.stopped_until.filter(|&until| now < until)
    }
}

const _: () = assert!(OUTCOMES < u32::BITS && WON_MIN < OUTCOMES / 2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::epoch;

    #[test]
    fn the_budget_is_a_part_of_what_was_received_and_a_little() {
        let mut duplicates = Duplicates::new(3);
        assert!(duplicates.affords(DUPLICATES_FREE_BYTES, 0));
        duplicates.bought(DUPLICATES_FREE_BYTES);
        assert!(!duplicates.affords(1, 0));
        assert!(duplicates.affords(3_000, 100_000) && !duplicates.affords(3_001, 100_000));
        assert!(!Duplicates::new(0).affords(1, 1_000_000), "none means none");
    }

    #[test]
    fn duplicates_that_lose_are_stopped_for_twice_as_long_each_time() {
        let mut now = epoch();
        let mut duplicates = Duplicates::new(3);
        for stop in [STOP_MIN, STOP_MIN * 2, STOP_MIN * 4] {
            for _ in 0..OUTCOMES {
                assert!(duplicates.help(now));
                duplicates.decided(false, now);
            }
            assert_eq!(duplicates.stopped_until(now), Some(now + stop));
            now += stop;
        }
        assert!(duplicates.help(now));
        assert_eq!((duplicates.won(), duplicates.lost()), (0, 3 * OUTCOMES));
    }

    #[test]
    fn duplicates_that_win_go_on() {
        let now = epoch();
        let mut duplicates = Duplicates::new(3);
        for nth in 0..100 {
            duplicates.decided(nth % 3 == 0, now);
        }
        assert!(duplicates.help(now), "a third is enough");
    }
}
