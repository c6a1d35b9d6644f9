//! A .torrent file (BEP 3, 5, 12, 19, 52): the `info` dictionary and what surrounds it.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::error::TorrentError;
use crate::index::FileIndex;
use crate::info::Info;

/// The v2 piece layers of a .torrent (BEP 52), each checked against its file's root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PieceLayers(BTreeMap<FileIndex, Bytes>);

impl PieceLayers {
    /// The SHA-256 hashes of a file's pieces, 32 bytes each; `None` if the .torrent has none for it (files of one
    /// piece need none).
    pub fn get(&self, file: FileIndex) -> Option<&[[u8; 32]]> {
        self.0.get(&file).map(|layer| layer.as_chunks::<32>().0)
    }
}

/// A .torrent file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torrent {
    /// What is shared.
    pub info: Info,
    /// Tracker URLs (http, https, udp, ws, wss) in tiers (BEP 12), no URL twice, at most
    /// [`TRACKERS_MAX`](crate::limits::TRACKERS_MAX). Shuffling inside a tier is for whoever announces.
    pub trackers: Vec<Vec<String>>,
    /// http and https URLs of BEP 19, no URL twice.
    pub web_seeds: Vec<String>,
    /// DHT nodes to start from (BEP 5): host and port.
    pub nodes: Vec<(String, u16)>,
    /// What its maker says about it; control characters are replaced.
    pub comment: Option<String>,
    /// The program that made it.
    pub created_by: Option<String>,
    /// When it was made, in seconds since 1970.
    pub creation_date: Option<i64>,
    /// The v2 piece layers.
    pub piece_layers: PieceLayers,
}

impl Torrent {
    /// Reads a whole .torrent file.
    pub fn parse(_file: &[u8]) -> Result<Self, TorrentError> {
        todo!()
    }
}
