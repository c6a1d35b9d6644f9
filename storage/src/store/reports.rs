//! What a store says: what happened to pieces, why bytes can't be read, what it counts.

use afflux_metainfo::{Bitfield, PieceIndex};
use thiserror::Error;

#[cfg(doc)]
use crate::Store;
use crate::disk;
use crate::intake::Attempt;

/// What happened; sent from hash and disk threads, in the order in which it happened to each piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The piece is right and can be read from now on.
    Verified {
        /// The piece.
        piece: PieceIndex,
        /// SHA-1 of each block, if asked for by [`Store::want_digests`].
        digests: Option<Vec<[u8; 20]>>,
    },
    /// The piece was wrong; its memory is given back.
    Failed {
        /// The piece.
        piece: PieceIndex,
        /// The attempt that failed: another may have been begun since, by other peers' blocks.
        attempt: Attempt,
        /// SHA-1 of each block as it came, to find who lied.
        digests: Vec<[u8; 20]>,
    },
    /// What had come of a piece couldn't be kept: it is to be begun anew.
    Unstored {
        /// The piece.
        piece: PieceIndex,
    },
    /// The piece is on disk.
    Written {
        /// The piece.
        piece: PieceIndex,
    },
    /// A piece that we had can't be read any more: it isn't ours until it is fetched again.
    Lost {
        /// The piece.
        piece: PieceIndex,
        /// Why.
        error: disk::Error,
    },
    /// Writing has stopped; reading goes on. [`Store::retry`] continues. If a file was cut short or removed under
    /// us, a `Lost` follows for every piece that went with it.
    Stopped(disk::Error),
    /// One piece of a check.
    Checked {
        /// The piece.
        piece: PieceIndex,
        /// Whether it is right.
        ok: bool,
        /// Pieces looked at so far.
        done: u32,
        /// Pieces to look at.
        total: u32,
    },
    /// The check is over, or was cancelled.
    CheckFinished {
        /// All pieces that we have now.
        have: Bitfield,
    },
}

/// Why bytes can't be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The piece was never verified.
    #[error("the piece is not here")]
    NotHave,
    /// The piece was given up to make room.
    #[error("the piece was evicted")]
    Evicted,
    /// No such bytes in the piece, or more than one read may ask.
    #[error("the range is outside the piece or too long for one read")]
    Range,
    /// Too many reads wait already.
    #[error("too many reads are queued")]
    Busy,
    /// The store was closed.
    #[error("the torrent is closed")]
    Closed,
    /// The file failed; the piece isn't ours any more.
    #[error(transparent)]
    Disk(#[from] disk::Error),
}

/// What went to disk before its piece was whole, because memory was short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spills {
    /// Written ahead.
    pub spilled_bytes: u64,
    /// Read once more to finish a hash.
    pub read_back_bytes: u64,
}
