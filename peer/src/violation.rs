//! The rules a peer can break, one variant each, and how bad that is.

use thiserror::Error;

/// What breaking a rule costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The connection ends; the peer may come back.
    Drop,
    /// No honest client does this: the connection ends, and the address is shut out.
    Ban,
}

/// A rule that the peer broke. The connection is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Violation {
    /// A message longer than any may be.
    #[error("a message of {length} bytes is longer than any may be")]
    MessageTooLong {
        /// Bytes behind the length prefix.
        length: u32,
    },
    /// A message of a fixed size came with another.
    #[error("message {id} cannot have {length} bytes")]
    MessageLength {
        /// The message's id.
        id: u8,
        /// Bytes behind the length prefix.
        length: u32,
    },
    /// A bitfield for another number of pieces (BEP 3).
    #[error("the bitfield has the wrong length")]
    BitfieldLength,
    /// Bits set behind the last piece (BEP 3).
    #[error("the bitfield has bits behind the last piece")]
    BitfieldSpareBits,
    /// A have-none after anything else was said (BEP 6).
    #[error("what the peer has was told twice")]
    PiecesToldTwice,
    /// A piece that does not exist.
    #[error("piece {0} does not exist")]
    PieceIndex(u32),
    /// More haves than can be kept before the metadata is known.
    #[error("too many haves before the metadata is known")]
    EarlyHaves,
    /// A message of BEP 6 from a peer that didn't say it speaks it.
    #[error("message {id} needs the fast extension, which was not agreed")]
    FastNotAgreed {
        /// The message's id.
        id: u8,
    },
    /// Requests that cannot be served, again and again: outside the piece, empty, too long.
    #[error("too many requests that cannot be served")]
    InvalidRequests,
    /// Requests while choked or not interested, again and again.
    #[error("too many requests while choked")]
    RequestsWhileChoked,
    /// Requests beyond our announced queue, again and again.
    #[error("too many requests beyond the announced queue")]
    RequestFlood,
    /// A block longer than we ever ask.
    #[error("a block of {length} bytes is longer than any we ask")]
    BlockTooLong {
        /// Bytes of payload.
        length: u32,
    },
    /// Payload that was never asked, beyond any excuse.
    #[error("too much payload that was never asked")]
    UnrequestedPayload,
    /// Rejects for what was never asked, beyond any excuse.
    #[error("too many rejects for what was never asked")]
    UnrequestedRejects,
    /// Choke, unchoke, interested and not interested by turns, faster than any choker works.
    #[error("choke or interest changed too often")]
    Flapping,
    /// Extension messages that aren't bencode, or lack what they must have (BEP 9, BEP 10).
    #[error("an extension message is malformed")]
    MalformedExtension,
    /// Extension handshakes again and again.
    #[error("too many extension handshakes")]
    HandshakeFlood,
    /// A size of the metadata other than first told, or data that doesn't fit it (BEP 9).
    #[error("the metadata's size changed")]
    MetadataSize,
    /// Requests for metadata again and again (BEP 9).
    #[error("too many metadata requests")]
    MetadataFlood,
    /// Messages that we don't know or didn't ask for, in bulk.
    #[error("too many bytes of unknown messages")]
    UnknownFlood,
}

impl Violation {
    /// What it costs the peer.
    pub fn severity(&self) -> Severity {
        match self {
            Self::MessageTooLong { .. }
            | Self::MessageLength { .. }
            | Self::BitfieldLength
            | Self::BitfieldSpareBits
            | Self::PiecesToldTwice
            | Self::PieceIndex(_)
            | Self::EarlyHaves
            | Self::FastNotAgreed { .. }
            | Self::RequestsWhileChoked
            | Self::RequestFlood
            | Self::Flapping
            | Self::MalformedExtension
            | Self::HandshakeFlood
            | Self::MetadataSize
            | Self::UnknownFlood => Severity::Drop,
            Self::InvalidRequests
            | Self::BlockTooLong { .. }
            | Self::UnrequestedPayload
            | Self::UnrequestedRejects
            | Self::MetadataFlood => Severity::Ban,
        }
    }
}
