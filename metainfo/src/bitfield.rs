//! A set of pieces, in the order of the wire (BEP 3, `bitfield`): piece 0 is the high bit of the first byte.

use thiserror::Error;

use crate::index::PieceIndex;

const WORD_BITS: u32 = u64::BITS;

/// Why bytes are not a bitfield for a torrent of this many pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BitfieldError {
    /// More or fewer bytes than the pieces need.
    #[error("a bitfield of {expected} bytes was expected, {actual} came")]
    Length {
        /// Bytes that the pieces need.
        expected: usize,
        /// Bytes that there are.
        actual: usize,
    },
    /// BEP 3: "spare bits at the end are set to zero".
    #[error("spare bits are set behind the last piece")]
    SpareBits,
}

/// A set of pieces of a torrent with a fixed number of them.
///
/// Kept in 64-bit words, most significant bit first, so that set operations and scans go by words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitfield {
    words: Vec<u64>,
    length: u32,
    ones: u32,
}

impl Bitfield {
    /// The empty set out of `length` pieces.
    pub fn new(length: u32) -> Self {
        Self { words: vec![0; length.div_ceil(WORD_BITS) as usize], length, ones: 0 }
    }

    /// The set of all `length` pieces.
    pub fn full(length: u32) -> Self {
        let mut field = Self::new(length);
        field.words.fill(u64::MAX);
        if let (Some(last), used @ 1..) = (field.words.last_mut(), length % WORD_BITS) {
            *last = u64::MAX << (WORD_BITS - used);
        }
        field.ones = length;
        field
    }

    /// Reads the wire form; the length must be exact and the spare bits zero.
    pub fn from_wire(bytes: &[u8], length: u32) -> Result<Self, BitfieldError> {
        let expected = length.div_ceil(8) as usize;
        if bytes.len() != expected {
            return Err(BitfieldError::Length { expected, actual: bytes.len() });
        }
        let mut field = Self::new(length);
        for (word, chunk) in field.words.iter_mut().zip(bytes.chunks(8)) {
            let mut padded = [0; 8];
            padded[..chunk.len()].copy_from_slice(chunk);
            *word = u64::from_be_bytes(padded);
            field.ones += word.count_ones();
        }
        let spare = match (field.words.last(), length % WORD_BITS) {
            (Some(last), used @ 1..) => last & (u64::MAX >> used),
            _ => 0,
        };
        if spare != 0 { Err(BitfieldError::SpareBits) } else { Ok(field) }
    }

    /// Adds a piece; says whether it was new.
    ///
    /// # Panics
    /// If the piece does not exist: whoever takes an index from outside checks it first.
    pub fn insert(&mut self, piece: PieceIndex) -> bool {
        let (word, mask) = self.position(piece);
        let new = self.words[word] & mask == 0;
        self.words[word] |= mask;
        self.ones += u32::from(new);
        new
    }

    /// Takes a piece out; says whether it was there.
    ///
    /// # Panics
    /// If the piece does not exist.
    pub fn remove(&mut self, piece: PieceIndex) -> bool {
        let (word, mask) = self.position(piece);
        let was = self.words[word] & mask != 0;
        self.words[word] &= !mask;
        self.ones -= u32::from(was);
        was
    }

    /// Whether the piece is in the set; one that does not exist is not.
    #[inline]
    pub fn contains(&self, piece: PieceIndex) -> bool {
        piece.0 < self.length
            && self.words[(piece.0 / WORD_BITS) as usize] & (1 << (WORD_BITS - 1 - piece.0 % WORD_BITS)) != 0
    }

    /// Number of pieces there are, in the set or not.
    pub fn length(&self) -> u32 {
        self.length
    }

    /// Number of pieces in the set.
    pub fn count(&self) -> u32 {
        self.ones
    }

    /// Whether all pieces are in the set.
    pub fn is_full(&self) -> bool {
        self.ones == self.length
    }

    /// Whether no piece is in the set.
    pub fn is_empty(&self) -> bool {
        self.ones == 0
    }

    /// The words, most significant bit first; spare bits are zero.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Whether the other set has a piece that this one lacks.
    pub fn lacks_any_of(&self, other: &Bitfield) -> bool {
        self.words.iter().zip(&other.words).any(|(mine, theirs)| theirs & !mine != 0)
    }

    /// The pieces in the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        self.words.iter().zip((0u32..).step_by(WORD_BITS as usize)).flat_map(|(&word, base)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                let bit = rest.leading_zeros();
                (bit < WORD_BITS).then(|| {
                    rest &= !(1 << (WORD_BITS - 1 - bit));
                    PieceIndex(base + bit)
                })
            })
        })
    }

    /// The wire form.
    pub fn to_wire(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.words.iter().flat_map(|word| word.to_be_bytes()).collect();
        bytes.truncate(self.length.div_ceil(8) as usize);
        bytes
    }

    fn position(&self, piece: PieceIndex) -> (usize, u64) {
        assert!(piece.0 < self.length, "piece {piece} of {}", self.length);
        ((piece.0 / WORD_BITS) as usize, 1 << (WORD_BITS - 1 - piece.0 % WORD_BITS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_form_round_trips_at_every_length_around_the_word_boundaries() {
        for length in [0, 1, 7, 8, 9, 63, 64, 65, 127, 128, 129, 1000] {
            let mut field = Bitfield::new(length);
            for piece in (0..length).step_by(3) {
                assert!(field.insert(PieceIndex(piece)));
            }
            assert_eq!(Bitfield::from_wire(&field.to_wire(), length), Ok(field.clone()));
            assert_eq!(
                field.iter().map(|piece| piece.0).collect::<Vec<_>>(),
                (0..length).step_by(3).collect::<Vec<_>>()
            );
            assert_eq!(
                Bitfield::from_wire(&Bitfield::full(length).to_wire(), length),
                Ok(Bitfield::full(length))
            );
        }
    }

    #[test]
    fn spare_bits_and_wrong_lengths_are_refused() {
        assert_eq!(Bitfield::from_wire(&[0xff], 7), Err(BitfieldError::SpareBits));
        assert_eq!(Bitfield::from_wire(&[0xfe], 9), Err(BitfieldError::Length { expected: 2, actual: 1 }));
        assert_eq!(Bitfield::from_wire(&[0, 0], 8), Err(BitfieldError::Length { expected: 1, actual: 2 }));
    }

    #[test]
    fn counts_never_drift() {
        let mut field = Bitfield::new(10);
        assert!(field.insert(PieceIndex(3)) && !field.insert(PieceIndex(3)));
        assert_eq!(field.count(), 1);
        assert!(field.remove(PieceIndex(3)) && !field.remove(PieceIndex(3)));
        assert!(field.is_empty() && !field.contains(PieceIndex(10)));
    }
}
