//! Pieces under way outlive a stop: what came of them is put to its place on disk, and counts as received when the
//! torrent is opened again. It is unverified; the piece's hash, once the rest is there, judges all of it.

use afflux_metainfo::PieceIndex;

use super::Intake;
use super::piece::{Piece, Slot};
use crate::lock::lock;
use crate::pool::BlockBuffer;

/// What came of a piece: the numbers of its blocks, ascending, with those that aren't on disk yet.
pub(crate) struct Parked {
    pub(crate) piece: PieceIndex,
    pub(crate) blocks: Vec<(usize, Option<BlockBuffer>)>,
}

impl Intake {
    /// Begins a piece with blocks that are on disk. `false` if that can't be.
    pub(crate) fn resume(&self, index: PieceIndex, blocks: &[u32]) -> bool {
        let count = self.layout.block_count(index);
        let fits = blocks.iter().all(|block| *block < count) && (1..count as usize).contains(&blocks.len());
        let mut pieces = lock(&self.pieces);
        if !self.spills || !fits || pieces.contains_key(&index) {
            return false;
        }
        let mut piece = Piece::new(self.next_attempt(), self.layout.length_of(index), None, None);
        for block in blocks {
            piece.blocks[*block as usize].slot = Slot::Spilled;
        }
        piece.filled = blocks.len();
        pieces.insert(index, piece);
        true
    }

    /// Takes all pieces under way, with what came of each. Nobody must be hashing.
    pub(crate) fn park(&self) -> Vec<Parked> {
        let pieces = std::mem::take(&mut *lock(&self.pieces));
        let park = |(index, piece): (PieceIndex, Piece)| {
            let blocks =
                piece.blocks.into_iter().enumerate().filter_map(|(number, block)| match block.slot {
                    Slot::Filled(buffer) | Slot::Hashed(buffer) => Some((number, Some(buffer))),
                    Slot::Spilled => Some((number, None)),
                    _ => None,
                });
            Parked { piece: index, blocks: blocks.collect() }
        };
        pieces.into_iter().map(park).filter(|parked| !parked.blocks.is_empty()).collect()
    }
}
