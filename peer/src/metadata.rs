//! The messages of `ut_metadata` (BEP 9): pieces of the info dictionary between peers.
//!
//! Not here: putting the pieces together and checking their hash, which is the torrent's.

use afflux_metainfo::bencode::{Document, Writer};

use crate::limits::{EXTENSION_BENCODE, METADATA_PIECE_BYTES};
use crate::violation::Violation;

const REQUEST: i64 = 0;
const DATA: i64 = 1;
const REJECT: i64 = 2;

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataMessage<'a> {
    /// Asks for a piece.
    Request {
        /// Its number.
        piece: u32,
    },
    /// Brings a piece.
    Data {
        /// Its number.
        piece: u32,
        /// Bytes of the whole dictionary, as the sender says.
        total_size: u32,
        /// What came behind the message's dictionary.
        data: &'a [u8],
    },
    /// Declines a request.
    Reject {
        /// The piece's number.
        piece: u32,
    },
    /// A type that BEP 9 doesn't know yet; to be ignored.
    Unknown,
}

impl<'a> MetadataMessage<'a> {
    /// Reads the payload of an extension message.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Violation> {
        let malformed = Violation::MalformedExtension;
        let (document, end) = Document::parse_prefix(payload, &EXTENSION_BENCODE).map_err(|_| malformed)?;
        let dict = document.root().as_dict().ok_or(malformed)?;
        let number =
            |key: &[u8]| dict.get_int(key).and_then(|number| u32::try_from(number).ok()).ok_or(malformed);
        match dict.get_int(b"msg_type").ok_or(malformed)? {
            REQUEST => Ok(Self::Request { piece: number(b"piece")? }),
            DATA => Ok(Self::Data {
                piece: number(b"piece")?,
                total_size: number(b"total_size")?,
                data: &payload[end..],
            }),
            REJECT => Ok(Self::Reject { piece: number(b"piece")? }),
            _ => Ok(Self::Unknown),
        }
    }

    /// The message's dictionary; of `Data` without what goes behind it.
    pub fn encode_head(&self) -> Vec<u8> {
        let (kind, piece, total_size) = match *self {
            Self::Request { piece } => (REQUEST, piece, None),
            Self::Data { piece, total_size, .. } => (DATA, piece, Some(total_size)),
            Self::Reject { piece } => (REJECT, piece, None),
            Self::Unknown => (i64::from(u8::MAX), 0, None),
        };
        let mut writer = Writer::new();
        writer.dict(|dict| {
            dict.bytes("msg_type").int(kind).bytes("piece").int(i64::from(piece));
            if let Some(size) = total_size {
                dict.bytes("total_size").int(i64::from(size));
            }
        });
        writer.finish()
    }
}

/// Number of pieces of a dictionary of this size.
pub fn piece_count(total_size: u32) -> u32 {
    total_size.div_ceil(METADATA_PIECE_BYTES)
}

/// Bytes of one piece of a dictionary of this size; `None` if there is no such piece.
pub fn piece_length(total_size: u32, piece: u32) -> Option<u32> {
    let start = piece.checked_mul(METADATA_PIECE_BYTES).filter(|&start| start < total_size)?;
    Some((total_size - start).min(METADATA_PIECE_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_bep_9() {
        let cases: [(&[u8], MetadataMessage<'_>); 3] = [
            (b"d8:msg_typei0e5:piecei0ee", MetadataMessage::Request { piece: 0 }),
            (
                b"d8:msg_typei1e5:piecei0e10:total_sizei34256ee",
                MetadataMessage::Data { piece: 0, total_size: 34256, data: b"xxxx" },
            ),
            (b"d8:msg_typei2e5:piecei0ee", MetadataMessage::Reject { piece: 0 }),
        ];
        for (head, message) in cases {
            assert_eq!(message.encode_head(), head);
            let data: &[u8] = if let MetadataMessage::Data { data, .. } = message { data } else { b"" };
            assert_eq!(MetadataMessage::parse(&[head, data].concat()), Ok(message));
        }
    }

    #[test]
    fn unknown_types_are_ignored_and_wrong_numbers_are_not() {
        assert_eq!(MetadataMessage::parse(b"d8:msg_typei9ee"), Ok(MetadataMessage::Unknown));
        for payload in [
            &b"d8:msg_typei0ee"[..],
            b"d8:msg_typei0e5:piecei-1ee",
            b"d8:msg_typei1e5:piecei0ee",
            b"d8:msg_typei0e5:piecei4294967296ee",
            b"le",
        ] {
            assert_eq!(MetadataMessage::parse(payload), Err(Violation::MalformedExtension));
        }
    }

    #[test]
    fn the_last_piece_is_short() {
        assert_eq!(piece_count(34256), 3);
        assert_eq!(piece_length(34256, 0), Some(16384));
        assert_eq!(piece_length(34256, 2), Some(34256 - 32768));
        assert_eq!(
            (piece_length(34256, 3), piece_length(16384, 1), piece_length(1, u32::MAX)),
            (None, None, None)
        );
    }
}
