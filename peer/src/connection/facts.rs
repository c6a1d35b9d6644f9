//! What a connection is told at its birth, and what it tells about itself.

use std::net::SocketAddr;
use std::ops::AddAssign;
use std::time::Duration;

use afflux_metainfo::BlockRef;

#[cfg(doc)]
use super::Connection;

/// Who dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// They did.
    Incoming,
    /// We did.
    Outgoing,
}

/// What a connection is told at its birth.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who dialled.
    pub direction: Direction,
    /// The peer's address: what it is told as `yourip`, and what the allowed-fast set is made of.
    pub remote: SocketAddr,
    /// Requests that we queue for the peer; told as `reqq`.
    pub reqq: u32,
    /// Our name, told as `v`.
    pub client: String,
    /// Our TCP port for incoming connections, told as `p`.
    pub listen_port: Option<u16>,
    /// After this a request that brought nothing is given to others.
    pub peer_timeout: Duration,
    /// UDP port of our DHT node.
    pub dht_port: Option<u16>,
    /// Whether we only upload (BEP 21).
    pub upload_only: bool,
}

/// What the next bytes from the socket are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Messages: give them to [`Connection::handle_control`].
    Control,
    /// Payload: put it where the block belongs and say so with [`Connection::handle_payload`].
    Payload {
        /// The block, as the peer named it.
        block: BlockRef,
        /// Bytes of it that came already.
        received: u32,
        /// Whether we asked for it; if not, throw it away. Never changes while a block arrives.
        wanted: bool,
    },
    /// Nothing: events wait to be polled, or the peer doesn't read its answers. Don't read until then.
    Hold,
}

/// What was carried so far, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Payload that was asked and came.
    pub payload_received: u64,
    /// Payload that left.
    pub payload_sent: u64,
    /// Everything else that came.
    pub control_received: u64,
    /// Everything else that left.
    pub control_sent: u64,
    /// Payload that came and was of no use: late, cancelled, never asked.
    pub wasted: u64,
}

impl AddAssign for Totals {
    fn add_assign(&mut self, more: Self) {
        self.payload_received += more.payload_received;
        self.payload_sent += more.payload_sent;
        self.control_received += more.control_received;
        self.control_sent += more.control_sent;
        self.wasted += more.wasted;
    }
}

/// What is known of the peer, for pickers, chokers and people.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// We don't serve the peer.
    pub am_choking: bool,
    /// We want something of it.
    pub am_interested: bool,
    /// It doesn't serve us.
    pub peer_choking: bool,
    /// It wants something of ours.
    pub peer_interested: bool,
    /// BEP 6 is spoken.
    pub supports_fast: bool,
    /// BEP 10 is spoken.
    pub supports_extensions: bool,
    /// Requests that the peer queues.
    pub reqq: u32,
    /// The peer's name for itself.
    pub client: Option<&'a str>,
    /// The peer only uploads (BEP 21).
    pub upload_only: bool,
    /// Shortest time from a request to its first byte.
    pub round_trip: Option<Duration>,
    /// Payload that the peer can send, bytes per second, as it showed when enough was asked of it; zero until then.
    pub delivery_rate: u64,
    /// Payload received, bytes per second.
    pub download_rate: u64,
    /// Payload sent, bytes per second.
    pub upload_rate: u64,
    /// Requests whose block isn't whole yet.
    pub outstanding: u32,
    /// Cancelled requests whose blocks will probably still come, before those of later ones.
    pub lingering: u32,
    /// The peer is far later than its history says.
    pub snubbed: bool,
    /// What was carried.
    pub totals: Totals,
}
