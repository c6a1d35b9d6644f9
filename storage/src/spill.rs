//! Memory pressure: what has come of pieces under way is put on disk before the pieces are whole.
//!
//! Whoever finds no memory asks for relief ([`Relief`]). A write thread then has extents of all torrents written to
//! their places until enough came back; what can't be written is dropped, to be fetched again. A block that is hashed
//! before it goes is never read again for the hash; the others are, once, and both are counted ([`Spills`]).

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};

use afflux_metainfo::PieceIndex;
use sha1::{Digest, Sha1};

use crate::disk::Error;
use crate::hasher::Hasher;
use crate::intake::{Fill, Parked, Reach, Spill};
use crate::limits::{EXTENT_BYTES, RELIEF_BYTES};
use crate::lock::lock;
use crate::resume::Partial;
use crate::store::{Event, Spills};
use crate::torrent::Torrent;

/// What a torrent has spilled since it was opened.
#[derive(Debug, Default)]
pub(crate) struct SpillCounts {
    spilled_bytes: AtomicU64,
    read_back_bytes: AtomicU64,
}

impl SpillCounts {
    pub(crate) fn read(&self) -> Spills {
        Spills {
            spilled_bytes: self.spilled_bytes.load(Relaxed),
            read_back_bytes: self.read_back_bytes.load(Relaxed),
        }
    }
}

/// The want of memory, over all torrents.
#[derive(Default)]
pub(crate) struct Relief {
    torrents: Mutex<Vec<Weak<Torrent>>>,
    /// The most that somebody was refused.
    wanted_bytes: AtomicUsize,
    /// A write thread has been told.
    queued: AtomicBool,
    /// The last relief wasn't enough: what comes now can go at once.
    short: AtomicBool,
}

impl Relief {
    /// Lets a torrent's pieces be spilled while it lives.
    pub(crate) fn enter(&self, torrent: &Arc<Torrent>) {
        let mut torrents = lock(&self.torrents);
        torrents.retain(|known| known.strong_count() > 0);
        torrents.push(Arc::downgrade(torrent));
    }

    /// Somebody needs so many bytes; says whether a write thread is to be told.
    pub(crate) fn ask(&self, bytes: usize) -> bool {
        self.wanted_bytes.fetch_max(bytes, SeqCst);
        !self.queued.swap(true, SeqCst)
    }

    /// Whether memory is wanted still.
    pub(crate) fn is_short(&self) -> bool {
        self.short.load(Relaxed)
    }

    /// Puts pieces on disk that nothing came of since the last call; on a write thread.
    pub(crate) fn run_idle(&self) {
        let torrents: Vec<Arc<Torrent>> = lock(&self.torrents).iter().filter_map(Weak::upgrade).collect();
        for torrent in torrents {
            // What can't be written now stays: nobody asks for its memory.
            let can_write = || lock(&torrent.progress).stopped.is_none();
            while can_write() && torrent.spill(Reach::Idle).is_some() {}
            torrent.intake.age();
        }
    }

    /// Gives memory back, if there is any to be given; on a write thread.
    pub(crate) fn run(&self) {
        self.queued.store(false, SeqCst);
        let wanted_bytes = self.wanted_bytes.swap(0, SeqCst).max(RELIEF_BYTES);
        let torrents: Vec<Arc<Torrent>> = lock(&self.torrents).iter().filter_map(Weak::upgrade).collect();
        let Some(pool) = torrents.first().map(|torrent| torrent.pool.clone()) else { return };
        let mut freed_bytes = pool.spare_bytes();
        if freed_bytes < wanted_bytes {
            freed_bytes += pool.cache().shrink(wanted_bytes - freed_bytes);
        }
        for reach in [Reach::Hashed, Reach::Any] {
            for torrent in &torrents {
                while freed_bytes < wanted_bytes
                    && let Some(bytes) = torrent.spill(reach)
                {
                    freed_bytes += bytes;
                }
            }
        }
        self.short.store(freed_bytes < wanted_bytes, Relaxed);
    }
}

impl Torrent {
    /// Puts one extent on disk, or drops its piece if that can't be; says how much memory came back.
    fn spill(self: &Arc<Self>, reach: Reach) -> Option<usize> {
        let spill = self.intake.take_spill(reach)?;
        let (piece, bytes) = (spill.piece, spill.bytes());
        let stopped = lock(&self.progress).stopped.clone();
        let outcome = match stopped {
            Some(error) => Err(error),
            None => self.write_blocks(piece, spill.blocks()),
        };
        if let Err(error) = outcome {
            drop(spill);
            self.drop_unstored(piece);
            self.stop_writing(error.clone());
            self.lose_damaged(&error);
            return Some(bytes);
        }
        let digests = spill.blocks().map(|(_, block)| Sha1::digest(block).into()).collect();
        let written: usize = spill.blocks().map(|(_, block)| block.len()).sum();
        self.spills.spilled_bytes.fetch_add(written as u64, Relaxed);
        if matches!(self.intake.spilled(spill, digests), Fill::HashDue(_)) {
            self.queue_hash(piece);
        }
        Some(bytes)
    }

    /// Writes blocks of a piece to their places, neighbours together.
    pub(crate) fn write_blocks<'a>(
        &self,
        piece: PieceIndex,
        blocks: impl Iterator<Item = (u32, &'a [u8])>,
    ) -> Result<(), Error> {
        let Some(backing) = self.backing() else { return Ok(()) };
        let start = self.layout.piece_offset(piece);
        let (mut begin, mut end, mut run) = (0, 0, Vec::new());
        for (at, block) in blocks {
            if at != end && !run.is_empty() {
                backing.write_at(start + u64::from(begin), &run)?;
                run.clear();
            }
            if run.is_empty() {
                begin = at;
            }
            run.push(block);
            end = at + block.len() as u32;
        }
        if run.is_empty() { Ok(()) } else { backing.write_at(start + u64::from(begin), &run) }
    }

    /// Puts what came of pieces under way on disk, and gives up their memory: what is to be remembered of them.
    pub(crate) fn park(&self) -> Vec<Partial> {
        let mut partial = Vec::new();
        for Parked { piece, blocks } in self.intake.park() {
            let in_memory = || blocks.iter().filter_map(|(number, block)| Some((*number, block.as_ref()?)));
            let stopped = lock(&self.progress).stopped.is_some() && in_memory().next().is_some();
            let written = || {
                self.write_blocks(
                    piece,
                    in_memory().map(|(number, block)| (Spill::begin(number), &block[..])),
                )
            };
            // What can't be written is fetched again; that is all there is to say about it now.
            if !stopped && written().is_ok() {
                let blocks = blocks.iter().map(|(number, _)| *number as u32).collect();
                partial.push(Partial { piece, blocks });
            }
        }
        partial
    }

    /// Hashes blocks of a piece under way that are on disk already.
    pub(crate) fn read_back(
        &self,
        piece: PieceIndex,
        begin: u32,
        length: usize,
        hash: &mut Hasher,
    ) -> Result<(), Error> {
        let backing = self.backing().ok_or(Error::Misuse("spilled without a disk"))?;
        // A small constant that holds nothing for anybody, so it isn't charged; the hash thread can't wait for memory.
        let mut scratch = vec![0; length.min(EXTENT_BYTES as usize)];
        let mut at = self.layout.piece_offset(piece) + u64::from(begin);
        let end = at + length as u64;
        while at < end {
            let part = (end - at).min(scratch.len() as u64) as usize;
            backing.read_at(at, &mut scratch[..part])?;
            hash.update(&scratch[..part]);
            at += part as u64;
        }
        self.spills.read_back_bytes.fetch_add(length as u64, Relaxed);
        Ok(())
    }

    /// Blocks of a piece under way couldn't be kept: it is to be begun anew.
    pub(crate) fn drop_unstored(self: &Arc<Self>, piece: PieceIndex) {
        self.discard(piece);
        (self.notify)(Event::Unstored { piece });
    }
}

impl Spill {
    fn blocks(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.blocks.iter().map(|(number, block)| (Self::begin(*number), &block[..]))
    }
}
