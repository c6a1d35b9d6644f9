//! The pieces under way, and the state of each of their blocks.
//!
//! ```text
//!            ask                 receive
//! Missing ---------> Asked(1..) ---------> Received
//!    ^  ^             |   ^ |                 |
//!    |  +-- unask ----+   +-+ ask another     |
//!    +---------------- reset (hash failed) ---+
//! ```
//! A piece is open from its first request until it's verified, lost or discarded; its memory is charged whole.
//! Not here: which block is asked of whom (`picker`), whose fault a bad one is (`blame`).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use afflux_metainfo::{BlockIndex, BlockRef, PieceIndex};

use crate::key::PeerKey;
use crate::limits::ASKERS_MAX;

/// One peer that was asked for a block.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// The peer.
    pub peer: PeerKey,
    /// When it was asked.
    pub asked_at: Instant,
    /// When it should deliver, behind all that it was asked before.
    pub expected_at: Instant,
    /// Whether the block had been asked of another before.
    pub is_second: bool,
}

/// Who was asked for a block, and when it should come.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    askers: [Option<Asker>; ASKERS_MAX],
}

impl Asked {
    fn of(asker: Asker) -> Self {
        let mut askers = [None; ASKERS_MAX];
        askers[0] = Some(asker);
        Self { askers }
    }

    /// The peers that were asked.
    pub fn askers(&self) -> impl Iterator<Item = &Asker> {
        self.askers.iter().flatten()
    }

    /// How this peer was asked.
    pub fn asker(&self, peer: PeerKey) -> Option<&Asker> {
        self.askers().find(|asker| asker.peer == peer)
    }

    /// Whether this peer was asked.
    pub fn includes(&self, peer: PeerKey) -> bool {
        self.asker(peer).is_some()
    }

    /// Whether nobody else may be asked.
    pub fn is_crowded(&self) -> bool {
        self.askers.iter().all(Option::is_some)
    }

    /// Whether more than one peer was asked.
    pub fn is_shared(&self) -> bool {
        self.askers().nth(1).is_some()
    }

    /// When the block should be here: the first of the expected times.
    pub fn expected_at(&self) -> Option<Instant> {
        self.askers().map(|asker| asker.expected_at).min()
    }
}

/// A block of an open piece.
#[derive(Clone, Copy, Debug)]
pub enum Block {
    /// Nobody was asked, or nobody will deliver.
    Missing,
    /// On its way.
    Asked(Asked),
    /// Storage has it.
    Received,
}

/// A piece under way.
#[derive(Clone, Debug)]
pub struct OpenPiece {
    blocks: Vec<Block>,
    length: u32,
    missing: u32,
    received: u32,
    /// No block below this one is missing.
    first_missing: u32,
    /// A peer on parole delivers whole pieces alone, so that nobody else can be blamed.
    owner: Option<PeerKey>,
}

impl OpenPiece {
    fn new(length: u32, block_count: u32, owner: Option<PeerKey>) -> Self {
        Self {
            blocks: vec![Block::Missing; block_count as usize],
            length,
            missing: block_count,
            received: 0,
            first_missing: 0,
            owner,
        }
    }

    /// The first block that is missing.
    pub fn next_missing(&self) -> Option<BlockIndex> {
        (self.missing > 0).then_some(BlockIndex(self.first_missing))
    }

    /// The first block at or behind `from` that is missing.
    pub fn missing_from(&self, from: BlockIndex) -> Option<BlockIndex> {
        if self.missing == 0 {
            return None;
        }
        let start = from.0.max(self.first_missing);
        let mut rest = self.blocks.iter().zip(0..).skip(start as usize);
        rest.find(|(block, _)| matches!(block, Block::Missing)).map(|(_, number)| BlockIndex(number))
    }

    /// All blocks, ascending.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Blocks that nobody was asked for.
    pub fn missing(&self) -> u32 {
        self.missing
    }

    /// Blocks that storage has.
    pub fn received(&self) -> u32 {
        self.received
    }

    /// Whether all blocks are there, and only the hash is awaited.
    pub fn is_whole(&self) -> bool {
        self.received as usize == self.blocks.len()
    }

    /// Whether so much of it is there that it's worth finishing whoever wants it: three quarters.
    pub fn is_nearly_whole(&self) -> bool {
        self.received as usize * 4 >= self.blocks.len() * 3
    }

    /// Whether this peer may be asked for its blocks.
    pub fn admits(&self, peer: PeerKey) -> bool {
        self.owner.is_none_or(|owner| owner == peer)
    }

    /// Whether nothing of it is there or on its way, so that one peer can deliver all of it.
    pub fn is_untouched(&self) -> bool {
        self.missing as usize == self.blocks.len()
    }

    /// The peer that delivers it alone, if there is one.
    pub fn owner(&self) -> Option<PeerKey> {
        self.owner
    }

    fn skip_to_missing(&mut self) {
        let rest = self.blocks.iter().skip(self.first_missing as usize);
        let taken = rest.take_while(|block| !matches!(block, Block::Missing)).count();
        self.first_missing += taken as u32;
    }
}

/// What a received block meant.
#[derive(Clone, Copy, Debug)]
pub enum Receipt {
    /// It's new. These were asked too and can be cancelled.
    New {
        /// Who was asked for it, the sender perhaps among them.
        asked: Option<Asked>,
        /// Whether it was the last one.
        whole: bool,
    },
    /// Storage had it before.
    Duplicate,
    /// No such piece is open: its memory must be freed again.
    Stray,
}

/// All open pieces of a torrent.
#[derive(Clone, Debug, Default)]
pub struct PieceTable {
    pieces: BTreeMap<PieceIndex, OpenPiece>,
    /// Those with missing blocks.
    partial: BTreeSet<PieceIndex>,
    open_bytes: u64,
}

impl PieceTable {
    /// Opens a piece with nothing of it there; an open one stays as it is.
    pub fn open(&mut self, piece: PieceIndex, length: u32, block_count: u32, owner: Option<PeerKey>) {
        if block_count == 0 || self.pieces.contains_key(&piece) {
            return;
        }
        self.pieces.insert(piece, OpenPiece::new(length, block_count, owner));
        self.partial.insert(piece);
        self.open_bytes += u64::from(length);
    }

    /// Closes a piece, whatever its state.
    pub fn close(&mut self, piece: PieceIndex) -> Option<OpenPiece> {
        let closed = self.pieces.remove(&piece)?;
        self.partial.remove(&piece);
        self.open_bytes -= u64::from(closed.length);
        Some(closed)
    }

    /// Takes every block back to missing and lets everybody deliver again.
    pub fn reset(&mut self, piece: PieceIndex) {
        if let Some(open) = self.pieces.get_mut(&piece) {
            *open = OpenPiece::new(open.length, open.blocks.len() as u32, None);
            self.partial.insert(piece);
        }
    }

    /// Lets only this peer deliver what is missing.
    pub fn claim(&mut self, piece: PieceIndex, owner: PeerKey) {
        if let Some(open) = self.pieces.get_mut(&piece) {
            open.owner = Some(owner);
        }
    }

    /// Lets everybody deliver what a peer on parole left.
    pub fn release(&mut self, piece: PieceIndex) {
        if let Some(open) = self.pieces.get_mut(&piece) {
            open.owner = None;
        }
    }

    /// Notes that a peer was asked for a block, which should come after `expected`. `None`, and nothing changes, if the
    /// block is there, was asked of this peer, or of too many.
    pub fn ask(
        &mut self,
        piece: PieceIndex,
        block: BlockIndex,
        peer: PeerKey,
        now: Instant,
        expected: Duration,
    ) -> Option<Asker> {
        let open = self.pieces.get_mut(&piece)?;
        let state = open.blocks.get_mut(block.as_usize())?;
        let expected_at = now + expected;
        match state {
            Block::Missing => {
                let asker = Asker { peer, asked_at: now, expected_at, is_second: false };
                *state = Block::Asked(Asked::of(asker));
                open.missing -= 1;
                open.skip_to_missing();
                if open.missing == 0 {
                    self.partial.remove(&piece);
                }
                Some(asker)
            }
            Block::Asked(asked) if !asked.includes(peer) => {
                let place = asked.askers.iter_mut().find(|asker| asker.is_none())?;
                let asker = Asker { peer, asked_at: now, expected_at, is_second: true };
                *place = Some(asker);
                Some(asker)
            }
            Block::Asked(_) | Block::Received => None,
        }
    }

    /// Notes that a peer won't deliver a block. True if nobody else was asked, so that it's missing again.
    pub fn unask(&mut self, piece: PieceIndex, block: BlockIndex, peer: PeerKey) -> bool {
        let Some(open) = self.pieces.get_mut(&piece) else { return false };
        let Some(state) = open.blocks.get_mut(block.as_usize()) else { return false };
        let Block::Asked(asked) = state else { return false };
        for asker in &mut asked.askers {
            if asker.is_some_and(|asker| asker.peer == peer) {
                *asker = None;
            }
        }
        if asked.askers().next().is_some() {
            return false;
        }
        *state = Block::Missing;
        open.missing += 1;
        open.first_missing = open.first_missing.min(block.0);
        self.partial.insert(piece);
        true
    }

    /// Notes that storage has a block.
    pub fn receive(&mut self, piece: PieceIndex, block: BlockIndex) -> Receipt {
        let Some(open) = self.pieces.get_mut(&piece) else { return Receipt::Stray };
        let Some(state) = open.blocks.get_mut(block.as_usize()) else { return Receipt::Stray };
        let asked = match std::mem::replace(state, Block::Received) {
            Block::Received => return Receipt::Duplicate,
            Block::Asked(asked) => Some(asked),
            Block::Missing => {
                open.missing -= 1;
                open.skip_to_missing();
                None
            }
        };
        open.received += 1;
        if open.missing == 0 {
            self.partial.remove(&piece);
        }
        Receipt::New { asked, whole: open.is_whole() }
    }

    /// An open piece.
    pub fn piece(&self, piece: PieceIndex) -> Option<&OpenPiece> {
        self.pieces.get(&piece)
    }

    /// How a peer was asked for a block, if it was and the block isn't there.
    pub fn asker(&self, block: &BlockRef, peer: PeerKey) -> Option<&Asker> {
        match self.piece(block.index)?.blocks.get(block.block()?.as_usize())? {
            Block::Asked(asked) => asked.asker(peer),
            Block::Missing | Block::Received => None,
        }
    }

    /// Whether the piece is open.
    pub fn is_open(&self, piece: PieceIndex) -> bool {
        self.pieces.contains_key(&piece)
    }

    /// The open pieces, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (PieceIndex, &OpenPiece)> {
        self.pieces.iter().map(|(&piece, open)| (piece, open))
    }

    /// The open pieces within a range, ascending.
    pub fn open_within(&self, range: Range<PieceIndex>) -> impl Iterator<Item = (PieceIndex, &OpenPiece)> {
        // A window can be empty, and is never inverted.
        self.pieces.range(range.start..range.end.max(range.start)).map(|(&piece, open)| (piece, open))
    }

    /// The open pieces with missing blocks, ascending.
    pub fn partial(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        self.partial.iter().copied()
    }

    /// The same within a range of pieces.
    pub fn partial_within(&self, range: Range<PieceIndex>) -> impl Iterator<Item = PieceIndex> + '_ {
        self.partial.range(range).copied()
    }

    /// Number of open pieces.
    pub fn open_count(&self) -> usize {
        self.pieces.len()
    }

    /// Bytes of all open pieces, each charged whole.
    pub fn open_bytes(&self) -> u64 {
        self.open_bytes
    }
}

#[cfg(test)]
mod tests;
