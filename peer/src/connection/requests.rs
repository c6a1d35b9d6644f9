//! What we have asked of the peer and not got yet, and what we took back.

use std::collections::VecDeque;
use std::time::Instant;

use afflux_metainfo::{BlockRef, PieceIndex};

use crate::limits::WITHDRAWN_MAX;

/// A request that waits for its block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) block: BlockRef,
    pub(super) at: Instant,
    /// Nothing was outstanding when it was asked.
    pub(super) alone: bool,
}

/// Requests in the order they were made. Peers answer nearly always in this order, so a search from the front
/// ends at once.
#[derive(Debug, Default)]
pub(super) struct Requests {
    outstanding: VecDeque<Asked>,
    /// Taken back by us, or void by a choke; the newest last. Blocks and rejects for them may still come.
    withdrawn: VecDeque<BlockRef>,
    /// Rejects that answered no request.
    pub(super) stray_rejects: u32,
    /// Bytes that answered no request.
    pub(super) stray_bytes: u64,
}

impl Requests {
    #[inline]
    pub(super) fn push(&mut self, block: BlockRef, alone: bool, now: Instant) {
        self.outstanding.push_back(Asked { block, at: now, alone });
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

    /// Remembers a request that is taken back.
    pub(super) fn withdraw(&mut self, block: BlockRef) {
        if self.withdrawn.len() == WITHDRAWN_MAX {
            self.withdrawn.pop_front();
        }
        self.withdrawn.push_back(block);
    }

    /// Whether this answers a request that was taken back; it does so once.
    pub(super) fn take_withdrawn(&mut self, block: &BlockRef) -> bool {
        let place = self.withdrawn.iter().position(|withdrawn| withdrawn == block);
        place.is_some_and(|place| self.withdrawn.remove(place).is_some())
    }

    /// Takes back the oldest request, if there is one.
    pub(super) fn withdraw_oldest(&mut self) -> Option<BlockRef> {
        let block = self.outstanding.pop_front()?.block;
        self.withdraw(block);
        Some(block)
    }

    /// Takes back the oldest request for a piece, if there is one.
    pub(super) fn withdraw_one_of(&mut self, piece: PieceIndex) -> Option<BlockRef> {
        let place = self.outstanding.iter().position(|asked| asked.block.index == piece)?;
        let block = self.outstanding.remove(place)?.block;
        self.withdraw(block);
        Some(block)
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
