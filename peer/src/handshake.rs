//! The 68 bytes that open a conversation (BEP 3), and the reserved bits in them (BEP 5, 6, 10).

use afflux_metainfo::{InfoHash, PeerId};
use thiserror::Error;

/// Bytes of a handshake.
pub const HANDSHAKE_LENGTH: usize = 68;

/// Bytes of a handshake through the info-hash: enough to look the torrent up.
pub const HANDSHAKE_HEAD_LENGTH: usize = 48;

/// Why bytes are no handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HandshakeError {
    /// Another protocol, or an encrypted stream.
    #[error("this is not the BitTorrent protocol")]
    Protocol,
}

/// The eight reserved bytes: what a peer can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserved(pub [u8; 8]);

/// A handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// What the sender can do.
    pub reserved: Reserved,
    /// The torrent.
    pub info_hash: InfoHash,
    /// The sender's name for itself.
    pub peer_id: PeerId,
}
impl Reserved {
    /// What we can do: extensions and fast, and the DHT if we run a node.
    pub fn ours(dht: bool) -> Self {
        Self([0, 0, 0, 0, 0, 0x10, 0, 0x04 | u8::from(dht)])
    }

    /// The extension protocol (BEP 10).
    pub fn extensions(&self) -> bool {
        self.0[5] & 0x10 != 0
    }

    /// The fast extension (BEP 6).
    pub fn fast(&self) -> bool {
        self.0[7] & 0x04 != 0
    }

    /// A DHT node (BEP 5).
    pub fn dht(&self) -> bool {
        self.0[7] & 0x01 != 0
    }
}
impl Handshake {
    /// The wire form.
    pub fn to_wire(&self) -> [u8; HANDSHAKE_LENGTH] {
        todo!()
    }

    /// Reads a whole handshake.
    pub fn parse(bytes: &[u8; HANDSHAKE_LENGTH]) -> Result<Self, HandshakeError> {
        let _ = bytes;
        todo!()
    }

    /// Reads what comes before the peer id, so that an acceptor can look the torrent up before it answers.
    pub fn parse_head(bytes: &[u8; HANDSHAKE_HEAD_LENGTH]) -> Result<(Reserved, InfoHash), HandshakeError> {
        let _ = bytes;
        todo!()
    }
}
