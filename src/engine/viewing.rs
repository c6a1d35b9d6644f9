//! One viewing of a torrent: its readers, apart from those of others who watch the same.

use std::ops::Range;
use std::sync::Arc;

use afflux_metainfo::FileIndex;
use afflux_swarm::Window;

use super::readers::{ViewingKey, WarmUp};
use super::torrent::Ready;
use super::{Torrent, TorrentMedia};
use crate::failure::Failure;

/// A viewing; what it opened lives on without it, and is paused no more when it is dropped.
#[derive(Debug)]
pub struct Viewing {
    torrent: Torrent,
    key: ViewingKey,
}

impl Torrent {
    /// Begins a viewing.
    pub fn view(&self) -> Viewing {
        Viewing { torrent: self.clone(), key: self.readers.add_viewing() }
    }
}

impl Viewing {
    /// Opens a file for the viewing's readers; fails if there is none of this number.
    pub fn open(&self, ready: &Arc<Ready>, file: FileIndex) -> Result<TorrentMedia, Failure> {
        TorrentMedia::open_for(&self.torrent, self.key, ready, file)
    }

    /// Stops fetching for the viewing. What is there can be read on.
    pub fn pause(&self) {
        self.torrent.readers.pause(self.key);
    }

    /// Fetches on.
    pub fn resume(&self) {
        self.torrent.readers.resume(self.key);
    }

    /// What its readers want at this moment, oldest reader first.
    pub fn windows(&self) -> Vec<Window> {
        self.torrent.readers.windows_of(self.key)
    }

    /// Fetches the head and the tail of a file until the answer is dropped.
    pub fn warm_up(&self, ready: &Ready, file: FileIndex, bytes: u64) -> WarmUp {
        WarmUp::ends(&self.torrent.readers, self.key, ready, file, bytes)
    }

    /// Fetches a part of a file, urgently, until the answer is dropped: somebody is about to read there.
    pub fn prefetch(&self, ready: &Ready, file: FileIndex, part: Range<u64>) -> WarmUp {
        WarmUp::parts(&self.torrent.readers, self.key, ready, file, &[part])
    }

    /// Fetches small stretches of the torrent that belong to what is read, until the answer is dropped: before anything is read ahead,
    /// after what somebody waits for.
    pub fn beside(&self, stretches: &[Range<u64>]) -> WarmUp {
        WarmUp::beside(&self.torrent.readers, self.key, stretches)
    }

    /// The torrent that is viewed.
    pub fn torrent(&self) -> &Torrent {
        &self.torrent
    }
}

impl Drop for Viewing {
    fn drop(&mut self) {
        self.resume();
    }
}
