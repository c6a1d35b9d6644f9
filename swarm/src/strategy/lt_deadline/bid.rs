//! Peers in the order of how long their queues take.

use std::time::Duration;

use super::QUEUE_TIME;
use crate::key::PeerKey;
use crate::strategy::Figures;

/// What may be asked of the first in rank beyond its queue.
const QUEUE_OVER_MAX: Duration = Duration::from_secs(2);

/// A peer that may get time-critical blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bid {
    pub(super) key: PeerKey,
    block_nanos: u64,
    pub(super) queued: u32,
    depth: u32,
}

impl Bid {
    pub(super) fn of(peer: &Figures<'_>) -> Self {
        let depth = match peer.room {
            0 => peer.queued.min(blocks_in(QUEUE_TIME, peer.block_nanos)).max(1),
            room => peer.queued + room,
        };
        Self { key: peer.key, block_nanos: peer.block_nanos, queued: peer.queued, depth }
    }

    /// Time of what is asked beyond its queue, then of all that is asked.
    pub(super) fn rank(&self) -> (u64, u64, PeerKey) {
        (self.over_nanos(), self.block_nanos.saturating_mul(u64::from(self.queued) + 1), self.key)
    }

    fn over_nanos(&self) -> u64 {
        self.block_nanos.saturating_mul(u64::from(self.queued.saturating_sub(self.depth)))
    }

    pub(super) fn is_over(&self) -> bool {
        u128::from(self.over_nanos()) > QUEUE_OVER_MAX.as_nanos()
    }

    pub(super) fn takes_more(&self) -> bool {
        self.queued <= self.depth.saturating_mul(2)
    }
}

fn blocks_in(time: Duration, block_nanos: u64) -> u32 {
    u32::try_from(time.as_nanos() / u128::from(block_nanos.max(1))).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bid(queued: u32, depth: u32, block_millis: u64) -> Bid {
        let key = PeerKey { index: 0, generation: 0 };
        Bid { key, block_nanos: block_millis * 1_000_000, queued, depth }
    }

    #[test]
    fn the_shorter_queue_ranks_first_and_what_is_beyond_it_weighs_most() {
        assert!(bid(10, 20, 100).rank() < bid(11, 20, 100).rank());
        assert!(bid(10, 20, 100).rank() < bid(10, 20, 101).rank());
        assert!(bid(100, 100, 100).rank() < bid(2, 1, 100).rank());
    }

    #[test]
    fn two_seconds_beyond_the_queue_are_enough() {
        assert!(!bid(40, 20, 100).is_over());
        assert!(bid(41, 20, 100).is_over());
    }

    #[test]
    fn twice_the_queue_is_the_most() {
        assert!(bid(40, 20, 10).takes_more());
        assert!(!bid(41, 20, 10).takes_more());
    }
}
