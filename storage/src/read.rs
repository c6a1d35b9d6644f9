//! Reading verified bytes: from memory where they are, else by whole extents from disk.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use afflux_metainfo::PieceIndex;

use crate::files::Files;
use crate::limits::{EXTENT_BYTES, READ_BYTES_MAX};
use crate::lock::lock;
use crate::pool::{Extent, Grant};
use crate::store::{ReadError, ReadReply};
use crate::torrent::Torrent;

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

    /// The range from memory, if all of it is there.
    pub(crate) fn read_cached(&self, piece: PieceIndex, range: &Range<u32>) -> Option<Vec<Bytes>> {
        let cache = self.pool.cache();
        let mut parts = Vec::new();
        for number in extents_of(range) {
            parts.extend(lend(cache.get(self.key(piece, number))?, number, range));
        }
        Some(parts)
    }

    /// Reads, from disk what isn't in memory; on a read thread. Waits for memory without holding any.
    fn read_disk(&self, piece: PieceIndex, range: &Range<u32>) -> Result<Vec<Bytes>, ReadError> {
        loop {
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
            self.gone_unwritten(piece)?;
            let Some(files) = &self.files else { return Err(ReadError::Evicted) };
            let unit = missing.min(EXTENT_BYTES as usize);
            let Some(mut grant) = self.pool.wait_grant(missing, unit, || self.is_closed()) else {
                return Err(if self.is_closed() { ReadError::Closed } else { ReadError::Range });
            };
            if let Some(parts) = self.read_into(files, piece, range, &mut grant)? {
                return Ok(parts);
            }
        }
    }

    /// `None` if more went out of memory than was granted.
    fn read_into(
        &self,
        files: &Files,
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
                    let offset = self.layout.piece_offset(piece) + u64::from(number * EXTENT_BYTES);
                    files.read_at(offset, &mut buffer)?;
                    let extent = buffer.share();
                    self.pool.cache().insert(key, extent.clone(), false);
                    extent
                }
            };
            parts.extend(lend(extent, number, range));
        }
        Ok(Some(parts))
    }

    /// A piece that could not be written, and that the cache has let go since, is nowhere.
    fn gone_unwritten(&self, piece: PieceIndex) -> Result<(), ReadError> {
        let error = {
            let progress = lock(&self.progress);
            progress.unwritten.contains(&piece).then(|| progress.stopped.clone()).flatten()
        };
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
    pub(crate) fn run(self) {
        let outcome = self.torrent.read_disk(self.piece, &self.range);
        if let Err(ReadError::Disk(error)) = &outcome
            && error.is_loss()
        {
            self.torrent.lose(self.piece, error.clone());
            self.torrent.lose_damaged(error);
        }
        (self.reply)(outcome);
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
