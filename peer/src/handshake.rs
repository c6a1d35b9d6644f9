//! The 68 bytes that open a conversation (BEP 3), and the reserved bits in them (BEP 5, 6, 10).

use afflux_metainfo::{InfoHash, PeerId};
use thiserror::Error;

/// Bytes of a handshake.
pub const HANDSHAKE_LENGTH: usize = 68;

/// Bytes of a handshake through the info-hash: enough to look the torrent up.
pub const HANDSHAKE_HEAD_LENGTH: usize = 48;

/// BEP 3: a length byte and the name of the protocol.
const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";

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
        let mut wire = [0; HANDSHAKE_LENGTH];
        wire[..20].copy_from_slice(PROTOCOL);
        wire[20..28].copy_from_slice(&self.reserved.0);
        wire[28..48].copy_from_slice(&self.info_hash.0);
        wire[48..].copy_from_slice(&self.peer_id.0);
        wire
    }

    /// Reads a whole handshake.
    pub fn parse(bytes: &[u8; HANDSHAKE_LENGTH]) -> Result<Self, HandshakeError> {
        let mut head = [0; HANDSHAKE_HEAD_LENGTH];
        head.copy_from_slice(&bytes[..HANDSHAKE_HEAD_LENGTH]);
        let (reserved, info_hash) = Self::parse_head(&head)?;
        let mut peer_id = [0; 20];
        peer_id.copy_from_slice(&bytes[HANDSHAKE_HEAD_LENGTH..]);
        Ok(Self { reserved, info_hash, peer_id: PeerId(peer_id) })
    }

    /// Reads what comes before the peer id, so that an acceptor can look the torrent up before it answers.
    pub fn parse_head(bytes: &[u8; HANDSHAKE_HEAD_LENGTH]) -> Result<(Reserved, InfoHash), HandshakeError> {
        if &bytes[..20] != PROTOCOL {
            return Err(HandshakeError::Protocol);
        }
        let (mut reserved, mut info_hash) = ([0; 8], [0; 20]);
        reserved.copy_from_slice(&bytes[20..28]);
        info_hash.copy_from_slice(&bytes[28..48]);
        Ok((Reserved(reserved), InfoHash(info_hash)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Handshake = Handshake {
        reserved: Reserved([0, 0, 0, 0, 0, 0x10, 0, 0x05]),
        info_hash: InfoHash([7; 20]),
        peer_id: PeerId(*b"-AF0010-abcdefghijkl"),
    };

    #[test]
    fn handshake_round_trips_and_its_head_suffices_for_a_look_up() {
        let wire = OURS.to_wire();
        assert_eq!(&wire[..20], b"\x13BitTorrent protocol");
        assert_eq!(Handshake::parse(&wire), Ok(OURS));
        let mut head = [0; HANDSHAKE_HEAD_LENGTH];
        head.copy_from_slice(&wire[..HANDSHAKE_HEAD_LENGTH]);
        assert_eq!(Handshake::parse_head(&head), Ok((OURS.reserved, OURS.info_hash)));
    }

    #[test]
    fn another_protocol_is_refused() {
        let mut wire = OURS.to_wire();
        wire[0] = 18;
        assert_eq!(Handshake::parse(&wire), Err(HandshakeError::Protocol));
    }

    #[test]
    fn reserved_bits_are_where_their_beps_put_them() {
        let ours = Reserved::ours(true);
        assert_eq!(ours.0, [0, 0, 0, 0, 0, 0x10, 0, 0x05]);
        assert!(ours.extensions() && ours.fast() && ours.dht() && !Reserved::ours(false).dht());
        assert!(!Reserved([0xff, 0xff, 0xff, 0xff, 0xff, 0xef, 0xff, 0xfa]).extensions());
    }
}
