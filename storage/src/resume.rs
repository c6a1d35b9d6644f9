//! What is remembered of a torrent between runs.

use std::path::Path;

use afflux_metainfo::{Bitfield, InfoHash, Layout};

/// Size and time of a file when it was last known to be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// Size in bytes.
    pub length: u64,
    /// Last change, nanoseconds since 1970.
    pub modified_ns: i64,
}

/// One torrent's resume data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// Whose it is.
    pub info_hash: InfoHash,
    /// Pieces that are verified and on disk.
    pub have: Bitfield,
    /// Every file as it was, `None` where there was none.
    pub files: Vec<Option<Fingerprint>>,
    /// Saved after the store was closed: nothing was written since.
    pub clean: bool,
    /// The engine's own (info dictionary, trackers); opaque here.
    pub extra: Vec<u8>,
}

/// What of a resume file can be believed now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trusted {
    /// Pieces in files that are as they were.
    pub have: Bitfield,
    /// Pieces that we had, in files that changed: check these.
    pub recheck: Bitfield,
}

/// Why a resume file is of no use; check the whole torrent instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a resume file, or a damaged one.
    #[error("the resume file is damaged: {0}")]
    Damaged(&'static str),
}

impl Resume {
    /// Reads `<info-hash>.resume` in `dir`; `None` if there is none.
    pub fn load(_dir: &Path, _info_hash: InfoHash) -> Result<Option<Self>, Error> {
        todo!()
    }
    /// Writes it whole to a temporary file, syncs, renames.
    pub fn save(&self, _dir: &Path) -> Result<(), crate::disk::Error> {
        todo!()
    }
    /// Removes `<info-hash>.resume` if it's there.
    pub fn remove(_dir: &Path, _info_hash: InfoHash) -> Result<(), crate::disk::Error> {
        todo!()
    }
    /// The bytes of the file.
    pub fn encode(&self) -> Vec<u8> {
        todo!()
    }
    /// Reads such bytes, whoever wrote them.
    pub fn decode(_bytes: &[u8]) -> Result<Self, Error> {
        todo!()
    }
    /// Compares the fingerprints with the files as they are under `root`.
    pub fn trust(&self, _layout: &Layout, _root: &Path) -> Result<Trusted, Error> {
        todo!()
    }
}
