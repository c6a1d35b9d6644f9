//! What is said to a tracker and what it answers, whatever the transport (BEP 3, BEP 15).
//!
//! Not here: how the two transports write it down ([`crate::http`], [`crate::udp`]).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use afflux_metainfo::{InfoHash, PeerId, bencode};
use thiserror::Error;

use crate::limits;

/// What happened since the last announce (BEP 3, `event`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Event {
    /// Nothing: a regular announce.
    #[default]
    None,
    /// The first announce of this session to this tracker.
    Started,
    /// We leave the swarm.
    Stopped,
    /// The download became complete during this session.
    Completed,
}

/// One announce (BEP 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnounceRequest {
    /// The torrent; for a v2-only one the truncated hash (BEP 52).
    pub info_hash: InfoHash,
    /// Who we are in this swarm (BEP 20).
    pub peer_id: PeerId,
    /// TCP (and uTP) port on which we take peers.
    pub port: u16,
    /// Payload bytes sent to peers in this session.
    pub uploaded: u64,
    /// Payload bytes received from peers in this session.
    pub downloaded: u64,
    /// Bytes still to download.
    pub left: u64,
    /// What happened.
    pub event: Event,
    /// Peers wanted; `None` leaves the number to the tracker.
    pub numwant: Option<u32>,
    /// Random, the same for all announces of a torrent in a session: lets the tracker know us on both address
    /// families (BEP 7).
    pub key: u32,
    /// What this tracker told us to send back (BEP 3, `tracker id`).
    pub tracker_id: Option<Vec<u8>>,
}

/// What a tracker answered, with all numbers inside their [limits].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Wait before the next regular announce.
    pub interval: Duration,
    /// Shortest wait before the next announce without an event.
    pub min_interval: Duration,
    /// Addresses of peers: without port 0, at most [`limits::PEERS_MAX`].
    pub peers: Vec<SocketAddr>,
    /// Peers that have everything.
    pub complete: Option<u32>,
    /// Peers that don't.
    pub incomplete: Option<u32>,
    /// To send back in later announces.
    pub tracker_id: Option<Vec<u8>>,
    /// Our address as the tracker sees it (BEP 24): one vote, not a fact.
    pub external_ip: Option<IpAddr>,
    /// Something for the user to read; the announce counted all the same.
    pub warning: Option<String>,
}

/// Why an answer is no [`Reply`]. All but `Rejected` are the tracker's fault.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReplyError {
    /// The tracker refuses, with its reason (made printable, cut to [`limits::MESSAGE_CHARS_MAX`]).
    #[error("the tracker says: {0}")]
    Rejected(String),
    /// Not bencode, or beyond [`limits::REPLY`].
    #[error("the tracker's reply is no announce reply: {0}")]
    Bencode(#[from] bencode::Error),
    /// The outermost value isn't a dictionary.
    #[error("the tracker's reply is not a dictionary")]
    NotADictionary,
    /// No peers at all, or peers of a type that isn't known.
    #[error("the tracker's reply has no list of peers")]
    NoPeers,
    /// Compact peers whose length (in bytes) isn't a whole number of addresses.
    #[error("the tracker's compact peers have {bytes} bytes, which is no multiple of {stride}")]
    PeersLength {
        /// Bytes that came.
        bytes: usize,
        /// Bytes of one address.
        stride: usize,
    },
    /// Nothing came within the time of one attempt.
    #[error("the tracker did not answer in time")]
    TimedOut,
}

impl Reply {
    /// The shape every reply starts from; waits in seconds are clamped here and nowhere else.
    pub(crate) fn new(interval_s: Option<i64>, min_interval_s: Option<i64>) -> Self {
        let seconds = |s: i64| Duration::from_secs(u64::try_from(s).unwrap_or(0));
        let min_interval = min_interval_s
            .map_or(limits::MIN_INTERVAL_MIN, seconds)
            .clamp(limits::MIN_INTERVAL_MIN, limits::INTERVAL_MAX);
        let interval = interval_s
            .map_or(limits::INTERVAL_DEFAULT, seconds)
            .clamp(limits::INTERVAL_MIN, limits::INTERVAL_MAX)
            .max(min_interval);
        Self {
            interval,
            min_interval,
            peers: Vec::new(),
            complete: None,
            incomplete: None,
            tracker_id: None,
            external_ip: None,
            warning: None,
        }
    }

    /// Adds compact addresses of 4 bytes and a port (BEP 23).
    pub(crate) fn add_compact_v4(&mut self, bytes: &[u8]) -> Result<(), ReplyError> {
        let (addresses, rest) = bytes.as_chunks::<6>();
        if !rest.is_empty() {
            return Err(ReplyError::PeersLength { bytes: bytes.len(), stride: 6 });
        }
        for [a, b, c, d, high, low] in addresses {
            self.add_peer(SocketAddr::from(([*a, *b, *c, *d], u16::from_be_bytes([*high, *low]))));
        }
        Ok(())
    }

    /// Adds compact addresses of 16 bytes and a port (BEP 7).
    pub(crate) fn add_compact_v6(&mut self, bytes: &[u8]) -> Result<(), ReplyError> {
        let (addresses, rest) = bytes.as_chunks::<18>();
        if !rest.is_empty() {
            return Err(ReplyError::PeersLength { bytes: bytes.len(), stride: 18 });
        }
        for address in addresses {
            let mut ip = [0; 16];
            ip.copy_from_slice(&address[..16]);
            self.add_peer(SocketAddr::from((ip, u16::from_be_bytes([address[16], address[17]]))));
        }
        Ok(())
    }

    /// Adds a peer unless it has port 0 or the reply is full.
    pub(crate) fn add_peer(&mut self, peer: SocketAddr) {
        if peer.port() != 0 && self.peers.len() < limits::PEERS_MAX {
            self.peers.push(peer);
        }
    }
}

/// A tracker's text made fit for a terminal: lossy UTF-8, no control characters, cut.
pub(crate) fn printable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(4 * limits::MESSAGE_CHARS_MAX)]);
    let shown = text.chars().map(|c| if is_hidden(c) { ' ' } else { c });
    shown.take(limits::MESSAGE_CHARS_MAX).collect::<String>().trim().to_owned()
}

/// Control characters, and those that turn the direction of the text around them.
fn is_hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_clamped_and_ordered() {
        let waits = |interval, min| {
            let reply = Reply::new(interval, min);
            (reply.interval.as_secs(), reply.min_interval.as_secs())
        };
        assert_eq!(waits(None, None), (1800, 60));
        assert_eq!(waits(Some(0), Some(-5)), (300, 60));
        assert_eq!(waits(Some(i64::MAX), Some(i64::MAX)), (3600, 3600));
        assert_eq!(waits(Some(i64::MIN), None), (300, 60));
        assert_eq!(waits(Some(600), Some(900)), (900, 900), "never sooner than the least wait");
    }

    #[test]
    fn texts_lose_what_could_fool_a_terminal() {
        assert_eq!(printable(b"no \x1b[31mpasskey\n"), "no  [31mpasskey");
        assert_eq!(printable("a\u{202e}b".as_bytes()), "a b");
        assert_eq!(printable(&b"x".repeat(10_000)).chars().count(), limits::MESSAGE_CHARS_MAX);
        assert_eq!(printable(b"\xff"), "\u{fffd}");
    }
}
