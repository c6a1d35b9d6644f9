//! Which attempt at each piece under way is storage's.
//!
//! A link hands a block to storage and then reports it. In between the torrent may discard the piece, because its reader has
//! gone, and begin it anew for another. That block is gone then: if its report counted for the new attempt, nobody would be
//! asked for it again, and the piece would never be whole.

use std::collections::BTreeMap;

use afflux_metainfo::{BlockRef, PieceIndex};
use afflux_peer::Event;
use afflux_storage::Attempt;

/// A block that storage took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) block: BlockRef,
    /// It counts in this attempt at its piece only.
    pub(super) attempt: Attempt,
}

/// The attempts of one torrent that go on.
#[derive(Debug, Default)]
pub(super) struct Attempts(BTreeMap<PieceIndex, Attempt>);

impl Attempts {
    /// Memory was reserved for a block of the piece, in this attempt.
    pub(super) fn begin(&mut self, piece: PieceIndex, attempt: Attempt) {
        self.0.insert(piece, attempt);
    }

    /// The piece was discarded, or its fate is known: what is still reported of it is too late.
    pub(super) fn end(&mut self, piece: PieceIndex) {
        self.0.remove(&piece);
    }

    /// Whether this is the attempt at the piece that goes on.
    pub(super) fn goes_on(&self, piece: PieceIndex, attempt: Attempt) -> bool {
        self.0.get(&piece) == Some(&attempt)
    }

    /// Takes the blocks that are gone already out of what a link reports, and says which they are.
    pub(super) fn sift(&self, events: &mut Vec<Event>, kept: &[Kept]) -> Vec<BlockRef> {
        let is_gone = |kept: &&Kept| !self.goes_on(kept.block.index, kept.attempt);
        let gone: Vec<BlockRef> = kept.iter().filter(is_gone).map(|kept| kept.block).collect();
        if !gone.is_empty() {
            events
                .retain(|event| !matches!(event, Event::BlockReceived { block, .. } if gone.contains(block)));
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use afflux_metainfo::BLOCK_LENGTH;

    use super::super::testing::MemoryTorrent;
    use super::*;

    const PIECE: u64 = 4 * BLOCK_LENGTH as u64;

    struct Rig {
        torrent: MemoryTorrent,
        attempts: Attempts,
    }

    impl Rig {
        fn new() -> Self {
            Self { torrent: MemoryTorrent::unverifiable(PIECE, 1), attempts: Attempts::default() }
        }

        /// The torrent asks for a block, and a link brings it.
        fn bring(&mut self, nth: usize) -> Kept {
            let MemoryTorrent { store, layout, .. } = &self.torrent;
            let block = layout.blocks(PieceIndex(0)).nth(nth).unwrap();
            let attempt = store.reserve(block).unwrap().unwrap();
            self.attempts.begin(block.index, attempt);
            let buffer = store.take_buffer(block).unwrap();
            Kept { block, attempt: store.fill(block, buffer).unwrap() }
        }

        fn discard(&mut self) {
            self.attempts.end(PieceIndex(0));
            self.torrent.store.discard(PieceIndex(0));
        }
    }

    fn received(kept: &Kept) -> Event {
        Event::BlockReceived { block: kept.block, elapsed: Duration::ZERO }
    }

    #[test]
    fn a_block_of_a_discarded_attempt_does_not_count_for_the_next() {
        let mut rig = Rig::new();
        let old = rig.bring(0);
        rig.discard();
        let new = rig.bring(1);
        let mut events = vec![received(&old), Event::Unchoked, received(&new)];
        assert_eq!(rig.attempts.sift(&mut events, &[old, new]), [old.block]);
        assert_eq!(events, [Event::Unchoked, received(&new)]);
    }

    #[test]
    fn a_block_of_a_discarded_attempt_does_not_count_while_there_is_none() {
        let mut rig = Rig::new();
        let old = rig.bring(0);
        rig.discard();
        let mut events = vec![received(&old)];
        assert_eq!(rig.attempts.sift(&mut events, &[old]), [old.block]);
        assert!(events.is_empty());
    }

    #[test]
    fn an_attempt_that_was_discarded_goes_on_neither_before_the_next_nor_beside_it() {
        let mut rig = Rig::new();
        let old = rig.bring(0);
        rig.discard();
        assert!(!rig.attempts.goes_on(PieceIndex(0), old.attempt));
        let new = rig.bring(0);
        assert!(!rig.attempts.goes_on(PieceIndex(0), old.attempt));
        assert!(rig.attempts.goes_on(PieceIndex(0), new.attempt));
    }

    #[test]
    fn blocks_of_an_attempt_that_goes_on_count() {
        let mut rig = Rig::new();
        let kept = [rig.bring(0), rig.bring(1)];
        let mut events: Vec<Event> = kept.iter().map(received).collect();
        assert!(rig.attempts.sift(&mut events, &kept).is_empty());
        assert_eq!(events.len(), 2);
    }
}
