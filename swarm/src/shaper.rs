//! The hierarchy of rates that all torrents share: global -> class -> torrent -> link, in both directions.

use std::time::Instant;

use crate::key::slab_key;

slab_key!(
    /// A class: a user, a stream.
    ClassKey
);
slab_key!(
    /// A torrent.
    TorrentKey
);
slab_key!(
    /// A torrent's link to one peer.
    LinkKey
);

/// Which way bytes go, seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// To us.
    Download,
    /// From us.
    Upload,
}

/// Rates in bytes per second; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// To us.
    pub download: Option<u64>,
    /// From us.
    pub upload: Option<u64>,
}

/// What a link may do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// So many bytes, at least one and at most what was wanted; they are taken from every level.
    Now(u32),
    /// Nothing yet: ask again then.
    Later(Instant),
}

/// All rates of the process.
#[derive(Debug)]
pub struct Shaper {}

#[allow(unused_variables, reason = "face")]
impl Shaper {
    /// Only the global level yet.
    pub fn new(limits: Limits, now: Instant) -> Self {
        todo!()
    }
    /// Adds a class.
    pub fn add_class(&mut self, limits: Limits, now: Instant) -> ClassKey {
        todo!()
    }
    /// Adds a torrent, to a class or right under the global level.
    pub fn add_torrent(&mut self, class: Option<ClassKey>, limits: Limits, now: Instant) -> TorrentKey {
        todo!()
    }
    /// Adds a link; `None` if the torrent is gone.
    pub fn add_link(&mut self, torrent: TorrentKey, limits: Limits, now: Instant) -> Option<LinkKey> {
        todo!()
    }
    /// Removes a class; its torrents move to the global level.
    pub fn remove_class(&mut self, class: ClassKey) {
        todo!()
    }
    /// Removes a torrent with its links.
    pub fn remove_torrent(&mut self, torrent: TorrentKey) {
        todo!()
    }
    /// Removes a link.
    pub fn remove_link(&mut self, link: LinkKey) {
        todo!()
    }
    /// Changes the global rates.
    pub fn set_global(&mut self, limits: Limits, now: Instant) {
        todo!()
    }
    /// Changes a class's rates.
    pub fn set_class(&mut self, class: ClassKey, limits: Limits, now: Instant) {
        todo!()
    }
    /// Changes a torrent's rates.
    pub fn set_torrent(&mut self, torrent: TorrentKey, limits: Limits, now: Instant) {
        todo!()
    }
    /// Changes a link's rates.
    pub fn set_link(&mut self, link: LinkKey, limits: Limits, now: Instant) {
        todo!()
    }
    /// Asks for up to `want_bytes` of payload.
    pub fn take(&mut self, link: LinkKey, direction: Direction, want_bytes: u32, now: Instant) -> Grant {
        todo!()
    }
    /// Accounts for bytes that weren't asked for: protocol messages. Never delays them; may go below zero.
    pub fn debit(&mut self, link: LinkKey, direction: Direction, bytes: u32, now: Instant) {
        todo!()
    }
    /// Gives back what was granted and not used.
    pub fn refund(&mut self, link: LinkKey, direction: Direction, bytes: u32) {
        todo!()
    }
}
