//! What the store holds memory for on behalf of one link: a block per request under way.
//!
//! Every reservation ends exactly once: its block came, or it is released because the request was cancelled, rejected,
//! lapsed, returned, or its link parted. Whatever is said of a request after that finds nothing here and changes
//! nothing, so a cancel that crosses the block on its way is harmless.

use std::collections::BTreeSet;

use afflux_metainfo::BlockRef;
use afflux_peer::{Command, Event};
use afflux_storage::Store;

/// The reservations of one link.
#[derive(Debug, Default)]
pub(super) struct Reserves {
    blocks: BTreeSet<BlockRef>,
}

impl Reserves {
    /// Memory was reserved for this request.
    pub(super) fn add(&mut self, block: BlockRef) {
        self.blocks.insert(block);
    }

    /// Follows what the torrent says to the link.
    pub(super) fn follow(&mut self, command: &Command, store: &Store) {
        if let Command::Cancel(block) = command {
            self.release(block, store);
        }
    }

    /// Follows what the link says of its peer.
    pub(super) fn settle(&mut self, event: &Event, store: &Store) {
        match event {
            // Filling it has ended every reservation of the block.
            Event::BlockReceived { block, .. } => {
                self.blocks.remove(block);
            }
            Event::RequestRejected(block) | Event::RequestLapsed(block) | Event::RequestReturned(block) => {
                self.release(block, store);
            }
            _ => {}
        }
    }

    /// The link is gone.
    pub(super) fn release_all(&mut self, store: &Store) {
        std::mem::take(&mut self.blocks).into_iter().for_each(|block| store.release(block));
    }

    fn release(&mut self, block: &BlockRef, store: &Store) {
        if self.blocks.remove(block) {
            store.release(*block);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use afflux_metainfo::{BLOCK_LENGTH, PieceIndex};
    use afflux_storage::Pool;

    use super::super::testing::MemoryTorrent;
    use super::*;

    const PIECE: u64 = 4 * BLOCK_LENGTH as u64;

    fn held(pool: &Pool) -> usize {
        pool.ledger().used() - pool.idle_bytes()
    }

    #[test]
    fn nothing_stays_charged_whatever_way_requests_end() {
        let MemoryTorrent { store, pool, layout, .. } = &MemoryTorrent::unverifiable(PIECE, 2);
        let blocks: Vec<BlockRef> = layout.blocks(PieceIndex(0)).collect();
        let mut reserves = Reserves::default();
        for &block in &blocks {
            store.reserve(block).unwrap();
            reserves.add(block);
        }
        assert_eq!(held(pool), PIECE as usize);
        reserves.follow(&Command::Cancel(blocks[0]), store);
        // It crossed the cancel: said twice, counted once.
        reserves.settle(&Event::RequestReturned(blocks[0]), store);
        reserves.settle(&Event::RequestRejected(blocks[1]), store);
        reserves.settle(&Event::RequestLapsed(blocks[2]), store);
        assert_eq!(held(pool), PIECE as usize, "one is still on its way");
        reserves.release_all(store);
        assert_eq!(held(pool), 0);
    }

    #[test]
    fn another_links_request_keeps_the_memory_of_a_block() {
        let MemoryTorrent { store, pool, layout, .. } = &MemoryTorrent::unverifiable(PIECE, 2);
        let block = layout.blocks(PieceIndex(1)).next().unwrap();
        let mut links = [Reserves::default(), Reserves::default()];
        for link in &mut links {
            store.reserve(block).unwrap();
            link.add(block);
        }
        links[0].release_all(store);
        assert_eq!(held(pool), PIECE as usize);
        let buffer = store.take_buffer(block).expect("it's still reserved");
        assert!(store.fill(block, buffer).is_some());
        links[1].settle(&Event::BlockReceived { block, elapsed: Duration::ZERO }, store);
        links[1].release_all(store);
        assert_eq!(held(pool), PIECE as usize, "what arrived stays");
        store.discard(PieceIndex(1));
        assert_eq!(held(pool), 0);
    }
}
