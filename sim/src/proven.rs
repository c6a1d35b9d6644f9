//! What a node has by the world's own judgement, whatever its swarm makes of it: the other side of the invariants on what
//! leaves, and on what players are given.

use afflux_metainfo::{Bitfield, Layout, PieceIndex};

/// Pieces that a node had when it came, or whose right bytes it has stored. Nothing is evicted from simulated disks, so none
/// is ever taken out.
#[derive(Clone, Debug)]
pub(crate) struct Proven {
    pieces: Bitfield,
}

impl Proven {
    pub(crate) fn new(at_first: Bitfield) -> Self {
        Self { pieces: at_first }
    }

    /// The world has judged the piece, and it is right.
    pub(crate) fn insert(&mut self, piece: PieceIndex) {
        self.pieces.insert(piece);
    }

    pub(crate) fn has(&self, piece: PieceIndex) -> bool {
        self.pieces.contains(piece)
    }

    /// Where the run of proven bytes ends that begins at `offset`; `offset` itself if that byte isn't one.
    pub(crate) fn run_from(&self, layout: &Layout, offset: u64) -> u64 {
        let Some(first) = layout.piece_at(offset) else { return offset };
        let lacking = self.first_lacking(first.0);
        if lacking >= layout.piece_count() {
            layout.total_length()
        } else {
            layout.piece_offset(PieceIndex(lacking)).max(offset)
        }
    }

    /// The first piece at or behind `start` that is lacking; by words, as long films have thousands of pieces.
    fn first_lacking(&self, start: u32) -> u32 {
        let mut mask = u64::MAX >> (start % u64::BITS);
        for (word, base) in
            self.pieces.words().iter().zip((0..).step_by(64)).skip((start / u64::BITS) as usize)
        {
            let lacking = !word & mask;
            if lacking != 0 {
                return base + lacking.leading_zeros();
            }
            mask = u64::MAX;
        }
        self.pieces.length()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_where_the_first_piece_is_lacking() {
        let layout = Layout::new(16_384, [(vec!["film".to_owned()], 16_384 * 199 + 100, false)]).unwrap();
        let mut proven = Proven::new(Bitfield::new(200));
        assert_eq!(proven.run_from(&layout, 5), 5);
        for piece in (0..3).chain(60..130) {
            proven.insert(PieceIndex(piece));
        }
        assert!(proven.has(PieceIndex(2)) && !proven.has(PieceIndex(3)));
        for (from, end) in [(0, 3), (1, 3), (60, 130), (64, 130), (129, 130), (130, 130), (3, 3)] {
            assert_eq!(proven.run_from(&layout, from * 16_384), end * 16_384, "from piece {from}");
        }
        assert_eq!(proven.run_from(&layout, 3 * 16_384 + 7), 3 * 16_384 + 7);
        let full = Proven::new(Bitfield::full(200));
        assert_eq!(full.run_from(&layout, 16_384), layout.total_length());
        assert_eq!(full.run_from(&layout, layout.total_length()), layout.total_length());
    }
}
