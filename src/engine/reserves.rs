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
