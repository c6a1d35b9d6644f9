//! The urgent band: blocks with deadlines choose their peers.
//!
//! Its blocks are thought of as one list, the most pressing first, dealt out one by one, each to the peer that would then
//! deliver it soonest. A block whose peer has no room is held back for it rather than given to one that would be slower
//! even so. What the list says is computed for the peers that have room only: such a peer gets the first block that those
//! who are quicker, room or not, would leave to it.
//!
//! The list is kept between turns. Asking for blocks shortens it; everything else that changes it also changes the desk's
//! version, and then it's made anew.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use afflux_metainfo::{BlockIndex, PieceIndex};

use super::super::{Desk, Figures};
use super::scarce::{is_drawn, is_seed, spares_seeds};
use crate::availability::first_common_within;
use crate::key::PeerKey;
use crate::limits::{GUARD, HELD_BLOCKS_MAX, LANES, LATE_HORIZON, PROMISED_PERCENT, URGENT_PIECES_MAX};
use crate::wants::Reader;

/// How pressing a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// A reader that plays would stop without it.
    Guarded,
    /// A reader waits for it.
    Awaited,
    /// It will be needed soon.
    Soon,
}

/// A piece that a reader needs soon and of which blocks are unasked.
#[derive(Clone, Copy, Debug)]
struct Target {
    class: Class,
    deadline: Instant,
    /// The reader's; later comers first among equals.
    turn: u64,
    piece: PieceIndex,
}

/// The urgent band.
#[derive(Debug, Default)]
pub(super) struct Urgent {
    /// The desk's version that the list is of.
    version: Option<u64>,
    targets: Vec<Target>,
    /// Whether more targets were found than are kept.
    cut: bool,
    /// A few pieces that readers wait for, or would wait for in a moment, asked for or not.
    awaited: Vec<PieceIndex>,
    /// Which of the awaited pieces is served next.
    lane: usize,
    /// Peers quicker than the one that is served, and how many blocks each would take before it.
    quicker: Vec<(PeerKey, u32)>,
    /// Peers with room, by their expected completion times.
    with_room: BinaryHeap<Reverse<(u64, PeerKey)>>,
}

impl Urgent {
    pub(super) fn hand_out(&mut self, desk: &mut Desk<'_>, now: Instant) {
        if self.version != Some(desk.version()) {
            self.collect(desk, now);
            self.share_awaited(desk);
        }
        if self.targets.is_empty() && self.awaited.is_empty() {
            return;
        }
        match desk.reporter() {
            Some(peer) => while self.serve(peer, desk, now) {},
            None => self.serve_everyone(desk, now),
        }
        // Cancels on the way have changed nothing that the list is made of.
        self.version = self.version.map(|_| desk.version());
    }

    /// Makes the list anew.
    fn collect(&mut self, desk: &Desk<'_>, now: Instant) {
        self.version = Some(desk.version());
        self.targets.clear();
        self.awaited.clear();
        self.cut = false;
        // Many readers get fewer pieces each, or one list would cost their product.
        let each = (URGENT_PIECES_MAX / desk.wants().servable().max(1) as u32).max(1);
        let mut promised = desk.link_rate().saturating_mul(PROMISED_PERCENT) / 100;
        for reader in desk.wants().readers() {
            let guarded = reader.is_settled() && reader.rate() <= promised;
            if guarded {
                promised -= reader.rate();
            }
            self.collect_of(reader, guarded, each, desk, now);
        }
        self.targets.sort_unstable_by_key(|t| (t.class, t.deadline, Reverse(t.turn), t.piece));
        // Two readers in one piece want it once, the sooner of the two.
        let mut nth = 0;
        while nth < self.targets.len() {
            let piece = self.targets[nth].piece;
            let seen = self.targets[..nth].iter().any(|target| target.piece == piece);
            if seen {
                self.targets.remove(nth);
            } else {
                nth += 1;
            }
        }
        self.awaited.truncate(LANES);
    }

    /// What readers wait for isn't left to a single peer on parole, if a good one has it too.
    fn share_awaited(&self, desk: &mut Desk<'_>) {
        for &piece in &self.awaited {
            let owned = desk.table().piece(piece).is_some_and(|open| open.owner().is_some());
            if owned && desk.ranks().any(|(_, key)| desk.offers(key, piece)) {
                desk.release(piece);
            }
        }
    }

    fn collect_of(&mut self, reader: &Reader, guarded: bool, each: u32, desk: &Desk<'_>, now: Instant) {
        let missing = desk.missing();
        let urgent = reader.urgent();
        let mut awaits = reader.is_waiting();
        let mut start = urgent.start;
        let mut found = 0;
        while let Some(piece) = first_common_within(missing, missing, start..urgent.end) {
            start = piece.0 + 1;
            if desk.availability().count(piece) == 0 || is_drawn(desk, reader, piece) {
                awaits = false;
                continue;
            }
            if found == each {
                self.cut = true;
                return;
            }
            let deadline = reader.deadline(desk.layout(), piece);
            let class = match () {
                () if guarded && deadline <= now + GUARD => Class::Guarded,
                () if awaits => Class::Awaited,
                () => Class::Soon,
            };
            if class == Class::Guarded && deadline <= now + LATE_HORIZON {
                self.awaited.insert(0, piece);
            } else if awaits {
                self.awaited.push(piece);
            }
            awaits = false;
            if desk.unasked(piece, BlockIndex(0)).is_some() {
                found += 1;
                self.targets.push(Target { class, deadline, turn: reader.turn(), piece });
            }
        }
    }

    /// Gives blocks to all peers that have room, each block to the soonest of them.
    fn serve_everyone(&mut self, desk: &mut Desk<'_>, now: Instant) {
        self.with_room.clear();
        let with_room = desk.peers().filter(|peer| peer.room > 0 && peer.useful > 0 && !peer.chokes_us);
        self.with_room.extend(with_room.map(|peer| Reverse((peer.reliable_nanos(), peer.key))));
        while let Some(Reverse((_, key))) = self.with_room.pop() {
            if !self.serve(key, desk, now) {
                continue;
            }
            if let Some(peer) = desk.peer(key).filter(|peer| peer.room > 0) {
                self.with_room.push(Reverse((peer.reliable_nanos(), key)));
            }
        }
    }

    /// Gives the peer one block, if one is meant for it.
    fn serve(&mut self, key: PeerKey, desk: &mut Desk<'_>, now: Instant) -> bool {
        let Some(peer) = desk.peer(key).filter(|peer| peer.room > 0 && !peer.chokes_us) else { return false };
        let (good, expected) = (peer.is_good(), peer.reliable_nanos());
        self.rank_quicker(key, expected, desk);
        let guarded = self.targets.partition_point(|target| target.class == Class::Guarded);
        let awaited = self.targets.partition_point(|target| target.class != Class::Soon);
        let lanes = guarded..awaited.min(guarded + LANES);
        let mut held = 0;
        for nth in 0..self.targets.len() {
            if nth == awaited && good && self.promote(key, desk, now) {
                return true;
            }
            // Those that wait take turns.
            let in_lane = lanes.contains(&nth);
            let nth = if in_lane { guarded + (nth - guarded + self.lane) % lanes.len() } else { nth };
            if self.offer(key, good, self.targets[nth].piece, &mut held, desk, now) {
                self.lane = self.lane.wrapping_add(usize::from(in_lane));
                self.drop_asked(nth, desk);
                return true;
            }
            if held >= HELD_BLOCKS_MAX {
                return false;
            }
        }
        self.targets.len() == awaited && good && self.promote(key, desk, now)
    }

    /// Gives the peer the first block of the piece that quicker ones leave to it. Counts those that they take.
    fn offer(
        &self,
        key: PeerKey,
        good: bool,
        piece: PieceIndex,
        held: &mut u32,
        desk: &mut Desk<'_>,
        now: Instant,
    ) -> bool {
        let Some(first) = desk.unasked(piece, BlockIndex(0)) else { return false };
        let open = desk.table().piece(piece);
        let unasked = open.map_or_else(|| desk.layout().block_count(piece), |open| open.missing());
        let spared = spares_seeds(desk, piece);
        let takes = |key: PeerKey| {
            let fits = desk.offers(key, piece) && open.is_none_or(|open| open.admits(key));
            fits && !(spared && is_seed(desk, key))
        };
        if !good && (desk.ranks().any(|(_, key)| takes(key)) || !is_last_resort(key, piece, desk)) {
            return false;
        }
        let quicker = self.quicker.iter().filter(|(key, _)| takes(*key));
        let taken = quicker.map(|&(_, blocks)| blocks).sum::<u32>().saturating_sub(*held);
        if taken >= unasked {
            *held += unasked;
            return false;
        }
        if !takes(key) {
            *held += taken;
            return false;
        }
        let mut block = first;
        for _ in 0..taken {
            let Some(next) = desk.unasked(piece, BlockIndex(block.0 + 1)) else { break };
            block = next;
        }
        *held += taken;
        desk.ask(key, piece, block, now)
    }

    /// Finds the peers that would deliver a block before this one even behind all they were asked for, and how many.
    fn rank_quicker(&mut self, key: PeerKey, expected: u64, desk: &Desk<'_>) {
        self.quicker.clear();
        let mut blocks = 0;
        for (nanos, other) in desk.ranks() {
            if nanos >= expected || blocks >= HELD_BLOCKS_MAX {
                return;
            }
            if other == key {
                continue;
            }
            let more = (expected - nanos - 1) / desk.block_nanos(other).max(1);
            let count = u32::try_from(more).unwrap_or(u32::MAX).saturating_add(1).min(HELD_BLOCKS_MAX);
            blocks += count;
            self.quicker.push((other, count));
        }
    }

    /// All of what readers wait for is asked for: the peer may have some of it sooner than whoever was asked.
    fn promote(&self, key: PeerKey, desk: &mut Desk<'_>, now: Instant) -> bool {
        self.awaited.iter().any(|&piece| desk.promote(key, piece, now))
    }

    fn drop_asked(&mut self, nth: usize, desk: &Desk<'_>) {
        if desk.unasked(self.targets[nth].piece, BlockIndex(0)).is_none() {
            self.targets.remove(nth);
            if self.cut {
                // There are more where it came from.
                self.version = None;
            }
        }
    }
}

/// Whether no other peer that is no better would deliver the whole piece sooner. Those on parole deliver pieces alone, so
/// that a bad one is proof: who does it makes all the difference. A snubbed one comes after all others.
fn is_last_resort(key: PeerKey, piece: PieceIndex, desk: &Desk<'_>) -> bool {
    let open = desk.table().piece(piece);
    let shared = open.is_some_and(|open| !open.is_untouched());
    let rest = u64::from(desk.layout().block_count(piece).saturating_sub(1));
    let alone = |peer: &Figures<'_>| {
        let whole = peer.reliable_nanos().saturating_add(peer.block_nanos.saturating_mul(rest));
        (peer.snubbed, if shared { 0 } else { whole })
    };
    let Some(own) = desk.peer(key).map(|peer| alone(&peer)) else { return false };
    let mut rivals = desk.peers().filter(|peer| {
        !peer.chokes_us && peer.offers.contains(piece) && open.is_none_or(|open| open.admits(peer.key))
    });
    !rivals.any(|peer| alone(&peer) < own)
}
