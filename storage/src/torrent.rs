//! What one torrent's storage knows, and the steps that disk and hash threads take for it.
//!
//! The life of a piece: blocks fill (`intake`), are hashed, and then the piece is *had*: in the cache, kept. For
//! torrents with a disk it's also *unwritten* until a write thread is done with it; then it is *written*, and the cache
//! may let it go. Not here: the face for callers ([`Store`](crate::Store)), reading (`read`), rechecks (`check`), and what is
//! written before a piece is whole (`spill`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, OnceLock};

use afflux_metainfo::{BLOCK_LENGTH, Bitfield, InfoHash, Layout, PieceIndex};

use crate::cache::{Key, StoreId};
use crate::check::CheckRun;
use crate::disk::{Disk, Error};
use crate::files::{Damage, Files};
use crate::holes::HoleFile;
use crate::intake::{Complete, Intake};
use crate::ledger::Charge;
use crate::limits::{EXTENT_BLOCKS, EXTENT_BYTES};
use crate::lock::{lock, wait};
use crate::pool::{BlockBuffer, Extent, Pool};
use crate::read::UnderWay;
use crate::resume::Partial;
use crate::spill::SpillCounts;
use crate::store::{Awaited, Event, Notify};

pub(crate) struct Torrent {
    pub(crate) id: StoreId,
    pub(crate) info_hash: InfoHash,
    pub(crate) layout: Arc<Layout>,
    pub(crate) hashes: Arc<[[u8; 20]]>,
    pub(crate) pool: Pool,
    pub(crate) disk: Disk,
    pub(crate) intake: Intake,
    /// `None` for torrents in memory and in a bounded cache.
    pub(crate) files: Option<Files>,
    /// The bounded cache, for torrents that live there.
    pub(crate) holes: Option<HoleFile>,
    pub(crate) spills: SpillCounts,
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
    /// Had once, given up to make room (torrents in memory or in a bounded cache).
    pub(crate) evicted: Bitfield,
    /// Verified, in the cache, not on disk yet.
    pub(crate) unwritten: BTreeSet<PieceIndex>,
    /// Extents of those that are on disk already.
    pub(crate) spilled: BTreeMap<PieceIndex, BTreeSet<u32>>,
    /// Places in a bounded cache of the pieces that are had.
    pub(crate) places: BTreeMap<PieceIndex, Charge>,
    /// How often a piece was evicted: whoever reads a place meanwhile may have read a hole.
    pub(crate) evictions: u64,
    /// Places there that could not be given back.
    pub(crate) stuck: Vec<Charge>,
    /// Pieces whose places are about to become holes. None of them may begin anew before: what came of it by then would go
    /// with the old bytes.
    pub(crate) punching: BTreeSet<PieceIndex>,
    /// Pieces whose block digests are asked for.
    pub(crate) digests_wanted: BTreeSet<PieceIndex>,
    /// Why nothing is written any more.
    pub(crate) stopped: Option<Error>,
    pub(crate) closed: bool,
    /// What came of pieces that were under way when it was closed.
    pub(crate) parked: Vec<Partial>,
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
            spilled: BTreeMap::new(),
            places: BTreeMap::new(),
            evictions: 0,
            stuck: Vec::new(),
            punching: BTreeSet::new(),
            digests_wanted: BTreeSet::new(),
            stopped: None,
            closed: false,
            parked: Vec::new(),
            jobs: 0,
            empty_files_made: false,
        }
    }
}

/// Where a torrent's bytes are kept but for memory.
pub(crate) enum Backing<'a> {
    Files(&'a Files),
    Holes(&'a HoleFile),
}

impl Backing<'_> {
    /// Fills `buffer` with the torrent's bytes from `offset` on.
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        match self {
            Self::Files(files) => files.read_at(offset, buffer),
            Self::Holes(holes) => holes.read_at(offset, buffer),
        }
    }

    /// Writes buffers one behind the other from `offset` of the torrent on.
    pub(crate) fn write_at(&self, offset: u64, buffers: &[&[u8]]) -> Result<(), Error> {
        match self {
            Self::Files(files) => files.write_at(offset, buffers),
            Self::Holes(holes) => holes.write_at(offset, buffers),
        }
    }
}

impl Torrent {
    /// Files or cache; `None` for torrents in memory.
    pub(crate) fn backing(&self) -> Option<Backing<'_>> {
        let files = self.files.as_ref().map(Backing::Files);
        files.or_else(|| self.holes.as_ref().map(Backing::Holes))
    }

    /// Forgets what came of a piece under way.
    pub(crate) fn discard(self: &Arc<Self>, piece: PieceIndex) {
        let is_first = lock(&self.progress).punching.insert(piece);
        match self.intake.discard(piece) {
            Some(place) => self.queue_punch(piece, place),
            None if is_first => _ = lock(&self.progress).punching.remove(&piece),
            None => {}
        }
    }

    pub(crate) fn queue_punch(self: &Arc<Self>, piece: PieceIndex, place: Charge) {
        lock(&self.progress).punching.insert(piece);
        self.job_queued();
        self.disk.queue_punch(self.clone(), piece, place);
    }

    /// Gives the place of a piece in a bounded cache up; on a write thread.
    pub(crate) fn punch(&self, piece: PieceIndex, place: Charge) {
        let Some(holes) = &self.holes else { return };
        let outcome = holes.punch(piece);
        lock(&self.progress).punching.remove(&piece);
        match outcome {
            Ok(()) => drop(place),
            // It still takes its space, so it stays charged. That it could be punched was tried at the start.
            Err(error) => {
                lock(&self.progress).stuck.push(place);
                self.stop_writing(error);
            }
        }
    }

    /// Whether the place of a piece has to become a hole before it can be used again. Whoever asks is told when places come
    /// back.
    pub(crate) fn is_punching(&self, piece: PieceIndex) -> bool {
        let Some(holes) = &self.holes else { return false };
        let is_punching = || lock(&self.progress).punching.contains(&piece);
        is_punching() && {
            holes.places().note_refusal();
            is_punching()
        }
    }

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

    /// What came of a piece can't be kept, or not be read back.
    pub(crate) fn lose_unstored(self: &Arc<Self>, piece: PieceIndex, error: &Error) {
        self.drop_unstored(piece);
        self.stop_writing(error.clone());
        self.lose_damaged(error);
    }

    /// Decides about a piece whose blocks are all there and hashed.
    pub(crate) fn settle(self: &Arc<Self>, complete: Complete) {
        let piece = complete.piece;
        if complete.digest != self.hashes[piece.as_usize()] {
            let digests = complete.block_digests();
            let Complete { id, blocks, place, spilled, .. } = complete;
            drop(blocks);
            if let Some(place) = place.filter(|_| !spilled.is_empty()) {
                self.queue_punch(piece, place);
            }
            self.intake.finish(piece, id);
            (self.notify)(Event::Failed { piece, attempt: id, digests });
            return;
        }
        let wanted = lock(&self.progress).digests_wanted.remove(&piece);
        let digests = wanted.then(|| complete.block_digests());
        let Complete { id, blocks, place, .. } = complete;
        let (extents, on_disk, rest) = share(blocks);
        let rest = rest.iter().map(|(number, block)| (*number as u32 * BLOCK_LENGTH, &block[..]));
        if let Err(error) = self.write_blocks(piece, rest) {
            drop(extents);
            if let Some(place) = place {
                self.queue_punch(piece, place);
            }
            return self.lose_unstored(piece, &error);
        }
        for (number, extent) in extents {
            self.pool.cache().insert(self.key(piece, number), extent, true);
        }
        self.gain(piece, on_disk, place);
        self.intake.finish(piece, id);
        (self.notify)(Event::Verified { piece, digests });
        if self.backing().is_some() {
            self.queue_write(piece);
        }
    }

    fn gain(&self, piece: PieceIndex, on_disk: BTreeSet<u32>, place: Option<Charge>) {
        let progress = &mut *lock(&self.progress);
        progress.have.insert(piece);
        progress.evicted.remove(piece);
        if let Some(place) = place {
            progress.places.insert(piece, place);
        }
        if self.backing().is_some() {
            progress.written.remove(piece);
            progress.unwritten.insert(piece);
        }
        if !on_disk.is_empty() {
            progress.spilled.insert(piece, on_disk);
        }
    }

    /// Writes a verified piece; on a write thread.
    pub(crate) fn write(self: &Arc<Self>, piece: PieceIndex) {
        let due = {
            let progress = lock(&self.progress);
            progress.unwritten.contains(&piece) && progress.stopped.is_none()
        };
        if !due {
            return self.let_go(piece);
        }
        let outcome = self.write_piece(piece);
        match outcome {
            Ok(()) => {
                {
                    let mut progress = lock(&self.progress);
                    progress.spilled.remove(&piece);
                    if progress.unwritten.remove(&piece) {
                        progress.written.insert(piece);
                    }
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

    fn write_piece(&self, piece: PieceIndex) -> Result<(), Error> {
        if let Some(files) = &self.files
            && !std::mem::replace(&mut lock(&self.progress).empty_files_made, true)
        {
            files.create_empty()?;
        }
        let spilled = lock(&self.progress).spilled.get(&piece).cloned().unwrap_or_default();
        let mut parts = Vec::with_capacity(self.extent_count(piece));
        for number in (0..self.extent_count(piece) as u32).filter(|number| !spilled.contains(number)) {
            match self.pool.cache().get(self.key(piece, number)) {
                Some(extent) => parts.push((number, extent)),
                None if lock(&self.progress).unwritten.contains(&piece) => {
                    return Err(Error::Misuse("a piece was evicted before it was written"));
                }
                None => return Ok(()),
            }
        }
        let runs = parts.iter().flat_map(|(number, extent)| {
            let begin = number * EXTENT_BYTES;
            extent.runs().scan(begin, |at, run| {
                let begin = *at;
                *at += run.len() as u32;
                Some((begin, run))
            })
        });
        self.write_blocks(piece, runs)
    }

    /// The cache may evict the piece from here on.
    fn let_go(&self, piece: PieceIndex) {
        self.pool.cache().dispose(self.id, piece);
        self.pool.ledger().wake();
    }

    /// Stops writing until [`retry`](Self::retry). What is not on disk stays readable while there is memory.
    pub(crate) fn stop_writing(&self, error: Error) {
        let unwritten: Vec<PieceIndex> = {
            let mut progress = lock(&self.progress);
            if progress.stopped.is_some() {
                return;
            }
            progress.stopped = Some(error.clone());
            progress.empty_files_made = false;
            progress.unwritten.iter().copied().collect()
        };
        for piece in unwritten {
            self.let_go(piece);
        }
        (self.notify)(Event::Stopped(error));
    }

    /// Goes on writing after a stop.
    pub(crate) fn retry(self: &Arc<Self>) {
        let (error, unwritten): (Error, Vec<PieceIndex>) = {
            let mut progress = lock(&self.progress);
            if progress.closed {
                return;
            }
            let Some(error) = progress.stopped.take() else { return };
            // A job of its own: the store isn't closed while only some of its pieces are queued.
            progress.jobs += 1;
            (error, progress.unwritten.iter().copied().collect())
        };
        for piece in unwritten {
            let spilled = lock(&self.progress).spilled.get(&piece).map_or(0, BTreeSet::len);
            let there = self.pool.cache().keep(self.id, piece) + spilled;
            if there == self.extent_count(piece) {
                self.queue_write(piece);
            } else {
                self.lose(piece, error.clone());
            }
        }
        self.job_done();
    }

    /// A piece turned out to be gone.
    pub(crate) fn lose(&self, piece: PieceIndex, error: Error) {
        let (had, place) = {
            let mut progress = lock(&self.progress);
            progress.written.remove(piece);
            progress.unwritten.remove(&piece);
            progress.spilled.remove(&piece);
            (progress.have.remove(piece), progress.places.remove(&piece))
        };
        self.pool.cache().remove_piece(self.id, piece);
        if let Some(place) = place {
            self.punch(piece, place);
        }
        if had {
            (self.notify)(Event::Lost { piece, error });
        }
    }

    /// Loses the pieces whose bytes went with files that were found damaged. Those in files that are only changed are
    /// checked, and had again if they are right.
    pub(crate) fn lose_damaged(self: &Arc<Self>, error: &Error) {
        let Some(files) = self.files.as_ref().filter(|_| error.is_loss()) else { return };
        let mut doubted = Vec::new();
        for Damage { file, kept_bytes, changed } in files.survey_damage() {
            let range = self.layout.files()[file.as_usize()].range();
            for piece in self.layout.pieces_of(range.start + kept_bytes..range.end).map(PieceIndex) {
                if lock(&self.progress).written.contains(piece) {
                    self.lose(piece, error.clone());
                    doubted.extend(changed.then_some(piece));
                }
            }
        }
        if !doubted.is_empty() {
            tracing::warn!(%error, pieces = doubted.len(), "checking a file again");
            self.disk.queue_check(&Arc::new(CheckRun::new(self.clone(), doubted)));
        }
    }

    pub(crate) fn evict(self: &Arc<Self>, piece: PieceIndex) {
        let place = {
            let progress = &mut *lock(&self.progress);
            if !progress.have.contains(piece) {
                return;
            }
            if self.files.is_none() {
                progress.have.remove(piece);
                progress.written.remove(piece);
                progress.unwritten.remove(&piece);
                progress.evicted.insert(piece);
            } else if progress.unwritten.contains(&piece) {
                if progress.stopped.is_none() {
                    return;
                }
                progress.have.remove(piece);
                progress.unwritten.remove(&piece);
            }
            progress.evictions += 1;
            progress.spilled.remove(&piece);
            progress.places.remove(&piece)
        };
        self.pool.cache().remove_piece(self.id, piece);
        if let Some(place) = place {
            self.queue_punch(piece, place);
        }
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

/// Puts the blocks of a piece together: extents that are only read from here on, the numbers of those that are on disk,
/// and the blocks that are to follow them there.
#[expect(clippy::type_complexity, reason = "three lists that are taken apart at once")]
fn share(
    blocks: Vec<Option<BlockBuffer>>,
) -> (Vec<(u32, Arc<Extent>)>, BTreeSet<u32>, Vec<(usize, BlockBuffer)>) {
    let (mut extents, mut on_disk, mut rest) = (Vec::new(), BTreeSet::new(), Vec::new());
    let mut blocks = blocks.into_iter().enumerate().peekable();
    while let Some((first, _)) = blocks.peek() {
        let number = (*first / EXTENT_BLOCKS as usize) as u32;
        let parts: Vec<(usize, Option<BlockBuffer>)> = blocks.by_ref().take(EXTENT_BLOCKS as usize).collect();
        if parts.iter().all(|(_, block)| block.is_some()) {
            let parts = parts.into_iter().filter_map(|(_, block)| block);
            extents.push((number, Extent::assemble(parts)));
        } else {
            on_disk.insert(number);
            rest.extend(parts.into_iter().filter_map(|(at, block)| Some((at, block?))));
        }
    }
    (extents, on_disk, rest)
}
