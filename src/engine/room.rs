//! Where a torrent's bytes go, and how much of the memory or the disk cache is its own.

use std::path::PathBuf;

use afflux_metainfo::{BLOCK_LENGTH, Layout};
use afflux_peer::limits::WATERMARK_BYTES_MIN;
use afflux_storage::Kind;
use afflux_storage::limits::EXTENT_BYTES;

use super::Shared;
use super::shares::{Share, Use};

/// Torrents that are written as they come need memory only for what is asked for. So many pieces may be under way in any
/// case: one for each of many peers and readers to go on with, and few enough that they come one after the other.
const OPEN_PIECES: u64 = 8;

/// Peers served at once over all torrents, whatever memory there is: each more makes what the others get less.
const SERVED_MAX: u64 = 64;
/// And whatever memory there isn't: one that has earned it and one by chance.
const SERVED_MIN: u64 = 2;
/// What a peer that doesn't read can hold of the memory: the blocks of a full send buffer and one more, each keeping its
/// extent.
const UPLOAD_BYTES_MAX: u64 = (WATERMARK_BYTES_MIN as u64 / BLOCK_LENGTH as u64 + 1) * EXTENT_BYTES as u64;

impl Shared {
    /// The disk cache in a folder.
    pub(super) fn cache_in(&self, dir: PathBuf) -> Kind {
        Kind::Cache { dir, places: self.places.clone() }
    }

    /// The disk cache where nothing else is said.
    pub(super) fn cache(&self) -> Kind {
        self.cache_in(self.config.data_dir.join("cache"))
    }

    /// Where a torrent goes that is to go there: its pieces may be too large for the memory, and the disk cache may have
    /// been set up for such. The error is a sentence for people.
    pub(super) fn fitting_kind(&self, layout: &Layout, kind: &Kind) -> Result<Kind, String> {
        let piece = piece_bytes(layout);
        let (needed, needed_places) = (2 * piece, 2 * self.cache_use().place_bytes(piece));
        let (memory, places) = (self.pool.ledger().limit() as u64, self.places.limit() as u64);
        let has_cache = self.config.tuning.disk_cache_bytes.is_some() && needed_places <= places;
        match kind {
            Kind::Memory if needed > memory && has_cache => Ok(self.cache()),
            Kind::Memory if needed > memory => Err(format!(
                "its pieces of {piece} bytes need STREAM_CACHE_SIZE (--stream-cache-size) of at least {needed} bytes, and \
                 it is {memory}; or keep the film on disk with --keep, or only while it runs with --disk-cache-size"
            )),
            Kind::Cache { .. } if needed_places > places => Err(format!(
                "its pieces of {piece} bytes need a disk cache (--disk-cache-size) of at least {needed_places} bytes, and \
                 it is {places}"
            )),
            kind => Ok(kind.clone()),
        }
    }

    /// A share of the memory or of the disk cache for a torrent that lives there; the error is a sentence for people.
    pub(super) fn share(&self, layout: &Layout, kind: &Kind) -> Result<Option<Share>, String> {
        let (shares, what, setting) = match kind {
            Kind::Disk { .. } => return Ok(None),
            Kind::Memory => (&self.shares, "memory", "STREAM_CACHE_SIZE (--stream-cache-size)"),
            Kind::Cache { .. } => (&self.cache_shares, "the disk cache", "--disk-cache-size"),
        };
        let piece = piece_bytes(layout);
        shares.enter(piece).map(Some).map_err(|free| {
            format!(
                "it needs {} bytes of {what} for two of its pieces, and other streams leave {free} of {setting}: end one \
                 of them, or allow more",
                2 * piece
            )
        })
    }

    /// How the memory or the disk cache is split between pieces under way and pieces kept for readers, before a torrent's
    /// share is known.
    pub(super) fn first_split(&self, kind: &Kind) -> (u64, Option<u64>) {
        let memory = self.pool.ledger().limit() as u64;
        let split = match kind {
            Kind::Disk { .. } => return (open_bytes_max(memory), None),
            Kind::Memory => Use::Memory.split(memory, 0),
            Kind::Cache { .. } => self.cache_use().split(self.places.limit() as u64, 0),
        };
        (split.0, Some(split.1))
    }

    /// What a torrent on disk may have under way.
    pub(super) fn open_bytes_max(&self, layout: &Layout) -> u64 {
        open_bytes_max(self.pool.ledger().limit() as u64).max(OPEN_PIECES * piece_bytes(layout))
    }

    fn cache_use(&self) -> Use {
        cache_use(self.pool.ledger().limit() as u64)
    }
}

/// How many peers may be served at once with so much memory: what they don't read holds memory that streams need.
pub(super) fn served_max(memory_bytes: u64) -> u32 {
    (memory_bytes / 8 / UPLOAD_BYTES_MAX).clamp(SERVED_MIN, SERVED_MAX) as u32
}

/// How torrents in the disk cache use their shares, with so much memory.
pub(super) fn cache_use(memory_bytes: u64) -> Use {
    Use::Disk { open_bytes_max: open_bytes_max(memory_bytes) }
}

/// Pieces under way leave some memory to bodies and uploads.
fn open_bytes_max(memory_bytes: u64) -> u64 {
    memory_bytes * 3 / 4
}

fn piece_bytes(layout: &Layout) -> u64 {
    u64::from(layout.piece_length()).min(layout.total_length())
}
