//! Every bound of the node, with the attack it stops. Times are here too: each is a bound on patience.

use std::time::Duration;

use afflux_metainfo::bencode;

/// Nodes in a bucket, and nodes in a reply: BEP 5's K.
pub const BUCKET_NODES_MAX: usize = 8;

/// Nodes that wait for a place in a bucket. Attack: filling memory with nodes that answer once.
pub const SPARE_NODES_MAX: usize = 8;

/// Largest datagram that is looked at. Honest ones stay below 1,500 bytes; attack: parsing 64 KiB per packet.
pub const DATAGRAM_BYTES_MAX: usize = 4096;

/// Largest datagram that is sent (BEP 32: at most 1,024 octets of payload).
pub const REPLY_BYTES_MAX: usize = 1024;

/// A reply is at most this many times as large as its query. Attack: queries with a forged source address
/// that aim our replies at a victim. Eight still lets a bare `get_peers` carry 8 nodes and 60 peers.
pub const AMPLIFICATION_MAX: usize = 8;

/// What a datagram may cost to scan.
pub const MESSAGE: bencode::Limits =
    bencode::Limits { bytes: DATAGRAM_BYTES_MAX, depth: 16, tokens: 1024, digits: 19 };

/// Bytes of a transaction id that is echoed. Attack: making us carry a stranger's payload.
pub const TRANSACTION_BYTES_MAX: usize = 16;

/// Bytes of another node's token that we keep for it. Attack: 4 KiB of token from each node of a lookup.
pub const TOKEN_BYTES_MAX: usize = 128;

/// Nodes taken from one reply, per family. Attack: one reply that fills the whole candidate list.
pub const REPLY_NODES_MAX: usize = 16;

/// Peers taken from one reply.
pub const REPLY_PEERS_MAX: usize = 256;

/// Queries without an answer at once, over everything. Attack: a network that answers nothing but names many.
pub const QUERIES_MAX: usize = 512;

/// Queries with a fast chance of an answer that one lookup has at once (Kademlia's alpha).
pub const LOOKUP_WIDTH: usize = 6;

/// The same for the node's own upkeep, which nobody waits for.
pub const UPKEEP_WIDTH: usize = 3;

/// Nodes one lookup asks at most. Attack: replies that name ever closer nodes without an end.
pub const LOOKUP_QUERIES_MAX: usize = 160;

/// Candidates a lookup remembers; the farthest are forgotten.
pub const CANDIDATES_MAX: usize = 128;

/// Peers a lookup reports. Attack: invented peers by the thousand.
pub const LOOKUP_PEERS_MAX: usize = 2_000;

/// Given addresses (routers, `nodes` of a torrent) that are remembered for starting again.
pub const GIVEN_MAX: usize = 64;

/// Addresses that wait for a ping. Attack: strangers' queries that each make us ping them.
pub const PINGS_QUEUED_MAX: usize = 256;

/// Upkeep pings without an answer at once.
pub const PINGS_IN_FLIGHT_MAX: usize = 16;

/// How long a lookup that knows no node at all waits for the first one.
pub const LOOKUP_PATIENCE: Duration = Duration::from_secs(10);

/// Torrents in the store of peers (attack: announces for invented info-hashes).
pub const TORRENTS_MAX: usize = 2_000;

/// Peers of one torrent in the store.
pub const TORRENT_PEERS_MAX: usize = 500;

/// Peers in the store over all torrents: some 8 MB.
pub const STORE_PEERS_MAX: usize = 100_000;

/// Entries of one address (/64 in IPv6) in the store. Attack: one machine that fills it alone.
pub const STORE_PEERS_PER_ADDRESS_MAX: usize = 200;

/// Ports of one address under one torrent: clients that share a NAT.
pub const PORTS_PER_ADDRESS_MAX: usize = 4;

/// How long an announce counts.
pub const PEER_TTL: Duration = Duration::from_secs(30 * 60);

/// How often the secret behind tokens changes; the one before is accepted too (BEP 5: five and ten minutes).
pub const TOKEN_ROTATION: Duration = Duration::from_secs(5 * 60);

/// A node is good for this long after it was heard (BEP 5), and a bucket fresh after a change.
pub const GOOD_FOR: Duration = Duration::from_secs(15 * 60);

/// Failures in a row that make a node bad (BEP 5: one more try).
pub const FAILURES_BAD: u8 = 2;

/// Failures in a row after which a node is forgotten even if nothing replaces it. Higher than
/// [`FAILURES_BAD`], so that a pause of our own network doesn't empty the table at once.
pub const FAILURES_FORGOTTEN: u8 = 4;

/// Least and most time a query waits for its answer; between them it follows the measured round trips.
pub const TIMEOUT_MIN: Duration = Duration::from_millis(1_000);
/// See [`TIMEOUT_MIN`].
pub const TIMEOUT_MAX: Duration = Duration::from_millis(2_000);

/// Least and most time before a silent query gives its place in a lookup to another; it may still answer.
pub const SLOT_MIN: Duration = Duration::from_millis(100);
/// See [`SLOT_MIN`].
pub const SLOT_MAX: Duration = Duration::from_millis(500);

/// How often the node looks after itself.
pub const TICK: Duration = Duration::from_secs(2);

/// First and longest pause between attempts to join when no node is known. The first is short: one lost
/// datagram to the only router shouldn't cost more.
pub const REJOIN_MIN: Duration = Duration::from_secs(2);
/// See [`REJOIN_MIN`].
pub const REJOIN_MAX: Duration = Duration::from_secs(300);

/// Datagrams per second from one address that are looked at, and how many may come at once. Our own queries
/// add to it, so that answers are never counted against a node.
pub const ADDRESS_RATE_PER_S: u32 = 5;
/// See [`ADDRESS_RATE_PER_S`].
pub const ADDRESS_BURST: u32 = 50;

/// How long an address that went over its rate isn't heard.
pub const ADDRESS_BLOCK: Duration = Duration::from_secs(5 * 60);

/// Addresses whose rate is watched at once. Attack: a flood with many forged sources; the global budget is
/// what holds against that, so forgetting the longest quiet one is safe.
pub const ADDRESSES_WATCHED_MAX: usize = 1_024;

/// Bytes per second of all replies together, and how many may go at once. Attack: a flood from everywhere
/// that turns our upload into replies. Ours: an eighth of a small uplink.
pub const REPLY_BYTES_PER_S: u32 = 32 * 1024;
/// See [`REPLY_BYTES_PER_S`].
pub const REPLY_BURST_BYTES: u32 = 128 * 1024;

/// Voters about our external address that are remembered, one per /24 (/48).
pub const VOTES_MAX: usize = 32;

/// Agreeing votes that make an external address ours. Attack: a few nodes that tell us a wrong address, to
/// move our id to where they want it.
pub const VOTES_ENOUGH: usize = 5;

/// Nodes per family in a saved table.
pub const SAVED_NODES_MAX: usize = 400;

/// Largest saved table that is read.
pub const SAVED_BYTES_MAX: usize = 64 * 1024;

const _: () = assert!(FAILURES_BAD < FAILURES_FORGOTTEN);
const _: () = assert!(SLOT_MAX.as_millis() < TIMEOUT_MIN.as_millis());
const _: () = assert!(SAVED_NODES_MAX * (26 + 38) + 256 < SAVED_BYTES_MAX);
const _: () = assert!(TORRENT_PEERS_MAX < STORE_PEERS_MAX);
