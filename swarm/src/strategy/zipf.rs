//! Zipf: the farther a piece lies ahead, the less likely it is chosen.
//!
//! Source: N. Carlsson, D. L. Eager, "Peer-Assisted On-Demand Streaming of Stored Media Using BitTorrent-Like Protocols",
//! Networking 2007, section 3: of the pieces that the peer has and we miss, piece k is chosen with a probability
//! proportional to `1 / (k + 1 - k0)^theta`, where k0 is the first piece that we don't have. What is asked for counts as had:
//! the paper takes one piece at a time, and else all that wait for the first one would scatter.
//!
//! Parameter: theta = 1.25, the paper's. The dice are thrown for each new piece; a piece under way is finished first, as
//! BitTorrent does. A peer that has nothing ahead of a reader gives the rarest that it has.

use std::time::Instant;

use afflux_metainfo::PieceIndex;

use super::ahead::{Stretch, Stretches};
use super::{Applicant, Board, Pick, Strategy, StrategyName};
use crate::availability::first_common_within;
use crate::chance::Chance;
use crate::limits::PROBES_MAX;

/// A piece at a distance that is drawn from Zipf's law.
#[derive(Clone, Debug)]
pub struct Zipf {
    stretches: Stretches,
    dice: Chance,
}

impl Zipf {
    /// The dice are thrown by this seed.
    pub fn new(seed: u64) -> Self {
        Self { stretches: Stretches::default(), dice: Chance::new(seed) }
    }
}

impl Strategy for Zipf {
    fn name(&self) -> StrategyName {
        StrategyName::Zipf
    }

    fn pick(&mut self, board: &mut Board<'_>, applicant: &Applicant<'_>, _now: Instant) -> Option<Pick> {
        let under_way = board.under_way(applicant);
        if under_way.is_some() {
            return under_way;
        }
        let ahead = self.stretches.of(board).find_map(|stretch| {
            let piece = draw_piece(board, &stretch, applicant, &mut self.dice)?;
            board.block_of(piece, applicant)
        });
        ahead.or_else(|| board.rarest(applicant))
    }
}

/// Throws until a piece comes up that the peer has and nobody was asked for; that gives each of these its share. When too
/// many throws were in vain, the first such piece at or behind the last throw is taken.
fn draw_piece(
    board: &Board<'_>,
    stretch: &Stretch,
    applicant: &Applicant<'_>,
    dice: &mut Chance,
) -> Option<PieceIndex> {
    let pickable = board.availability.pickable();
    let first = first_common_within(pickable, pickable, stretch.first_missing..stretch.pieces.end)?.0;
    let count = stretch.pieces.end - first;
    let within = |piece: &PieceIndex| piece.0 < stretch.pieces.end;
    let any = board.availability.next_from(applicant.offers, first).filter(within)?;
    let mut thrown = first;
    for _ in 0..PROBES_MAX {
        thrown = first + draw_distance(count, dice);
        let piece = PieceIndex(thrown);
        if pickable.contains(piece) && applicant.offers.contains(piece) {
            return Some(piece);
        }
    }
    Some(board.availability.next_from(applicant.offers, thrown).filter(within).unwrap_or(any))
}

/// A number below `count`, `d` with a chance proportional to `(d + 1)^-1.25`.
///
/// It is drawn from the continuous law of the same exponent, which can be inverted, and kept as often as the two agree.
/// With theta = 5/4 roots and products are all it takes, and these give the same bits on every machine.
fn draw_distance(count: u32, dice: &mut Chance) -> u32 {
    let tail = |place: f64| 1.0 / place.sqrt().sqrt();
    let last = 1.0 - tail(f64::from(count) + 1.0);
    for _ in 0..PROBES_MAX {
        let root = 1.0 - unit(dice) * last;
        let place = (1.0 / (root * root * root * root)).floor().clamp(1.0, f64::from(count));
        let discrete = tail(place) / place;
        let continuous = 4.0 * (tail(place) - tail(place + 1.0));
        // The two differ most at the first place.
        let most = 1.0 / (4.0 * (1.0 - tail(2.0)));
        if unit(dice) * most * continuous <= discrete {
            return place as u32 - 1;
        }
    }
    0
}

/// From 0 to 1, without 1.
fn unit(dice: &mut Chance) -> f64 {
    (dice.next() >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_follow_the_law() {
        let (count, throws) = (100u32, 200_000);
        let mut dice = Chance::new(7);
        let mut seen = vec![0u32; count as usize];
        (0..throws).for_each(|_| seen[draw_distance(count, &mut dice) as usize] += 1);
        let sum: f64 = (1..=count).map(|place| f64::from(place).powf(-1.25)).sum();
        for distance in [0u32, 1, 2, 5, 10, 50, 99] {
            let law = f64::from(distance + 1).powf(-1.25) / sum * f64::from(throws);
            let drawn = f64::from(seen[distance as usize]);
            assert!((drawn - law).abs() < 6.0 * law.sqrt(), "{distance}: {drawn} and not {law}");
        }
    }

    #[test]
    fn one_place_leaves_no_choice() {
        let mut dice = Chance::new(1);
        assert!((0..100).all(|_| draw_distance(1, &mut dice) == 0));
    }
}
