//! Verified pieces in memory, in extents, for all torrents.
//!
//! Entries are either kept (pieces of `memory` torrents, and pieces that are not on disk yet) or disposable:
//! those give way, least recently used first, when memory is short or when they are more than
//! [`DISPOSABLE_BYTES_MAX`]. What a reader holds is never evicted, since that would free nothing.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};

use afflux_metainfo::PieceIndex;

use crate::limits::DISPOSABLE_BYTES_MAX;
use crate::lock::lock;
use crate::pool::Extent;

/// A torrent's number among all that share a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StoreId(pub(crate) u64);

/// One extent of one piece of one torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) store: StoreId,
    pub(crate) piece: PieceIndex,
    pub(crate) extent: u32,
}

impl Key {
    fn piece(store: StoreId, piece: PieceIndex) -> RangeInclusive<Key> {
        Key { store, piece, extent: 0 }..=Key { store, piece, extent: u32::MAX }
    }

    fn store(store: StoreId) -> RangeInclusive<Key> {
        let (first, last) = (PieceIndex(0), PieceIndex(u32::MAX));
        Key { store, piece: first, extent: 0 }..=Key { store, piece: last, extent: u32::MAX }
    }
}

#[derive(Default)]
pub(crate) struct Cache(Mutex<Index>);

#[derive(Default)]
struct Index {
    entries: BTreeMap<Key, Entry>,
    /// Disposable entries by their last use.
    disposable: BTreeMap<u64, Key>,
    clock: u64,
    /// The clock when unused entries were last forgotten.
    mark: u64,
    bytes: usize,
    disposable_bytes: usize,
}

struct Entry {
    extent: Arc<Extent>,
    /// When it was last used, if it is disposable.
    used: Option<u64>,
}

impl Cache {
    /// Puts an extent in; whatever was there goes.
    pub(crate) fn insert(&self, key: Key, extent: Arc<Extent>, keep: bool) {
        let mut index = lock(&self.0);
        let gone = (index.insert(key, extent, keep), index.trim());
        drop(index);
        drop(gone);
    }

    pub(crate) fn get(&self, key: Key) -> Option<Arc<Extent>> {
        lock(&self.0).get(key)
    }

    pub(crate) fn contains(&self, key: Key) -> bool {
        lock(&self.0).entries.contains_key(&key)
    }

    /// From now on the piece may be evicted when memory is short. The caller wakes who waits for memory.
    pub(crate) fn dispose(&self, store: StoreId, piece: PieceIndex) {
        let mut index = lock(&self.0);
        index.dispose(store, piece);
        let evicted = index.trim();
        drop(index);
        drop(evicted);
    }

    /// Keeps the piece again; says how many extents of it are there.
    pub(crate) fn keep(&self, store: StoreId, piece: PieceIndex) -> usize {
        lock(&self.0).keep(store, piece)
    }

    pub(crate) fn remove_piece(&self, store: StoreId, piece: PieceIndex) {
        let removed = lock(&self.0).remove(Key::piece(store, piece));
        drop(removed);
    }

    pub(crate) fn remove_store(&self, store: StoreId) {
        let removed = lock(&self.0).remove(Key::store(store));
        drop(removed);
    }

    /// Evicts disposable extents that nobody reads, until `bytes` are freed or there are no more; says how
    /// many bytes that were.
    pub(crate) fn shrink(&self, bytes: usize) -> usize {
        let evicted = lock(&self.0).shrink(bytes);
        evicted.iter().map(|extent| extent.len()).sum()
    }

    /// Evicts disposable extents that nobody has used since the last call.
    pub(crate) fn forget_unused(&self) {
        let evicted = lock(&self.0).forget_unused();
        drop(evicted);
    }

    pub(crate) fn bytes(&self) -> usize {
        lock(&self.0).bytes
    }
}

impl Index {
    fn insert(&mut self, key: Key, extent: Arc<Extent>, keep: bool) -> Option<Arc<Extent>> {
        let old = self.take(key);
        let length = extent.len();
        self.bytes += length;
        let used = (!keep).then(|| self.stamp(key, length));
        self.entries.insert(key, Entry { extent, used });
        old
    }

    fn get(&mut self, key: Key) -> Option<Arc<Extent>> {
        let entry = self.entries.get_mut(&key)?;
        let extent = entry.extent.clone();
        if let Some(used) = &mut entry.used {
            self.disposable.remove(used);
            self.clock += 1;
            *used = self.clock;
            self.disposable.insert(self.clock, key);
        }
        Some(extent)
    }

    fn dispose(&mut self, store: StoreId, piece: PieceIndex) {
        for (key, entry) in self.entries.range_mut(Key::piece(store, piece)) {
            if entry.used.is_none() {
                self.clock += 1;
                entry.used = Some(self.clock);
                self.disposable.insert(self.clock, *key);
                self.disposable_bytes += entry.extent.len();
            }
        }
    }

    fn keep(&mut self, store: StoreId, piece: PieceIndex) -> usize {
        let mut count = 0;
        for (_, entry) in self.entries.range_mut(Key::piece(store, piece)) {
            count += 1;
            if let Some(used) = entry.used.take() {
                self.disposable.remove(&used);
                self.disposable_bytes -= entry.extent.len();
            }
        }
        count
    }

    fn remove(&mut self, keys: RangeInclusive<Key>) -> Vec<Arc<Extent>> {
        let keys: Vec<Key> = self.entries.range(keys).map(|(key, _)| *key).collect();
        keys.into_iter().filter_map(|key| self.take(key)).collect()
    }

    fn forget_unused(&mut self) -> Vec<Arc<Extent>> {
        let mark = std::mem::replace(&mut self.mark, self.clock);
        let victims: Vec<Key> = self.disposable.range(..=mark).map(|(_, key)| *key).collect();
        victims.into_iter().filter_map(|key| self.take(key)).collect()
    }

    /// Evicts what is more than may be kept for nobody.
    fn trim(&mut self) -> Vec<Arc<Extent>> {
        let excess = self.disposable_bytes.saturating_sub(DISPOSABLE_BYTES_MAX);
        if excess == 0 { Vec::new() } else { self.shrink(excess) }
    }

    fn shrink(&mut self, bytes: usize) -> Vec<Arc<Extent>> {
        let mut victims = Vec::new();
        let mut freed = 0;
        for key in self.disposable.values() {
            if freed >= bytes {
                break;
            }
            // Counted under the lock that every new reader needs, so one means: only the cache.
            if let Some(entry) = self.entries.get(key)
                && Arc::strong_count(&entry.extent) == 1
            {
                freed += entry.extent.len();
                victims.push(*key);
            }
        }
        victims.into_iter().filter_map(|key| self.take(key)).collect()
    }

    fn take(&mut self, key: Key) -> Option<Arc<Extent>> {
        let entry = self.entries.remove(&key)?;
        if let Some(used) = entry.used {
            self.disposable.remove(&used);
            self.disposable_bytes -= entry.extent.len();
        }
        self.bytes -= entry.extent.len();
        Some(entry.extent)
    }

    fn stamp(&mut self, key: Key, length: usize) -> u64 {
        self.clock += 1;
        self.disposable.insert(self.clock, key);
        self.disposable_bytes += length;
        self.clock
    }
}
