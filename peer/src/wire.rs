//! The messages of the peer wire and their bytes (BEP 3, 5, 6, 10).
//!
//! The decoder looks at a prefix of the stream and says what it begins with, or how much more it must see. It
//! checks every length before anything is buffered, and never waits for payload: of a `piece` it reads the
//! header, of an unknown message the id. Not here: whether a message makes sense in this conversation.

use afflux_metainfo::limits::PIECES_MAX;
use afflux_metainfo::{BlockRef, PieceIndex};
use bytes::BufMut;

use crate::limits::{EXTENDED_BYTES_MAX, MESSAGE_BYTES_MAX};
use crate::violation::Violation;

/// Bytes in front of a block's payload: length, id, index, begin (BEP 3).
pub const PIECE_HEADER_LENGTH: usize = 13;

const LENGTH_PREFIX: usize = 4;

// BEP 3
const CHOKE: u8 = 0;
const UNCHOKE: u8 = 1;
const INTERESTED: u8 = 2;
const NOT_INTERESTED: u8 = 3;
const HAVE: u8 = 4;
const BITFIELD: u8 = 5;
const REQUEST: u8 = 6;
pub(crate) const PIECE: u8 = 7;
const CANCEL: u8 = 8;
// BEP 5
const PORT: u8 = 9;
// BEP 6
pub(crate) const SUGGEST: u8 = 13;
pub(crate) const HAVE_ALL: u8 = 14;
pub(crate) const HAVE_NONE: u8 = 15;
pub(crate) const REJECT: u8 = 16;
pub(crate) const ALLOWED_FAST: u8 = 17;
// BEP 10
const EXTENDED: u8 = 20;

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
    /// A message that we don't know; so many bytes of it follow.
    Unknown {
        /// Its id.
        id: u8,
        /// Bytes behind the id.
        rest: u32,
    },
}

/// What a prefix of the stream begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// Not yet a message: at least so many bytes must be there, counted from the same start.
    Needs(usize),
    /// A message, and how many bytes it took. What follows a `piece` header or an unknown id isn't counted.
    Message(Message<'a>, usize),
}

/// Reads the start of a stream. `bitfield_bytes` is the exact size of a bitfield, if the number of pieces
/// is known.
#[inline]
pub fn decode(bytes: &[u8], bitfield_bytes: Option<u32>) -> Result<Decoded<'_>, Violation> {
    let Some((prefix, rest)) = bytes.split_first_chunk::<LENGTH_PREFIX>() else {
        return Ok(Decoded::Needs(LENGTH_PREFIX));
    };
    let length = u32::from_be_bytes(*prefix);
    if length == 0 {
        return Ok(Decoded::Message(Message::KeepAlive, LENGTH_PREFIX));
    }
    if length > MESSAGE_BYTES_MAX {
        return Err(Violation::MessageTooLong { length });
    }
    let Some((&id, rest)) = rest.split_first() else { return Ok(Decoded::Needs(LENGTH_PREFIX + 1)) };
    check_length(id, length, bitfield_bytes)?;
    let (head, whole) = match id {
        PIECE => (8, PIECE_HEADER_LENGTH),
        CHOKE..=PORT | SUGGEST..=ALLOWED_FAST | EXTENDED => {
            (length as usize - 1, LENGTH_PREFIX + length as usize)
        }
        _ => (0, LENGTH_PREFIX + 1),
    };
    match rest.get(..head) {
        None => Ok(Decoded::Needs(whole)),
        Some(body) => Ok(Decoded::Message(read(id, length, body), whole)),
    }
}

/// Refuses a length that this message can't have, before a byte of it is buffered.
fn check_length(id: u8, length: u32, bitfield_bytes: Option<u32>) -> Result<(), Violation> {
    let fits = match id {
        CHOKE..=NOT_INTERESTED | HAVE_ALL | HAVE_NONE => length == 1,
        PORT => length == 3,
        HAVE | SUGGEST | ALLOWED_FAST => length == 5,
        REQUEST | CANCEL | REJECT => length == 13,
        PIECE => length >= 9,
        EXTENDED => (2..=EXTENDED_BYTES_MAX).contains(&length),
        BITFIELD => {
            let bits = length - 1;
            let fits = bitfield_bytes.map_or(bits <= PIECES_MAX.div_ceil(8), |exact| bits == exact);
            return if fits { Ok(()) } else { Err(Violation::BitfieldLength) };
        }
        _ => true,
    };
    if fits { Ok(()) } else { Err(Violation::MessageLength { id, length }) }
}

/// Reads a body whose length was checked.
fn read(id: u8, length: u32, body: &[u8]) -> Message<'_> {
    let number = |at: usize| {
        body.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |four| u32::from_be_bytes(*four))
    };
    let piece = || PieceIndex(number(0));
    let block = || BlockRef { index: piece(), begin: number(4), length: number(8) };
    match id {
        CHOKE => Message::Choke,
        UNCHOKE => Message::Unchoke,
        INTERESTED => Message::Interested,
        NOT_INTERESTED => Message::NotInterested,
        HAVE => Message::Have(piece()),
        BITFIELD => Message::Bitfield(body),
        REQUEST => Message::Request(block()),
        PIECE => Message::Piece(BlockRef { index: piece(), begin: number(4), length: length - 9 }),
        CANCEL => Message::Cancel(block()),
        PORT => Message::Port(body.first_chunk().map_or(0, |two| u16::from_be_bytes(*two))),
        SUGGEST => Message::Suggest(piece()),
        HAVE_ALL => Message::HaveAll,
        HAVE_NONE => Message::HaveNone,
        REJECT => Message::Reject(block()),
        ALLOWED_FAST => Message::AllowedFast(piece()),
        EXTENDED => match body.split_first() {
            Some((&id, payload)) => Message::Extended { id, payload },
            None => Message::Unknown { id: EXTENDED, rest: 0 },
        },
        _ => Message::Unknown { id, rest: length - 1 },
    }
}

impl Message<'_> {
    /// Appends the wire form; of `Piece` and `Unknown` without what follows.
    #[inline]
    pub fn encode(&self, out: &mut impl BufMut) {
        match *self {
            Self::KeepAlive => out.put_u32(0),
            Self::Choke => plain(out, CHOKE),
            Self::Unchoke => plain(out, UNCHOKE),
            Self::Interested => plain(out, INTERESTED),
            Self::NotInterested => plain(out, NOT_INTERESTED),
            Self::HaveAll => plain(out, HAVE_ALL),
            Self::HaveNone => plain(out, HAVE_NONE),
            Self::Have(piece) => with_piece(out, HAVE, piece),
            Self::Suggest(piece) => with_piece(out, SUGGEST, piece),
            Self::AllowedFast(piece) => with_piece(out, ALLOWED_FAST, piece),
            Self::Request(block) => with_block(out, REQUEST, block),
            Self::Cancel(block) => with_block(out, CANCEL, block),
            Self::Reject(block) => with_block(out, REJECT, block),
            Self::Piece(block) => {
                head(out, 9 + block.length, PIECE);
                out.put_u32(block.index.0);
                out.put_u32(block.begin);
            }
            Self::Port(port) => {
                head(out, 3, PORT);
                out.put_u16(port);
            }
            Self::Bitfield(bits) => {
                head(out, 1 + bits.len() as u32, BITFIELD);
                out.put_slice(bits);
            }
            Self::Extended { id, payload } => {
                head(out, 2 + payload.len() as u32, EXTENDED);
                out.put_u8(id);
                out.put_slice(payload);
            }
            Self::Unknown { id, rest } => head(out, 1 + rest, id),
        }
    }

    /// The head of an extension message whose data, of `behind` bytes, follows apart.
    pub(crate) fn encode_extended_head(id: u8, payload: &[u8], behind: usize, out: &mut impl BufMut) {
        head(out, (2 + payload.len() + behind) as u32, EXTENDED);
        out.put_u8(id);
        out.put_slice(payload);
    }
}

fn head(out: &mut impl BufMut, length: u32, id: u8) {
    out.put_u32(length);
    out.put_u8(id);
}

fn plain(out: &mut impl BufMut, id: u8) {
    head(out, 1, id);
}

fn with_piece(out: &mut impl BufMut, id: u8, piece: PieceIndex) {
    head(out, 5, id);
    out.put_u32(piece.0);
}

fn with_block(out: &mut impl BufMut, id: u8, block: BlockRef) {
    head(out, 13, id);
    out.put_u32(block.index.0);
    out.put_u32(block.begin);
    out.put_u32(block.length);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(index: u32, begin: u32, length: u32) -> BlockRef {
        BlockRef { index: PieceIndex(index), begin, length }
    }

    #[test]
    fn messages_have_the_bytes_of_their_beps() {
        let cases: [(Message<'_>, &[u8]); 12] = [
            (Message::KeepAlive, &[0, 0, 0, 0]),
            (Message::Choke, &[0, 0, 0, 1, 0]),
            (Message::Interested, &[0, 0, 0, 1, 2]),
            (Message::Have(PieceIndex(258)), &[0, 0, 0, 5, 4, 0, 0, 1, 2]),
            (Message::Bitfield(&[0x80]), &[0, 0, 0, 2, 5, 0x80]),
            (
                Message::Request(block(1, 0x4000, 0x4000)),
                &[0, 0, 0, 13, 6, 0, 0, 0, 1, 0, 0, 0x40, 0, 0, 0, 0x40, 0],
            ),
            (Message::Piece(block(1, 2, 3)), &[0, 0, 0, 12, 7, 0, 0, 0, 1, 0, 0, 0, 2]),
            (Message::Port(6881), &[0, 0, 0, 3, 9, 0x1a, 0xe1]),
            (Message::HaveAll, &[0, 0, 0, 1, 0x0e]),
            (Message::Reject(block(1, 2, 3)), &[0, 0, 0, 13, 0x10, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]),
            (Message::AllowedFast(PieceIndex(7)), &[0, 0, 0, 5, 0x11, 0, 0, 0, 7]),
            (Message::Extended { id: 0, payload: b"de" }, &[0, 0, 0, 4, 20, 0, b'd', b'e']),
        ];
        for (message, bytes) in cases {
            let mut out = Vec::new();
            message.encode(&mut out);
            assert_eq!(out, bytes, "{message:?}");
            assert_eq!(decode(bytes, None), Ok(Decoded::Message(message, bytes.len())));
        }
    }

    #[test]
    fn fixed_sizes_are_exact() {
        for (id, length) in
            [(0, 2), (3, 2), (4, 4), (4, 6), (6, 12), (8, 14), (9, 2), (14, 5), (16, 9), (20, 1)]
        {
            let mut bytes = vec![0, 0, 0, length as u8, id];
            bytes.resize(100, 0);
            assert_eq!(decode(&bytes, None), Err(Violation::MessageLength { id, length }));
        }
        assert_eq!(decode(&[0, 0, 0, 3, 5], Some(1)), Err(Violation::BitfieldLength));
        assert_eq!(decode(&[0, 0, 0, 8, 7], None), Err(Violation::MessageLength { id: 7, length: 8 }));
    }

    #[test]
    fn lengths_are_refused_before_the_body_comes() {
        assert_eq!(decode(&[0, 0x10, 0, 1], None), Err(Violation::MessageTooLong { length: (1 << 20) + 1 }));
        assert_eq!(decode(&[0, 4, 0, 2, 5], None), Err(Violation::BitfieldLength));
        assert_eq!(decode(&[0, 1, 0, 1, 20], None), Err(Violation::MessageLength { id: 20, length: 65537 }));
    }

    #[test]
    fn unknown_messages_are_named_without_their_body() {
        let expected = Decoded::Message(Message::Unknown { id: 99, rest: 999 }, 5);
        assert_eq!(decode(&[0, 0, 3, 232, 99], None), Ok(expected));
    }

    fn any_block() -> impl Strategy<Value = BlockRef> {
        (any::<u32>(), any::<u32>(), 0u32..=1 << 19)
            .prop_map(|(index, begin, length)| block(index, begin, length))
    }

    proptest! {
        #[test]
        fn every_split_needs_more_and_the_whole_round_trips(
            block in any_block(),
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            kind in 0u8..18,
        ) {
            let message = match kind {
                0 => Message::KeepAlive,
                1 => Message::Choke,
                2 => Message::Unchoke,
                3 => Message::Interested,
                4 => Message::NotInterested,
                5 => Message::Have(block.index),
                6 => Message::Bitfield(&bytes),
                7 => Message::Request(block),
                8 => Message::Piece(block),
                9 => Message::Cancel(block),
                10 => Message::Port(block.begin as u16),
                11 => Message::Suggest(block.index),
                12 => Message::HaveAll,
                13 => Message::HaveNone,
                14 => Message::Reject(block),
                15 => Message::AllowedFast(block.index),
                16 => Message::Extended { id: block.begin as u8, payload: &bytes },
                _ => Message::Unknown { id: 200, rest: block.length },
            };
            let mut wire = Vec::new();
            message.encode(&mut wire);
            for split in 0..wire.len() {
                match decode(&wire[..split], None) {
                    Ok(Decoded::Needs(more)) => prop_assert!(more > split && more <= wire.len()),
                    other => prop_assert!(false, "{split}: {other:?}"),
                }
            }
            wire.extend_from_slice(b"behind");
            prop_assert_eq!(decode(&wire, None), Ok(Decoded::Message(message, wire.len() - 6)));
        }
    }
}
