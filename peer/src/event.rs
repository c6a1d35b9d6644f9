//! What a peer did: the events of a [`Connection`](crate::Connection), in the order they happened.

use std::time::Duration;

use afflux_metainfo::{Bitfield, BlockRef, PieceIndex};
use bytes::Bytes;
use thiserror::Error;

use crate::extension::ExtensionHandshake;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// What the peer has: its bitfield, have-all or have-none, validated. Before any
    /// [`Event::Had`] or [`Event::Lost`]; a peer that says nothing has nothing. It may come again, with more
    /// pieces, where a peer sums up many haves.
    PiecesKnown(Bitfield),
    /// The peer has a piece that it lacked.
    Had(PieceIndex),
    /// The peer lacks a piece that it had (BEP 54).
    Lost(PieceIndex),
    /// The peer serves us no more. With BEP 6 the requests stay until they are answered; without, each
    /// comes back in a [`Event::RequestReturned`] after this.
    Choked,
    /// The peer serves us.
    Unchoked,
    /// The peer wants something of ours.
    Interested,
    /// The peer wants nothing of ours.
    NotInterested,
    /// A requested block is whole; whoever drives the connection has its bytes.
    BlockReceived {
        /// The block.
        block: BlockRef,
        /// From the request to the last byte.
        elapsed: Duration,
    },
    /// The peer won't send a block that we asked (BEP 6).
    RequestRejected(BlockRef),
    /// A block didn't come within the peer timeout; it is cancelled, others may be asked.
    RequestLapsed(BlockRef),
    /// A request is void: the peer choked us without BEP 6, or we asked what it doesn't allow now.
    RequestReturned(BlockRef),
    /// The peer owes us blocks and is far later than its own history says. Lasts until its next
    /// [`Event::BlockReceived`].
    Snubbed,
    /// Blocks of this piece may be requested while choked (BEP 6).
    AllowedFast(PieceIndex),
    /// The peer would like us to take this piece (BEP 6).
    Suggested(PieceIndex),
    /// The peer runs a DHT node on this UDP port (BEP 5).
    DhtPort(u16),
    /// The extension handshake came, or came again with changes (BEP 10).
    ExtensionsKnown(Box<ExtensionHandshake>),
    /// A piece of the info dictionary that we asked; unverified (BEP 9).
    MetadataReceived {
        /// Its number.
        piece: u32,
        /// Size of the whole dictionary in bytes, as this peer has said from the start.
        total_size: u32,
        /// 16 KiB, or less for the last one.
        data: Bytes,
    },
    /// The peer won't, can't or didn't in time send a piece of the info dictionary.
    MetadataRejected {
        /// Its number.
        piece: u32,
    },
    /// The last byte of a block left.
    BlockSent {
        /// The block.
        block: BlockRef,
    },
    /// The conversation is over; nothing follows.
    Closed(CloseReason),
}

/// Why a conversation ended without a violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CloseReason {
    /// Nothing came for [`PEER_SILENT_MAX`](crate::limits::PEER_SILENT_MAX), not even a keep-alive.
    #[error("the peer was silent for too long")]
    Silent,
    /// The peer took none of our bytes for [`TRANSMIT_STALL_MAX`](crate::limits::TRANSMIT_STALL_MAX).
    #[error("the peer does not read what we send")]
    TransmitStalled,
    /// A block stopped in its middle for the whole peer timeout, and nothing can come behind it.
    #[error("the peer stopped in the middle of a block")]
    PayloadStalled,
}
