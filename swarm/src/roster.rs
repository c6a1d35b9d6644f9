//! The addresses a torrent knows, what became of each, and whom to dial next.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// Who told us of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The user (`--peer`).
    Given,
    /// The magnet link's `x.pe` (BEP 9).
    Magnet,
    /// A tracker.
    Tracker,
    /// The DHT (BEP 5).
    Dht,
    /// Local discovery (BEP 14).
    Lsd,
    /// It dialled us and told its listening port (BEP 10, `p`).
    Incoming,
    /// Another peer (BEP 11).
    Pex,
}

/// The bounds of a roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Addresses remembered.
    pub known_max: u32,
    /// Connections, in either direction.
    pub connected_max: u32,
    /// Dials under way at once (half-open).
    pub dials_max: u32,
    /// Connections and dials with one IP address (IPv6: one /64).
    pub per_address_max: u32,
    /// The same for loopback, where a test swarm has all its peers.
    pub per_loopback_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            known_max: 3_000,
            connected_max: 100,
            dials_max: 20,
            per_address_max: 3,
            per_loopback_max: 1_000,
        }
    }
}

/// What became of an offered address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It wasn't known before.
    New,
    /// It was.
    Known,
    /// It can't be dialled, is banned, or there is no room for one like it.
    Refused,
}

/// Why a connection isn't taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// All places are taken.
    #[error("no place is left for another peer")]
    Full,
    /// The address is banned.
    #[error("the address is banned")]
    Banned,
    /// This address and port are connected already.
    #[error("the peer is connected already")]
    Duplicate,
    /// Too many connections with one address.
    #[error("the address has too many connections")]
    PerAddress,
}

/// How a connection ended, as far as dialling again is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It worked: may be dialled again soon.
    Useful,
    /// Neither has what the other wants: rests for long.
    Useless,
    /// It broke off, timed out or broke a rule: counts as a failure.
    Failed,
    /// It was ourselves: never dialled again.
    Ourselves,
}

/// How many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Addresses remembered.
    pub known: u32,
    /// Dials under way.
    pub dialling: u32,
    /// Connections.
    pub connected: u32,
    /// Bans.
    pub banned: u32,
}

/// The addresses of one torrent.
#[derive(Debug)]
pub struct Roster {
    limits: Limits,
}

#[allow(unused_variables, reason = "face")]
impl Roster {
    /// Knows nobody yet.
    pub fn new(limits: Limits, seed: u64) -> Self {
        todo!()
    }
    /// Changes the bounds; nobody is disconnected by this.
    pub fn set_limits(&mut self, limits: Limits) {
        todo!()
    }
    /// Remembers an address.
    pub fn add(&mut self, addr: SocketAddr, source: Source, now: Instant) -> Added {
        todo!()
    }
    /// Whom to dial now; counts as dialling until `failed` or `connected`. Call until `None`.
    pub fn next_dial(&mut self, now: Instant) -> Option<SocketAddr> {
        todo!()
    }
    /// A dial that `next_dial` didn't ask for has begun. Needless (and harmless) for one that it did.
    pub fn dialling(&mut self, addr: SocketAddr, now: Instant) {
        todo!()
    }
    /// The dial (or its handshake) failed.
    pub fn failed(&mut self, addr: SocketAddr, now: Instant) {
        todo!()
    }
    /// Whether a connection from `addr` would be taken.
    pub fn admits(&self, addr: SocketAddr, now: Instant) -> Result<(), Refusal> {
        todo!()
    }
    /// A dial of ours ended in a connection.
    pub fn connected(&mut self, addr: SocketAddr, now: Instant) -> Result<(), Refusal> {
        todo!()
    }
    /// A peer dialled us; `addr` has its passing port, so it's not remembered as an address to dial.
    pub fn accepted(&mut self, addr: SocketAddr, now: Instant) -> Result<(), Refusal> {
        todo!()
    }
    /// The connection ended.
    pub fn parted(&mut self, addr: SocketAddr, fate: Fate, now: Instant) {
        todo!()
    }
    /// Bans an IP address (IPv6: its /64) for [`BAN`](self) hours. Connections are for the caller to end.
    pub fn ban(&mut self, ip: IpAddr, now: Instant) {
        todo!()
    }
    /// Bans until the given moment, for bans that were saved.
    pub fn ban_until(&mut self, ip: IpAddr, until: Instant) {
        todo!()
    }
    /// Whether the IP address is banned.
    pub fn is_banned(&self, ip: IpAddr, now: Instant) -> bool {
        todo!()
    }
    /// All bans, for saving: address (or first of its /64) and end.
    pub fn bans(&self) -> impl Iterator<Item = (IpAddr, Instant)> + '_ {
        std::iter::empty()
    }
    /// When `next_dial` is worth asking again; `None` while every place is taken or nobody is left.
    pub fn deadline(&self) -> Option<Instant> {
        todo!()
    }
    /// How many there are.
    pub fn counts(&self) -> Counts {
        todo!()
    }
}
