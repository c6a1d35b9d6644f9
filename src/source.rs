//! What a user names a torrent by: a magnet link, a .torrent file, the URL of one, or an info-hash.

use std::net::SocketAddr;
use std::path::Path;

use afflux_metainfo::limits::TORRENT_BYTES_MAX;
use afflux_metainfo::magnet::{Magnet, PeerAddress};
use afflux_metainfo::torrent::Torrent;
use afflux_metainfo::{InfoHashes, hash::HashError};

use crate::failure::Failure;
use crate::fetch::Fetcher;

/// A torrent as far as the user's words tell.
#[derive(Clone, Debug)]
pub enum Source {
    /// All of it: a .torrent.
    Torrent(Box<Torrent>),
    /// Its hash, and perhaps where to find peers; the metadata comes from them (BEP 9).
    Magnet(Box<Magnet>),
}

/// Where a source says that a torrent's peers are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ways {
    /// Trackers in tiers (BEP 12).
    pub trackers: Vec<Vec<String>>,
    /// Addresses of peers.
    pub peers: Vec<SocketAddr>,
    /// Host names and ports of peers.
    pub named_peers: Vec<(String, u16)>,
}

impl Ways {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.trackers.is_empty() && self.peers.is_empty() && self.named_peers.is_empty()
    }
}

impl Source {
    /// Reads what `text` names. A URL is fetched (with `fetcher`'s limits and address policy).
    pub async fn resolve(text: &str, fetcher: &Fetcher) -> Result<Self, Failure> {
        if is_url(text) {
            let bytes = fetcher
                .get(text, TORRENT_BYTES_MAX)
                .await
                .map_err(|error| Failure::work(format!("the .torrent can't be fetched: {error}")))?;
            return Self::from_torrent(&bytes, text);
        }
        Self::local(text)
    }

    /// Reads what `text` names without touching the network: a URL is refused.
    pub fn local(text: &str) -> Result<Self, Failure> {
        if text.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("magnet:")) {
            let magnet =
                text.parse().map_err(|error| Failure::usage(format!("the magnet link is wrong: {error}")))?;
            return Ok(Self::Magnet(Box::new(magnet)));
        }
        if is_url(text) {
            return Err(Failure::usage(format!(
                "{text} is on the network: say --fetch to get it from there"
            )));
        }
        let path = Path::new(text);
        if path.exists() {
            return Self::from_file(path);
        }
        match text.parse::<InfoHashes>() {
            Ok(hashes) => Ok(Self::Magnet(Box::new(Magnet::new(hashes)))),
            Err(error) => Err(no_source(text, error)),
        }
    }

    fn from_file(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let length = std::fs::metadata(path)
            .map_err(|error| Failure::work(format!("{shown} can't be read: {error}")))
            .and_then(|facts| match facts.is_file() {
                true => Ok(facts.len()),
                false => Err(Failure::usage(format!("{shown} is a folder; a .torrent file is needed"))),
            })?;
        if length > TORRENT_BYTES_MAX as u64 {
            return Err(Failure::work(format!("{shown} is too large for a .torrent ({length} bytes)")));
        }
        let bytes =
            std::fs::read(path).map_err(|error| Failure::work(format!("{shown} can't be read: {error}")))?;
        Self::from_torrent(&bytes, &shown.to_string())
    }

    fn from_torrent(bytes: &[u8], name: &str) -> Result<Self, Failure> {
        match Torrent::parse(bytes) {
            Ok(torrent) => Ok(Self::Torrent(Box::new(torrent))),
            Err(error) => Err(Failure::work(format!("{name} is no valid .torrent: {error}"))),
        }
    }

    /// The hashes it is known by.
    pub fn hashes(&self) -> InfoHashes {
        match self {
            Self::Torrent(torrent) => torrent.info.hashes,
            Self::Magnet(magnet) => magnet.hashes,
        }
    }

    /// A name to show until the metadata is there.
    pub fn name(&self) -> String {
        match self {
            Self::Torrent(torrent) => torrent.info.name.clone(),
            Self::Magnet(magnet) => magnet.name.clone().unwrap_or_else(|| magnet.hashes.wire().to_string()),
        }
    }

    /// Trackers, in tiers (BEP 12). A magnet's each stand alone.
    pub fn trackers(&self) -> Vec<Vec<String>> {
        match self {
            Self::Torrent(torrent) => torrent.trackers.clone(),
            Self::Magnet(magnet) => magnet.trackers.iter().map(|url| vec![url.clone()]).collect(),
        }
    }

    /// Peers named in the source itself (`x.pe`), as far as they are literal addresses.
    pub fn peers(&self) -> Vec<SocketAddr> {
        match self {
            Self::Torrent(_) => Vec::new(),
            Self::Magnet(magnet) => magnet
                .peers
                .iter()
                .filter_map(|peer| match peer {
                    PeerAddress::Socket(addr) => Some(*addr),
                    PeerAddress::Named { .. } => None,
                })
                .collect(),
        }
    }

    /// Peers named in the source itself by host names, still to be looked up.
    pub fn named_peers(&self) -> Vec<(String, u16)> {
        let Self::Magnet(magnet) = self else { return Vec::new() };
        let named = magnet.peers.iter().filter_map(|peer| match peer {
            PeerAddress::Socket(_) => None,
            PeerAddress::Named { host, port } => Some((host.clone(), *port)),
        });
        named.collect()
    }

    /// Where it says that peers are found.
    pub fn ways(&self) -> Ways {
        Ways { trackers: self.trackers(), peers: self.peers(), named_peers: self.named_peers() }
    }

    /// DHT nodes named in the source (BEP 5, `nodes`).
    pub fn nodes(&self) -> Vec<(String, u16)> {
        match self {
            Self::Torrent(torrent) => torrent.nodes.clone(),
            Self::Magnet(_) => Vec::new(),
        }
    }

    /// Whether it says to keep out of DHT and peer exchange (BEP 27); a magnet can't say.
    pub fn private(&self) -> bool {
        match self {
            Self::Torrent(torrent) => torrent.info.private,
            Self::Magnet(_) => false,
        }
    }
}

fn is_url(text: &str) -> bool {
    let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    lower.starts_with("http://") || lower.starts_with("https://")
}

fn no_source(text: &str, error: HashError) -> Failure {
    let looks_like_hash = text.chars().all(|c| c.is_ascii_alphanumeric()) && text.len() >= 20;
    Failure::usage(if looks_like_hash {
        format!("{text:?} is no torrent: {error}")
    } else if text.ends_with(".torrent") {
        format!("the file {text} does not exist")
    } else {
        format!(
            "{text:?} is neither a magnet link, an existing .torrent file, an http(s) URL nor an info-hash"
        )
    })
}
