//! The `info` dictionary: what a torrent is, and what its info-hash is taken over.
//!
//! v1 (BEP 3, pad files of BEP 47), v2 (BEP 52) and hybrids. Not here: the rest of a .torrent
//! ([`Torrent`](crate::Torrent)).

use std::fmt;

use bytes::Bytes;
use thiserror::Error;

use crate::error::TorrentError;
use crate::hash::InfoHashes;
use crate::index::{FileIndex, PieceIndex};
use crate::layout::Layout;

/// The SHA-1 of every piece (BEP 3, `pieces`): a view into the `info` dictionary, cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct PieceHashes(Bytes);

impl PieceHashes {
    /// The hash of a piece, if it exists.
    pub fn get(&self, piece: PieceIndex) -> Option<[u8; 20]> {
        let start = piece.as_usize().checked_mul(20)?;
        self.0.get(start..start.checked_add(20)?)?.try_into().ok()
    }

    /// Number of hashes.
    pub fn count(&self) -> u32 {
        (self.0.len() / 20) as u32
    }

    /// All hashes, in the order of the pieces.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8; 20]> {
        self.0.as_chunks::<20>().0.iter()
    }
}

impl fmt::Debug for PieceHashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PieceHashes({})", self.count())
    }
}

/// What BEP 52 adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V2Info {
    /// Every file that has bytes, ascending.
    pub files: Vec<V2File>,
}

/// A file of the v2 tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct V2File {
    /// Which one, in the [`Layout`].
    pub file: FileIndex,
    /// Root of the file's merkle tree over blocks of 16 KiB (SHA-256).
    pub pieces_root: [u8; 32],
}

/// Something odd that doesn't stop a torrent, as a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Warning {
    /// The keys of a dictionary aren't sorted, or one is there twice (BEP 3 forbids both).
    #[error("the keys of the torrent's {0} are not in order, or repeat; another program wrote it wrongly")]
    UnsortedKeys(&'static str),
    /// A file's name was unsafe or taken.
    #[error("{original} is stored as {stored:?}: its name is unsafe, or taken by another file")]
    Renamed {
        /// The file.
        file: FileIndex,
        /// The name as the torrent has it, escaped.
        original: String,
        /// The name as it is stored, `/` between components.
        stored: String,
    },
    /// So many more files were renamed that they aren't listed.
    #[error("{0} more files are stored under other names")]
    RenamedMore(usize),
    /// A symbolic link (BEP 47, attribute `l`): left out.
    #[error("{original} is a symbolic link; it is left out")]
    Symlink {
        /// The file, an empty one that isn't stored.
        file: FileIndex,
        /// The name as the torrent has it, escaped.
        original: String,
    },
    /// Trackers, web seeds or nodes that are malformed, repeated, of an unknown scheme, or beyond the limit.
    #[error("{count} of the torrent's {what} are left out: malformed, repeated, unsupported or too many")]
    LeftOut {
        /// `trackers`, `web seeds` or `nodes`.
        what: &'static str,
        /// How many.
        count: usize,
    },
    /// Piece layers (BEP 52) that fit no file, or don't hash to a file's root.
    #[error("{0} of the torrent's v2 piece layers are wrong and left out")]
    PieceLayers(usize),
}

/// Why a sound torrent can't be transferred by this version of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Incompatible {
    /// Only BEP 52.
    #[error(
        "this is a v2-only torrent (BEP 52), which cannot be transferred yet; use a v1 or hybrid torrent of it"
    )]
    V2Only,
}

/// A torrent, as its `info` dictionary says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The torrent's name: one safe component.
    pub name: String,
    /// Where its bytes lie. Of a v2-only torrent each file starts at a piece, with virtual padding between.
    pub layout: Layout,
    /// The pieces' SHA-1 (v1 and hybrid).
    pub piece_hashes: Option<PieceHashes>,
    /// BEP 27: peers come from its trackers alone.
    pub private: bool,
    /// What it is known by.
    pub hashes: InfoHashes,
    /// The v2 side (v2 and hybrid).
    pub v2: Option<V2Info>,
    /// What is odd about it.
    pub warnings: Vec<Warning>,
    /// The dictionary's bytes as they came.
    pub raw: Bytes,
}

impl Info {
    /// Reads an `info` dictionary that came from peers (BEP 9). Compare [`Info::hashes`] with what was asked for.
    pub fn from_metadata(_raw: Bytes) -> Result<Self, TorrentError> {
        todo!()
    }

    /// Whether this version can transfer it.
    pub fn transferable(&self) -> Result<(), Incompatible> {
        if self.piece_hashes.is_some() { Ok(()) } else { Err(Incompatible::V2Only) }
    }
}
