//! What there is of the torrent's pieces, once its layout is known. The sets are changed together here, so that
//! they can't disagree: a piece is pickable exactly while it's selected, not had and not open.

use std::sync::Arc;

use afflux_metainfo::{Bitfield, BlockRef, Layout, PieceIndex};

use crate::availability::Availability;
use crate::keep::Keep;
use crate::key::PeerKey;
use crate::pieces::{OpenPiece, PieceTable};

#[derive(Debug)]
pub(super) struct Content {
    pub(super) layout: Arc<Layout>,
    pub(super) have: Bitfield,
    pub(super) selected: Bitfield,
    /// Selected and not had.
    pub(super) missing: Bitfield,
    pub(super) table: PieceTable,
    pub(super) availability: Availability,
    /// Memory kind only.
    pub(super) keep: Option<Keep>,
}

impl Content {
    pub(super) fn new(layout: Arc<Layout>, have: Bitfield, keep_bytes_max: Option<u64>, seed: u64) -> Self {
        let count = layout.piece_count();
        let mut keep = keep_bytes_max.map(Keep::new);
        if let Some(keep) = &mut keep {
            have.iter().for_each(|piece| keep.insert(piece, &layout));
        }
        let mut content = Self {
            availability: Availability::new(count, seed),
            selected: Bitfield::new(count),
            missing: Bitfield::new(count),
            table: PieceTable::default(),
            layout,
            have,
            keep,
        };
        content.select(Bitfield::full(count));
        content
    }

    pub(super) fn select(&mut self, selected: Bitfield) {
        self.selected = selected;
        for piece in self.layout.pieces() {
            let missing = self.selected.contains(piece) && !self.have.contains(piece);
            if missing {
                self.missing.insert(piece);
            } else {
                self.missing.remove(piece);
            }
            self.availability.set_pickable(piece, missing && !self.table.is_open(piece));
        }
    }

    /// Selects one more piece; says whether it's newly missing.
    pub(super) fn select_piece(&mut self, piece: PieceIndex) -> bool {
        let newly = self.selected.insert(piece) && !self.have.contains(piece);
        if newly {
            self.missing.insert(piece);
            self.availability.set_pickable(piece, !self.table.is_open(piece));
        }
        newly
    }

    pub(super) fn open(&mut self, piece: PieceIndex, owner: Option<PeerKey>) {
        self.table.open(piece, self.layout.length_of(piece), self.layout.block_count(piece), owner);
        self.availability.set_pickable(piece, false);
    }

    /// Closes a piece that isn't there.
    pub(super) fn close(&mut self, piece: PieceIndex) -> Option<OpenPiece> {
        let closed = self.table.close(piece)?;
        self.availability.set_pickable(piece, self.missing.contains(piece));
        Some(closed)
    }

    /// The piece is verified; says whether that is news.
    pub(super) fn gain(&mut self, piece: PieceIndex) -> bool {
        self.table.close(piece);
        self.availability.set_pickable(piece, false);
        self.missing.remove(piece);
        if let Some(keep) = &mut self.keep {
            keep.insert(piece, &self.layout);
        }
        self.have.insert(piece)
    }

    /// The piece is there no more; says whether it was.
    pub(super) fn lose(&mut self, piece: PieceIndex) -> bool {
        if !self.have.remove(piece) {
            return false;
        }
        if let Some(keep) = &mut self.keep {
            keep.remove(piece, &self.layout);
        }
        if self.selected.contains(piece) {
            self.missing.insert(piece);
            self.availability.set_pickable(piece, !self.table.is_open(piece));
        }
        true
    }

    pub(super) fn exists(&self, piece: PieceIndex) -> bool {
        piece.0 < self.layout.piece_count()
    }

    /// Whether the peer's word names one of our blocks.
    pub(super) fn is_block(&self, block: &BlockRef) -> bool {
        self.layout.is_block(block)
    }
}
