//! The conversation with one remote peer, from both handshakes to the end.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use afflux_metainfo::{BlockRef, Layout, PieceIndex};
use bytes::Bytes;

use crate::command::Command;
use crate::event::Event;
use crate::handshake::Handshake;
use crate::violation::Violation;

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
    /// Payload received, bytes per second.
    pub download_rate: u64,
    /// Payload sent, bytes per second.
    pub upload_rate: u64,
    /// Requests that wait for their block.
    pub outstanding: u32,
    /// The peer is far later than its history says.
    pub snubbed: bool,
    /// What was carried.
    pub totals: Totals,
}

/// One conversation.
#[derive(Debug)]
pub struct Connection {
    config: Config,
}

impl Connection {
    /// A conversation whose handshakes are both done; queues our extension handshake.
    ///
    /// Without a `layout` (metadata still unknown) what the peer has is kept until [`Self::learn_layout`].
    /// `metadata_size` is told to the peer (BEP 9); the dictionary itself comes by [`Self::set_metadata`].
    pub fn new(
        config: Config,
        remote: &Handshake,
        layout: Option<Arc<Layout>>,
        metadata_size: Option<u32>,
        seed: u64,
        now: Instant,
    ) -> Self {
        let _ = (remote, layout, metadata_size, seed, now);
        Self { config }
    }

    /// What the next bytes are.
    pub fn expects(&self) -> Expect {
        todo!()
    }

    /// Bytes still missing of the header in front of the next payload, if the next message is a `piece`.
    pub fn header_bytes_left(&self) -> usize {
        todo!()
    }

    /// Blocks that will probably come next, after the current one: our requests, in order.
    pub fn predicted(&self) -> impl Iterator<Item = BlockRef> + '_ {
        std::iter::empty()
    }

    /// Takes messages; returns how many bytes were taken. It stops at the start of a payload and when
    /// [`Self::expects`] turns to [`Expect::Hold`]; what isn't taken must be given again.
    pub fn handle_control(&mut self, bytes: &[u8], now: Instant) -> Result<usize, Violation> {
        let _ = (bytes, now);
        todo!()
    }

    /// `length` bytes of the current payload were stored, or thrown away.
    pub fn handle_payload(&mut self, length: u32, now: Instant) -> Result<(), Violation> {
        let _ = (length, now);
        todo!()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
        todo!()
    }

    /// Does what the torrent says.
    pub fn handle_command(&mut self, command: Command, now: Instant) {
        let _ = (command, now);
        todo!()
    }

    /// The metadata is known: what the peer has is validated and told.
    pub fn learn_layout(&mut self, layout: Arc<Layout>, now: Instant) -> Result<(), Violation> {
        let _ = (layout, now);
        todo!()
    }

    /// The raw info dictionary, to be served from now on (BEP 9).
    pub fn set_metadata(&mut self, info: Bytes) {
        let _ = info;
        todo!()
    }

    /// Stops or starts the clocks of the receive side: the driver doesn't read, for reasons of its own.
    pub fn set_reading(&mut self, reading: bool, now: Instant) {
        let _ = (reading, now);
        todo!()
    }

    /// The next thing that happened.
    pub fn poll_output(&mut self) -> Option<Event> {
        todo!()
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        todo!()
    }

    /// Fills `slices` with what is to be sent, in order; returns how many were filled.
    pub fn transmit_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let _ = slices;
        todo!()
    }

    /// `length` bytes of what [`Self::transmit_slices`] gave have left.
    pub fn transmitted(&mut self, length: usize, now: Instant) {
        let _ = (length, now);
        todo!()
    }

    /// Bytes that wait to be sent.
    pub fn pending_bytes(&self) -> usize {
        todo!()
    }

    /// The next request to serve, while the send buffer is below its watermark. Answer each with
    /// [`Self::send_block`] or [`Self::refuse_upload`].
    pub fn next_upload(&mut self) -> Option<BlockRef> {
        todo!()
    }

    /// Sends a block that [`Self::next_upload`] gave out. Dropped if it was cancelled in the meantime.
    pub fn send_block(&mut self, block: BlockRef, payload: impl IntoIterator<Item = Bytes>, now: Instant) {
        let _ = (block, payload.into_iter().count(), now);
        todo!()
    }

    /// Declines a block that [`Self::next_upload`] gave out: rejected with BEP 6, else silently dropped.
    pub fn refuse_upload(&mut self, block: BlockRef, now: Instant) {
        let _ = (block, now);
        todo!()
    }

    /// How many more requests the pipeline wants now. While choked they may only be for allowed-fast pieces.
    pub fn room(&self, now: Instant) -> u32 {
        let _ = now;
        todo!()
    }

    /// Whether a block of this piece may be asked now: not choked, or allowed fast (BEP 6).
    pub fn may_request(&self, piece: PieceIndex) -> bool {
        let _ = piece;
        todo!()
    }

    /// What is known of the peer.
    pub fn facts(&self, now: Instant) -> Facts<'_> {
        let _ = (now, &self.config);
        todo!()
    }
}
