//! Hashing what is on disk: rechecks of a torrent's pieces, and the pieces of a torrent to be created.
//!
//! Each thread reads into a scratch buffer of its own, a small constant that holds nothing for anybody and so
//! isn't charged to the ledger: a recheck never waits for memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use afflux_metainfo::{InfoHash, Layout, PieceIndex};
use sha1::{Digest, Sha1};

use crate::cache::StoreId;
use crate::disk::Error;
use crate::files::{Allocation, Files, Handles, Places};
use crate::limits::CHECK_READ_BYTES;
use crate::lock::lock;
use crate::store::Event;
use crate::torrent::Torrent;

/// A recheck that several threads work at, piece by piece.
pub(crate) struct CheckRun {
    torrent: Arc<Torrent>,
    pieces: Vec<PieceIndex>,
    next: AtomicUsize,
    done: AtomicU32,
    /// Threads that have not run out of pieces yet.
    active: AtomicUsize,
    cancelled: AtomicBool,
    /// Buffers between two steps, at most one per thread.
    scratch: Mutex<Vec<Vec<u8>>>,
}

impl CheckRun {
    pub(crate) fn new(torrent: Arc<Torrent>, pieces: Vec<PieceIndex>) -> Self {
        let active = AtomicUsize::new(torrent.disk.check_threads());
        Self {
            torrent,
            pieces,
            next: AtomicUsize::new(0),
            done: AtomicU32::new(0),
            active,
            cancelled: AtomicBool::new(false),
            scratch: Mutex::default(),
        }
    }

    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, SeqCst);
    }

    /// Checks one piece; says whether this thread should come again.
    pub(crate) fn step(&self) -> bool {
        let over = self.cancelled.load(SeqCst) || self.torrent.is_closed();
        let next = if over { None } else { self.pieces.get(self.next.fetch_add(1, SeqCst)) };
        let Some(&piece) = next else {
            if self.active.fetch_sub(1, SeqCst) == 1 {
                let have = lock(&self.torrent.progress).have.clone();
                (self.torrent.notify)(Event::CheckFinished { have });
            }
            return false;
        };
        let mut scratch = lock(&self.scratch).pop().unwrap_or_default();
        let ok = self.torrent.check(piece, &mut scratch);
        lock(&self.scratch).push(scratch);
        let done = self.done.fetch_add(1, SeqCst) + 1;
        (self.torrent.notify)(Event::Checked { piece, ok, done, total: self.pieces.len() as u32 });
        true
    }
}

impl Torrent {
    /// Hashes a piece as it is on disk, and has it or not from then on.
    fn check(&self, piece: PieceIndex, scratch: &mut Vec<u8>) -> bool {
        let (had, unwritten) = {
            let progress = lock(&self.progress);
            (progress.have.contains(piece), progress.unwritten.contains(&piece))
        };
        let Some(files) = self.files.as_ref().filter(|_| !unwritten) else {
            // Verified on its way here, and nowhere but in memory.
            return had;
        };
        let digest = hash_piece(files, &self.layout, piece, scratch);
        let ok = digest.as_ref().is_ok_and(|digest| *digest == self.hashes[piece.as_usize()]);
        let raced = {
            let mut progress = lock(&self.progress);
            // It arrived and was verified while the old bytes were being read.
            let raced = !had && progress.have.contains(piece);
            if ok {
                progress.have.insert(piece);
                progress.written.insert(piece);
            } else if !raced {
                progress.have.remove(piece);
                progress.written.remove(piece);
            }
            raced
        };
        if ok {
            files.trust([piece]);
        }
        if let Err(error) = &digest {
            self.lose_damaged(error);
        }
        if !ok && !raced {
            self.pool.cache().remove_piece(self.id, piece);
        }
        ok || raced
    }
}

fn hash_piece(
    files: &Files,
    layout: &Layout,
    piece: PieceIndex,
    scratch: &mut Vec<u8>,
) -> Result<[u8; 20], Error> {
    scratch.resize(CHECK_READ_BYTES, 0);
    let start = layout.piece_offset(piece);
    let end = start + u64::from(layout.length_of(piece));
    let mut hash = Sha1::new();
    let mut at = start;
    while at < end {
        let length = (end - at).min(CHECK_READ_BYTES as u64) as usize;
        let part = &mut scratch[..length];
        files.read_at(at, part)?;
        hash.update(part);
        at += length as u64;
    }
    Ok(hash.finalize().into())
}

/// SHA-1 of every piece of files below `root`, on `threads` threads; `progress` gets (pieces done, pieces in all). The first
/// piece that can't be read ends it.
pub fn hash_files(
    layout: &Layout,
    root: &Path,
    threads: usize,
    progress: &(dyn Fn(u32, u32) + Sync),
) -> Result<Vec<[u8; 20]>, Error> {
    hash_each(layout, root, threads, true, progress).into_iter().map(|(_, digest)| digest).collect()
}

/// The pieces of files below `root` that can't be read or don't have the hash that `expected` says, ascending.
pub fn check_files(
    layout: &Layout,
    root: &Path,
    threads: usize,
    expected: &dyn Fn(PieceIndex) -> Option<[u8; 20]>,
    progress: &(dyn Fn(u32, u32) + Sync),
) -> Vec<PieceIndex> {
    let wrong = |(piece, digest): (PieceIndex, Result<[u8; 20], Error>)| {
        (digest.ok().is_none_or(|digest| expected(piece) != Some(digest))).then_some(piece)
    };
    hash_each(layout, root, threads, false, progress).into_iter().filter_map(wrong).collect()
}

/// Hashes pieces on several threads; the result is in their order, and with `stop` ends at the first failure.
fn hash_each(
    layout: &Layout,
    root: &Path,
    threads: usize,
    stop: bool,
    progress: &(dyn Fn(u32, u32) + Sync),
) -> Vec<(PieceIndex, Result<[u8; 20], Error>)> {
    let threads = threads.max(1);
    let handles = Arc::new(Handles::new(threads * 2));
    let places =
        Places::new(root.to_path_buf(), Arc::new(layout.clone()), InfoHash([0; 20]), BTreeMap::new());
    let files = Files::new(places, handles, StoreId(0), Allocation::Sparse);
    let total = layout.piece_count();
    let (next, done) = (AtomicU32::new(0), AtomicU32::new(0));
    let work = || {
        let mut scratch = Vec::new();
        let mut digests = Vec::new();
        loop {
            let piece = PieceIndex(next.fetch_add(1, SeqCst));
            if piece.0 >= total {
                return digests;
            }
            let digest = hash_piece(&files, layout, piece, &mut scratch);
            if stop && digest.is_err() {
                // The others needn't go on.
                next.store(total, SeqCst);
            }
            digests.push((piece, digest));
            progress(done.fetch_add(1, SeqCst) + 1, total);
        }
    };
    let mut all: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let finished = workers.into_iter().map(|worker| worker.join());
        finished.flat_map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    all.sort_unstable_by_key(|(piece, _)| *piece);
    all
}
