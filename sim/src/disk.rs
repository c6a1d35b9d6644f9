//! What a node keeps: blocks of pieces under way, who sent them, and when a piece's verdict is due.

use std::collections::BTreeMap;

use afflux_metainfo::{BlockRef, Layout, PieceIndex};

/// Nobody has sent it.
const NOBODY: u32 = u32::MAX;
/// It is right, whoever sent it.
const RIGHT: u32 = u32::MAX - 1;

/// Pieces under way.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    open: BTreeMap<PieceIndex, Open>,
    tries: u32,
}

#[derive(Debug)]
struct Open {
    /// Tells this try of the piece from earlier ones.
    attempt: u32,
    left: u32,
    /// Per block: [`NOBODY`], [`RIGHT`], or who has sent wrong bytes.
    blocks: Vec<u32>,
}

/// What storing a block came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// The piece is whole, and a verdict on this try is due.
    Whole { attempt: u32 },
    /// More is missing.
    New,
    /// It was there already.
    Again,
}

/// What the hash says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) right: bool,
    /// A digest per block: the same for the same bytes.
    pub(crate) digests: Vec<[u8; 20]>,
}

impl Disk {
    /// Keeps a block; `liar` is who sent it if its bytes are wrong.
    pub(crate) fn store(&mut self, layout: &Layout, block: BlockRef, liar: Option<u32>) -> Stored {
        let Some(number) = block.block() else { return Stored::Again };
        let count = layout.block_count(block.index);
        let tries = &mut self.tries;
        let open = self.open.entry(block.index).or_insert_with(|| {
            *tries = tries.wrapping_add(1);
            Open { attempt: *tries, left: count, blocks: vec![NOBODY; count as usize] }
        });
        match open.blocks.get_mut(number.as_usize()) {
            Some(place) if *place == NOBODY => *place = liar.unwrap_or(RIGHT),
            _ => return Stored::Again,
        }
        open.left -= 1;
        if open.left == 0 { Stored::Whole { attempt: open.attempt } } else { Stored::New }
    }

    /// Forgets the blocks of a piece under way.
    pub(crate) fn discard(&mut self, piece: PieceIndex) {
        self.open.remove(&piece);
    }

    /// The verdict on this try of a piece, which is no longer under way then; `None` if it was discarded in the meantime.
    pub(crate) fn judge(&mut self, piece: PieceIndex, attempt: u32) -> Option<Verdict> {
        let whole = self.open.get(&piece).is_some_and(|open| open.attempt == attempt && open.left == 0);
        let open = self.open.remove(&piece).filter(|_| whole)?;
        let digest = |(nth, &liar): (usize, &u32)| {
            let mut digest = [0; 20];
            digest[..4].copy_from_slice(&piece.0.to_be_bytes());
            digest[4..8].copy_from_slice(&(nth as u32).to_be_bytes());
            digest[8..12].copy_from_slice(&(if liar == RIGHT { 0 } else { liar + 1 }).to_be_bytes());
            digest
        };
        let right = open.blocks.iter().all(|&liar| liar == RIGHT);
        Some(Verdict { right, digests: open.blocks.iter().enumerate().map(digest).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        Layout::new(32_768, [(vec!["film".to_owned()], 100_000, false)]).unwrap()
    }

    #[test]
    fn a_piece_is_judged_once_whole_and_a_wrong_block_spoils_it() {
        let layout = layout();
        let blocks: Vec<_> = layout.blocks(PieceIndex(0)).collect();
        let mut disk = Disk::default();
        assert_eq!(disk.store(&layout, blocks[0], None), Stored::New);
        assert_eq!(disk.store(&layout, blocks[0], None), Stored::Again);
        let Stored::Whole { attempt } = disk.store(&layout, blocks[1], Some(9)) else { panic!("not whole") };
        let verdict = disk.judge(PieceIndex(0), attempt).unwrap();
        assert!(!verdict.right);
        assert_eq!(disk.judge(PieceIndex(0), attempt), None);
        disk.store(&layout, blocks[0], None);
        let Stored::Whole { attempt } = disk.store(&layout, blocks[1], None) else { panic!("not whole") };
        let again = disk.judge(PieceIndex(0), attempt).unwrap();
        assert!(again.right);
        assert_eq!(again.digests[0], verdict.digests[0]);
        assert_ne!(again.digests[1], verdict.digests[1]);
    }

    #[test]
    fn a_verdict_on_a_discarded_try_is_void() {
        let layout = layout();
        let last = layout.blocks(PieceIndex(3)).next().unwrap();
        let mut disk = Disk::default();
        let Stored::Whole { attempt } = disk.store(&layout, last, None) else { panic!("not whole") };
        disk.discard(PieceIndex(3));
        disk.store(&layout, last, None);
        assert_eq!(disk.judge(PieceIndex(3), attempt), None);
    }
}
