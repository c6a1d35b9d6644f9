//! Rarest first, as BitTorrent was published with (Cohen, "Incentives Build Robustness in BitTorrent", 2003, section
//! 2.4): pieces under way are finished first, then the piece that the fewest peers have is begun.

use std::time::Instant;

use super::{Applicant, Board, Pick, Strategy, StrategyName};

/// Pieces under way, then the rarest.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rarest;

impl Strategy for Rarest {
    fn name(&self) -> StrategyName {
        StrategyName::Rarest
    }

    fn pick(&mut self, board: &mut Board<'_>, applicant: &Applicant<'_>, _now: Instant) -> Option<Pick> {
        board.under_way(applicant).or_else(|| board.rarest(applicant))
    }
}
