//! Few seeds and many leechers.
//!
//! In order, all readers would ask the seeds for the same pieces at the same time. Each piece would leave them many times
//! over, nobody would have anything that others lack, and all would wait for the seeds. So seeds are asked only for what
//! nobody else has, and there each leecher draws its own pieces out of the next minute of its film. What leechers have
//! comes from leechers, by deadline.

use std::ops::Range;

use afflux_metainfo::PieceIndex;

use super::super::{Applicant, Board, Desk, Pick};
use crate::availability::{Availability, first_common_within};
use crate::chance::Chance;
use crate::key::PeerKey;
use crate::limits::{PARTIAL_PROBES_MAX, PROBES_MAX, SCARCE_AHEAD_SECONDS, SOWN_SECONDS};
use crate::wants::Reader;

/// Whether only seeds have the piece.
pub(super) fn is_lone(availability: &Availability, piece: PieceIndex) -> bool {
    availability.count(piece) <= availability.seeds()
}

/// Whether the piece is one that everybody draws for, rather than one that is due: only seeds have it, and nothing of it
/// was asked for yet. A reader that has just come or jumped draws nothing: what it waits for are a few pieces, and it may be
/// the only one there.
pub(super) fn is_drawn(desk: &Desk<'_>, reader: &Reader, piece: PieceIndex) -> bool {
    desk.outlook().scarce
        && reader.is_settled()
        && is_lone(desk.availability(), piece)
        && !desk.table().is_open(piece)
}

/// Whether seeds are spared the piece: a leecher has it that serves us well.
pub(super) fn spares_seeds(desk: &Desk<'_>, piece: PieceIndex) -> bool {
    let has = |key: PeerKey| desk.offers(key, piece) && !is_seed(desk, key);
    desk.outlook().scarce && !is_lone(desk.availability(), piece) && desk.ranks().any(|(_, key)| has(key))
}

/// Whether the peer has everything.
pub(super) fn is_seed(desk: &Desk<'_>, key: PeerKey) -> bool {
    desk.peer(key).is_some_and(|peer| peer.offers.is_full())
}

/// Of seeds what only they have; of leechers what is read next. Then what makes the swarm healthier.
pub(super) fn pick(board: &mut Board<'_>, applicant: &Applicant<'_>, dice: &mut Chance) -> Option<Pick> {
    if applicant.offers.is_full()
        && let Some(pick) = lone_of(board, applicant, dice)
    {
        return Some(pick);
    }
    let wants = board.wants;
    let mut reading = wants.readers().filter(|reader| !reader.is_next());
    let ahead = reading.find_map(|reader| {
        let pieces = next_seconds(board, reader, SCARCE_AHEAD_SECONDS);
        board.first_within(pieces.start, pieces.end, applicant)
    });
    ahead.or_else(|| board.under_way(applicant)).or_else(|| board.rarest(applicant))
}

/// What only seeds have: what is under way, then a piece of the next minute, then any.
fn lone_of(board: &mut Board<'_>, applicant: &Applicant<'_>, dice: &mut Chance) -> Option<Pick> {
    let under_way = lone_under_way(board, applicant);
    if under_way.is_some() {
        return under_way;
    }
    let wants = board.wants;
    let mut reading = wants.readers().filter(|reader| !reader.is_next());
    let drawn = reading.find_map(|reader| {
        let pieces = next_seconds(board, reader, SOWN_SECONDS);
        let piece = draw(board, pieces, applicant, dice)?;
        board.block_of(piece, applicant)
    });
    drawn.or_else(|| board.rarest(applicant).filter(|pick| is_lone(board.availability, pick.piece)))
}

fn lone_under_way(board: &mut Board<'_>, applicant: &Applicant<'_>) -> Option<Pick> {
    let table = board.table;
    let last = applicant.last_piece.filter(|&piece| table.is_open(piece));
    let mut pieces = last.into_iter().chain(table.partial().take(PARTIAL_PROBES_MAX));
    pieces.find_map(|piece| {
        let pick = board.block_of(piece, applicant);
        pick.filter(|_| is_lone(board.availability, piece))
    })
}

/// One of the new pieces that only seeds have, all of them as likely.
fn draw(
    board: &Board<'_>,
    pieces: Range<u32>,
    applicant: &Applicant<'_>,
    dice: &mut Chance,
) -> Option<PieceIndex> {
    let pickable = board.availability.pickable();
    let (mut drawn, mut equals, mut start) = (None, 0, pieces.start);
    for _ in 0..PROBES_MAX {
        let Some(piece) = first_common_within(pickable, applicant.offers, start..pieces.end) else { break };
        start = piece.0 + 1;
        if is_lone(board.availability, piece) {
            equals += 1;
            drawn = if dice.below(equals) == 0 { Some(piece) } else { drawn };
        }
    }
    drawn
}

/// The pieces that a reader comes to within so many seconds; no farther than its window where that is all that may be
/// opened.
fn next_seconds(board: &mut Board<'_>, reader: &Reader, seconds: u64) -> Range<u32> {
    let pieces = reader.pieces();
    let window = reader.window();
    let end = window.position.saturating_add(reader.rate().saturating_mul(seconds)).min(window.file_end);
    let end = board.layout.pieces_of(window.position..end).end.max(reader.urgent().end);
    pieces.start..if board.spares_a_piece() { end } else { end.min(pieces.end) }
}
