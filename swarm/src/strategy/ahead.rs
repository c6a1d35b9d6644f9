//! What the textbook's streaming rules share: where readers are, and moves within a stretch of pieces.
//!
//! The papers know one player per peer, at one position. Here several may read one torrent: each rule applies to each of
//! them, the one with the nearest missing piece first. When nothing is missing ahead of any of them, or there is none, the
//! rule applies to the whole torrent from its first piece on. What nobody reads yet counts for nothing.

use std::ops::Range;

use afflux_metainfo::PieceIndex;

use super::{Applicant, Board, Pick};
use crate::availability::first_common_within;
use crate::chance::Chance;
use crate::input::Kind;
use crate::limits::{PARTIAL_PROBES_MAX, PROBES_MAX};
use crate::wants::Reader;

/// A stretch of pieces that is played from its start on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// From the piece under the reader to the end of what it reads.
    pub(super) pieces: Range<u32>,
    /// The first missing piece of it, those under way among them.
    pub(super) first_missing: u32,
}

/// All stretches, the most pressing first. Kept between picks for its memory alone.
#[derive(Clone, Debug, Default)]
pub(super) struct Stretches(Vec<(u32, u64, Stretch)>);

impl Stretches {
    /// The readers' stretches that still miss pieces; the whole torrent if there is none.
    pub(super) fn of(&mut self, board: &Board<'_>) -> impl Iterator<Item = Stretch> + '_ {
        let missing = board.missing;
        let stretch = |pieces: Range<u32>| {
            let first_missing = first_common_within(missing, missing, pieces.clone())?.0;
            Some(Stretch { pieces, first_missing })
        };
        self.0.clear();
        let reading = board.wants.readers().filter(|reader| !reader.is_next());
        self.0.extend(reading.filter_map(|reader| {
            let stretch = stretch(reads(board, reader))?;
            Some((stretch.first_missing - stretch.pieces.start, reader.turn(), stretch))
        }));
        if self.0.is_empty() {
            self.0.extend(stretch(0..board.layout.piece_count()).map(|whole| (0, 0, whole)));
        }
        self.0.sort_unstable_by_key(|&(distance, turn, _)| (distance, turn));
        self.0.iter().map(|(_, _, stretch)| stretch.clone())
    }
}

/// What a reader will read: to its file's end if it plays.
fn reads(board: &Board<'_>, reader: &Reader) -> Range<u32> {
    let pieces = reader.pieces();
    match reader.window().kind {
        Kind::Play => {
            let bytes = reader.window().position..reader.window().file_end;
            pieces.start..board.layout.pieces_of(bytes).end.max(pieces.end)
        }
        _ => pieces,
    }
}

/// A block within the range: pieces under way are finished first, then the rarest is begun, by chance among equals.
pub(super) fn rarest_within(
    board: &mut Board<'_>,
    range: Range<u32>,
    applicant: &Applicant<'_>,
    dice: &mut Chance,
) -> Option<Pick> {
    if let Some(pick) = partial_within(board, range.clone(), applicant) {
        return Some(pick);
    }
    let mut best: Option<(u32, PieceIndex)> = None;
    let mut equals = 0;
    let mut start = range.start;
    for _ in 0..PROBES_MAX {
        let pickable = board.availability.pickable();
        let Some(piece) = first_common_within(pickable, applicant.offers, start..range.end) else { break };
        start = piece.0 + 1;
        let count = board.availability.count(piece);
        match best {
            Some((least, _)) if count > least => continue,
            Some((least, _)) if count == least => equals += 1,
            _ => equals = 1,
        }
        if dice.below(equals) == 0 {
            best = Some((count, piece));
        }
    }
    board.block_of(best?.1, applicant)
}

/// A block of a piece under way within the range: the one that the peer works on already, else the rarest.
pub(super) fn partial_within(
    board: &mut Board<'_>,
    range: Range<u32>,
    applicant: &Applicant<'_>,
) -> Option<Pick> {
    let last = applicant.last_piece.filter(|piece| range.contains(&piece.0) && board.table.is_open(*piece));
    if let Some(pick) = last.and_then(|piece| board.block_of(piece, applicant)) {
        return Some(pick);
    }
    if range.is_empty() {
        return None;
    }
    let table = board.table;
    let mut best: Option<(u32, Pick)> = None;
    for piece in table.partial_within(PieceIndex(range.start)..PieceIndex(range.end)).take(PARTIAL_PROBES_MAX)
    {
        let Some(pick) = board.block_of(piece, applicant) else { continue };
        let count = board.availability.count(piece);
        if best.is_none_or(|(least, _)| count < least) {
            best = Some((count, pick));
        }
    }
    best.map(|(_, pick)| pick)
}
