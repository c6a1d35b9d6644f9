//! One piece under way: what each of its blocks is at, and whose memory is where.
//!
//! ```text
//! Vacant -> Ready <-> Taken -> Filled -> Hashing -> Hashed
//!                                 \__________________/
//!                                  Spilling -> Spilled
//! ```
//! Nothing in here allocates or gives memory back; what has to go is handed out.

use std::collections::BTreeMap;
use std::sync::Arc;

use afflux_metainfo::BLOCK_LENGTH;

use super::{Attempt, Fill};
use crate::hasher::Hasher;
use crate::ledger::Charge;
use crate::limits::{
    EXTENT_BLOCKS, EXTENT_BYTES, HASH_RUN_BLOCKS, HASH_RUN_BLOCKS_MAX, SPARES_PER_BLOCK_MAX,
};
use crate::pool::{BlockBuffer, Grant, Lease};

/// A piece under way.
pub(super) struct Piece {
    pub(super) id: Attempt,
    /// What is left of its charge for extents that aren't allocated yet; `None` if each is charged when it's needed.
    pub(super) grant: Option<Grant>,
    /// Its place in a bounded cache.
    pub(super) place: Option<Charge>,
    pub(super) extents: Vec<ExtentState>,
    pub(super) blocks: Vec<Block>,
    /// Blocks before this one are hashed, or with the hash thread.
    pub(super) cursor: usize,
    /// Blocks whose payload is complete.
    pub(super) filled: usize,
    /// Buffers that links have, spares too.
    pub(super) taken: usize,
    /// Spares that links have, and the numbers of the blocks they are for.
    pub(super) spares: Vec<(usize, Arc<Lease>)>,
    /// Sum of all blocks' `asked`.
    pub(super) asked: usize,
    /// `None` while the hash thread has it.
    pub(super) hash: Option<Hasher>,
    /// Something of it was asked for or came since the pieces [aged](super::Intake::age).
    pub(super) touched: bool,
    /// A hash thread is at it, or will be.
    pub(super) queued: bool,
    /// SHA-1 of the blocks that are on disk ahead of the rest, as they came.
    pub(super) spilled: BTreeMap<usize, [u8; 20]>,
    /// All of it is hashed; it stays until its fate is known, so that it isn't begun anew in between.
    pub(super) complete: bool,
}

pub(super) enum ExtentState {
    Unleased,
    /// Its memory is being allocated, outside the lock.
    Leasing,
    Leased(Arc<Lease>),
}

pub(super) struct Block {
    pub(super) slot: Slot,
    /// Its own memory, back after a spare was filled.
    pub(super) home: Option<BlockBuffer>,
    /// How many requests for it are out.
    pub(super) asked: u16,
}

pub(super) enum Slot {
    /// No memory yet.
    Vacant,
    /// Memory waits for the payload.
    Ready(BlockBuffer),
    /// A link has the memory; others get spares.
    Taken,
    /// The payload waits for the hash thread.
    Filled(BlockBuffer),
    /// The hash thread has it.
    Hashing,
    /// Hashed; waits for the rest of the piece.
    Hashed(BlockBuffer),
    /// A write thread puts it on disk, to free its memory.
    Spilling,
    /// On disk, at its place. Behind the cursor it's hashed, before it it's to be read back for that.
    Spilled,
}

/// What [`Piece::ask`] found.
pub(super) enum Asked {
    /// The request is counted, or can't matter; nothing is to be done.
    Counted(Attempt),
    /// The same, and this is the right to memory for that extent.
    Lease { id: Attempt, extent: usize, part: Grant },
    /// Nothing is counted: its extent has no memory, and needs so many bytes.
    Short(usize),
}

/// What a lent buffer is to its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// Part of the block's extent.
    Own,
    /// A spare.
    Spare,
}

impl Piece {
    pub(super) fn new(id: Attempt, length: u32, grant: Option<Grant>, place: Option<Charge>) -> Self {
        let block = || Block { slot: Slot::Vacant, home: None, asked: 0 };
        Self {
            id,
            grant,
            place,
            extents: (0..length.div_ceil(EXTENT_BYTES)).map(|_| ExtentState::Unleased).collect(),
            blocks: (0..length.div_ceil(BLOCK_LENGTH)).map(|_| block()).collect(),
            cursor: 0,
            filled: 0,
            taken: 0,
            spares: Vec::new(),
            asked: 0,
            hash: Some(Hasher::new()),
            touched: true,
            queued: false,
            spilled: BTreeMap::new(),
            complete: false,
        }
    }

    /// Counts a request; gives the right to the block's extent if that has to be allocated. It's taken from `part` where
    /// the last answer was that it's missing.
    pub(super) fn ask(&mut self, length: u32, number: usize, part: &mut Option<Grant>) -> Asked {
        let extent = number / EXTENT_BLOCKS as usize;
        if self.complete || self.blocks[number].is_filled() {
            return Asked::Counted(self.id);
        }
        let part = if matches!(self.extents[extent], ExtentState::Unleased) {
            let length = (length - extent as u32 * EXTENT_BYTES).min(EXTENT_BYTES) as usize;
            match part.take().or_else(|| self.grant.as_mut()?.split(length)) {
                Some(part) => Some(part),
                None => return Asked::Short(length),
            }
        } else {
            None
        };
        let asked = &mut self.blocks[number].asked;
        if *asked < u16::MAX {
            *asked += 1;
            self.asked += 1;
        }
        let Some(part) = part else { return Asked::Counted(self.id) };
        self.touched = true;
        self.extents[extent] = ExtentState::Leasing;
        Asked::Lease { id: self.id, extent, part }
    }

    /// The block's own memory, if it waits for its payload.
    pub(super) fn take_own(&mut self, number: usize) -> Option<BlockBuffer> {
        let slot = &mut self.blocks[number].slot;
        match std::mem::replace(slot, Slot::Taken) {
            Slot::Ready(buffer) => {
                self.taken += 1;
                Some(buffer)
            }
            other => {
                *slot = other;
                None
            }
        }
    }

    /// Whether another link may have memory for a block whose own is taken.
    pub(super) fn lends_spare(&self, number: usize) -> bool {
        let lent = self.spares.iter().filter(|(block, _)| *block == number).count();
        matches!(self.blocks[number].slot, Slot::Taken) && lent < SPARES_PER_BLOCK_MAX
    }

    /// Notes that a link no longer has a buffer; says what it is to the piece, if it was lent for this block.
    pub(super) fn settle(&mut self, number: usize, buffer: &BlockBuffer) -> Option<Memory> {
        let extent = number / EXTENT_BLOCKS as usize;
        let offset = (number % EXTENT_BLOCKS as usize) as u32 * afflux_metainfo::BLOCK_LENGTH;
        let own = matches!(self.extents.get(extent), Some(ExtentState::Leased(lease)) if buffer.is_part_of(lease, offset));
        let spare =
            self.spares.iter().position(|(block, lease)| *block == number && buffer.is_part_of(lease, 0));
        let memory = match spare {
            Some(at) => {
                // The buffer holds the lease too, so nothing is given back under the lock.
                self.spares.swap_remove(at);
                Memory::Spare
            }
            None if own => Memory::Own,
            None => return None,
        };
        self.taken -= 1;
        Some(memory)
    }

    /// Keeps the block's own memory if that is what came back; says whether the buffer was lent for this block.
    pub(super) fn put_back(&mut self, number: usize, buffer: &mut Option<BlockBuffer>) -> bool {
        let memory = buffer.as_ref().and_then(|buffer| self.settle(number, buffer));
        if memory == Some(Memory::Own) {
            self.blocks[number].keep(buffer.take());
        }
        memory.is_some()
    }

    pub(super) fn fill(&mut self, number: usize, buffer: &mut Option<BlockBuffer>) -> Fill {
        let Some(memory) = buffer.as_ref().and_then(|buffer| self.settle(number, buffer)) else {
            return Fill::Stale;
        };
        let block = &mut self.blocks[number];
        if !matches!(block.slot, Slot::Taken | Slot::Ready(_)) {
            if memory == Memory::Own {
                block.keep(buffer.take());
            }
            return Fill::Stale;
        }
        if let Some(filled) = buffer.take()
            && let Slot::Ready(own) = std::mem::replace(&mut block.slot, Slot::Filled(filled))
        {
            block.home = Some(own);
        }
        self.touched = true;
        self.filled += 1;
        self.asked -= usize::from(std::mem::take(&mut self.blocks[number].asked));
        if self.queued || !self.hash_is_due() {
            return Fill::Accepted(self.id);
        }
        self.queued = true;
        Fill::HashDue(self.id)
    }

    pub(super) fn hash_is_due(&self) -> bool {
        let ready = || self.ready_blocks().max(self.spilled_blocks());
        self.filled == self.blocks.len() || ready() >= HASH_RUN_BLOCKS
    }

    /// Blocks from the cursor on that could be hashed now; counted no further than one run.
    pub(super) fn ready_blocks(&self) -> usize {
        let rest = self.blocks[self.cursor..].iter().take(HASH_RUN_BLOCKS_MAX);
        rest.take_while(|block| matches!(block.slot, Slot::Filled(_))).count()
    }

    /// Blocks from the cursor on that are on disk only; counted no further than one extent.
    pub(super) fn spilled_blocks(&self) -> usize {
        let rest = self.blocks[self.cursor..].iter().take(EXTENT_BLOCKS as usize);
        rest.take_while(|block| matches!(block.slot, Slot::Spilled)).count()
    }

    /// Whether something of it lies on disk, or is about to.
    pub(super) fn has_spilled(&self) -> bool {
        self.blocks.iter().any(|block| matches!(block.slot, Slot::Spilling | Slot::Spilled))
    }

    /// Nothing arrived, nothing is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.filled == 0 && self.taken == 0 && self.asked == 0
    }
}

impl Block {
    /// Whether its payload came.
    pub(super) fn is_filled(&self) -> bool {
        !matches!(self.slot, Slot::Vacant | Slot::Ready(_) | Slot::Taken)
    }

    /// Takes its own memory back, for a payload to come or for one that came in a spare.
    pub(super) fn keep(&mut self, own: Option<BlockBuffer>) {
        match (&self.slot, own) {
            (Slot::Taken, Some(own)) => self.slot = Slot::Ready(own),
            (_, own) => self.home = own,
        }
    }

    pub(super) fn start_hashing(&mut self) -> Option<BlockBuffer> {
        match std::mem::replace(&mut self.slot, Slot::Hashing) {
            Slot::Filled(buffer) => Some(buffer),
            other => {
                self.slot = other;
                None
            }
        }
    }

    pub(super) fn finish(&mut self) -> Option<BlockBuffer> {
        match std::mem::replace(&mut self.slot, Slot::Vacant) {
            Slot::Hashed(buffer) => Some(buffer),
            _ => None,
        }
    }
}
