//! The face of one torrent's storage.
//!
//! Nothing here blocks but [`Store::sync`], [`Store::snapshot`] and [`Store::close`], which say so: the rest can be
//! called from tasks. What the disk and hash threads do meanwhile comes as [`Event`]s.

mod config;
mod reports;

use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, OnceLock};

use afflux_metainfo::{Bitfield, BlockRef, FileIndex, PieceIndex};
use bytes::Bytes;

pub use self::config::{FileOptions, Kind, StoreConfig};
pub use self::reports::{Event, ReadError, Spills};
use crate::check::CheckRun;
use crate::files::{FileLoan, Files, Places, Survey};
use crate::holes::HoleFile;
use crate::intake::{Attempt, Fill, Intake};
use crate::limits::EXTENT_BYTES;
use crate::lock::lock;
use crate::read::{ReadJob, UnderWay};
use crate::resume::Partial;
use crate::spill::SpillCounts;
use crate::torrent::{Progress, Torrent};
use crate::{BlockBuffer, Disk, Full, Pool, Resume, disk};

/// Takes what was read: the range in order, in parts of up to 256 KiB that are shared with the cache.
pub type ReadReply = Box<dyn FnOnce(Result<Vec<Bytes>, ReadError>) + Send>;

/// Takes events. Called on hash and disk threads: it must be quick and must not call [`Store::close`].
pub type Notify = Arc<dyn Fn(Event) + Send + Sync>;

/// Says whether some reader can't go on without a piece. Called on hash threads: it must be quick.
pub type Awaited = Arc<dyn Fn(PieceIndex) -> bool + Send + Sync>;

/// One torrent's storage; all clones are the same. Its memory and handles go with the last clone.
#[derive(Clone)]
pub struct Store(pub(crate) Arc<Torrent>);

/// A check under way; it goes on when this is dropped.
#[derive(Clone)]
pub struct Check(Arc<CheckRun>);

impl Check {
    /// Stops after the pieces that are being read now; `CheckFinished` still comes.
    pub fn cancel(&self) {
        self.0.cancel();
    }
}

impl Store {
    /// Opens a torrent's storage. Creates the download folder unless read-only, but no file yet.
    ///
    /// # Errors
    /// If the folder can't be made or isn't one, or `hashes` or `have` are not of the layout's pieces.
    pub fn open(config: StoreConfig, disk: &Disk, pool: &Pool, notify: Notify) -> Result<Self, disk::Error> {
        let StoreConfig { info_hash, kind, layout, hashes, have, unwanted, files, read_only } = config;
        if hashes.len() != layout.piece_count() as usize || have.length() != layout.piece_count() {
            return Err(disk::Error::Misuse("hashes or bitfield of another number of pieces"));
        }
        let id = disk.next_store();
        let (files, holes, have) = match kind {
            Kind::Disk { dir } => {
                prepare_folder(&dir, read_only)?;
                let renamed = files.renamed.into_iter().collect();
                let mut places = Places::new(dir, layout.clone(), info_hash, renamed);
                places.leave_out(&unwanted);
                let files = Files::new(places, disk.handles().clone(), id, files.allocation, files.survey);
                if !read_only {
                    files.leave_out(&unwanted)?;
                }
                files.trust(have.iter());
                (Some(files), None, have)
            }
            Kind::Memory => (None, None, Bitfield::new(layout.piece_count())),
            Kind::Cache { dir, places } => {
                prepare_folder(&dir, false)?;
                let holes = HoleFile::create(dir, layout.clone(), places, id)?;
                (None, Some(holes), Bitfield::new(layout.piece_count()))
            }
        };
        let places = holes.as_ref().map(|holes| holes.places().clone());
        let spills = files.is_some() || holes.is_some();
        let torrent = Arc::new(Torrent {
            id,
            info_hash,
            intake: Intake::new(layout.clone(), pool.clone(), spills, places),
            layout,
            hashes,
            pool: pool.clone(),
            disk: disk.clone(),
            progress: Mutex::new(Progress::new(have, files.is_some())),
            under_way: UnderWay::default(),
            files,
            holes,
            spills: SpillCounts::default(),
            read_only,
            notify,
            awaited: OnceLock::new(),
            idle: Condvar::new(),
        });
        if spills {
            disk.relief().enter(&torrent);
        }
        Ok(Self(torrent))
    }

    /// Tells how to know which pieces somebody waits for: those are hashed as their blocks come, while others may wait a
    /// few milliseconds so that several can be hashed at once. Only the first call counts.
    pub fn tell_awaited(&self, awaited: Awaited) {
        let _ = self.0.awaited.set(awaited);
    }

    /// Makes sure that a block finds memory when it arrives; called before a peer is asked for it, once per
    /// request.
    ///
    /// In memory torrents the first block of a piece admits the piece: all of its bytes are charged then, so later blocks
    /// of it are never refused. In others each extent is charged when one of its blocks is reserved, and a refusal makes
    /// pieces under way spill to disk. For what can't arrive (a piece that we have, no block of ours, a closed or read-only store)
    /// nothing is reserved and nothing refused. One task calls this per torrent. `Some` says in which attempt at the piece
    /// the block will be filled.
    ///
    /// # Errors
    /// [`Full`] if there is no memory, or no place in a bounded cache; [`Pool::on_room`] and
    /// [`Ledger::on_room`](crate::Ledger::on_room) tell when to try again.
    pub fn reserve(&self, block: BlockRef) -> Result<Option<Attempt>, Full> {
        if !self.takes_blocks(block.index) {
            return Ok(None);
        }
        if self.0.is_punching(block.index) {
            return Err(Full);
        }
        self.0.intake.reserve(block).inspect_err(|_| self.0.disk.relieve(EXTENT_BYTES as usize))
    }

    /// Undoes one [`reserve`](Self::reserve) whose block won't come: cancelled, rejected, the peer is gone. After
    /// the block was filled it does nothing. A piece that nothing arrived of and nothing is asked of is let go; one
    /// that something arrived of stays charged until it is complete or [discarded](Self::discard).
    pub fn release(&self, block: BlockRef) {
        self.0.intake.release(block);
    }

    /// Memory for a block whose payload is about to arrive; its length is the block's. While another link has the
    /// block's own memory a spare is lent, at most [`SPARES_PER_BLOCK_MAX`](crate::limits::SPARES_PER_BLOCK_MAX) at
    /// once: whichever is [filled](Self::fill) first is the block. `None` if it wasn't reserved, was filled already,
    /// or there is no memory for a spare.
    pub fn take_buffer(&self, block: BlockRef) -> Option<BlockBuffer> {
        self.0.intake.take_buffer(block)
    }

    /// Gives a buffer back unfilled: the block won't come here, or not next. The request is still to be released.
    pub fn put_back(&self, block: BlockRef, buffer: BlockBuffer) {
        self.0.intake.put_back(block, buffer);
    }

    /// The block's payload is complete; it goes to the hash threads. `None` if nobody waits for it any more
    /// (another link's copy was quicker, its piece was discarded, or the buffer is another block's); the memory is
    /// given back then. Otherwise it counts for this attempt at its piece, and for no other.
    pub fn fill(&self, block: BlockRef, buffer: BlockBuffer) -> Option<Attempt> {
        if self.0.is_closed() {
            return None;
        }
        let fill = self.0.intake.fill(block, buffer);
        if self.0.disk.relief().is_short() {
            self.0.disk.relieve(0);
        }
        match fill {
            Fill::Stale => None,
            Fill::Accepted(attempt) => Some(attempt),
            Fill::HashDue(attempt) => {
                self.0.queue_hash(block.index);
                Some(attempt)
            }
        }
    }

    /// Forgets all blocks of a piece under way. Buffers that links still have are worthless from then on.
    pub fn discard(&self, piece: PieceIndex) {
        self.0.discard(piece);
    }

    /// Asks for block digests with the next `Verified` of this piece, to compare with those of a failure.
    pub fn want_digests(&self, piece: PieceIndex) {
        if piece.0 < self.0.layout.piece_count() {
            lock(&self.0.progress).digests_wanted.insert(piece);
        }
    }

    /// Reads verified bytes: from memory, replying before this returns, or by a disk thread.
    ///
    /// Misses are read and cached by whole extents of 256 KiB, so neighbouring reads hit. One read is of at
    /// most [`READ_BYTES_MAX`](crate::limits::READ_BYTES_MAX) bytes. When memory is short a read from disk waits
    /// until some comes back, holding none.
    pub fn read(&self, piece: PieceIndex, range: Range<u32>, reply: ReadReply) {
        if let Err(error) = self.0.readable(piece, &range) {
            return reply(Err(error));
        }
        if let Some(parts) = self.0.read_cached(piece, &range) {
            return reply(Ok(parts));
        }
        if self.0.backing().is_none() {
            return reply(Err(ReadError::Evicted));
        }
        let job = ReadJob { torrent: self.0.clone(), piece, range, reply };
        if let Err(job) = self.0.disk.queue_read(job) {
            (job.reply)(Err(ReadError::Busy));
        }
    }

    /// Verified bytes, if all of them are in memory.
    pub fn try_read_cached(&self, piece: PieceIndex, range: Range<u32>) -> Option<Vec<Bytes>> {
        self.0.readable(piece, &range).ok()?;
        self.0.read_cached(piece, &range)
    }

    /// Verified bytes, if they are in memory, the kernel's copy of a file included: what takes no waiting. `None` says
    /// nothing of the rest: [`read`](Self::read) does.
    ///
    /// Misses are read by whole extents on the calling thread, a copy of 256 KiB at a time.
    pub fn try_read(&self, piece: PieceIndex, range: Range<u32>) -> Option<Vec<Bytes>> {
        self.0.readable(piece, &range).ok()?;
        self.0.read_hot(piece, &range)
    }

    /// Where verified bytes lie in a file, from the start of `range` (bytes of the torrent) on, if the kernel has them in memory.
    /// The stretch may end before the range does: with the file, with what is on disk or in memory.
    ///
    /// Nobody writes to verified pieces in files, so they stay as they are unless somebody else changes the file.
    pub fn lend_file(&self, range: Range<u64>) -> Option<FileLoan> {
        if range.is_empty() || range.end > self.0.layout.total_length() {
            return None;
        }
        self.0.lend_file(range)
    }

    /// Lets go of a piece in memory. A torrent in memory or in a bounded cache doesn't have it from then on (no event
    /// tells), and its place in the cache is given back; nor does a disk torrent whose writing has stopped, if the piece
    /// is not on disk. One that is about to be written stays.
    pub fn evict(&self, piece: PieceIndex) {
        self.0.evict(piece);
    }

    /// Whether the piece is verified and readable.
    pub fn have(&self, piece: PieceIndex) -> bool {
        lock(&self.0.progress).have.contains(piece)
    }

    /// All pieces that are verified and readable.
    pub fn have_all(&self) -> Bitfield {
        lock(&self.0.progress).have.clone()
    }

    /// Rechecks pieces on the disk threads, several at once: a [`Checked`](Event::Checked) each, and
    /// [`CheckFinished`](Event::CheckFinished) at the end. Pieces that don't exist are passed over; those of a
    /// memory torrent are as good as when they were verified.
    pub fn check(&self, pieces: impl IntoIterator<Item = PieceIndex>) -> Check {
        let count = self.0.layout.piece_count();
        let pieces = pieces.into_iter().filter(|piece| piece.0 < count).collect();
        let run = Arc::new(CheckRun::new(self.0.clone(), pieces));
        self.0.disk.queue_check(&run);
        Check(run)
    }

    /// Goes on with a piece that was under way when the torrent was closed: these of its blocks are on disk
    /// ([`Trusted::partial`](crate::resume::Trusted)) and count as received. They are read back when the rest is there.
    /// `false` if that can't be; then nothing of it counts.
    pub fn resume(&self, partial: &Partial) -> bool {
        let Partial { piece, blocks } = partial;
        let exists = piece.0 < self.0.layout.piece_count();
        exists && self.0.files.is_some() && self.takes_blocks(*piece) && self.0.intake.resume(*piece, blocks)
    }

    /// Goes on writing after [`Stopped`](Event::Stopped): what is verified but not on disk is tried again, and
    /// what had to leave memory meanwhile is [`Lost`](Event::Lost).
    pub fn retry(&self) {
        self.0.retry();
    }

    /// What was written before its piece was whole.
    pub fn spills(&self) -> Spills {
        self.0.spills.read()
    }

    /// Why writing has stopped, if it has.
    pub fn stopped(&self) -> Option<disk::Error> {
        lock(&self.0.progress).stopped.clone()
    }

    /// From now on these files aren't wanted, and all others are: files that aren't there yet are not created while
    /// they aren't wanted, and those that are get what shared pieces brought of them before. Blocks.
    pub fn leave_out(&self, unwanted: &[FileIndex]) -> Result<(), disk::Error> {
        match &self.0.files {
            Some(files) if !self.0.read_only => {
                files.leave_out(unwanted)?;
                // Some of those that are wanted now may have no bytes.
                lock(&self.0.progress).empty_files_made = false;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Gives a file another path below the download folder; [`Resume`] remembers it. Blocks.
    ///
    /// # Errors
    /// If something is there already (nothing is replaced), another file of the torrent belongs there, the path leads out
    /// of the folder, or there are no files.
    pub fn rename(&self, file: FileIndex, path: Vec<String>) -> Result<(), disk::Error> {
        self.own_files()?.rename(file, path)
    }

    /// Moves all files to another folder, which is made if missing: all of them or, if anything fails, none. Blocks.
    /// Reads go on meanwhile; a store that writes is to be paused before.
    ///
    /// # Errors
    /// If something is there already (nothing is replaced), something was written meanwhile, or there are no files.
    pub fn move_to(&self, dir: &std::path::Path) -> Result<(), disk::Error> {
        let files = self.own_files()?;
        self.0.wait_for_jobs();
        files.move_to(dir)
    }

    /// Makes what is written survive a power cut. Blocks.
    pub fn sync(&self) -> Result<(), disk::Error> {
        self.0.files.as_ref().map_or(Ok(()), Files::sync)
    }

    /// What to remember of this torrent; `extra` and `priorities` are left empty for the caller. What it says is there is synced first, so
    /// it is there after a power cut too. Looks at every file: blocks.
    ///
    /// After [`close`](Self::close) it's marked clean.
    pub fn snapshot(&self) -> Result<Resume, disk::Error> {
        // In this order: what is written after the look at `written` is synced needlessly, nothing the other way round.
        let (have, clean, partial) = {
            let progress = lock(&self.0.progress);
            let clean = progress.closed && progress.jobs == 0;
            (progress.written.clone(), clean, progress.parked.clone())
        };
        self.sync()?;
        let (survey, renamed) = match &self.0.files {
            Some(files) => (files.survey(), files.renamed()),
            None => (Survey { files: vec![None; self.0.layout.files().len()], parts: None }, Vec::new()),
        };
        let Survey { files, parts } = survey;
        let info_hash = self.0.info_hash;
        let (priorities, extra) = Default::default();
        Ok(Resume { info_hash, have, partial, files, parts, renamed, priorities, clean, extra })
    }

    /// Takes no more blocks or reads, waits until what was complete is hashed and written, puts what came of pieces
    /// under way to its place in the files, then lets go of memory and handles. Blocks; never call it from a [`Notify`].
    pub fn close(&self) {
        lock(&self.0.progress).closed = true;
        // Reads that wait for memory find out.
        self.0.pool.ledger().wake();
        self.0.wait_for_jobs();
        if self.0.files.is_some() && !self.0.read_only {
            let parked = self.0.park();
            lock(&self.0.progress).parked = parked;
        }
        self.0.intake.discard_all();
        // The nameless file of a bounded cache gives all of its places back when its handle goes.
        self.0.pool.cache().remove_store(self.0.id);
        if let Some(files) = &self.0.files {
            files.close();
        }
    }

    /// The files, if they may be changed.
    fn own_files(&self) -> Result<&Files, disk::Error> {
        let files = self.0.files.as_ref().filter(|_| !self.0.read_only);
        files.ok_or(disk::Error::Misuse("the torrent has no files of its own"))
    }

    fn takes_blocks(&self, piece: PieceIndex) -> bool {
        let progress = lock(&self.0.progress);
        !self.0.read_only && !progress.closed && !progress.have.contains(piece)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let progress = lock(&self.0.progress);
        let (have, written) = (progress.have.count(), progress.written.count());
        write!(f, "Store({}: {have} pieces, {written} on disk)", self.0.info_hash)
    }
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Check")
    }
}

fn prepare_folder(dir: &std::path::Path, read_only: bool) -> Result<(), disk::Error> {
    let failed = |error: std::io::Error| match error.raw_os_error() {
        Some(number) => disk::Error::from_errno("opening", dir, rustix::io::Errno::from_raw_os_error(number)),
        None => disk::Error::InTheWay { path: dir.to_path_buf() },
    };
    if !read_only {
        std::fs::create_dir_all(dir).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => disk::Error::InTheWay { path: dir.to_path_buf() },
            _ => failed(error),
        })?;
    }
    let metadata = std::fs::metadata(dir).map_err(failed)?;
    if metadata.is_dir() { Ok(()) } else { Err(disk::Error::InTheWay { path: dir.to_path_buf() }) }
}
