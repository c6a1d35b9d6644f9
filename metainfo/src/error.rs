//! What can be wrong with a .torrent or a metadata dictionary: one sentence each, for the person who gave it.
//!
//! Not here: bencode's own errors ([`bencode::Error`]) and a magnet's ([`MagnetError`](crate::MagnetError)).

use thiserror::Error;

use crate::bencode;
use crate::layout::LayoutError;
use crate::limits::{PATH_BYTES_MAX, PATH_DEPTH_MAX, RENAMED_FILES_MAX};

/// Why a .torrent, or the `info` dictionary that peers sent, is refused. All are malformed input, and
/// another copy of the torrent is the cure.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TorrentError {
    /// The bytes are no bencode within our limits (BEP 3).
    #[error("this is not a torrent file: {0}")]
    Bencode(#[from] bencode::Error),
    /// The outermost value is a string, a number or a list.
    #[error("this is not a torrent file: its outermost value is not a dictionary")]
    NotADictionary,
    /// A key that must be there isn't, or has the wrong type.
    #[error("the torrent is broken: its `{0}` is missing or has the wrong type")]
    Field(&'static str),
    /// A key of a hashed dictionary is there twice, so that two readers could see two torrents.
    #[error("the torrent is broken: the key `{0}` is there twice")]
    DuplicateKey(String),
    /// `meta version` is one that doesn't exist yet (BEP 52).
    #[error("the torrent needs meta version {0}, which this program does not know; only 1 and 2 exist in it")]
    MetaVersion(i64),
    /// `piece length` is zero, negative or gigantic.
    #[error("the torrent is broken: a piece length of {0} bytes cannot be")]
    PieceLength(i64),
    /// BEP 52: "must be a power of two and at least 16KiB".
    #[error("the torrent is broken: a v2 piece length must be a power of two from 16 KiB on, not {0} bytes")]
    PieceLengthV2(i64),
    /// `pieces` isn't made of 20-byte hashes.
    #[error("the torrent is broken: its `pieces` has {0} bytes, which is no multiple of 20")]
    PiecesUnaligned(usize),
    /// More or fewer hashes than the files need.
    #[error("the torrent is broken: its files make {expected} pieces, but it has the hashes of {actual}")]
    PiecesCount {
        /// Pieces that the files make.
        expected: u32,
        /// Hashes that there are.
        actual: usize,
    },
    /// A file with a negative size or none.
    #[error("the torrent is broken: file {0} has no size, or a negative one")]
    FileLength(usize),
    /// A file whose path is missing, empty, or isn't a list of strings.
    #[error("the torrent is broken: file {0} has no path")]
    FilePath(usize),
    /// A folder inside folders inside folders.
    #[error("the torrent's folders are nested deeper than {PATH_DEPTH_MAX} levels")]
    PathDepth,
    /// All paths together cost too much memory.
    #[error("the torrent's file names take more than {PATH_BYTES_MAX} bytes")]
    PathBytes,
    /// Thousands of files by the same name.
    #[error("more than {RENAMED_FILES_MAX} of the torrent's files share their names with others")]
    DuplicateNames,
    /// A pad file longer than a piece, or in a v2 file tree (BEP 47, BEP 52).
    #[error(
        "the torrent is broken: file {0} is padding that cannot be (longer than a piece, or in a v2 tree)"
    )]
    PadFile(usize),
    /// Sizes or counts that no torrent has.
    #[error("the torrent is broken: {0}")]
    Layout(#[from] LayoutError),
    /// The v2 file tree isn't sorted, has a file with children, or an entry of the wrong type (BEP 52).
    #[error("the torrent is broken: its v2 file tree is unsorted, or an entry in it is malformed")]
    FileTree,
    /// A v2 file with bytes but without a 32-byte root, or with a root of zeros (BEP 52).
    #[error("the torrent is broken: file {0} has no valid `pieces root`")]
    PiecesRoot(usize),
    /// A hybrid whose two halves describe different files (BEP 52, "Upgrade path").
    #[error("the torrent is a trap or broken: its v1 and v2 halves disagree on file {0}")]
    HybridMismatch(usize),
    /// A hybrid whose v1 side starts a file inside a piece (BEP 52, "Upgrade path").
    #[error("the torrent is broken: it is a hybrid, but file {0} does not start at a piece")]
    HybridAlignment(usize),
}
