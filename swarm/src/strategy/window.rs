//! Rarest first inside a window that slides ahead of the position.
//!
//! Source: P. Shah, J.-F. Pâris, "Peer-to-Peer Multimedia Streaming Using BitTorrent", IEEE IPCCC 2007, section 3: the window
//! begins at the first piece that the player misses, and inside of it the rarest is taken. That it widens with what is in
//! hand is Y. Borghol, S. Ardon, N. Carlsson, A. Mahanti, "Toward Efficient On-Demand Streaming with BitTorrent",
//! Networking 2010: who has a buffer can afford diversity.
//!
//! Parameters: [`PIECES_MIN`] pieces, and one more for each piece in hand ahead of the position. The figures are ours: the
//! papers vary them with the film. While all of the window is asked for, peers with room fetch the rarest behind it
//! rather than rest.

use std::time::Instant;

use super::ahead::{Stretches, rarest_within};
use super::{Applicant, Board, Pick, Strategy, StrategyName};
use crate::chance::Chance;

/// Pieces in the window while nothing is in hand.
const PIECES_MIN: u32 = 16;

/// Rarest inside the window, then rarest.
#[derive(Clone, Debug)]
pub struct Window {
    stretches: Stretches,
    dice: Chance,
}

impl Window {
    /// Ties are broken by this seed.
    pub fn new(seed: u64) -> Self {
        Self { stretches: Stretches::default(), dice: Chance::new(seed) }
    }
}

impl Strategy for Window {
    fn name(&self) -> StrategyName {
        StrategyName::Window
    }

    fn pick(&mut self, board: &mut Board<'_>, applicant: &Applicant<'_>, _now: Instant) -> Option<Pick> {
        let inside = self.stretches.of(board).find_map(|stretch| {
            let in_hand = stretch.first_missing - stretch.pieces.start;
            let end = stretch.first_missing.saturating_add(PIECES_MIN).saturating_add(in_hand);
            let window = stretch.first_missing..end.min(stretch.pieces.end);
            rarest_within(board, window, applicant, &mut self.dice)
        });
        inside.or_else(|| board.under_way(applicant)).or_else(|| board.rarest(applicant))
    }
}
