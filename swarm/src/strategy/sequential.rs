//! In order: what most players' plug-ins ask a torrent client for.
//!
//! Each reader is served from its position to the end of its file, the one with the nearest missing piece first, and
//! then the torrent from its first piece on. No deadlines, no duplicates, no cancelling: whoever has room gets the next
//! block.

use std::time::Instant;

use super::{Applicant, Board, Pick, Strategy, StrategyName};

/// Ascending from the readers' positions, else from the first piece.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sequential;

impl Strategy for Sequential {
    fn name(&self) -> StrategyName {
        StrategyName::Sequential
    }

    fn pick(&mut self, board: &mut Board<'_>, applicant: &Applicant<'_>, _now: Instant) -> Option<Pick> {
        let wants = board.wants;
        let mut nearest: Option<(u32, u64, Pick)> = None;
        for reader in wants.readers() {
            let start = reader.pieces().start;
            let file_end = board.layout.pieces_of(reader.window().position..reader.window().file_end).end;
            let Some(pick) = board.first_within(start, file_end, applicant) else { continue };
            let distance = pick.piece.0 - start;
            if nearest.is_none_or(|(least, turn, _)| (distance, turn) < (least, reader.turn())) {
                nearest = Some((distance, reader.turn(), pick));
            }
        }
        let found = nearest.map(|(_, _, pick)| pick);
        found.or_else(|| board.first_within(0, board.layout.piece_count(), applicant))
    }
}
