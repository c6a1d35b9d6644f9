//! How evenly pieces are spread over those who still miss some.

use afflux_metainfo::{Bitfield, PieceIndex};

use crate::chance::ln;

/// Copies of each piece among leechers, and the mean of their entropy so far.
#[derive(Debug)]
pub(crate) struct Diversity {
    counts: Vec<u32>,
    sum: f64,
    samples: u64,
}

impl Diversity {
    pub(crate) fn new(pieces: u32) -> Self {
        Self { counts: vec![0; pieces as usize], sum: 0.0, samples: 0 }
    }

    /// A leecher came with these pieces.
    pub(crate) fn enter(&mut self, have: &Bitfield) {
        have.iter().for_each(|piece| self.gain(piece));
    }

    /// One went, or has become a seed.
    pub(crate) fn leave(&mut self, have: &Bitfield) {
        have.iter().for_each(|piece| self.counts[piece.as_usize()] -= 1);
    }

    /// One has another piece.
    pub(crate) fn gain(&mut self, piece: PieceIndex) {
        self.counts[piece.as_usize()] += 1;
    }

    /// Takes the entropy of this moment into the mean; nobody having anything says nothing.
    pub(crate) fn sample(&mut self) {
        let total: u64 = self.counts.iter().map(|&count| u64::from(count)).sum();
        if total == 0 || self.counts.len() < 2 {
            return;
        }
        let sum: f64 = self.counts.iter().filter(|&&c| c > 1).map(|&c| f64::from(c) * ln(f64::from(c))).sum();
        let total = total as f64;
        self.sum += (ln(total) - sum / total) / ln(self.counts.len() as f64);
        self.samples += 1;
    }

    /// The mean over time.
    pub(crate) fn mean(&self) -> f64 {
        if self.samples == 0 { 0.0 } else { self.sum / self.samples as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pieces_equally_often_is_one_and_a_single_piece_zero() {
        let mut even = Diversity::new(16);
        even.enter(&Bitfield::full(16));
        even.sample();
        assert!((even.mean() - 1.0).abs() < 1e-9);
        let mut single = Diversity::new(16);
        single.gain(PieceIndex(3));
        single.gain(PieceIndex(3));
        single.sample();
        assert!(single.mean().abs() < 1e-9);
    }
}
