//! The roster's words: sources, fates, bounds; and which addresses can be peers at all.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Who told us of an address, the most trusted first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The user (`--peer`). Never forgotten.
    Given,
    /// The magnet link's `x.pe` (BEP 9).
    Magnet,
    /// A tracker.
    Tracker,
    /// It dialled us and told its listening port (BEP 10, `p`).
    Incoming,
    /// Local discovery (BEP 14).
    Lsd,
    /// The DHT (BEP 5).
    Dht,
    /// Another peer (BEP 11): who says it may be inventing it.
    Pex,
}

/// The bounds of a roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Addresses remembered. Attack 35: a list filled with invented addresses.
    pub known_max: u32,
    /// Connections, in either direction. Each costs a task, a socket and its buffers.
    pub connected_max: u32,
    /// Dials under way at once (half-open). Home routers forget connections beyond some dozens.
    pub dials_max: u32,
    /// Connections and dials with one IP address (IPv6: one /64). Attack 31: one host that takes all places.
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

/// Whether a peer can be there at all. Private and loopback addresses can: swarms live in local networks too.
pub(super) fn is_dialable(addr: SocketAddr) -> bool {
    let possible = match addr.ip() {
        // 0.0.0.0/8 is "this network", 240.0.0.0/4 was never given out and ends in broadcast (RFC 6890).
        IpAddr::V4(ip) => ip.octets()[0] != 0 && ip.octets()[0] < 240 && !ip.is_multicast(),
        IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_multicast(),
    };
    possible && addr.port() != 0
}

/// What one party is assumed to hold: an IPv4 address, or an IPv6 /64, of which anybody has all addresses.
pub(super) fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        // Loopback has one address and belongs to nobody.
        IpAddr::V6(ip) if !ip.is_loopback() => {
            let prefix = u128::from(ip) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(prefix))
        }
        other => other,
    }
}
