//! The messages of the peer wire and their bytes (BEP 3, 5, 6, 10).

use afflux_metainfo::{BlockRef, PieceIndex};

/// One message. What is long borrows from the bytes it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Nothing, to stay alive.
    KeepAlive,
    /// BEP 3.
    Choke,
    /// BEP 3.
    Unchoke,
    /// BEP 3.
    Interested,
    /// BEP 3.
    NotInterested,
    /// BEP 3.
    Have(PieceIndex),
    /// BEP 3; not yet checked against a number of pieces.
    Bitfield(&'a [u8]),
    /// BEP 3.
    Request(BlockRef),
    /// The header of a `piece` message (BEP 3): so many bytes of payload follow.
    Piece(BlockRef),
    /// BEP 3.
    Cancel(BlockRef),
    /// BEP 5: the UDP port of the peer's DHT node.
    Port(u16),
    /// BEP 6.
    Suggest(PieceIndex),
    /// BEP 6.
    HaveAll,
    /// BEP 6.
    HaveNone,
    /// BEP 6.
    Reject(BlockRef),
    /// BEP 6.
    AllowedFast(PieceIndex),
    /// BEP 10.
    Extended {
        /// Zero is the extension handshake; others are what its reader gave out.
        id: u8,
        /// Bencode, and for some messages data behind it.
        payload: &'a [u8],
    },
    /// A message that we don't know; its bytes are passed over.
    Unknown(u8),
}
