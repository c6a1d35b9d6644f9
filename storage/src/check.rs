//! Hashing what is on disk: rechecks of a torrent's pieces, and the pieces of a torrent to be created.
//!
//! Each thread reads into a scratch buffer of its own, a small constant that holds nothing for anybody and so
//! isn't charged to the ledger: a recheck never waits for memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use afflux_metainfo::{InfoHash, Layout, PieceIndex};

use crate::cache::StoreId;
use crate::disk::Error;
use crate::files::{Allocation, Files, Handles, Places, Survey};
use crate::hasher::{Hasher, LANES, Lane, update_lanes};
use crate::limits::{CHECK_AHEAD_BYTES, CHECK_READ_BYTES, CHECK_STEP_BYTES};
use crate::lock::lock;
use crate::store::Event;
use crate::torrent::Torrent;

/// A recheck that several threads work at, a few pieces at a time.
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

    /// Checks the next few pieces; says whether this thread should come again.
    pub(crate) fn step(&self) -> bool {
        let over = self.cancelled.load(SeqCst) || self.torrent.is_closed();
        let lanes = lanes_for(&self.torrent.layout);
        let first = if over { self.pieces.len() } else { self.next.fetch_add(lanes, SeqCst) };
        let Some(pieces) = self.pieces.get(first..).filter(|rest| !rest.is_empty()) else {
            if self.active.fetch_sub(1, SeqCst) == 1 {
                let have = lock(&self.torrent.progress).have.clone();
                (self.torrent.notify)(Event::CheckFinished { have });
            }
            return false;
        };
        let pieces = &pieces[..pieces.len().min(lanes)];
        let mut scratch = lock(&self.scratch).pop().unwrap_or_default();
        let outcomes = self.torrent.check(pieces, &mut scratch);
        lock(&self.scratch).push(scratch);
        for (&piece, ok) in pieces.iter().zip(outcomes) {
            let done = self.done.fetch_add(1, SeqCst) + 1;
            (self.torrent.notify)(Event::Checked { piece, ok, done, total: self.pieces.len() as u32 });
        }
        true
    }
}

impl Torrent {
    /// Hashes pieces as they are on disk, and has them or not from then on. Says of each whether it is right.
    fn check(self: &Arc<Self>, pieces: &[PieceIndex], scratch: &mut Vec<u8>) -> Vec<bool> {
        let had: Vec<(bool, bool)> = {
            let progress = lock(&self.progress);
            let had =
                |&piece: &PieceIndex| (progress.have.contains(piece), progress.unwritten.contains(&piece));
            pieces.iter().map(had).collect()
        };
        // What is unwritten was verified on its way here, and is nowhere but in memory.
        let on_disk = |(&piece, &(_, unwritten)): (&PieceIndex, &(bool, bool))| (!unwritten).then_some(piece);
        let Some(files) = &self.files else { return had.into_iter().map(|(had, _)| had).collect() };
        let hashed: Vec<PieceIndex> = pieces.iter().zip(&had).filter_map(on_disk).collect();
        let mut digests = hash_pieces(files, &self.layout, &hashed, scratch).into_iter();
        let judge = |(&piece, &(had, unwritten)): (&PieceIndex, &(bool, bool))| match unwritten {
            true => had,
            false => digests.next().is_some_and(|digest| self.judge(files, piece, had, digest)),
        };
        pieces.iter().zip(&had).map(judge).collect()
    }

    fn judge(
        self: &Arc<Self>,
        files: &Files,
        piece: PieceIndex,
        had: bool,
        digest: Result<[u8; 20], Error>,
    ) -> bool {
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

/// How many pieces are hashed side by side: others wait for the thread meanwhile.
fn lanes_for(layout: &Layout) -> usize {
    (CHECK_STEP_BYTES / u64::from(layout.piece_length()).max(1)).clamp(1, LANES as u64) as usize
}

/// A piece that is being read and hashed.
struct Reading {
    at: u64,
    end: u64,
    outcome: Result<Hasher, Error>,
}

/// Hashes up to [`LANES`] pieces side by side, a part of each in turn.
fn hash_pieces(
    files: &Files,
    layout: &Layout,
    pieces: &[PieceIndex],
    scratch: &mut Vec<u8>,
) -> Vec<Result<[u8; 20], Error>> {
    scratch.resize(CHECK_READ_BYTES * pieces.len(), 0);
    let begin = |&piece: &PieceIndex| {
        let at = layout.piece_offset(piece);
        Reading { at, end: at + u64::from(layout.length_of(piece)), outcome: Ok(Hasher::new()) }
    };
    let mut readings: Vec<Reading> = pieces.iter().map(begin).collect();
    loop {
        let mut lanes = Vec::with_capacity(readings.len());
        for (reading, part) in readings.iter_mut().zip(scratch.chunks_mut(CHECK_READ_BYTES)) {
            if let Some((hasher, part)) = reading.read(files, part) {
                lanes.push(Lane::new(hasher, std::iter::once(part)));
            }
        }
        if lanes.is_empty() {
            return readings.into_iter().map(|reading| reading.outcome.map(Hasher::finish)).collect();
        }
        update_lanes(&mut lanes);
    }
}

impl Reading {
    /// Reads the next part; `None` at the end, or when it can't be read.
    fn read<'a>(&'a mut self, files: &Files, part: &'a mut [u8]) -> Option<(&'a mut Hasher, &'a [u8])> {
        let length = (self.end - self.at).min(part.len() as u64) as usize;
        if length == 0 || self.outcome.is_err() {
            return None;
        }
        let part = &mut part[..length];
        if !files.read_hot(self.at, part) {
            // Several pieces are read in turns, which no disk takes for a sequence by itself.
            files.read_ahead(self.at..self.end.min(self.at + CHECK_AHEAD_BYTES));
            if let Err(error) = files.read_at(self.at, part) {
                self.outcome = Err(error);
                return None;
            }
        }
        self.at += length as u64;
        self.outcome.as_mut().ok().map(|hasher| (hasher, &*part))
    }
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
    let files = Files::new(places, handles, StoreId(0), Allocation::Sparse, Survey::default());
    let total = layout.piece_count();
    let (next, done) = (AtomicU32::new(0), AtomicU32::new(0));
    let work = || {
        let mut scratch = Vec::new();
        let mut digests = Vec::new();
        loop {
            let first = next.fetch_add(LANES as u32, SeqCst);
            if first >= total {
                return digests;
            }
            let pieces: Vec<PieceIndex> = (first..total.min(first + LANES as u32)).map(PieceIndex).collect();
            let hashed = hash_pieces(&files, layout, &pieces, &mut scratch);
            if stop && hashed.iter().any(Result::is_err) {
                // The others needn't go on.
                next.store(total, SeqCst);
            }
            for (piece, digest) in pieces.into_iter().zip(hashed) {
                digests.push((piece, digest));
                progress(done.fetch_add(1, SeqCst) + 1, total);
            }
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
