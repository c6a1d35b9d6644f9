//! Making .torrent files (BEP 3, 12, 19, 27): v1, keys in canonical order.
//!
//! Not here: reading and hashing what is shared. The caller walks [`Builder::layout`] and brings the hashes.

use thiserror::Error;

use crate::layout::{Layout, LayoutError};

/// What surrounds an `info` dictionary in a .torrent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Tracker URLs in tiers (BEP 12).
    pub trackers: Vec<Vec<String>>,
    /// Web seed URLs (BEP 19).
    pub web_seeds: Vec<String>,
    /// DHT nodes (BEP 5).
    pub nodes: Vec<(String, u16)>,
    /// A comment.
    pub comment: Option<String>,
    /// The program that makes it.
    pub created_by: Option<String>,
    /// Seconds since 1970.
    pub creation_date: Option<i64>,
}

impl Envelope {
    /// The .torrent file around an `info` dictionary, whose bytes go in as they are.
    pub fn seal(&self, _info: &[u8]) -> Vec<u8> {
        todo!()
    }
}

/// Why no .torrent can be made: the caller's mistake, or a name that can't be shared.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CreateError {
    /// Sizes or counts that no torrent has.
    #[error("no torrent can be made of this: {0}")]
    Layout(#[from] LayoutError),
    /// A name that other programs would have to change.
    #[error("{0:?} cannot be shared under this name: rename it")]
    UnsafeName(String),
    /// Two files that one folder can't hold on every system.
    #[error("{0:?} has the same name as another file, or differs only in case: rename it")]
    DuplicateName(String),
    /// Not one hash for each piece.
    #[error("{expected} pieces need as many hashes, not {actual}")]
    HashCount {
        /// Pieces that the files make.
        expected: u32,
        /// Hashes that were given.
        actual: usize,
    },
}

/// A v1 .torrent in the making.
#[derive(Clone, Debug)]
pub struct Builder {
    layout: Layout,
    name: String,
    private: bool,
    envelope: Envelope,
}

impl Builder {
    /// A torrent that is one file.
    pub fn single_file(_name: &str, _length: u64, _piece_length: u32) -> Result<Self, CreateError> {
        todo!()
    }

    /// A torrent that is a folder; paths are below it, one component each, in the order in which they're laid out.
    pub fn folder(
        _name: &str,
        _files: impl IntoIterator<Item = (Vec<String>, u64)>,
        _piece_length: u32,
    ) -> Result<Self, CreateError> {
        todo!()
    }

    /// Marks it private (BEP 27).
    pub fn private(mut self, private: bool) -> Self {
        self.private = private;
        self
    }

    /// Puts this around it.
    pub fn envelope(mut self, envelope: Envelope) -> Self {
        self.envelope = envelope;
        self
    }

    /// Where its bytes lie: what to hash.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The .torrent file, given the SHA-1 of every piece in order.
    pub fn build(&self, _piece_hashes: &[[u8; 20]]) -> Result<Vec<u8>, CreateError> {
        let _ = &self.name;
        todo!()
    }
}

/// The piece length to choose for so many bytes: a power of two from 16 KiB to 16 MiB that makes 1,000 to 2,000
/// pieces where it can. Fewer make large pieces that start late; more make a large .torrent.
pub fn piece_length_for(_total: u64) -> u32 {
    todo!()
}
