//! One torrent's storage.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use afflux_metainfo::{Bitfield, BlockRef, FileIndex, InfoHash, Layout, PieceIndex};
use bytes::Bytes;
use thiserror::Error;

use crate::{BlockBuffer, Disk, Full, Pool, Resume, disk};

/// Where verified pieces are kept.
#[derive(Clone, Debug)]
pub enum Kind {
    /// In sparse files below `dir`.
    Disk {
        /// The download folder.
        dir: PathBuf,
    },
    /// In memory only, until [`Store::evict`].
    Memory,
}

/// What a store is made of.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Whose bytes they are (goes into resume files).
    pub info_hash: InfoHash,
    /// Where verified pieces are kept.
    pub kind: Kind,
    /// Geometry.
    pub layout: Arc<Layout>,
    /// SHA-1 of every piece.
    pub hashes: Arc<[[u8; 20]]>,
    /// Pieces that are on disk already, trusted from resume data ([`Resume::trust`]).
    pub have: Bitfield,
    /// Files that aren't wanted: they are created only where a piece shared with a wanted file needs it.
    pub unwanted: Vec<FileIndex>,
    /// Never creates or changes a file.
    pub read_only: bool,
}

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
        /// SHA-1 of each block as it came, to find who lied.
        digests: Vec<[u8; 20]>,
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
    /// Writing has stopped; reading goes on. [`Store::retry`] continues.
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

/// Takes what was read.
pub type ReadReply = Box<dyn FnOnce(Result<Vec<Bytes>, ReadError>) + Send>;

/// One torrent's storage; all clones are the same.
#[derive(Clone, Debug)]
pub struct Store;

/// A check under way; it goes on when this is dropped.
#[derive(Clone, Debug)]
pub struct Check;

impl Check {
    /// Stops after the pieces being read now.
    pub fn cancel(&self) {
        todo!()
    }
}

impl Store {
    /// Opens a torrent's storage; creates the download folder, but no file yet.
    pub fn open(
        _config: StoreConfig,
        _disk: &Disk,
        _pool: &Pool,
        _notify: Arc<dyn Fn(Event) + Send + Sync>,
    ) -> Result<Self, disk::Error> {
        todo!()
    }
    /// Makes sure that the block finds memory when it arrives; call before asking a peer for it. Admits its piece if it's
    /// the first: then the whole piece is charged, so no later block of it is refused.
    pub fn reserve(&self, _block: BlockRef) -> Result<(), Full> {
        todo!()
    }
    /// Undoes one [`reserve`](Self::reserve) whose block won't come (cancelled, rejected, peer gone). Nothing after a fill.
    pub fn release(&self, _block: BlockRef) {
        todo!()
    }
    /// Memory for a block whose payload is about to arrive; `None` if not reserved, or taken or filled already.
    pub fn take_buffer(&self, _block: BlockRef) -> Option<BlockBuffer> {
        todo!()
    }
    /// Gives an unfilled buffer back.
    pub fn put_back(&self, _block: BlockRef, _buffer: BlockBuffer) {
        todo!()
    }
    /// The block is complete; it goes to the hasher. `false` if nobody waits for it any more.
    pub fn fill(&self, _block: BlockRef, _buffer: BlockBuffer) -> bool {
        todo!()
    }
    /// Forgets all blocks of a piece under way.
    pub fn discard(&self, _piece: PieceIndex) {
        todo!()
    }
    /// Asks for block digests with the next `Verified` of this piece too (after it failed).
    pub fn want_digests(&self, _piece: PieceIndex) {
        todo!()
    }
    /// Reads verified bytes: from memory, and then replies at once, or by a disk thread.
    pub fn read(&self, _piece: PieceIndex, _range: Range<u32>, _reply: ReadReply) {
        todo!()
    }
    /// Verified bytes if all of them are in memory.
    pub fn try_read_cached(&self, _piece: PieceIndex, _range: Range<u32>) -> Option<Vec<Bytes>> {
        todo!()
    }
    /// Lets go of a piece: from memory, and for [`Kind::Memory`] it's not ours any more.
    pub fn evict(&self, _piece: PieceIndex) {
        todo!()
    }
    /// Whether the piece is verified and readable.
    pub fn have(&self, _piece: PieceIndex) -> bool {
        todo!()
    }
    /// All pieces that are verified and readable.
    pub fn have_all(&self) -> Bitfield {
        todo!()
    }
    /// Rechecks pieces on the disk threads, several at once.
    pub fn check(&self, _pieces: impl IntoIterator<Item = PieceIndex>) -> Check {
        todo!()
    }
    /// Tries again to write what is verified but not on disk, after `Stopped`.
    pub fn retry(&self) {
        todo!()
    }
    /// Makes written data survive a power cut. Blocks.
    pub fn sync(&self) -> Result<(), disk::Error> {
        todo!()
    }
    /// What to remember (`extra` is empty). Looks at files: blocks for a moment.
    pub fn snapshot(&self) -> Resume {
        todo!()
    }
    /// Waits until all that is verified is written, then lets go of memory and handles. Blocks.
    pub fn close(&self) {
        todo!()
    }
}

/// SHA-1 of every piece of files below `root`, on `threads` threads; `progress` gets (pieces done, pieces in all).
pub fn hash_files(
    _layout: &Layout,
    _root: &Path,
    _threads: usize,
    _progress: &(dyn Fn(u32, u32) + Sync),
) -> Result<Vec<[u8; 20]>, disk::Error> {
    todo!()
}
