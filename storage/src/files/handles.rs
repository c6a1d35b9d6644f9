//! The files that are open, a bounded number over all torrents.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock};

use afflux_metainfo::FileIndex;
use rustix::fd::OwnedFd;

use crate::cache::StoreId;
use crate::lock::lock;

/// Open files of all torrents, least recently used closed first.
pub(crate) struct Handles {
    open_max: usize,
    open: Mutex<Open>,
}

pub(super) type HandleKey = (StoreId, FileIndex);

#[derive(Default)]
struct Open {
    handles: BTreeMap<HandleKey, (Arc<Handle>, u64)>,
    by_use: BTreeMap<u64, HandleKey>,
    clock: u64,
}

pub(super) struct Handle {
    pub(super) fd: OwnedFd,
    pub(super) writable: bool,
    /// Whether the file lies on a file system that is nothing but memory, once somebody asked.
    pub(super) in_memory: OnceLock<bool>,
    /// Bytes found in memory since the last that weren't.
    pub(super) hot_streak: AtomicU64,
}

impl Handles {
    pub(crate) fn new(open_max: usize) -> Self {
        Self { open_max, open: Mutex::default() }
    }

    pub(crate) fn open_count(&self) -> usize {
        lock(&self.open).handles.len()
    }

    pub(super) fn get(&self, key: HandleKey, writable: bool) -> Option<Arc<Handle>> {
        let open = &mut *lock(&self.open);
        let (handle, used) = open.handles.get_mut(&key)?;
        if writable && !handle.writable {
            return None;
        }
        open.by_use.remove(used);
        open.clock += 1;
        *used = open.clock;
        open.by_use.insert(open.clock, key);
        Some(handle.clone())
    }

    pub(super) fn insert(&self, key: HandleKey, handle: Arc<Handle>) {
        // Closed after the lock is gone: closing can take its time.
        let mut closed = Vec::new();
        {
            let open = &mut *lock(&self.open);
            closed.extend(open.remove(key));
            while open.handles.len() >= self.open_max
                && let Some((_, oldest)) = open.by_use.first_key_value()
            {
                let oldest = *oldest;
                closed.extend(open.remove(oldest));
            }
            open.clock += 1;
            open.by_use.insert(open.clock, key);
            open.handles.insert(key, (handle, open.clock));
        }
        drop(closed);
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> Vec<HandleKey> {
        lock(&self.open).handles.keys().copied().collect()
    }

    pub(super) fn close(&self, key: HandleKey) {
        let closed = lock(&self.open).remove(key);
        drop(closed);
    }

    pub(super) fn close_store(&self, store: StoreId) {
        let mut closed = Vec::new();
        {
            let open = &mut *lock(&self.open);
            let range = (store, FileIndex(0))..=(store, FileIndex(u32::MAX));
            let keys: Vec<HandleKey> = open.handles.range(range).map(|(key, _)| *key).collect();
            closed.extend(keys.into_iter().filter_map(|key| open.remove(key)));
        }
        drop(closed);
    }
}

impl Open {
    fn remove(&mut self, key: HandleKey) -> Option<Arc<Handle>> {
        let (handle, used) = self.handles.remove(&key)?;
        self.by_use.remove(&used);
        Some(handle)
    }
}
