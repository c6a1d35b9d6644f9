//! Assembly of the pieces under way of one torrent: from reserved memory to a row of hashed blocks.
//!
//! A piece is *admitted* when its first block is reserved. In torrents that live in memory all of its bytes are charged
//! then, so that every piece that was begun can also be finished, however short memory gets. Where pieces end on disk,
//! each extent is charged when one of its blocks is reserved: what has come of a piece can go to its place on disk ahead
//! of the rest ([`spill`]), so a piece needs memory only for what is asked for, and none can be in the way of another.
//!
//! Links take memory for blocks ahead of their arrival, so a slow link may hold a block's own memory while a quick
//! one has the payload already. The quick one gets a *spare* then: memory of one block, charged besides. Whichever
//! is filled first is the block. Own memory that comes back too late takes the payload over when the piece is
//! complete; if it is still away then, the piece keeps the spare.
//!
//! Not here: the hashing itself (`hasher`), and what becomes of a piece when it is complete (`torrent`).

mod parked;
mod piece;
mod spill;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use afflux_metainfo::{BLOCK_LENGTH, BlockRef, Layout, PieceIndex};
use sha1::{Digest, Sha1};
use thiserror::Error;

pub(crate) use self::parked::Parked;
use self::piece::{Asked, Block, ExtentState, Piece, Slot};
pub(crate) use self::spill::{Reach, Spill};
use crate::hasher::{Hasher, Lane, update_lanes};
use crate::holes::HoleFile;
use crate::ledger::{Charge, Ledger};
use crate::limits::{EXTENT_BLOCKS, EXTENT_BYTES, HASH_RUN_BLOCKS_MAX};
use crate::lock::lock;
use crate::pool::{BlockBuffer, ExtentBuffer, Pool};

/// No memory for another piece: stop asking for new pieces until memory comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the byte ledger has no room for another piece")]
pub struct Full;

pub(crate) struct Intake {
    layout: Arc<Layout>,
    pool: Pool,
    /// Pieces can go to disk in part, and are charged by extents.
    spills: bool,
    /// Where a bounded cache charges the places of its pieces.
    places: Option<Ledger>,
    pieces: Mutex<BTreeMap<PieceIndex, Piece>>,
    next: AtomicU64,
}

/// Tells an attempt at a piece from earlier and later ones. What came in one that was discarded isn't there in the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt(u64);

/// What became of a filled block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    /// Nobody waits for it.
    Stale,
    /// Taken; the hash thread knows or needn't know yet.
    Accepted(Attempt),
    /// Taken; the hash thread is to be called.
    HashDue(Attempt),
}

/// Adjacent blocks on their way through the hash thread.
pub(crate) struct Run {
    piece: PieceIndex,
    id: Attempt,
    first: usize,
    /// State of the hash of everything before these blocks.
    hash: Hasher,
    /// The blocks, in order.
    blocks: Vec<BlockBuffer>,
    /// Bytes to read back instead, from this offset of the piece: blocks that are on disk already.
    spilled: Option<(u32, usize)>,
}

impl Run {
    /// Hashes the blocks of several runs, of different pieces, side by side.
    pub(crate) fn hash<'a>(runs: impl Iterator<Item = &'a mut Run>) {
        let lane = |run: &'a mut Run| Lane::new(&mut run.hash, run.blocks.iter().map(|block| &block[..]));
        update_lanes(&mut runs.map(lane).collect::<Vec<_>>());
    }

    /// What is to be read back for the hash, and the hash.
    pub(crate) fn spilled(&mut self) -> Option<(u32, usize, &mut Hasher)> {
        self.spilled.map(|(begin, length)| (begin, length, &mut self.hash))
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
    pub(crate) id: Attempt,
    pub(crate) digest: [u8; 20],
    /// All blocks in order; `None` for those that are on disk already.
    pub(crate) blocks: Vec<Option<BlockBuffer>>,
    /// SHA-1 of those, as they came.
    pub(crate) spilled: BTreeMap<usize, [u8; 20]>,
    /// The piece's place in a bounded cache.
    pub(crate) place: Option<Charge>,
}

impl Complete {
    /// SHA-1 of each block, as it came.
    pub(crate) fn block_digests(&self) -> Vec<[u8; 20]> {
        let digest = |(number, block): (usize, &Option<BlockBuffer>)| match block {
            Some(block) => Sha1::digest(&block[..]).into(),
            None => self.spilled.get(&number).copied().unwrap_or_default(),
        };
        self.blocks.iter().enumerate().map(digest).collect()
    }
}

impl Intake {
    /// `spills`: what has come of a piece may be [spilled](Self::take_spill). `places`: each needs a place that is charged
    /// there.
    pub(crate) fn new(layout: Arc<Layout>, pool: Pool, spills: bool, places: Option<Ledger>) -> Self {
        Self { layout, pool, spills, places, pieces: Mutex::default(), next: AtomicU64::new(0) }
    }

    /// See [`Store::reserve`](crate::Store::reserve).
    pub(crate) fn reserve(&self, block: BlockRef) -> Result<Option<Attempt>, Full> {
        let Some(number) = self.number(&block) else { return Ok(None) };
        let length = self.layout.length_of(block.index);
        let mut part = None;
        loop {
            let asked =
                lock(&self.pieces).get_mut(&block.index).map(|piece| piece.ask(length, number, &mut part));
            match asked {
                None => self.admit(block.index)?,
                Some(Asked::Counted(id)) => return Ok(Some(id)),
                Some(Asked::Lease { id, extent, part }) => {
                    self.lay(block.index, id, extent, part.lease());
                    return Ok(Some(id));
                }
                Some(Asked::Short(bytes)) => {
                    let granted = self.pool.admit(bytes, bytes);
                    part = Some(granted.inspect_err(|_| self.let_go_if_idle(block.index))?);
                }
            }
        }
    }

    /// Gives an extent's blocks their memory.
    fn lay(&self, index: PieceIndex, id: Attempt, extent: usize, buffer: ExtentBuffer) {
        let (lease, buffers) = (buffer.lease(), buffer.split());
        let mut surplus = Vec::new();
        let mut pieces = lock(&self.pieces);
        match pieces.get_mut(&index).filter(|piece| piece.id == id) {
            Some(piece) => {
                piece.extents[extent] = ExtentState::Leased(lease);
                let blocks = piece.blocks[extent * EXTENT_BLOCKS as usize..].iter_mut();
                for (block, buffer) in blocks.zip(buffers) {
                    match block.slot {
                        Slot::Vacant => block.slot = Slot::Ready(buffer),
                        // On disk already.
                        _ => surplus.push(buffer),
                    }
                }
            }
            None => surplus = buffers,
        }
        drop(pieces);
        drop(surplus);
    }

    fn let_go_if_idle(&self, index: PieceIndex) {
        let dropped = {
            let mut pieces = lock(&self.pieces);
            pieces.get(&index).is_some_and(Piece::is_idle).then(|| pieces.remove(&index))
        };
        drop(dropped);
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

    /// See [`Store::discard`](crate::Store::discard). Gives the piece's place in a bounded cache if something lies there.
    pub(crate) fn discard(&self, piece: PieceIndex) -> Option<Charge> {
        let mut dropped = lock(&self.pieces).remove(&piece)?;
        dropped.place.take().filter(|_| dropped.has_spilled())
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
        let spilled = if ready == 0 { piece.spilled_blocks() } else { 0 };
        let hash = if ready + spilled > 0 { piece.hash.take() } else { None };
        let Some(hash) = hash else {
            piece.queued = false;
            return None;
        };
        piece.cursor += ready + spilled;
        let blocks = piece.blocks[first..first + ready].iter_mut().filter_map(Block::start_hashing).collect();
        let begin = first as u32 * BLOCK_LENGTH;
        let end = (piece.cursor as u32 * BLOCK_LENGTH).min(self.layout.length_of(index));
        let spilled = (spilled > 0).then(|| (begin, (end - begin) as usize));
        Some(Run { piece: index, id: piece.id, first, hash, blocks, spilled })
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
        let mut blocks: Vec<_> = piece.blocks.iter_mut().map(Block::finish).collect();
        let (id, spilled, place) = (piece.id, std::mem::take(&mut piece.spilled), piece.place.take());
        drop(pieces);
        drop(leases);
        for (block, home) in blocks.iter_mut().zip(homes) {
            if let (Some(block), Some(mut home)) = (block, home) {
                // copy: 16 KiB of a block that was asked for twice, so that its extent is one run again and costs
                // no more than it was admitted with.
                home.copy_from_slice(block);
                *block = home;
            }
        }
        Next::Complete(Complete { piece: run.piece, id, digest: run.hash.finish(), blocks, spilled, place })
    }

    /// The fate of a complete piece is known; it may be begun again from here on.
    pub(crate) fn finish(&self, index: PieceIndex, id: Attempt) {
        let dropped = {
            let mut pieces = lock(&self.pieces);
            pieces.get(&index).is_some_and(|piece| piece.id == id).then(|| pieces.remove(&index))
        };
        drop(dropped);
    }

    fn admit(&self, index: PieceIndex) -> Result<(), Full> {
        let length = self.layout.length_of(index);
        let grant = match self.spills {
            true => None,
            false => Some(self.pool.admit(length as usize, length.min(EXTENT_BYTES) as usize)?),
        };
        let place = match &self.places {
            None => None,
            Some(places) => Some(take_place(places, HoleFile::place_bytes(&self.layout, index) as usize)?),
        };
        let piece = Piece::new(self.next_attempt(), length, grant, place);
        let mut surplus = Some(piece);
        if let std::collections::btree_map::Entry::Vacant(entry) = lock(&self.pieces).entry(index)
            && let Some(piece) = surplus.take()
        {
            entry.insert(piece);
        }
        drop(surplus);
        Ok(())
    }

    fn next_attempt(&self) -> Attempt {
        Attempt(self.next.fetch_add(1, Relaxed))
    }

    /// A block's number in its piece, if it is one of ours.
    fn number(&self, block: &BlockRef) -> Option<usize> {
        let number = block.block()?;
        self.layout.is_block(block).then_some(number.as_usize())
    }
}

/// Charges a place. Places come back when pieces are evicted, so whoever is refused is told then.
fn take_place(places: &Ledger, bytes: usize) -> Result<Charge, Full> {
    let attempt = || places.try_charge(bytes);
    attempt()
        .or_else(|| {
            places.note_refusal();
            attempt()
        })
        .ok_or(Full)
}
