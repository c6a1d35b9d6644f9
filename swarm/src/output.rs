//! What a [`Swarm`](crate::Swarm) wants done.

use std::net::{IpAddr, SocketAddr};

use afflux_metainfo::PieceIndex;
use afflux_peer::Command;
use bytes::Bytes;

use crate::key::PeerKey;

/// Something for the engine to do. They come in the order in which they must happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Hand the command to this peer's connection.
    Send(PeerKey, Command),
    /// Connect to this address; the answer is `handle_connected` or `handle_dial_failed`.
    Dial(SocketAddr),
    /// Close this connection; the answer is `handle_disconnected`.
    Disconnect(PeerKey, Reason),
    /// Take no more connections from this address; those it has are disconnected by their own outputs.
    Ban(IpAddr),
    /// Forget a verified piece (memory kind); it may be wanted again.
    Evict(PieceIndex),
    /// Forget the blocks of a piece under way, whatever came of them, and free their memory.
    Discard(PieceIndex),
    /// The `info` dictionary is whole and its hash is right: parse it, open storage, then call
    /// `learn_layout`, or `reject_metadata` if it can't be used.
    MetadataComplete(Bytes),
    /// All selected pieces are there. Comes again when they are complete again after a change.
    Completed,
    /// Too few addresses are known: announce, look up.
    NeedPeers,
}

/// Why we close a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its address is banned.
    Banned,
    /// Neither side has anything for the other, and its place is needed.
    Useless,
}
