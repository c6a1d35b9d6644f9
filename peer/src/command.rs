//! What the torrent tells a peer: the commands of a [`Connection`](crate::Connection).

use std::sync::Arc;

use afflux_metainfo::{Bitfield, BlockRef, PieceIndex};

/// One order to one peer.
///
/// Orders that change nothing (choking twice, cancelling what was never asked) are harmless and send nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Ask for a block. It comes back in exactly one event: `BlockReceived`, `RequestRejected`,
    /// `RequestLapsed` or `RequestReturned`; none after a [`Command::Cancel`], unless its bytes were
    /// already arriving. Asked while the peer doesn't allow it, it is returned at once.
    Request(BlockRef),
    /// Take a request back; a block whose bytes are already arriving goes on. What else still comes of it
    /// is thrown away and counted as waste.
    Cancel(BlockRef),
    /// Serve the peer no more (BEP 3). What it has asked is rejected (BEP 6) or dropped.
    Choke,
    /// Serve the peer.
    Unchoke,
    /// We want something that the peer has.
    Interested,
    /// We want nothing that the peer has. It's told once that has been so for a while.
    NotInterested,
    /// We have a new verified piece.
    Have(PieceIndex),
    /// We no longer have a piece that we told of (BEP 54). Peers without the extension aren't told.
    DontHave(PieceIndex),
    /// What we have, before any [`Command::Have`]: as have-all, have-none or bitfield. While the metadata is
    /// unknown, an empty set of any length. Said again, haves follow for what is new in it.
    Advertise(Arc<Bitfield>),
    /// The peer would do well to take this piece (BEP 6). Peers without the extension aren't told.
    Suggest(PieceIndex),
    /// Ask for a 16 KiB piece of the info dictionary (BEP 9). It comes back as `MetadataReceived` or
    /// `MetadataRejected`.
    RequestMetadata {
        /// Its number.
        piece: u32,
    },
    /// Whether a reader waits for bytes of this torrent: then requests are kept shallow.
    ReaderWaiting(bool),
    /// Whether we only upload from now on (BEP 21).
    UploadOnly(bool),
}
