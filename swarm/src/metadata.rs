//! Assembles the `info` dictionary from the pieces that peers send of it (BEP 9).

use std::time::Instant;

use afflux_metainfo::InfoHashes;
use bytes::Bytes;

use crate::key::PeerKey;

/// What an input led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Not whole yet.
    Pending,
    /// Whole, and the hash is right.
    Complete(Bytes),
    /// Whole, and the hash was wrong: starting over. Exactly these peers are known to have lied.
    Failed {
        /// Peers that sent bytes which can't be right.
        liars: Vec<PeerKey>,
    },
    /// Dropped: nobody asked for it, or its lengths are wrong.
    Ignored,
}

/// The `info` dictionary on its way.
#[derive(Debug)]
pub struct Assembly {
    hashes: InfoHashes,
}

#[allow(unused_variables, reason = "face")]
impl Assembly {
    /// Nothing yet.
    pub fn new(hashes: InfoHashes) -> Self {
        todo!()
    }
    /// The peer says how large the metadata is (BEP 10 `metadata_size`); says whether it's of use.
    pub fn size_claimed(&mut self, peer: PeerKey, size_bytes: u32, now: Instant) -> bool {
        todo!()
    }
    /// The next piece to ask of this peer. Call until `None`; each is counted as asked.
    pub fn next_request(&mut self, peer: PeerKey, now: Instant) -> Option<u32> {
        todo!()
    }
    /// A piece came.
    pub fn received(
        &mut self,
        peer: PeerKey,
        piece: u32,
        total_bytes: u32,
        data: &[u8],
        now: Instant,
    ) -> Progress {
        todo!()
    }
    /// The peer won't give it.
    pub fn rejected(&mut self, peer: PeerKey, piece: u32, now: Instant) {
        todo!()
    }
    /// The peer is gone.
    pub fn departed(&mut self, peer: PeerKey) {
        todo!()
    }
    /// The complete metadata was of no use after all: starts over.
    pub fn start_over(&mut self, now: Instant) {
        todo!()
    }
    /// When `next_request` is worth asking again for every peer.
    pub fn deadline(&self) -> Option<Instant> {
        todo!()
    }
    /// Peers that said they have the metadata, in order: whom to call `next_request` for.
    pub fn peers(&self) -> impl Iterator<Item = PeerKey> + '_ {
        std::iter::empty()
    }
}
