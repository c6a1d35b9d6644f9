//! How many peers have each piece, and which pieces are rarest.
//!
//! Counts move by one in constant time: the pieces that may be picked lie in one bucket per priority and count. Seeds
//! are counted once for all pieces. Not here: what is worth picking (`picker`).

use std::ops::Range;

use afflux_metainfo::{Bitfield, PieceIndex};

use crate::chance::Chance;
use crate::input::Priority;
use crate::limits::PROBES_MAX;

/// The bucket slot of a piece that may not be picked.
const NOWHERE: u32 = u32::MAX;

/// How a peer's pieces are counted: the same answer must be given when it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// As one more seed.
    Seed,
    /// Piece by piece.
    Pieces,
}

/// Counts per piece and the buckets of pickable pieces.
#[derive(Clone, Debug)]
pub struct Availability {
    counts: Vec<u16>,
    seeds: u32,
    /// By priority, the highest first, and by count.
    buckets: [Vec<Vec<u32>>; Priority::WANTED],
    slots: Vec<u32>,
    /// Of each piece; empty while all are alike.
    priorities: Vec<Priority>,
    pickable: Bitfield,
    /// No pickable piece lies below this one.
    first_pickable: u32,
    chance: Chance,
}

impl Availability {
    /// Nobody has anything; nothing may be picked yet.
    pub fn new(piece_count: u32, seed: u64) -> Self {
        Self {
            counts: vec![0; piece_count as usize],
            seeds: 0,
            buckets: Default::default(),
            slots: vec![NOWHERE; piece_count as usize],
            priorities: Vec::new(),
            pickable: Bitfield::new(piece_count),
            first_pickable: piece_count,
            chance: Chance::new(seed),
        }
    }

    /// Counts a peer's pieces.
    pub fn add(&mut self, pieces: &Bitfield) -> Counting {
        if pieces.is_full() {
            self.seeds += 1;
            return Counting::Seed;
        }
        for piece in pieces.iter() {
            self.had(piece);
        }
        Counting::Pieces
    }

    /// Takes a peer's pieces out of the count.
    pub fn subtract(&mut self, pieces: &Bitfield, counting: Counting) {
        match counting {
            Counting::Seed => self.seeds = self.seeds.saturating_sub(1),
            Counting::Pieces => pieces.iter().for_each(|piece| self.lost(piece)),
        }
    }

    /// A peer that is counted by pieces has one more.
    pub fn had(&mut self, piece: PieceIndex) {
        let count = self.counts[piece.as_usize()];
        self.recount(piece, count.saturating_add(1));
    }

    /// A peer that is counted by pieces has one less.
    pub fn lost(&mut self, piece: PieceIndex) {
        let count = self.counts[piece.as_usize()];
        self.recount(piece, count.saturating_sub(1));
    }

    /// Whether `rarest` and `next_from` may answer this piece.
    pub fn set_pickable(&mut self, piece: PieceIndex, pickable: bool) {
        if pickable && self.pickable.insert(piece) {
            self.enter(piece.0);
            self.first_pickable = self.first_pickable.min(piece.0);
        } else if !pickable && self.pickable.contains(piece) {
            self.pickable.remove(piece);
            self.leave(piece.0);
            if piece.0 == self.first_pickable {
                self.first_pickable = first_common(&self.pickable, &self.pickable, piece.0)
                    .map_or(self.pickable.length(), |next| next.0);
            }
        }
    }

    /// Pieces of a higher priority are rarer than any of a lower one. One for each piece.
    pub fn prioritize(&mut self, priorities: Vec<Priority>) {
        self.priorities = priorities;
        self.buckets = Default::default();
        self.slots.fill(NOWHERE);
        let pickable: Vec<PieceIndex> = self.pickable.iter().collect();
        pickable.into_iter().for_each(|piece| self.enter(piece.0));
    }

    /// A pickable piece out of `theirs` that is rare: random among equals, the rarest of those looked at.
    ///
    /// The buckets are probed from the rarest; when that many probes find nothing of theirs, their own pieces are
    /// scanned by words from a random place, and the rarest of the first few wins.
    pub fn rarest(&mut self, theirs: &Bitfield) -> Option<PieceIndex> {
        let mut probes = 0;
        for bucket in self.buckets.iter().flatten() {
            let start = self.chance.below(bucket.len());
            for nth in 0..bucket.len() {
                let piece = PieceIndex(bucket[(start + nth) % bucket.len()]);
                if theirs.contains(piece) {
                    return Some(piece);
                }
                probes += 1;
                if probes == PROBES_MAX {
                    return self.rarest_of_scan(theirs);
                }
            }
        }
        None
    }

    /// The first pickable piece of `theirs` at or behind `start`.
    pub fn next_from(&self, theirs: &Bitfield, start: u32) -> Option<PieceIndex> {
        first_common(&self.pickable, theirs, start.max(self.first_pickable))
    }

    /// How many peers have the piece.
    pub fn count(&self, piece: PieceIndex) -> u32 {
        self.seeds + u32::from(self.counts.get(piece.as_usize()).copied().unwrap_or(0))
    }

    /// How many peers came with all pieces.
    pub fn seeds(&self) -> u32 {
        self.seeds
    }

    /// The pieces that may be picked.
    pub fn pickable(&self) -> &Bitfield {
        &self.pickable
    }

    fn rarest_of_scan(&mut self, theirs: &Bitfield) -> Option<PieceIndex> {
        let start = self.chance.below(self.counts.len()) as u32;
        let mut best: Option<PieceIndex> = None;
        let mut cursor = start;
        let mut wrapped = false;
        for _ in 0..PROBES_MAX {
            let found = match first_common(&self.pickable, theirs, cursor) {
                Some(piece) if !wrapped || piece.0 < start => piece,
                None if !wrapped => {
                    wrapped = true;
                    cursor = 0;
                    continue;
                }
                _ => break,
            };
            let rarity =
                |piece: PieceIndex| (level(&self.priorities, piece.0), self.counts[piece.as_usize()]);
            let rarer = best.is_none_or(|best| rarity(found) < rarity(best));
            if rarer {
                best = Some(found);
            }
            cursor = found.0 + 1;
        }
        best
    }

    fn recount(&mut self, piece: PieceIndex, count: u16) {
        let listed = self.slots[piece.as_usize()] != NOWHERE;
        if listed {
            self.leave(piece.0);
        }
        self.counts[piece.as_usize()] = count;
        if listed {
            self.enter(piece.0);
        }
    }

    fn enter(&mut self, piece: u32) {
        let count = usize::from(self.counts[piece as usize]);
        let buckets = &mut self.buckets[level(&self.priorities, piece)];
        if buckets.len() <= count {
            buckets.resize_with(count + 1, Vec::new);
        }
        self.slots[piece as usize] = buckets[count].len() as u32;
        buckets[count].push(piece);
    }

    fn leave(&mut self, piece: u32) {
        let count = usize::from(self.counts[piece as usize]);
        let bucket = &mut self.buckets[level(&self.priorities, piece)][count];
        let slot = self.slots[piece as usize];
        bucket.swap_remove(slot as usize);
        if let Some(&moved) = bucket.get(slot as usize) {
            self.slots[moved as usize] = slot;
        }
        self.slots[piece as usize] = NOWHERE;
    }
}

/// Which of the rows of buckets a piece lies in.
fn level(priorities: &[Priority], piece: u32) -> usize {
    priorities.get(piece as usize).copied().unwrap_or_default().level()
}

/// The first piece at or behind `start` that is in both sets.
pub(crate) fn first_common(one: &Bitfield, other: &Bitfield, start: u32) -> Option<PieceIndex> {
    let first = (start / u64::BITS) as usize;
    let mut mask = u64::MAX >> (start % u64::BITS);
    let rows = one.words().iter().zip(other.words()).enumerate().skip(first);
    for (nth, (one, other)) in rows {
        let both = one & other & mask;
        if both != 0 {
            return Some(PieceIndex(nth as u32 * u64::BITS + both.leading_zeros()));
        }
        mask = u64::MAX;
    }
    None
}

/// The first piece of a range that is in both sets.
pub(crate) fn first_common_within(one: &Bitfield, other: &Bitfield, range: Range<u32>) -> Option<PieceIndex> {
    let Range { start, end } = range;
    let (first, last) = ((start / u64::BITS) as usize, end.div_ceil(u64::BITS) as usize);
    let mut mask = u64::MAX >> (start % u64::BITS);
    let rows = one.words().iter().zip(other.words()).enumerate().take(last).skip(first);
    for (nth, (one, other)) in rows {
        let both = one & other & mask;
        if both != 0 {
            let piece = nth as u32 * u64::BITS + both.leading_zeros();
            return (piece < end).then_some(PieceIndex(piece));
        }
        mask = u64::MAX;
    }
    None
}

/// How many pieces are in both sets.
pub(crate) fn common_count(one: &Bitfield, other: &Bitfield) -> u32 {
    one.words().iter().zip(other.words()).map(|(one, other)| (one & other).count_ones()).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PIECES: u32 = 150;

    fn set(pieces: &[u32]) -> Bitfield {
        let mut field = Bitfield::new(PIECES);
        for &piece in pieces {
            field.insert(PieceIndex(piece));
        }
        field
    }

    fn all_pickable() -> Availability {
        let mut availability = Availability::new(PIECES, 7);
        (0..PIECES).for_each(|piece| availability.set_pickable(PieceIndex(piece), true));
        availability
    }

    #[test]
    fn the_rarest_piece_of_the_peer_is_picked() {
        let mut availability = all_pickable();
        availability.add(&set(&(1..150).collect::<Vec<_>>()));
        availability.add(&set(&(5..150).collect::<Vec<_>>()));
        let theirs = set(&[3, 40, 90]);
        assert_eq!(availability.rarest(&theirs), Some(PieceIndex(3)));
        availability.set_pickable(PieceIndex(3), false);
        assert!([40, 90].contains(&availability.rarest(&theirs).unwrap().0));
    }

    #[test]
    fn a_higher_priority_comes_before_rarity() {
        let mut availability = all_pickable();
        availability.add(&set(&[40, 90]));
        let mut priorities = vec![Priority::Normal; PIECES as usize];
        (priorities[3], priorities[40], priorities[90]) = (Priority::Low, Priority::High, Priority::High);
        availability.prioritize(priorities);
        let theirs = set(&[3, 5, 40, 90]);
        let order: Vec<u32> = std::iter::from_fn(|| {
            let piece = availability.rarest(&theirs)?;
            availability.set_pickable(piece, false);
            Some(piece.0)
        })
        .collect();
        assert!(
            [[40, 90, 5, 3], [90, 40, 5, 3]].contains(&[order[0], order[1], order[2], order[3]]),
            "{order:?}"
        );
        availability.lost(PieceIndex(40));
        availability.set_pickable(PieceIndex(40), true);
        assert_eq!(availability.rarest(&theirs), Some(PieceIndex(40)));
    }

    #[test]
    fn a_peer_without_the_rare_pieces_finds_its_own_by_scan() {
        let mut availability = all_pickable();
        // 140 pieces nobody else has come before those of this peer: more than are probed.
        availability.add(&set(&(140..150).collect::<Vec<_>>()));
        assert!(availability.rarest(&set(&[144])).is_some_and(|piece| piece.0 == 144));
        assert_eq!(availability.rarest(&set(&[])), None);
    }

    #[test]
    fn equals_are_picked_at_random() {
        let mut availability = all_pickable();
        let full = Bitfield::full(PIECES);
        let picked: std::collections::BTreeSet<_> =
            (0..50).filter_map(|_| availability.rarest(&full)).collect();
        assert!(picked.len() > 20, "{picked:?}");
    }

    #[test]
    fn seeds_are_counted_once_and_leave_nothing_behind() {
        let mut availability = all_pickable();
        let full = Bitfield::full(PIECES);
        let counting = availability.add(&full);
        assert_eq!((counting, availability.count(PieceIndex(9))), (Counting::Seed, 1));
        availability.subtract(&full, counting);
        assert_eq!(availability.count(PieceIndex(9)), 0);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Had(u32),
        Lost(u32),
        Pickable(u32, bool),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..PIECES).prop_map(Step::Had),
            (0..PIECES).prop_map(Step::Lost),
            (0..PIECES, any::<bool>()).prop_map(|(piece, on)| Step::Pickable(piece, on)),
        ]
    }

    proptest! {
        #[test]
        fn counts_and_buckets_never_drift_from_the_model(
            steps in prop::collection::vec(step(), 0..400),
            theirs in prop::collection::vec(0..PIECES, 0..40),
        ) {
            let mut availability = Availability::new(PIECES, 1);
            let mut counts = vec![0u32; PIECES as usize];
            let mut pickable = vec![false; PIECES as usize];
            for step in steps {
                match step {
                    Step::Had(piece) => { availability.had(PieceIndex(piece)); counts[piece as usize] += 1; }
                    Step::Lost(piece) => {
                        availability.lost(PieceIndex(piece));
                        counts[piece as usize] = counts[piece as usize].saturating_sub(1);
                    }
                    Step::Pickable(piece, on) => {
                        availability.set_pickable(PieceIndex(piece), on);
                        pickable[piece as usize] = on;
                    }
                }
            }
            for piece in 0..PIECES {
                prop_assert_eq!(availability.count(PieceIndex(piece)), counts[piece as usize]);
            }
            let theirs = set(&theirs);
            let wanted: Vec<_> = theirs.iter().filter(|piece| pickable[piece.as_usize()]).collect();
            prop_assert_eq!(availability.next_from(&theirs, 0), wanted.first().copied());
            let picked = availability.rarest(&theirs);
            prop_assert_eq!(picked.is_some(), !wanted.is_empty());
            if let Some(picked) = picked {
                prop_assert!(wanted.contains(&picked));
                let rarest = wanted.iter().map(|piece| counts[piece.as_usize()]).min();
                // Fewer than PROBES_MAX candidates: the scan sees all of them.
                prop_assert_eq!(Some(counts[picked.as_usize()]), rarest);
            }
        }
    }
}
