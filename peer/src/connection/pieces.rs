//! What the peer has, and what it said before we knew how many pieces there are.

use afflux_metainfo::bitfield::BitfieldError;
use afflux_metainfo::limits::PIECES_MAX;
use afflux_metainfo::{Bitfield, PieceIndex};

use crate::event::Event;
use crate::limits::EARLY_HAVES_MAX;
use crate::violation::Violation;

/// The first thing a peer says of its pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
enum First {
    Bits(Vec<u8>),
    All,
    None,
}

/// Kept raw until the number of pieces is known.
#[derive(Debug, Default)]
struct Early {
    first: Option<First>,
    /// Haves (`true`) and don't-haves, in order.
    changes: Vec<(PieceIndex, bool)>,
}

/// The peer's pieces.
#[derive(Debug)]
pub(super) struct Pieces {
    /// `None`: the number of pieces is unknown; all is kept in `early`.
    count: Option<u32>,
    early: Early,
    /// `None`: the peer hasn't said anything yet.
    known: Option<Bitfield>,
}

impl Pieces {
    pub(super) fn new(count: Option<u32>) -> Self {
        Self { count, early: Early::default(), known: None }
    }

    /// A bitfield.
    pub(super) fn handle_bitfield(&mut self, bytes: &[u8]) -> Result<Option<Event>, Violation> {
        self.handle_pieces(First::Bits(bytes.to_vec()))
    }

    /// A have-all.
    pub(super) fn handle_all(&mut self) -> Result<Option<Event>, Violation> {
        self.handle_pieces(First::All)
    }

    /// A have-none, which can only be the first thing said.
    pub(super) fn handle_none(&mut self) -> Result<Option<Event>, Violation> {
        if self.known.is_some() || self.early.first.is_some() || !self.early.changes.is_empty() {
            return Err(Violation::PiecesToldTwice);
        }
        self.handle_pieces(First::None)
    }

    /// A `have`; two events if it is the first thing that the peer says.
    pub(super) fn handle_have(&mut self, piece: PieceIndex) -> Result<[Option<Event>; 2], Violation> {
        if !self.check(piece, true)? {
            return Ok([None, None]);
        }
        let count = self.count.unwrap_or(0);
        let opening = self.known.is_none().then(|| Event::PiecesKnown(Bitfield::new(count)));
        let known = self.known.get_or_insert_with(|| Bitfield::new(count));
        Ok([opening, known.insert(piece).then_some(Event::Had(piece))])
    }

    /// A `lt_donthave` (BEP 54).
    pub(super) fn handle_dont_have(&mut self, piece: PieceIndex) -> Result<Option<Event>, Violation> {
        if !self.check(piece, false)? {
            return Ok(None);
        }
        let known = self.known.as_mut();
        Ok(known.is_some_and(|known| known.remove(piece)).then_some(Event::Lost(piece)))
    }

    /// The number of pieces is known: what was kept is judged.
    pub(super) fn learn_count(&mut self, count: u32) -> Result<Option<Event>, Violation> {
        self.count = Some(count);
        let early = std::mem::take(&mut self.early);
        if early.first.is_none() && early.changes.is_empty() {
            return Ok(None);
        }
        let mut known = first_pieces(early.first.unwrap_or(First::None), count)?;
        for (piece, has) in early.changes {
            if piece.0 >= count {
                return Err(Violation::PieceIndex(piece.0));
            }
            if has {
                known.insert(piece);
            } else {
                known.remove(piece);
            }
        }
        self.known = Some(known.clone());
        Ok(Some(Event::PiecesKnown(known)))
    }

    /// Whether a piece exists, as far as can be known.
    pub(super) fn check_index(&self, piece: PieceIndex) -> Result<(), Violation> {
        let count = self.count.unwrap_or(PIECES_MAX);
        if piece.0 < count { Ok(()) } else { Err(Violation::PieceIndex(piece.0)) }
    }

    /// Bytes that a bitfield must have.
    #[inline]
    pub(super) fn bitfield_bytes(&self) -> Option<u32> {
        self.count.map(|count| count.div_ceil(8))
    }

    /// Many pieces at once. When it isn't the first thing said it counts as haves: aria2 sends a bitfield, in the end
    /// a have-all, in place of many of them.
    fn handle_pieces(&mut self, told: First) -> Result<Option<Event>, Violation> {
        match (&mut self.known, self.count) {
            (Some(known), _) => {
                let before = known.count();
                first_pieces(told, known.length())?.iter().for_each(|piece| _ = known.insert(piece));
                Ok((known.count() > before).then(|| Event::PiecesKnown(known.clone())))
            }
            (None, Some(count)) => {
                let known = self.known.insert(first_pieces(told, count)?);
                Ok(Some(Event::PiecesKnown(known.clone())))
            }
            (None, None) => {
                if self.early.first != Some(First::All) {
                    self.early.first = Some(told);
                }
                Ok(None)
            }
        }
    }

    /// Whether a change can be applied now; if not, it is kept.
    fn check(&mut self, piece: PieceIndex, has: bool) -> Result<bool, Violation> {
        self.check_index(piece)?;
        if self.count.is_some() {
            return Ok(true);
        }
        if self.early.changes.len() == EARLY_HAVES_MAX {
            return Err(Violation::EarlyHaves);
        }
        self.early.changes.push((piece, has));
        Ok(false)
    }
}

fn first_pieces(first: First, count: u32) -> Result<Bitfield, Violation> {
    match first {
        First::All => Ok(Bitfield::full(count)),
        First::None => Ok(Bitfield::new(count)),
        First::Bits(bytes) => Bitfield::from_wire(&bytes, count).map_err(|error| match error {
            BitfieldError::Length { .. } => Violation::BitfieldLength,
            BitfieldError::SpareBits => Violation::BitfieldSpareBits,
        }),
    }
}
