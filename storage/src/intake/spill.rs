//! What has come of pieces under way goes to disk ahead of the rest when memory is short, an extent at a time.
//!
//! An extent can go while nothing is on its way to it: its blocks are with the hash thread no more, and nobody was
//! asked for those that are missing. Whatever is hashed already costs nothing to bring back; the rest is read once more
//! to finish the hash. Pieces that are all there stay: they'll be verified in a moment.

use std::sync::Arc;

use afflux_metainfo::{BLOCK_LENGTH, PieceIndex};

use super::piece::{Block, ExtentState, Piece, Slot};
use super::{Attempt, Fill, Intake};
use crate::limits::EXTENT_BLOCKS;
use crate::lock::lock;
use crate::pool::{BlockBuffer, Lease};

/// Which extents may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Those that are hashed.
    Hashed,
    /// All that can.
    Any,
    /// Those of pieces that nothing was asked of and nothing came of for a while.
    Idle,
}

/// An extent on its way to disk.
pub(crate) struct Spill {
    pub(crate) piece: PieceIndex,
    id: Attempt,
    /// Its blocks with what came of them, by their numbers in the piece, ascending.
    pub(crate) blocks: Vec<(usize, BlockBuffer)>,
    /// Other memory that goes with it.
    surplus: (Vec<BlockBuffer>, Option<Arc<Lease>>),
}

impl Spill {
    /// Where a block begins in its piece.
    pub(crate) fn begin(number: usize) -> u32 {
        number as u32 * BLOCK_LENGTH
    }

    /// Memory that comes back when it's dropped.
    pub(crate) fn bytes(&self) -> usize {
        self.surplus.1.as_ref().map_or(0, |lease| lease.bytes())
    }
}

impl Intake {
    /// The next extent that can go; of the last piece that has one, since what lies last is needed last.
    pub(crate) fn take_spill(&self, reach: Reach) -> Option<Spill> {
        if !self.spills {
            return None;
        }
        let mut pieces = lock(&self.pieces);
        let incomplete = pieces.iter_mut().rev().filter(|(_, piece)| piece.filled < piece.blocks.len());
        let fitting = incomplete.filter(|(_, piece)| reach != Reach::Idle || !piece.touched);
        fitting.filter_map(|(index, piece)| piece.take_spill(*index, reach)).next()
    }

    /// Pieces of which nothing comes from now on are idle.
    pub(crate) fn age(&self) {
        lock(&self.pieces).values_mut().for_each(|piece| piece.touched = false);
    }

    /// The extent is on disk, and these are the SHA-1 of its blocks. Says whether the hash thread is to be called.
    pub(crate) fn spilled(&self, spill: Spill, digests: Vec<[u8; 20]>) -> Fill {
        let fill = match lock(&self.pieces).get_mut(&spill.piece).filter(|piece| piece.id == spill.id) {
            Some(piece) => piece.spilled(&spill, digests),
            None => Fill::Stale,
        };
        drop(spill);
        fill
    }
}

impl Piece {
    fn take_spill(&mut self, index: PieceIndex, reach: Reach) -> Option<Spill> {
        let extent = (0..self.extents.len()).rev().find(|&extent| self.can_spill(extent, reach))?;
        let first = extent * EXTENT_BLOCKS as usize;
        let mut spill = Spill { piece: index, id: self.id, blocks: Vec::new(), surplus: (Vec::new(), None) };
        for (number, block) in self.blocks.iter_mut().enumerate().skip(first).take(EXTENT_BLOCKS as usize) {
            spill.surplus.0.extend(block.home.take());
            match std::mem::replace(&mut block.slot, Slot::Vacant) {
                Slot::Filled(buffer) | Slot::Hashed(buffer) => {
                    block.slot = Slot::Spilling;
                    spill.blocks.push((number, buffer));
                }
                Slot::Ready(buffer) => spill.surplus.0.push(buffer),
                other => block.slot = other,
            }
        }
        if let ExtentState::Leased(lease) =
            std::mem::replace(&mut self.extents[extent], ExtentState::Unleased)
        {
            spill.surplus.1 = Some(lease);
        }
        Some(spill)
    }

    fn can_spill(&self, extent: usize, reach: Reach) -> bool {
        if !matches!(self.extents[extent], ExtentState::Leased(_)) {
            return false;
        }
        let first = extent * EXTENT_BLOCKS as usize;
        let end = (first + EXTENT_BLOCKS as usize).min(self.blocks.len());
        let fits = |block: &Block| match (&block.slot, reach) {
            (Slot::Hashed(_) | Slot::Spilled, _) => true,
            (Slot::Filled(_), Reach::Any | Reach::Idle) => true,
            (Slot::Ready(_) | Slot::Vacant, Reach::Any | Reach::Idle) => block.asked == 0,
            _ => false,
        };
        self.blocks[first..end].iter().all(fits)
    }

    fn spilled(&mut self, spill: &Spill, digests: Vec<[u8; 20]>) -> Fill {
        for ((number, _), digest) in spill.blocks.iter().zip(digests) {
            self.blocks[*number].slot = Slot::Spilled;
            self.spilled.insert(*number, digest);
        }
        // The rest came meanwhile, and the hash thread found nothing to go on with.
        if self.queued || self.filled < self.blocks.len() {
            return Fill::Accepted(self.id);
        }
        self.queued = true;
        Fill::HashDue(self.id)
    }
}
