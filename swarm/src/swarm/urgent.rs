//! Blocks with deadlines choose their peers: each goes to the one with the least expected completion time, behind all
//! that was asked of it before.
//!
//! When that peer's pipeline is full, the block is held back for it rather than given to one that would be slower even
//! so. What is held counts as asked while the turn lasts, so the next blocks see the queue and spread.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use afflux_metainfo::{BlockIndex, PieceIndex};

use super::Swarm;
use crate::availability::first_common;
use crate::key::PeerKey;
use crate::limits::{HELD_BLOCKS_MAX, URGENT_PIECES_MAX};
use crate::picker::Pick;
use crate::pieces::Block;

/// A piece that a reader needs soon and of which blocks are unasked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    /// Whether a waiting reader needs it before anything else.
    critical: bool,
    deadline: Instant,
    /// The reader's; later comers first among equals.
    turn: u64,
    piece: PieceIndex,
    /// Blocks below this were handed out or held.
    next: u32,
}

/// A peer that may get urgent blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bid {
    key: PeerKey,
    /// Snubbed or suspected ones are asked only if nobody else has the piece.
    good: bool,
    round_trip_nanos: u64,
    block_nanos: u64,
    /// Blocks asked of it or held for it.
    queued: u64,
    room: u32,
}

impl Bid {
    fn expected_nanos(&self) -> u64 {
        self.round_trip_nanos.saturating_add(self.block_nanos.saturating_mul(self.queued + 1))
    }
}

impl Swarm {
    /// Hands urgent blocks out over all peers.
    pub(super) fn hand_out_urgent(&mut self, now: Instant) {
        if self.wants.is_empty() {
            return;
        }
        let mut targets = std::mem::take(&mut self.scratch.targets);
        targets.clear();
        self.collect_targets(&mut targets);
        if !targets.is_empty() {
            let mut bids = std::mem::take(&mut self.scratch.bids);
            bids.clear();
            self.collect_bids(&mut bids);
            if bids.iter().any(|bid| bid.room > 0) {
                self.distribute(&mut targets, &mut bids, now);
            }
            self.scratch.bids = bids;
        }
        self.scratch.targets = targets;
    }

    /// Whether urgent blocks may be on their way.
    pub(super) fn is_urgent_outstanding(&self) -> bool {
        !self.wants.is_empty() && self.content.as_ref().is_some_and(|content| content.table.open_count() > 0)
    }

    fn collect_targets(&self, targets: &mut Vec<Target>) {
        let Some(content) = &self.content else { return };
        // Many readers get fewer pieces each, or one report would cost their product.
        let each = (URGENT_PIECES_MAX / self.wants.count().max(1) as u32).max(1);
        for reader in self.wants.readers() {
            let urgent = reader.urgent();
            let mut critical = reader.is_waiting();
            let mut start = urgent.start;
            let mut found = 0;
            while let Some(piece) = first_common(&content.missing, &content.missing, start) {
                if piece.0 >= urgent.end || found == each {
                    break;
                }
                start = piece.0 + 1;
                let unasked = content.table.piece(piece).is_none_or(|open| open.missing() > 0);
                if unasked {
                    found += 1;
                    let deadline = reader.deadline(&content.layout, piece);
                    targets.push(Target { critical, deadline, turn: reader.turn(), piece, next: 0 });
                }
                critical = false;
            }
        }
        targets.sort_unstable_by_key(|t| (!t.critical, t.deadline, Reverse(t.turn), t.piece));
        // Two readers in one piece want it once, the sooner of the two.
        let mut nth = 0;
        while nth < targets.len() {
            let piece = targets[nth].piece;
            let seen = targets[..nth].iter().any(|target| target.piece == piece);
            if seen {
                targets.remove(nth);
            } else {
                nth += 1;
            }
        }
    }

    fn collect_bids(&self, bids: &mut Vec<Bid>) {
        let waiting = self.wants.anyone_waits();
        let serving =
            self.peers.iter().filter(|(_, peer)| !peer.chokes_us && peer.useful > 0 && peer.depth > 0);
        bids.extend(serving.map(|(key, peer)| Bid {
            key,
            good: !peer.snubbed && !peer.on_parole,
            round_trip_nanos: u64::try_from(peer.round_trip().as_nanos()).unwrap_or(u64::MAX),
            block_nanos: peer.block_nanos(self.rate_default),
            queued: peer.asked.len() as u64,
            room: peer.room(waiting),
        }));
    }

    fn distribute(&mut self, targets: &mut [Target], bids: &mut [Bid], now: Instant) {
        let critical = targets.iter().take_while(|target| target.critical).count();
        let (first, rest) = targets.split_at_mut(critical);
        let mut held = 0;
        // Readers that wait take turns block by block: the head and the tail of a film come at once.
        loop {
            let mut placed = false;
            for target in first.iter_mut() {
                placed |= self.place(target, bids, &mut held, now);
            }
            if !placed || held >= HELD_BLOCKS_MAX {
                break;
            }
        }
        for target in rest {
            while held < HELD_BLOCKS_MAX && self.place(target, bids, &mut held, now) {}
        }
    }

    /// Asks for the target's next block, or holds it back. False if there's none, or nobody for it.
    fn place(&mut self, target: &mut Target, bids: &mut [Bid], held: &mut u32, now: Instant) -> bool {
        let Some((block, opens)) = self.unasked_block(target) else { return false };
        let Some(nth) = self.best_bid(target.piece, bids) else { return false };
        target.next = block.0 + 1;
        if bids[nth].room == 0 {
            *held += 1;
            bids[nth].queued += 1;
            return true;
        }
        if opens && !self.admit_urgent(target.piece) {
            self.board.crowded = true;
            return false;
        }
        let bid = &mut bids[nth];
        let expected = Duration::from_nanos(bid.expected_nanos());
        bid.queued += 1;
        bid.room -= 1;
        self.ask(bid.key, Pick { piece: target.piece, block, opens }, expected, now)
    }

    fn unasked_block(&self, target: &Target) -> Option<(BlockIndex, bool)> {
        let content = self.content.as_ref()?;
        let Some(open) = content.table.piece(target.piece) else {
            let exists = target.next < content.layout.block_count(target.piece);
            let wanted = content.availability.pickable().contains(target.piece);
            return (exists && wanted).then_some((BlockIndex(target.next), true));
        };
        let rest = open.blocks().iter().zip(0..).skip(target.next as usize);
        let mut missing = rest.filter(|(block, _)| matches!(block, Block::Missing));
        missing.next().map(|(_, number)| (BlockIndex(number), false))
    }

    /// Who would deliver a block of the piece soonest.
    fn best_bid(&self, piece: PieceIndex, bids: &[Bid]) -> Option<usize> {
        let open = self.content.as_ref()?.table.piece(piece);
        let mut best: Option<(bool, u64, usize)> = None;
        for (nth, bid) in bids.iter().enumerate() {
            if !bid.good && bid.room == 0 {
                continue;
            }
            let rank = (!bid.good, bid.expected_nanos(), nth);
            let better = best.is_none_or(|best| rank < best);
            let fits = better
                && self.peers.get(bid.key).is_some_and(|peer| peer.offers().contains(piece))
                && open.is_none_or(|open| open.admits(bid.key));
            if fits {
                best = Some(rank);
            }
        }
        best.map(|(_, _, nth)| nth)
    }
}
