//! Reading verified bytes: from memory where they are, else by whole extents from disk.
//!
//! Three ways, the cheapest first: memory that the cache has; files that the kernel has in memory, read by whoever asks
//! since that is a copy and no wait; and the read threads. An extent is fetched by one read thread, whoever else misses it
//! meanwhile.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use afflux_metainfo::PieceIndex;
use bytes::Bytes;

use crate::disk::Error;
use crate::files::FileLoan;
use crate::limits::{EXTENT_BYTES, READ_AHEAD_BYTES, READ_BYTES_MAX};
use crate::lock::lock;
use crate::pool::{Extent, Grant};
use crate::store::{ReadError, ReadReply};
use crate::torrent::{Backing, Torrent};

impl Torrent {
    /// Says whether such bytes can be asked for now.
    pub(crate) fn readable(&self, piece: PieceIndex, range: &Range<u32>) -> Result<(), ReadError> {
        let progress = lock(&self.progress);
        if progress.closed {
            return Err(ReadError::Closed);
        }
        let length = self.layout.length_of(piece);
        if range.is_empty() || range.end > length || range.end - range.start > READ_BYTES_MAX {
            return Err(ReadError::Range);
        }
        match progress.have.contains(piece) {
            true => Ok(()),
            false if progress.evicted.contains(piece) => Err(ReadError::Evicted),
            false => Err(ReadError::NotHave),
        }
    }

    fn first_missing(&self, piece: PieceIndex, range: &Range<u32>) -> Option<ExtentOf> {
        let missing = |&number: &u32| !self.pool.cache().contains(self.key(piece, number));
        extents_of(range).find(missing).map(|number| (piece, number))
    }

    /// The range from memory, if all of it is there.
    pub(crate) fn read_cached(&self, piece: PieceIndex, range: &Range<u32>) -> Option<Vec<Bytes>> {
        let cache = self.pool.cache();
        let mut parts = Vec::new();
        for number in extents_of(range) {
            parts.extend(lend(cache.get(self.key(piece, number))?, number, range));
        }
        Some(parts)
    }

    /// The range from memory, or from files as long as that takes no waiting: for a disk, for memory, for anybody.
    pub(crate) fn read_hot(&self, piece: PieceIndex, range: &Range<u32>) -> Option<Vec<Bytes>> {
        let mut parts = Vec::new();
        for number in extents_of(range) {
            let extent = match self.pool.cache().get(self.key(piece, number)) {
                Some(extent) => extent,
                None => self.read_hot_extent(piece, number)?,
            };
            parts.extend(lend(extent, number, range));
        }
        Some(parts)
    }

    /// Where verified bytes lie in a file, from the start of `range` of the torrent on.
    pub(crate) fn lend_file(&self, range: Range<u64>) -> Option<FileLoan> {
        let files = self.files.as_ref()?;
        let end = {
            let progress = lock(&self.progress);
            let written = |piece: &u32| !progress.closed && progress.written.contains(PieceIndex(*piece));
            let last = self.layout.pieces_of(range.clone()).take_while(written).last()?;
            self.layout.piece_offset(PieceIndex(last)) + u64::from(self.layout.length_of(PieceIndex(last)))
        };
        files.lend(range.start..range.end.min(end))
    }

    fn read_hot_extent(&self, piece: PieceIndex, number: u32) -> Option<Arc<Extent>> {
        let files = self.files.as_ref()?;
        if !lock(&self.progress).written.contains(piece) || self.pool.ledger().is_awaited() {
            return None;
        }
        let length = self.extent_length(piece, number);
        let mut buffer = self.pool.grant(length, length)?.lease();
        if !files.read_hot(self.extent_offset(piece, number), &mut buffer) {
            return None;
        }
        let extent = buffer.share();
        self.pool.cache().insert(self.key(piece, number), extent.clone(), false);
        Some(extent)
    }

    /// Reads, from disk what isn't in memory; on a read thread. Waits for memory without holding any.
    fn read_disk(&self, piece: PieceIndex, range: &Range<u32>) -> Result<Vec<Bytes>, ReadError> {
        loop {
            let evictions = lock(&self.progress).evictions;
            self.readable(piece, range)?;
            let missing: usize = extents_of(range)
                .filter(|&number| !self.pool.cache().contains(self.key(piece, number)))
                .map(|number| self.extent_length(piece, number))
                .sum();
            if missing == 0 {
                if let Some(parts) = self.read_cached(piece, range) {
                    return Ok(parts);
                }
                continue;
            }
            self.gone_unwritten(piece, range)?;
            let Some(backing) = self.backing() else { return Err(ReadError::Evicted) };
            if self.pool.spare_bytes() < missing {
                self.disk.relieve(missing);
            }
            let unit = missing.min(EXTENT_BYTES as usize);
            let Some(mut grant) = self.pool.wait_grant(missing, unit, || self.is_closed()) else {
                return Err(if self.is_closed() { ReadError::Closed } else { ReadError::Range });
            };
            if let Some(parts) = self.read_into(&backing, evictions, piece, range, &mut grant)? {
                self.read_ahead(piece, range.end);
                return Ok(parts);
            }
        }
    }

    /// `None` if more went out of memory than was granted, or if something was evicted since: it may have been this piece.
    fn read_into(
        &self,
        backing: &Backing<'_>,
        evictions: u64,
        piece: PieceIndex,
        range: &Range<u32>,
        grant: &mut Grant,
    ) -> Result<Option<Vec<Bytes>>, ReadError> {
        let mut parts = Vec::new();
        for number in extents_of(range) {
            let key = self.key(piece, number);
            let extent = match self.pool.cache().get(key) {
                Some(extent) => extent,
                None => {
                    let Some(part) = grant.split(self.extent_length(piece, number)) else { return Ok(None) };
                    let mut buffer = part.lease();
                    backing.read_at(self.extent_offset(piece, number), &mut buffer)?;
                    if matches!(backing, Backing::Holes(_)) && lock(&self.progress).evictions != evictions {
                        return Ok(None);
                    }
                    let extent = buffer.share();
                    self.pool.cache().insert(key, extent.clone(), false);
                    extent
                }
            };
            parts.extend(lend(extent, number, range));
        }
        Ok(Some(parts))
    }

    /// Who misses a part of a piece will soon want the parts behind it. Not those of the next piece: most peers come for
    /// another one then.
    fn read_ahead(&self, piece: PieceIndex, from: u32) {
        let Some(files) = &self.files else { return };
        let start = (from.div_ceil(EXTENT_BYTES) * EXTENT_BYTES).min(self.layout.length_of(piece));
        let end = start.saturating_add(READ_AHEAD_BYTES).min(self.layout.length_of(piece));
        let first = self.layout.piece_offset(piece);
        files.read_ahead(first + u64::from(start)..first + u64::from(end));
    }

    /// Where an extent begins in the torrent.
    fn extent_offset(&self, piece: PieceIndex, number: u32) -> u64 {
        self.layout.piece_offset(piece) + u64::from(number * EXTENT_BYTES)
    }

    /// A piece that could not be written, and of which the cache has let go something since, is nowhere.
    fn gone_unwritten(&self, piece: PieceIndex, range: &Range<u32>) -> Result<(), ReadError> {
        let (error, spilled) = {
            let progress = lock(&self.progress);
            let stopped = progress.stopped.clone().filter(|_| progress.unwritten.contains(&piece));
            (stopped, progress.spilled.get(&piece).cloned().unwrap_or_default())
        };
        let is_here =
            |number| spilled.contains(&number) || self.pool.cache().contains(self.key(piece, number));
        let error = error.filter(|_| !extents_of(range).all(is_here));
        match error {
            None => Ok(()),
            Some(error) => {
                self.lose(piece, error);
                Err(ReadError::NotHave)
            }
        }
    }
}

/// A read that waits for a disk thread.
pub(crate) struct ReadJob {
    pub(crate) torrent: Arc<Torrent>,
    pub(crate) piece: PieceIndex,
    pub(crate) range: Range<u32>,
    pub(crate) reply: ReadReply,
}

impl ReadJob {
    /// Answers, unless another thread fetches what is missing: then it is run again when that is there.
    pub(crate) fn run(self) {
        let torrent = self.torrent.clone();
        match torrent.first_missing(self.piece, &self.range) {
            None => self.answer(),
            Some(extent) => {
                if let Some((job, claim)) = UnderWay::claim(&torrent, extent, self) {
                    job.answer();
                    drop(claim);
                }
            }
        }
    }

    fn answer(self) {
        let outcome = self.torrent.read_disk(self.piece, &self.range);
        if let Err(ReadError::Disk(error)) = &outcome
            && error.is_loss()
        {
            // What is only doubted is checked first.
            if !matches!(error, Error::Changed { .. }) {
                self.torrent.lose(self.piece, error.clone());
            }
            self.torrent.lose_damaged(error);
        }
        (self.reply)(outcome);
    }
}

/// An extent of a piece by its number.
type ExtentOf = (PieceIndex, u32);

/// Extents that read threads fetch now, and the jobs that wait for them. How many jobs there can be is bounded by those who ask:
/// a reader waits for one at a time, a link for a few.
#[derive(Default)]
pub(crate) struct UnderWay(Mutex<BTreeMap<ExtentOf, Vec<ReadJob>>>);

impl UnderWay {
    /// The right to fetch an extent; `None` if somebody has it, who will then see to the job.
    fn claim(torrent: &Arc<Torrent>, extent: ExtentOf, job: ReadJob) -> Option<(ReadJob, Claim)> {
        let mut under_way = lock(&torrent.under_way.0);
        match under_way.get_mut(&extent) {
            Some(waiting) => {
                waiting.push(job);
                None
            }
            None => {
                under_way.insert(extent, Vec::new());
                Some((job, Claim { torrent: torrent.clone(), extent }))
            }
        }
    }
}

/// The right to fetch an extent. When it ends, those who waited are run again.
struct Claim {
    torrent: Arc<Torrent>,
    extent: ExtentOf,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let waiting = lock(&self.torrent.under_way.0).remove(&self.extent);
        waiting.into_iter().flatten().for_each(|job| self.torrent.disk.queue_read_again(job));
    }
}

/// The numbers of the extents that a range of a piece touches.
fn extents_of(range: &Range<u32>) -> Range<u32> {
    range.start / EXTENT_BYTES..range.end.div_ceil(EXTENT_BYTES)
}

/// The part of an extent that a range of its piece covers.
fn lend(extent: Arc<Extent>, number: u32, range: &Range<u32>) -> impl Iterator<Item = Bytes> {
    let first = number * EXTENT_BYTES;
    let start = range.start.saturating_sub(first) as usize;
    let end = ((range.end - first) as usize).min(extent.len());
    extent.lend(start..end)
}

#[cfg(test)]
mod tests;
