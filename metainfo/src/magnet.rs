//! Magnet links (BEP 9, BEP 52, BEP 53).

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use thiserror::Error;

use crate::hash::{HashError, InfoHashes};
use crate::limits::MAGNET_BYTES_MAX;

/// Why a text is no magnet link.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MagnetError {
    /// It doesn't start with `magnet:?`.
    #[error("a magnet link starts with `magnet:?`")]
    Scheme,
    /// Longer than [`MAGNET_BYTES_MAX`].
    #[error("the magnet link is longer than {MAGNET_BYTES_MAX} bytes")]
    TooLong,
    /// A `%` that isn't followed by two hex digits, or bytes that are not UTF-8.
    #[error("the magnet link's `{0}` has a broken %-escape; write a percent sign as %25")]
    Escape(String),
    /// No `xt=urn:btih:` and no `xt=urn:btmh:`.
    #[error("the magnet link names no torrent: it has no `xt=urn:btih:` or `xt=urn:btmh:`")]
    NoHash,
    /// A v1 hash that is none.
    #[error("the magnet link's info-hash is broken: {0}")]
    Hash(#[from] HashError),
    /// A v2 hash that isn't a SHA-256 multihash.
    #[error("the magnet link's v2 hash is broken: it must be `1220` and 64 hex digits")]
    Multihash,
    /// Two different hashes of the same kind.
    #[error("the magnet link names two different torrents")]
    TwoTorrents,
    /// BEP 53 ranges that are none.
    #[error("the magnet link's file selection `so={0}` is not like `0,2,4-7`")]
    Select(String),
    /// `xl` isn't a number.
    #[error("the magnet link's length `xl={0}` is not a number of bytes")]
    Length(String),
    /// `x.pe` isn't `host:port`.
    #[error("the magnet link's peer `x.pe={0}` is not like `192.0.2.1:6881`")]
    Peer(String),
}

/// A peer that a magnet names (BEP 9, `x.pe`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerAddress {
    /// An IP address and a port.
    Socket(SocketAddr),
    /// A host name, to be looked up, and a port.
    Named {
        /// The host name.
        host: String,
        /// The port, never zero.
        port: u16,
    },
}

/// A magnet link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Magnet {
    /// What it names (`xt`).
    pub hashes: InfoHashes,
    /// What to call it until the metadata is there (`dn`); control characters are replaced.
    pub name: Option<String>,
    /// Tracker URLs (`tr`, `tr.1`, …), no URL twice.
    pub trackers: Vec<String>,
    /// Web seeds (`ws`), no URL twice.
    pub web_seeds: Vec<String>,
    /// Peers to dial (`x.pe`).
    pub peers: Vec<PeerAddress>,
    /// File indices to download (BEP 53, `so`): ascending, apart; empty means all. They may reach beyond any file.
    pub select: Vec<RangeInclusive<u32>>,
    /// Bytes of all files (`xl`), as far as one believes it.
    pub exact_length: Option<u64>,
}

impl Magnet {
    /// A link to a torrent, with nothing else.
    pub fn new(hashes: InfoHashes) -> Self {
        Self {
            hashes,
            name: None,
            trackers: Vec::new(),
            web_seeds: Vec::new(),
            peers: Vec::new(),
            select: Vec::new(),
            exact_length: None,
        }
    }

    /// Whether a file is to be downloaded.
    pub fn selects(&self, file: u32) -> bool {
        self.select.is_empty() || self.select.iter().any(|range| range.contains(&file))
    }
}

impl FromStr for PeerAddress {
    type Err = MagnetError;

    fn from_str(_text: &str) -> Result<Self, MagnetError> {
        todo!()
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

impl FromStr for Magnet {
    type Err = MagnetError;

    fn from_str(_text: &str) -> Result<Self, MagnetError> {
        todo!()
    }
}

impl fmt::Display for Magnet {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}
