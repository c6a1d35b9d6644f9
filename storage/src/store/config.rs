//! What a store is made of.

use std::path::PathBuf;
use std::sync::Arc;

use afflux_metainfo::{Bitfield, FileIndex, InfoHash, Layout};

use crate::Ledger;
use crate::files::{Allocation, Survey};
#[cfg(doc)]
use crate::{Resume, Store};

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
    /// In a nameless file in `dir`, until [`Store::evict`] or the end of the process.
    Cache {
        /// The folder.
        dir: PathBuf,
        /// What all such torrents may take on disk together, in whole pieces.
        places: Ledger,
    },
}

impl Kind {
    /// Whether verified pieces stay only until they're [evicted](Store::evict).
    pub fn is_evictable(&self) -> bool {
        !matches!(self, Self::Disk { .. })
    }
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
    /// Files that aren't wanted: they are never created. What shared pieces need of them lies in a hidden part file.
    pub unwanted: Vec<FileIndex>,
    /// How files lie on disk.
    pub files: FileOptions,
    /// Never creates or changes a file.
    pub read_only: bool,
}

/// How a torrent's files lie on disk.
#[derive(Clone, Debug, Default)]
pub struct FileOptions {
    /// When they take their space.
    pub allocation: Allocation,
    /// What of them was looked at when it was decided what can be trusted ([`Trusted`](crate::resume::Trusted)): whoever
    /// changes them from then on is noticed.
    pub survey: Survey,
    /// Files that have another path than the torrent gives them ([`Store::rename`]).
    pub renamed: Vec<(FileIndex, Vec<String>)>,
}
