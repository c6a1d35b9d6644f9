//! What one torrent's storage knows, and the steps that disk and hash threads take for it.
//!
//! The life of a piece: blocks fill (`intake`), are hashed, and then the piece is *had*: in the cache, kept. For
//! disk torrents it's also *unwritten* until a write thread is done with it; then it is *written*, and the cache
//! may let it go. Not here: the face for callers ([`Store`](crate::Store)), reading (`read`), rechecks (`check`).

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, OnceLock};

use afflux_metainfo::{Bitfield, InfoHash, Layout, PieceIndex};
use sha1::{Digest, Sha1};

use crate::cache::{Key, StoreId};
use crate::disk::{Disk, Error};
use crate::files::Files;
use crate::intake::{Complete, Intake};
use crate::limits::{EXTENT_BLOCKS, EXTENT_BYTES};
use crate::lock::{lock, wait};
use crate::pool::{BlockBuffer, Extent, Pool};
use crate::read::UnderWay;
use crate::store::{Awaited, Event, Notify};

pub(crate) struct Torrent {
    pub(crate) id: StoreId,
    pub(crate) info_hash: InfoHash,
    pub(crate) layout: Arc<Layout>,
    pub(crate) hashes: Arc<[[u8; 20]]>,
    pub(crate) pool: Pool,
    pub(crate) disk: Disk,
    pub(crate) intake: Intake,
    /// `None` for torrents in memory.
    pub(crate) files: Option<Files>,
    pub(crate) read_only: bool,
    pub(crate) notify: Notify,
    pub(crate) awaited: OnceLock<Awaited>,
    pub(crate) progress: Mutex<Progress>,
    pub(crate) under_way: UnderWay,
    /// Told when `progress.jobs` becomes zero.
    pub(crate) idle: Condvar,
}

/// What is where.
pub(crate) struct Progress {
    /// Verified and readable.
    pub(crate) have: Bitfield,
    /// Verified and on disk.
    pub(crate) written: Bitfield,
    /// Had once, given up to make room (memory torrents).
    pub(crate) evicted: Bitfield,
    /// Verified, in the cache, not on disk yet.
    pub(crate) unwritten: BTreeSet<PieceIndex>,
    /// Pieces whose block digests are asked for.
    pub(crate) digests_wanted: BTreeSet<PieceIndex>,
    /// Why nothing is written any more.
    pub(crate) stopped: Option<Error>,
    pub(crate) closed: bool,
    /// Jobs of this torrent that hash and write threads have, or will.
    pub(crate) jobs: usize,
    /// The files without bytes were created.
    pub(crate) empty_files_made: bool,
}

impl Progress {
    pub(crate) fn new(have: Bitfield, on_disk: bool) -> Self {
        let none = Bitfield::new(have.length());
        Self {
            written: if on_disk { have.clone() } else { none.clone() },
            have,
            evicted: none,
            unwritten: BTreeSet::new(),
            digests_wanted: BTreeSet::new(),
            stopped: None,
            closed: false,
            jobs: 0,
            empty_files_made: false,
        }
    }
}

impl Torrent {
    pub(crate) fn queue_hash(self: &Arc<Self>, piece: PieceIndex) {
        self.job_queued();
        self.disk.queue_hash(self.clone(), piece);
    }

    pub(crate) fn queue_write(self: &Arc<Self>, piece: PieceIndex) {
        self.job_queued();
        self.disk.queue_write(self.clone(), piece);
    }

    fn job_queued(&self) {
        lock(&self.progress).jobs += 1;
    }

    pub(crate) fn job_done(&self) {
        let mut progress = lock(&self.progress);
        progress.jobs -= 1;
        if progress.jobs == 0 {
            self.idle.notify_all();
        }
    }

    pub(crate) fn wait_for_jobs(&self) {
        let mut progress = lock(&self.progress);
        while progress.jobs > 0 {
            progress = wait(&self.idle, progress);
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.progress).closed
    }

    /// Whether some reader can't go on without the piece.
    pub(crate) fn is_awaited(&self, piece: PieceIndex) -> bool {
        self.awaited.get().is_some_and(|awaited| awaited(piece))
    }

    /// Decides about a piece whose blocks are all there and hashed.
    pub(crate) fn settle(self: &Arc<Self>, complete: Complete) {
        let Complete { piece, id, digest, blocks } = complete;
        if digest != self.hashes[piece.as_usize()] {
            let digests = block_digests(&blocks);
            drop(blocks);
            self.intake.finish(piece, id);
            (self.notify)(Event::Failed { piece, digests });
            return;
        }
        let wanted = lock(&self.progress).digests_wanted.remove(&piece);
        let digests = wanted.then(|| block_digests(&blocks));
        for (number, extent) in (0u32..).zip(share(blocks)) {
            self.pool.cache().insert(self.key(piece, number), extent, true);
        }
        {
            let mut progress = lock(&self.progress);
            progress.have.insert(piece);
            progress.evicted.remove(piece);
            if self.files.is_some() {
                progress.written.remove(piece);
                progress.unwritten.insert(piece);
            }
        }
        self.intake.finish(piece, id);
        (self.notify)(Event::Verified { piece, digests });
        if self.files.is_some() {
            self.queue_write(piece);
        }
    }

    /// Writes a verified piece; on a write thread.
    pub(crate) fn write(&self, piece: PieceIndex) {
        let Some(files) = &self.files else { return };
        let due = {
            let progress = lock(&self.progress);
            progress.unwritten.contains(&piece) && progress.stopped.is_none()
        };
        if !due {
            return self.let_go(piece);
        }
        let outcome = self.write_piece(files, piece);
        match outcome {
            Ok(()) => {
                {
                    let mut progress = lock(&self.progress);
                    progress.unwritten.remove(&piece);
                    progress.written.insert(piece);
                }
                self.let_go(piece);
                (self.notify)(Event::Written { piece });
            }
            Err(error) => {
                self.stop_writing(error.clone());
                self.lose_damaged(&error);
            }
        }
    }

    fn write_piece(&self, files: &Files, piece: PieceIndex) -> Result<(), Error> {
        if !std::mem::replace(&mut lock(&self.progress).empty_files_made, true) {
            files.create_empty()?;
        }
        let extents = self.pool.cache().piece(self.id, piece);
        let buffers: Vec<&[u8]> = extents.iter().flat_map(|extent| extent.runs()).collect();
        let length: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        if length != self.layout.length_of(piece) as usize {
            return Err(Error::Misuse("a piece was evicted before it was written"));
        }
        files.write_at(self.layout.piece_offset(piece), &buffers)
    }

    /// The cache may evict the piece from here on.
    fn let_go(&self, piece: PieceIndex) {
        self.pool.cache().dispose(self.id, piece);
        self.pool.ledger().wake();
    }

    /// Stops writing until [`retry`](Self::retry). What is not on disk stays readable while there is memory.
    fn stop_writing(&self, error: Error) {
        let unwritten: Vec<PieceIndex> = {
            let mut progress = lock(&self.progress);
            if progress.stopped.is_some() {
                Vec::new()
            } else {
                progress.stopped = Some(error.clone());
                progress.empty_files_made = false;
                progress.unwritten.iter().copied().collect()
            }
        };
        if unwritten.is_empty() {
            return;
        }
        for piece in unwritten {
            self.let_go(piece);
        }
        (self.notify)(Event::Stopped(error));
    }

    /// Goes on writing after a stop.
    pub(crate) fn retry(self: &Arc<Self>) {
        let (error, unwritten): (Error, Vec<PieceIndex>) = {
            let mut progress = lock(&self.progress);
            let Some(error) = progress.stopped.take() else { return };
            (error, progress.unwritten.iter().copied().collect())
        };
        for piece in unwritten {
            let there = self.pool.cache().keep(self.id, piece);
            if there == self.extent_count(piece) {
                self.queue_write(piece);
            } else {
                self.lose(piece, error.clone());
            }
        }
    }

    /// A piece turned out to be gone.
    pub(crate) fn lose(&self, piece: PieceIndex, error: Error) {
        let had = {
            let mut progress = lock(&self.progress);
            progress.written.remove(piece);
            progress.unwritten.remove(&piece);
            progress.have.remove(piece)
        };
        self.pool.cache().remove_piece(self.id, piece);
        if had {
            (self.notify)(Event::Lost { piece, error });
        }
    }

    /// Loses the pieces whose bytes went with files that were found damaged.
    pub(crate) fn lose_damaged(&self, error: &Error) {
        let Some(files) = self.files.as_ref().filter(|_| error.is_loss()) else { return };
        for (file, length) in files.survey_damage() {
            let range = self.layout.files()[file.as_usize()].range();
            for piece in self.layout.pieces_of(range.start + length..range.end) {
                if lock(&self.progress).written.contains(PieceIndex(piece)) {
                    self.lose(PieceIndex(piece), error.clone());
                }
            }
        }
    }

    pub(crate) fn evict(&self, piece: PieceIndex) {
        {
            let mut progress = lock(&self.progress);
            if !progress.have.contains(piece) {
                return;
            }
            if self.files.is_none() {
                progress.have.remove(piece);
                progress.evicted.insert(piece);
            } else if progress.unwritten.contains(&piece) {
                if progress.stopped.is_none() {
                    return;
                }
                progress.have.remove(piece);
                progress.unwritten.remove(&piece);
            }
        }
        self.pool.cache().remove_piece(self.id, piece);
    }

    fn extent_count(&self, piece: PieceIndex) -> usize {
        self.layout.length_of(piece).div_ceil(EXTENT_BYTES) as usize
    }

    pub(crate) fn extent_length(&self, piece: PieceIndex, number: u32) -> usize {
        (self.layout.length_of(piece) - number * EXTENT_BYTES).min(EXTENT_BYTES) as usize
    }

    pub(crate) fn key(&self, piece: PieceIndex, extent: u32) -> Key {
        Key { store: self.id, piece, extent }
    }
}

impl Drop for Torrent {
    fn drop(&mut self) {
        self.pool.cache().remove_store(self.id);
    }
}

fn block_digests(blocks: &[BlockBuffer]) -> Vec<[u8; 20]> {
    blocks.iter().map(|block| Sha1::digest(&block[..]).into()).collect()
}

/// Joins the blocks of a piece to extents that are only read from here on.
fn share(blocks: Vec<BlockBuffer>) -> Vec<Arc<Extent>> {
    let mut blocks = blocks.into_iter().peekable();
    let mut extents = Vec::with_capacity(blocks.len().div_ceil(EXTENT_BLOCKS as usize));
    while blocks.peek().is_some() {
        extents.push(Extent::assemble(blocks.by_ref().take(EXTENT_BLOCKS as usize)));
    }
    extents
}
