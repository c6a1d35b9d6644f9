//! The node.
use crate::{NodeId, Saved};
use afflux_metainfo::InfoHash;
use std::net::SocketAddr;
use std::time::Instant;

/// What a node is asked to be.
#[derive(Clone, Debug)]
pub struct Config {
    /// Answer nobody, and say so (BEP 43): for machines that can't be reached.
    pub read_only: bool,
    /// Take private and loopback addresses from anybody's answers. Without it they are taken only from nodes
    /// that are at least as near themselves. Addresses that are given by commands are always allowed.
    pub allow_local: bool,
    /// Take part in the IPv4 DHT.
    pub v4: bool,
    /// Take part in the IPv6 DHT.
    pub v6: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { read_only: false, allow_local: false, v4: true, v6: true }
    }
}

/// How peers of a torrent are looked for.
#[derive(Clone, Copy, Debug)]
pub struct Lookup {
    /// Also say that we share it.
    pub announce: Option<Announce>,
    /// Stop asking when so many peers are known.
    pub peers_enough: usize,
}

impl Default for Lookup {
    fn default() -> Self {
        Self { announce: None, peers_enough: 200 }
    }
}

/// What is announced (BEP 5, `announce_peer`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announce {
    /// The port where we take peers.
    pub port: u16,
    /// Tell others to take the datagram's source port instead: right when peers come over uTP on the same
    /// socket, which a NAT may show under another port.
    pub implied: bool,
}

/// One lookup under way. Never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LookupKey(pub(crate) u64);

/// What the node wants done, or has found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A datagram to send.
    Send {
        /// Where to.
        to: SocketAddr,
        /// What.
        bytes: Vec<u8>,
    },
    /// Peers that this lookup hadn't reported yet.
    PeersFound {
        /// The lookup.
        lookup: LookupKey,
        /// They.
        peers: Vec<SocketAddr>,
    },
    /// A lookup has ended; its key means nothing from now on.
    LookupFinished {
        /// The lookup.
        lookup: LookupKey,
        /// Peers it reported in all.
        peers: usize,
        /// Nodes it asked.
        nodes_asked: usize,
        /// Nodes that took our announce.
        announced: usize,
    },
    /// The table is populated: lookups start from near their targets now.
    Ready,
}

/// Counters and sizes, for status lines and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Good nodes in the IPv4 table.
    pub nodes_v4: usize,
    /// Good nodes in the IPv6 table.
    pub nodes_v6: usize,
    /// Lookups under way, the node's own upkeep left out.
    pub lookups: usize,
    /// Queries without an answer yet.
    pub queries_in_flight: usize,
    /// Torrents in the store of peers.
    pub torrents_stored: usize,
    /// Peers in the store.
    pub peers_stored: usize,
    /// Queries that were sent.
    pub queries_sent: u64,
    /// Answers to them that came in time.
    pub answers_received: u64,
    /// Queries that nobody answered.
    pub queries_expired: u64,
    /// Queries of others that came.
    pub queries_received: u64,
    /// Replies sent, errors too.
    pub replies_sent: u64,
    /// Datagrams that couldn't be read.
    pub malformed: u64,
    /// Datagrams thrown away unread: a flood, or too large.
    pub dropped: u64,
    /// Answers to nothing we asked, or from elsewhere than we asked.
    pub unasked: u64,
    /// Our address as others see it, once enough agree.
    pub external: Option<std::net::IpAddr>,
}

/// One node of the DHT.
pub struct Node {}

impl Node {
    /// A node that knows nobody but who is in `saved`.
    pub fn new(config: Config, id: Option<NodeId>, saved: Option<Saved>, seed: u64, now: Instant) -> Self {
        todo!("{config:?} {id:?} {saved:?} {seed} {now:?}")
    }
    /// A datagram came.
    pub fn handle_datagram(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        todo!("{from} {bytes:?} {now:?}")
    }
    /// The deadline has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        todo!("{now:?}")
    }
    /// Joins through these.
    pub fn bootstrap(&mut self, addrs: &[SocketAddr], now: Instant) {
        todo!("{addrs:?} {now:?}")
    }
    /// Pings this one.
    pub fn add_node(&mut self, addr: SocketAddr, now: Instant) {
        todo!("{addr:?} {now:?}")
    }
    /// Looks for peers.
    pub fn lookup(&mut self, target: InfoHash, options: Lookup, now: Instant) -> LookupKey {
        todo!("{target} {options:?} {now:?}")
    }
    /// Forgets a lookup.
    pub fn cancel(&mut self, lookup: LookupKey) {
        todo!("{lookup:?}")
    }
    /// The next thing to do or to know.
    pub fn poll_output(&mut self) -> Option<Output> {
        todo!()
    }
    /// When to call [`Node::handle_timeout`].
    pub fn deadline(&self) -> Option<Instant> {
        todo!()
    }
    /// What to keep for the next run.
    pub fn save(&self) -> Saved {
        todo!()
    }
    /// Counters.
    pub fn stats(&self) -> Stats {
        todo!()
    }
}
