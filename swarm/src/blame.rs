//! Who sent which block of a piece that failed its hash: exactly the liars are banned (attack 30).

use std::net::IpAddr;

use afflux_metainfo::{BlockIndex, PieceIndex};

use crate::key::PeerKey;

/// The SHA-1 of one block.
pub type Digest = [u8; 20];

/// Who sent a block: the address too, since a liar may have left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sender {
    /// The peer.
    pub peer: PeerKey,
    /// Its address.
    pub ip: IpAddr,
}

/// What a failed piece says about its senders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Proven: ban them.
    pub ban: Vec<Sender>,
    /// One of these lied; they are on parole now.
    pub suspects: Vec<Sender>,
}

/// The memory of who sent what.
#[derive(Debug)]
pub struct Blame {}

#[allow(unused_variables, reason = "face")]
impl Blame {
    /// Knows nothing.
    pub fn new() -> Self {
        todo!()
    }
    /// A block was stored.
    pub fn sent(&mut self, piece: PieceIndex, block: BlockIndex, sender: Sender) {
        todo!()
    }
    /// The piece failed; `digests` are those of its blocks, in order.
    pub fn failed(&mut self, piece: PieceIndex, digests: &[Digest]) -> Verdict {
        todo!()
    }
    /// The piece passed; returns whose earlier blocks of it differ from the good ones. Without `digests`
    /// earlier failures of it stay unsolved.
    pub fn verified(&mut self, piece: PieceIndex, digests: Option<&[Digest]>) -> Vec<Sender> {
        todo!()
    }
    /// The piece was thrown away unverified, or evicted: nobody is to blame.
    pub fn forget(&mut self, piece: PieceIndex) {
        todo!()
    }
    /// Whether the peer should get whole pieces of its own only.
    pub fn on_parole(&self, peer: PeerKey) -> bool {
        todo!()
    }
    /// Good pieces less twice the failed ones.
    pub fn trust(&self, peer: PeerKey) -> i32 {
        todo!()
    }
    /// Whether digests of this piece will be compared once it passes.
    pub fn wants_digests(&self, piece: PieceIndex) -> bool {
        todo!()
    }
    /// The peer is gone; what it sent is remembered.
    pub fn departed(&mut self, peer: PeerKey) {
        todo!()
    }
}
