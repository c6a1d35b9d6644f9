//! The `info` dictionary: what a torrent is, and what its info-hash is taken over.
//!
//! v1 (BEP 3, pad files of BEP 47), v2 (BEP 52) and hybrids. Not here: the rest of a .torrent
//! ([`Torrent`](crate::Torrent)).

use std::fmt;

use bytes::Bytes;
use thiserror::Error;

use crate::bencode::{Dict, Document};
use crate::error::TorrentError;
use crate::hash::{InfoHash, InfoHashV2, InfoHashes};
use crate::index::{BLOCK_LENGTH, FileIndex, PieceIndex};
use crate::layout::Layout;
use crate::limits;
use crate::path::safe_component;

mod rows;
mod v1;
mod v2;

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

    fn read(info: Dict<'_, '_>, raw: &Bytes, layout: &Layout) -> Result<Self, TorrentError> {
        let pieces = info.get_bytes(b"pieces").ok_or(TorrentError::Field("pieces"))?;
        if !pieces.len().is_multiple_of(20) {
            return Err(TorrentError::PiecesUnaligned(pieces.len()));
        }
        let (expected, actual) = (layout.piece_count(), pieces.len() / 20);
        if actual != expected as usize {
            return Err(TorrentError::PiecesCount { expected, actual });
        }
        Ok(Self(raw.slice_ref(pieces)))
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
    /// The torrent's own name, which is its folder's, was unsafe.
    #[error("the torrent's folder {original} is stored as {stored:?}: its name is unsafe")]
    RenamedFolder {
        /// The name as the torrent has it, escaped.
        original: String,
        /// The name as it is stored.
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
    /// Padding and symbolic links are rows that aren't stored ([`pad`](crate::layout::FileSpan::pad)) and
    /// have numbers, as elsewhere.
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
    /// Reads an `info` dictionary that came from peers (BEP 9). Compare [`Info::hashes`] with what was
    /// asked for.
    pub fn from_metadata(raw: Bytes) -> Result<Self, TorrentError> {
        let document = Document::parse(&raw, &limits::METADATA)?;
        let dict = document.root().as_dict().ok_or(TorrentError::NotADictionary)?;
        Self::read(dict, raw.clone())
    }

    /// Reads the dictionary at hand; `raw` is the very memory that it is a view of.
    pub(crate) fn read(dict: Dict<'_, '_>, raw: Bytes) -> Result<Self, TorrentError> {
        refuse_repeated_keys(dict)?;
        let mut warnings = Vec::new();
        if !dict.is_canonical() {
            warnings.push(Warning::UnsortedKeys("info dictionary"));
        }
        let version = Version::of(dict)?;
        let hashes = version.hashes(&raw);
        let raw_name = utf8_first(dict, b"name.utf-8", b"name").ok_or(TorrentError::Field("name"))?;
        let name = safe_component(raw_name).unwrap_or_else(|| hashes.wire().to_string());
        let piece_length = version.piece_length(dict)?;

        let mut budget = rows::PathBudget::new(raw_name);
        let (rows, v2) = match version {
            Version::V1 => (v1::read(dict, piece_length, &mut budget)?, None),
            Version::V2 => {
                let (rows, v2) = v2::aligned(v2::read(dict, raw_name, &mut budget)?, piece_length);
                (rows, Some(v2))
            }
            Version::Hybrid => {
                let tree = v2::read(dict, raw_name, &mut budget)?;
                let rows = v1::read(dict, piece_length, &mut budget)?;
                let v2 = v2::agree(&rows, &tree, piece_length)?;
                (rows, Some(v2))
            }
        };
        let layout = rows::lay_out(&name, raw_name, rows, piece_length, &mut warnings)?;
        let piece_hashes = match version {
            Version::V2 => None,
            Version::V1 | Version::Hybrid => Some(PieceHashes::read(dict, &raw, &layout)?),
        };
        let private = dict.get_int(b"private").is_some_and(|flag| flag != 0);
        Ok(Self { name, layout, piece_hashes, private, hashes, v2, warnings, raw })
    }

    /// Whether this version can transfer it.
    pub fn transferable(&self) -> Result<(), Incompatible> {
        if self.piece_hashes.is_some() { Ok(()) } else { Err(Incompatible::V2Only) }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
    Hybrid,
}

impl Version {
    fn of(info: Dict<'_, '_>) -> Result<Self, TorrentError> {
        let Some(version) = info.get(b"meta version") else { return Ok(Self::V1) };
        match version.as_int().ok_or(TorrentError::Field("meta version"))? {
            1 => Ok(Self::V1),
            2 if info.get(b"pieces").is_some() => Ok(Self::Hybrid),
            2 => Ok(Self::V2),
            other => Err(TorrentError::MetaVersion(other)),
        }
    }

    fn hashes(self, raw: &[u8]) -> InfoHashes {
        match self {
            Self::V1 => InfoHashes::V1(InfoHash::of(raw)),
            Self::V2 => InfoHashes::V2(InfoHashV2::of(raw)),
            Self::Hybrid => InfoHashes::Hybrid(InfoHash::of(raw), InfoHashV2::of(raw)),
        }
    }

    fn piece_length(self, info: Dict<'_, '_>) -> Result<u64, TorrentError> {
        let field = info.get_int(b"piece length").ok_or(TorrentError::Field("piece length"))?;
        let length = u64::try_from(field)
            .ok()
            .filter(|length| (1..=u64::from(limits::PIECE_LENGTH_MAX)).contains(length))
            .ok_or(TorrentError::PieceLength(field))?;
        if self != Self::V1 && (!length.is_power_of_two() || length < u64::from(BLOCK_LENGTH)) {
            return Err(TorrentError::PieceLengthV2(field));
        }
        Ok(length)
    }
}

/// What hashed data says must be said once: readers differ on which of two equal keys they take.
fn refuse_repeated_keys(dict: Dict<'_, '_>) -> Result<(), TorrentError> {
    if dict.is_canonical() {
        return Ok(());
    }
    let mut keys: Vec<&[u8]> = dict.iter().map(|(key, _)| key).collect();
    keys.sort_unstable();
    match keys.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(TorrentError::DuplicateKey(crate::path::safe_text(pair[0]))),
        None => Ok(()),
    }
}

/// The string under the first key if it's there and is UTF-8, else the one under the second, whatever it
/// is. Older programs wrote names in the code page of their day, and the same in UTF-8 beside it.
fn utf8_first<'a>(dict: Dict<'_, 'a>, utf8: &[u8], plain: &[u8]) -> Option<&'a [u8]> {
    dict.get_bytes(utf8).filter(|name| std::str::from_utf8(name).is_ok()).or_else(|| dict.get_bytes(plain))
}
