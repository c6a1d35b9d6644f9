//! Assembly of the pieces under way of one torrent: from reserved memory to a row of hashed blocks.
//!
//! A piece is *admitted* when its first block is reserved: all of its bytes are charged at once, so that every
//! piece that was begun can also be finished, however short memory gets. The extents themselves are allocated
//! when one of their blocks is reserved.
//!
//! Links take memory for blocks ahead of their arrival, so a slow link may hold a block's own memory while a quick
//! one has the payload already. The quick one gets a *spare* then: memory of one block, charged besides. Whichever
//! is filled first is the block. Own memory that comes back too late takes the payload over when the piece is
//! complete; if it is still away then, the piece keeps the spare.
//!
//! Not here: the hashing itself (`hasher`), and what becomes of a piece when it is complete (`torrent`).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use afflux_metainfo::{BlockRef, Layout, PieceIndex};
use thiserror::Error;

use crate::hasher::{Hasher, Lane, update_lanes};
use crate::limits::{
    EXTENT_BLOCKS, EXTENT_BYTES, HASH_RUN_BLOCKS, HASH_RUN_BLOCKS_MAX, SPARES_PER_BLOCK_MAX,
};
use crate::lock::lock;
use crate::pool::{BlockBuffer, Grant, Lease, Pool};

/// No memory for another piece: stop asking for new pieces until memory comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the byte ledger has no room for another piece")]
pub struct Full;

pub(crate) struct Intake {
    layout: Arc<Layout>,
    pool: Pool,
    pieces: Mutex<BTreeMap<PieceIndex, Piece>>,
    next_id: AtomicU64,
}

/// A piece under way.
struct Piece {
    /// Tells it from an earlier or later attempt at the same piece.
    id: u64,
    /// What is left of its charge for extents that aren't allocated yet.
    grant: Grant,
    extents: Vec<ExtentState>,
    blocks: Vec<Block>,
    /// Blocks before this one are hashed, or with the hash thread.
    cursor: usize,
    /// Blocks whose payload is complete.
    filled: usize,
    /// Buffers that links have, spares too.
    taken: usize,
    /// Spares that links have, and the numbers of the blocks they are for.
    spares: Vec<(usize, Arc<Lease>)>,
    /// Sum of all blocks' `asked`.
    asked: usize,
    /// `None` while the hash thread has it.
    hash: Option<Hasher>,
    /// A hash thread is at it, or will be.
    queued: bool,
    /// All of it is hashed; it stays until its fate is known, so that it isn't begun anew in between.
    complete: bool,
}

enum ExtentState {
    Unleased,
    /// Its memory is being allocated, outside the lock.
    Leasing,
    Leased(Arc<Lease>),
}

struct Block {
    slot: Slot,
    /// Its own memory, back after a spare was filled.
    home: Option<BlockBuffer>,
    /// How many requests for it are out.
    asked: u16,
}

enum Slot {
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
}

/// What a lent buffer is to its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Memory {
    /// Part of the block's extent.
    Own,
    /// A spare.
    Spare,
}

/// What became of a filled block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    /// Nobody waits for it.
    Stale,
    /// Taken; the hash thread knows or needn't know yet.
    Accepted,
    /// Taken; the hash thread is to be called.
    HashDue,
}

/// Adjacent blocks on their way through the hash thread.
pub(crate) struct Run {
    piece: PieceIndex,
    id: u64,
    first: usize,
    /// State of the hash of everything before these blocks.
    hash: Hasher,
    /// The blocks, in order.
    blocks: Vec<BlockBuffer>,
}

impl Run {
    /// Hashes the blocks of several runs, of different pieces, side by side.
    pub(crate) fn hash<'a>(runs: impl Iterator<Item = &'a mut Run>) {
        let lane = |run: &'a mut Run| Lane::new(&mut run.hash, run.blocks.iter().map(|block| &block[..]));
        update_lanes(&mut runs.map(lane).collect::<Vec<_>>());
    }
}

/// What is next after a run.
pub(crate) enum Next {
    /// More blocks are ready: take another run.
    Continue,
    /// The hash thread will be called when they are.
    Wait,
    /// The piece was discarded meanwhile.
    Gone,
    /// Every block is hashed.
    Complete(Complete),
}

/// A piece with all its blocks hashed.
pub(crate) struct Complete {
    pub(crate) piece: PieceIndex,
    pub(crate) id: u64,
    pub(crate) digest: [u8; 20],
    /// All blocks in order.
    pub(crate) blocks: Vec<BlockBuffer>,
}

impl Intake {
    pub(crate) fn new(layout: Arc<Layout>, pool: Pool) -> Self {
        Self { layout, pool, pieces: Mutex::default(), next_id: AtomicU64::new(0) }
    }

    /// See [`Store::reserve`](crate::Store::reserve).
    pub(crate) fn reserve(&self, block: BlockRef) -> Result<(), Full> {
        let Some(number) = self.number(&block) else { return Ok(()) };
        let (id, extent, part) = {
            let mut pieces = lock(&self.pieces);
            match pieces.get_mut(&block.index) {
                Some(piece) => match piece.ask(&self.layout, block.index, number) {
                    Some(part) => part,
                    None => return Ok(()),
                },
                None => {
                    drop(pieces);
                    self.admit(block.index)?;
                    return self.reserve(block);
                }
            }
        };
        let buffer = part.lease();
        let mut surplus = Some(buffer);
        if let Some(piece) = lock(&self.pieces).get_mut(&block.index).filter(|piece| piece.id == id)
            && let Some(buffer) = surplus.take()
        {
            let first = extent * EXTENT_BLOCKS as usize;
            piece.extents[extent] = ExtentState::Leased(buffer.lease());
            for (slot, block) in piece.blocks[first..].iter_mut().zip(buffer.split()) {
                slot.slot = Slot::Ready(block);
            }
        }
        drop(surplus);
        Ok(())
    }

    /// See [`Store::release`](crate::Store::release).
    pub(crate) fn release(&self, block: BlockRef) {
        let Some(number) = self.number(&block) else { return };
        let dropped = {
            let mut pieces = lock(&self.pieces);
            let Some(piece) = pieces.get_mut(&block.index) else { return };
            let asked = &mut piece.blocks[number].asked;
            if *asked > 0 {
                *asked -= 1;
                piece.asked -= 1;
            }
            piece.is_idle().then(|| pieces.remove(&block.index))
        };
        drop(dropped);
    }

    /// See [`Store::take_buffer`](crate::Store::take_buffer).
    pub(crate) fn take_buffer(&self, block: BlockRef) -> Option<BlockBuffer> {
        let number = self.number(&block)?;
        let id = {
            let mut pieces = lock(&self.pieces);
            let piece = pieces.get_mut(&block.index)?;
            if let Some(own) = piece.take_own(number) {
                return Some(own);
            }
            piece.lends_spare(number).then_some(piece.id)?
        };
        let spare = self.pool.spare(block.length as usize)?;
        let mut pieces = lock(&self.pieces);
        let piece = pieces.get_mut(&block.index);
        match piece.filter(|piece| piece.id == id && piece.lends_spare(number)) {
            Some(piece) => {
                piece.taken += 1;
                piece.spares.push((number, spare.lease()));
                Some(spare)
            }
            // It came, or its memory came back, in between. The link asks again if it still matters.
            None => {
                drop(pieces);
                drop(spare);
                None
            }
        }
    }

    /// See [`Store::put_back`](crate::Store::put_back).
    pub(crate) fn put_back(&self, block: BlockRef, buffer: BlockBuffer) {
        let mut surplus = Some(buffer);
        let mut idle = None;
        if let Some(number) = self.number(&block) {
            let mut pieces = lock(&self.pieces);
            if let Some(piece) = pieces.get_mut(&block.index)
                && piece.put_back(number, &mut surplus)
                && piece.is_idle()
            {
                idle = pieces.remove(&block.index);
            }
        }
        drop((surplus, idle));
    }

    /// See [`Store::fill`](crate::Store::fill).
    pub(crate) fn fill(&self, block: BlockRef, buffer: BlockBuffer) -> Fill {
        let mut surplus = Some(buffer);
        let outcome = match self.number(&block) {
            Some(number) => lock(&self.pieces)
                .get_mut(&block.index)
                .map_or(Fill::Stale, |piece| piece.fill(number, &mut surplus)),
            None => Fill::Stale,
        };
        drop(surplus);
        outcome
    }

    /// See [`Store::discard`](crate::Store::discard).
    pub(crate) fn discard(&self, piece: PieceIndex) {
        let dropped = lock(&self.pieces).remove(&piece);
        drop(dropped);
    }

    pub(crate) fn discard_all(&self) {
        let dropped = std::mem::take(&mut *lock(&self.pieces));
        drop(dropped);
    }

    /// The next blocks for the hash thread; if there are none, it will be called again.
    pub(crate) fn take_run(&self, index: PieceIndex) -> Option<Run> {
        let mut pieces = lock(&self.pieces);
        let piece = pieces.get_mut(&index)?;
        let first = piece.cursor;
        let ready = piece.ready_blocks().min(HASH_RUN_BLOCKS_MAX);
        let hash = if ready > 0 { piece.hash.take() } else { None };
        let Some(hash) = hash else {
            piece.queued = false;
            return None;
        };
        piece.cursor += ready;
        let blocks = piece.blocks[first..first + ready].iter_mut().filter_map(Block::start_hashing).collect();
        Some(Run { piece: index, id: piece.id, first, hash, blocks })
    }

    /// Takes hashed blocks back.
    pub(crate) fn return_run(&self, run: Run) -> Next {
        let mut pieces = lock(&self.pieces);
        let Some(piece) = pieces.get_mut(&run.piece).filter(|piece| piece.id == run.id) else {
            drop(pieces);
            drop(run);
            return Next::Gone;
        };
        for (block, buffer) in piece.blocks[run.first..].iter_mut().zip(run.blocks) {
            block.slot = Slot::Hashed(buffer);
        }
        if piece.cursor < piece.blocks.len() {
            piece.hash = Some(run.hash);
            piece.queued = piece.hash_is_due();
            return if piece.queued { Next::Continue } else { Next::Wait };
        }
        piece.complete = true;
        // From here only the blocks hold the leases, so that dropping the shared extents can recycle them.
        let leases = (std::mem::take(&mut piece.extents), std::mem::take(&mut piece.spares));
        let homes: Vec<_> = piece.blocks.iter_mut().map(|block| block.home.take()).collect();
        let mut blocks: Vec<_> = piece.blocks.iter_mut().filter_map(Block::finish).collect();
        let id = piece.id;
        drop(pieces);
        drop(leases);
        for (block, home) in blocks.iter_mut().zip(homes) {
            if let Some(mut home) = home {
                // copy: 16 KiB of a block that was asked for twice, so that its extent is one run again and costs
                // no more than it was admitted with.
                home.copy_from_slice(block);
                *block = home;
            }
        }
        Next::Complete(Complete { piece: run.piece, id, digest: run.hash.finish(), blocks })
    }

    /// The fate of a complete piece is known; it may be begun again from here on.
    pub(crate) fn finish(&self, index: PieceIndex, id: u64) {
        let dropped = {
            let mut pieces = lock(&self.pieces);
            pieces.get(&index).is_some_and(|piece| piece.id == id).then(|| pieces.remove(&index))
        };
        drop(dropped);
    }

    fn admit(&self, index: PieceIndex) -> Result<(), Full> {
        let length = self.layout.length_of(index) as usize;
        let extents = length.div_ceil(EXTENT_BYTES as usize);
        let grant = self.pool.admit(length, length.min(EXTENT_BYTES as usize))?;
        let piece = Piece {
            id: self.next_id.fetch_add(1, Relaxed),
            grant,
            extents: (0..extents).map(|_| ExtentState::Unleased).collect(),
            blocks: (0..self.layout.block_count(index))
                .map(|_| Block { slot: Slot::Vacant, home: None, asked: 0 })
                .collect(),
            cursor: 0,
            filled: 0,
            taken: 0,
            spares: Vec::new(),
            asked: 0,
            hash: Some(Hasher::new()),
            queued: false,
            complete: false,
        };
        let mut surplus = Some(piece);
        if let std::collections::btree_map::Entry::Vacant(entry) = lock(&self.pieces).entry(index)
            && let Some(piece) = surplus.take()
        {
            entry.insert(piece);
        }
        drop(surplus);
        Ok(())
    }

    /// A block's number in its piece, if it is one of ours.
    fn number(&self, block: &BlockRef) -> Option<usize> {
        let number = block.block()?;
        self.layout.is_block(block).then_some(number.as_usize())
    }
}

impl Piece {
    /// Counts a request; gives the right to the block's extent if that has to be allocated.
    fn ask(&mut self, layout: &Layout, index: PieceIndex, number: usize) -> Option<(u64, usize, Grant)> {
        if self.complete {
            return None;
        }
        let asked = &mut self.blocks[number].asked;
        if *asked < u16::MAX {
            *asked += 1;
            self.asked += 1;
        }
        let extent = number / EXTENT_BLOCKS as usize;
        if !matches!(self.extents[extent], ExtentState::Unleased) {
            return None;
        }
        let begin = extent as u32 * EXTENT_BYTES;
        let length = (layout.length_of(index) - begin).min(EXTENT_BYTES);
        let part = self.grant.split(length as usize)?;
        self.extents[extent] = ExtentState::Leasing;
        Some((self.id, extent, part))
    }

    /// The block's own memory, if it waits for its payload.
    fn take_own(&mut self, number: usize) -> Option<BlockBuffer> {
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
    fn lends_spare(&self, number: usize) -> bool {
        let lent = self.spares.iter().filter(|(block, _)| *block == number).count();
        matches!(self.blocks[number].slot, Slot::Taken) && lent < SPARES_PER_BLOCK_MAX
    }

    /// Notes that a link no longer has a buffer; says what it is to the piece, if it was lent for this block.
    fn settle(&mut self, number: usize, buffer: &BlockBuffer) -> Option<Memory> {
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
    fn put_back(&mut self, number: usize, buffer: &mut Option<BlockBuffer>) -> bool {
        let memory = buffer.as_ref().and_then(|buffer| self.settle(number, buffer));
        if memory == Some(Memory::Own) {
            self.blocks[number].keep(buffer.take());
        }
        memory.is_some()
    }

    fn fill(&mut self, number: usize, buffer: &mut Option<BlockBuffer>) -> Fill {
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
        self.filled += 1;
        self.asked -= usize::from(std::mem::take(&mut self.blocks[number].asked));
        if self.queued || !self.hash_is_due() {
            return Fill::Accepted;
        }
        self.queued = true;
        Fill::HashDue
    }

    fn hash_is_due(&self) -> bool {
        self.filled == self.blocks.len() || self.ready_blocks() >= HASH_RUN_BLOCKS
    }

    /// Blocks from the cursor on that could be hashed now; counted no further than one run.
    fn ready_blocks(&self) -> usize {
        let rest = self.blocks[self.cursor..].iter().take(HASH_RUN_BLOCKS_MAX);
        rest.take_while(|block| matches!(block.slot, Slot::Filled(_))).count()
    }

    /// Nothing arrived, nothing is on its way.
    fn is_idle(&self) -> bool {
        self.filled == 0 && self.taken == 0 && self.asked == 0
    }
}

impl Block {
    /// Takes its own memory back, for a payload to come or for one that came in a spare.
    fn keep(&mut self, own: Option<BlockBuffer>) {
        match (&self.slot, own) {
            (Slot::Taken, Some(own)) => self.slot = Slot::Ready(own),
            (_, own) => self.home = own,
        }
    }

    fn start_hashing(&mut self) -> Option<BlockBuffer> {
        match std::mem::replace(&mut self.slot, Slot::Hashing) {
            Slot::Filled(buffer) => Some(buffer),
            other => {
                self.slot = other;
                None
            }
        }
    }

    fn finish(&mut self) -> Option<BlockBuffer> {
        match std::mem::replace(&mut self.slot, Slot::Vacant) {
            Slot::Hashed(buffer) => Some(buffer),
            _ => None,
        }
    }
}
