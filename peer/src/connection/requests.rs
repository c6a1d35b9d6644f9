//! What we have asked of the peer and not got yet, and what we took back.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use afflux_metainfo::{BlockRef, PieceIndex};

use crate::limits::WITHDRAWN_MAX;

/// A request that waits for its block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) block: BlockRef,
    pub(super) at: Instant,
    /// Nothing was outstanding when it was asked.
    pub(super) alone: bool,
    /// How many were asked before it.
    serial: u64,
}

/// A request that was taken back.
#[derive(Clone, Copy, Debug)]
struct Withdrawn {
    block: BlockRef,
    serial: u64,
}

/// Requests in the order they were made. Peers answer nearly always in this order, so a search from the front
/// ends at once.
#[derive(Debug, Default)]
pub(super) struct Requests {
    outstanding: VecDeque<Asked>,
    /// Taken back by us, or void by a choke; the newest last. Blocks and rejects for them may still come.
    withdrawn: VecDeque<Withdrawn>,
    /// Those of them that the peer is probably still busy with: cancelled, and nothing asked later has come.
    lingering: Vec<Withdrawn>,
    next_serial: u64,
    /// Rejects that answered no request.
    pub(super) stray_rejects: u32,
    /// Bytes that answered no request.
    pub(super) stray_bytes: u64,
}

impl Requests {
    #[inline]
    pub(super) fn push(&mut self, block: BlockRef, alone: bool, now: Instant) {
        self.outstanding.push_back(Asked { block, at: now, alone, serial: self.next_serial });
        self.next_serial += 1;
    }

    /// The same for a block that came, and how long it took from the request to its first byte, if that can be told: a block
    /// that is asked again after a cancel may come for the first request.
    #[inline]
    pub(super) fn answer(&mut self, block: &BlockRef, now: Instant) -> Option<(Asked, Option<Duration>)> {
        let asked = self.take(block)?;
        let first = self.lingering.iter().find(|lingering| lingering.block == *block).copied();
        // Answers come in order: what was asked before this one and taken back won't come any more.
        self.pass(first.map_or(asked.serial, |first| first.serial));
        let waited = now.saturating_duration_since(asked.at);
        Some((asked, first.is_none().then_some(waited)))
    }

    /// Takes the request for this very block out.
    #[inline]
    pub(super) fn take(&mut self, block: &BlockRef) -> Option<Asked> {
        if self.outstanding.front().is_some_and(|asked| asked.block == *block) {
            return self.outstanding.pop_front();
        }
        let place = self.outstanding.iter().position(|asked| asked.block == *block)?;
        self.outstanding.remove(place)
    }

    /// Takes back the request for this very block, which the peer may be sending already; `answered`: it says if it isn't
    /// (BEP 6). False if there is no such request.
    pub(super) fn cancel(&mut self, block: &BlockRef, answered: bool) -> bool {
        let Some(asked) = self.take(block) else { return false };
        self.withdraw(asked);
        if answered && self.lingering.len() < WITHDRAWN_MAX {
            self.lingering.push(Withdrawn { block: asked.block, serial: asked.serial });
        }
        true
    }

    /// How many cancelled blocks will probably still come, before what is outstanding: a slow peer's socket keeps a few
    /// that it can't take back.
    #[inline]
    pub(super) fn lingering(&self) -> usize {
        self.lingering.len()
    }

    /// Whether this answers a request that was taken back; it does so once.
    pub(super) fn take_withdrawn(&mut self, block: &BlockRef) -> bool {
        let place = self.withdrawn.iter().position(|withdrawn| withdrawn.block == *block);
        let Some(withdrawn) = place.and_then(|place| self.withdrawn.remove(place)) else { return false };
        self.lingering.retain(|lingering| lingering.serial != withdrawn.serial);
        true
    }

    /// Takes back the oldest request, if there is one.
    pub(super) fn withdraw_oldest(&mut self) -> Option<BlockRef> {
        let asked = self.outstanding.pop_front()?;
        self.withdraw(asked);
        Some(asked.block)
    }

    /// Takes back the oldest request for a piece, if there is one.
    pub(super) fn withdraw_one_of(&mut self, piece: PieceIndex) -> Option<BlockRef> {
        let place = self.outstanding.iter().position(|asked| asked.block.index == piece)?;
        let asked = self.outstanding.remove(place)?;
        self.withdraw(asked);
        Some(asked.block)
    }

    /// Remembers a request that is taken back.
    fn withdraw(&mut self, asked: Asked) {
        if self.withdrawn.len() == WITHDRAWN_MAX {
            self.withdrawn.pop_front();
        }
        self.withdrawn.push_back(Withdrawn { block: asked.block, serial: asked.serial });
    }

    /// The peer has answered the request of this number.
    #[inline]
    fn pass(&mut self, serial: u64) {
        if !self.lingering.is_empty() {
            self.lingering.retain(|lingering| lingering.serial > serial);
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.outstanding.len()
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.outstanding.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = BlockRef> + '_ {
        self.outstanding.iter().map(|asked| asked.block)
    }
}

#[cfg(test)]
mod tests {
    use afflux_metainfo::BLOCK_LENGTH;

    use super::*;

    fn block(nth: u32) -> BlockRef {
        BlockRef { index: PieceIndex(0), begin: nth * BLOCK_LENGTH, length: BLOCK_LENGTH }
    }

    /// Five requests, of which the second and the third are cancelled.
    fn asked() -> (Requests, Instant) {
        #[expect(clippy::disallowed_methods, reason = "a test needs some moment to start from")]
        let now = Instant::now();
        let mut requests = Requests::default();
        (0..5).for_each(|nth| requests.push(block(nth), nth == 0, now));
        assert!(requests.cancel(&block(1), true) && requests.cancel(&block(2), true));
        assert!(!requests.cancel(&block(2), true));
        (requests, now)
    }

    #[test]
    fn cancelled_blocks_linger_until_something_asked_later_comes() {
        let (mut requests, now) = asked();
        assert_eq!((requests.len(), requests.lingering()), (3, 2));
        assert!(requests.answer(&block(0), now).is_some());
        assert_eq!(requests.lingering(), 2, "it was asked before them");
        assert!(requests.answer(&block(3), now).is_some());
        assert_eq!(requests.lingering(), 0);
        assert!(requests.take_withdrawn(&block(1)), "if it comes all the same, it isn't unrequested");
    }

    #[test]
    fn a_cancelled_block_that_comes_or_is_rejected_lingers_no_more() {
        let (mut requests, _) = asked();
        assert!(requests.take_withdrawn(&block(2)) && !requests.take_withdrawn(&block(2)));
        assert_eq!(requests.lingering(), 1);
    }

    #[test]
    fn a_block_asked_again_that_comes_for_the_first_request_is_no_round_trip() {
        let (mut requests, now) = asked();
        requests.push(block(1), false, now + Duration::from_millis(100));
        let (_, waited) = requests.answer(&block(1), now + Duration::from_millis(101)).unwrap();
        assert_eq!((waited, requests.lingering()), (None, 1), "the other one was cancelled later");
        assert!(requests.take_withdrawn(&block(1)), "the second answer isn't unrequested");
    }

    #[test]
    fn a_peer_that_says_nothing_of_cancels_is_taken_to_send_nothing() {
        let (mut requests, _) = asked();
        assert!(requests.cancel(&block(4), false));
        assert_eq!(requests.lingering(), 2);
    }
}
