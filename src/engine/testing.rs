//! Storage for tests of the engine's parts: a torrent in memory.

use std::sync::Arc;

use afflux_metainfo::{Bitfield, InfoHash, Layout};
use afflux_storage::{Disk, DiskConfig, Kind, Ledger, Notify, Pool, Store, StoreConfig};

/// More than any of these tests needs.
const MEMORY_BYTES: usize = 16 << 20;

/// A store in memory with what it lives by.
pub(super) struct MemoryTorrent {
    pub(super) store: Store,
    pub(super) pool: Pool,
    pub(super) layout: Arc<Layout>,
    _disk: Disk,
}

impl MemoryTorrent {
    /// One film of `length` bytes; a hash per piece.
    pub(super) fn new(piece_length: u64, length: u64, hashes: Arc<[[u8; 20]]>, notify: Notify) -> Self {
        let layout = Arc::new(Layout::new(piece_length, [(vec!["film".into()], length, false)]).unwrap());
        let config = StoreConfig {
            info_hash: InfoHash([1; 20]),
            kind: Kind::Memory,
            layout: Arc::clone(&layout),
            hashes,
            have: Bitfield::new(layout.piece_count()),
            unwanted: Vec::new(),
            files: Default::default(),
            read_only: false,
        };
        let disk = Disk::start(DiskConfig::default()).unwrap();
        let pool = Pool::new(Ledger::new(MEMORY_BYTES));
        let store = Store::open(config, &disk, &pool, notify).unwrap();
        Self { store, pool, layout, _disk: disk }
    }

    /// The same, with so many pieces that nothing can verify.
    pub(super) fn unverifiable(piece_length: u64, pieces: u64) -> Self {
        let hashes = vec![[0; 20]; pieces as usize].into();
        Self::new(piece_length, pieces * piece_length, hashes, Arc::new(|_| {}))
    }
}
