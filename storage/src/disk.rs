//! Disk and hash threads, shared by all torrents, and what can go wrong with files.

use std::path::PathBuf;

use thiserror::Error;

/// What went wrong with a file: ours, so the torrent stops with this as its reason.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// ENOSPC or EDQUOT.
    #[error("the disk is full: {path}", path = path.display())]
    Full {
        /// The file that could not grow.
        path: PathBuf,
    },
}

/// How many threads and file handles all torrents share.
#[derive(Clone, Debug)]
pub struct DiskConfig {
    /// Threads that hash arriving blocks.
    pub hash_threads: usize,
    /// Threads that write verified pieces.
    pub write_threads: usize,
    /// Threads that read for peers and readers, and recheck.
    pub read_threads: usize,
    /// Files open at once (a thread may hold one more for a moment).
    pub files_open_max: usize,
}

impl Default for DiskConfig {
    fn default() -> Self {
        Self { hash_threads: 1, write_threads: 1, read_threads: 2, files_open_max: 64 }
    }
}

/// The threads; all clones are the same. They end when the last clone and the last store are gone.
#[derive(Clone, Debug)]
pub struct Disk;

impl Disk {
    /// Starts the threads.
    pub fn start(_config: DiskConfig) -> Result<Self, Error> {
        todo!()
    }
}
