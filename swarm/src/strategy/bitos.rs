//! BiToS: a few pieces of high priority, and all the rest.
//!
//! Source: A. Vlavianos, M. Iliofotou, M. Faloutsos, "BiToS: Enhancing BitTorrent for Supporting Streaming Applications", IEEE
//! Global Internet Symposium (with INFOCOM) 2006, section III. The missing pieces nearest to the position are the high
//! priority set, the others the remaining set; one is drawn from the former with probability p, else from the latter,
//! the rarest of its set.
//!
//! Parameters: p = 0.8, which the paper found best; [`HIGH_PIECES`] pieces in the set, our choice. The paper drops pieces
//! whose time is over; a reader here waits for them, so none is ever late for good.

use std::time::Instant;

use afflux_metainfo::{Bitfield, PieceIndex};

use super::ahead::{Stretch, Stretches, partial_within, rarest_within};
use super::{Applicant, Board, Pick, Strategy, StrategyName};
use crate::availability::first_common_within;
use crate::chance::Chance;

/// Missing pieces in the high priority set.
const HIGH_PIECES: u32 = 16;

/// How often the high priority set is chosen, in percent.
const HIGH_PERCENT: usize = 80;

/// With p the rarest of the next pieces, else the rarest of the others.
#[derive(Clone, Debug)]
pub struct Bitos {
    stretches: Stretches,
    dice: Chance,
}

impl Bitos {
    /// Sets are chosen and ties broken by this seed.
    pub fn new(seed: u64) -> Self {
        Self { stretches: Stretches::default(), dice: Chance::new(seed) }
    }

    fn high(&mut self, board: &mut Board<'_>, applicant: &Applicant<'_>) -> Option<Pick> {
        self.stretches.of(board).find_map(|stretch| {
            let end = high_end(board.missing, &stretch);
            rarest_within(board, stretch.first_missing..end, applicant, &mut self.dice)
        })
    }

    fn remaining(&mut self, board: &mut Board<'_>, applicant: &Applicant<'_>) -> Option<Pick> {
        let count = board.layout.piece_count();
        let high =
            self.stretches.of(board).next().map(|first| first.first_missing..high_end(board.missing, &first));
        let high = high.unwrap_or(0..0);
        partial_within(board, high.end..count, applicant)
            .or_else(|| partial_within(board, 0..high.start, applicant))
            .or_else(|| board.rarest(applicant))
    }
}

impl Strategy for Bitos {
    fn name(&self) -> StrategyName {
        StrategyName::Bitos
    }

    fn pick(&mut self, board: &mut Board<'_>, applicant: &Applicant<'_>, _now: Instant) -> Option<Pick> {
        if self.dice.below(100) < HIGH_PERCENT {
            self.high(board, applicant).or_else(|| self.remaining(board, applicant))
        } else {
            self.remaining(board, applicant).or_else(|| self.high(board, applicant))
        }
    }
}

/// Where the high priority set ends: behind so many missing pieces.
fn high_end(missing: &Bitfield, stretch: &Stretch) -> u32 {
    let mut end = stretch.first_missing;
    for _ in 0..HIGH_PIECES {
        match first_common_within(missing, missing, end..stretch.pieces.end) {
            Some(PieceIndex(piece)) => end = piece + 1,
            None => break,
        }
    }
    end
}
