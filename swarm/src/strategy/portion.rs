//! Portion: in order with probability p, else rarest first.
//!
//! Source: N. Carlsson, D. L. Eager, "Peer-Assisted On-Demand Streaming of Stored Media Using BitTorrent-Like Protocols",
//! Networking 2007, section 3; analysed by K. N. Parvez, C. Williamson, A. Mahanti, N. Carlsson, SIGMETRICS 2008.
//!
//! Parameter: p = 0.5. The dice are thrown for each new piece; a piece under way is finished first, as BitTorrent does.

use std::time::Instant;

use super::ahead::Stretches;
use super::{Applicant, Board, Pick, Strategy, StrategyName};
use crate::chance::Chance;

/// How often the next piece in order is chosen, in percent.
const IN_ORDER_PERCENT: usize = 50;

/// Half in order, half rarest first.
#[derive(Clone, Debug)]
pub struct Portion {
    stretches: Stretches,
    dice: Chance,
}

impl Portion {
    /// The dice are thrown by this seed.
    pub fn new(seed: u64) -> Self {
        Self { stretches: Stretches::default(), dice: Chance::new(seed) }
    }

    fn in_order(&mut self, board: &mut Board<'_>, applicant: &Applicant<'_>) -> Option<Pick> {
        self.stretches.of(board).find_map(|stretch| {
            let start = stretch.first_missing;
            let fresh = board.availability.next_from(applicant.offers, start);
            let piece = fresh.filter(|piece| piece.0 < stretch.pieces.end)?;
            board.block_of(piece, applicant)
        })
    }
}

impl Strategy for Portion {
    fn name(&self) -> StrategyName {
        StrategyName::Portion
    }

    fn pick(&mut self, board: &mut Board<'_>, applicant: &Applicant<'_>, _now: Instant) -> Option<Pick> {
        let under_way = board.under_way(applicant);
        if under_way.is_some() {
            return under_way;
        }
        if self.dice.below(100) < IN_ORDER_PERCENT {
            self.in_order(board, applicant).or_else(|| board.rarest(applicant))
        } else {
            board.rarest(applicant).or_else(|| self.in_order(board, applicant))
        }
    }
}
