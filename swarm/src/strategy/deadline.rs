//! Ours: bands, from the most pressing:
//! 1. urgent blocks, by deadline. They choose their peer: each goes to the one with the least expected completion time,
//!    behind all that was asked of it before. When that peer's pipeline is full, the block is held back for it rather
//!    than given to one that would be slower even so. What is held counts as asked while the turn lasts, so the next
//!    blocks see the queue and spread;
//! 2. read-ahead, in the order of the window that runs dry first, but leaving what is due before this peer can deliver
//!    to faster ones;
//! 3. pieces under way, so that memory and seeds-to-be come of them;
//! 4. new pieces, rarest first.

use std::cmp::Reverse;
use std::time::Instant;

use afflux_metainfo::{BlockIndex, PieceIndex};

use super::{Applicant, Board, Desk, Pick, Strategy, StrategyName, Ways};
use crate::availability::first_common_within;
use crate::key::PeerKey;
use crate::limits::{HELD_BLOCKS_MAX, URGENT_PIECES_MAX};
use crate::wants::Reader;

/// Urgent blocks by deadline, read-ahead, partial pieces, rarest first.
#[derive(Clone, Debug, Default)]
pub struct Deadline {
    targets: Vec<Target>,
    bids: Vec<Bid>,
}

/// A piece that a reader needs soon and of which blocks are unasked.
#[derive(Clone, Copy, Debug)]
struct Target {
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
struct Bid {
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

impl Strategy for Deadline {
    fn name(&self) -> StrategyName {
        StrategyName::Deadline
    }

    fn ways(&self) -> Ways {
        Ways { cancels_on_seek: true, buys_late_blocks: true, shallow_queues: true, queue_time: None }
    }

    fn pick(&mut self, board: &mut Board<'_>, applicant: &Applicant<'_>, now: Instant) -> Option<Pick> {
        // A snubbed or suspected peer must not hold up a reader while others can serve it.
        if !applicant.outcast
            && let Some(pick) = ahead(board, applicant, now)
        {
            return Some(pick);
        }
        let needed = board.wants.anyone_waits() && !applicant.outcast && board.could_help(applicant.offers);
        if needed {
            return None;
        }
        board.under_way(applicant).or_else(|| board.rarest(applicant))
    }

    fn hand_out(&mut self, desk: &mut Desk<'_>, now: Instant) {
        if desk.wants().is_empty() {
            return;
        }
        self.collect_targets(desk);
        if self.targets.is_empty() {
            return;
        }
        self.collect_bids(desk);
        if self.bids.iter().any(|bid| bid.room > 0) {
            self.distribute(desk, now);
        }
    }
}

impl Deadline {
    fn collect_targets(&mut self, desk: &Desk<'_>) {
        self.targets.clear();
        // Many readers get fewer pieces each, or one report would cost their product.
        let each = (URGENT_PIECES_MAX / desk.wants().count().max(1) as u32).max(1);
        let missing = desk.missing();
        for reader in desk.wants().readers() {
            let urgent = reader.urgent();
            let mut critical = reader.is_waiting();
            let mut start = urgent.start;
            let mut found = 0;
            while let Some(piece) = first_common_within(missing, missing, start..urgent.end) {
                if found == each {
                    break;
                }
                start = piece.0 + 1;
                if desk.unasked(piece, BlockIndex(0)).is_some() {
                    found += 1;
                    let deadline = reader.deadline(desk.layout(), piece);
                    self.targets.push(Target { critical, deadline, turn: reader.turn(), piece, next: 0 });
                }
                critical = false;
            }
        }
        self.targets.sort_unstable_by_key(|t| (!t.critical, t.deadline, Reverse(t.turn), t.piece));
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
    }

    fn collect_bids(&mut self, desk: &Desk<'_>) {
        self.bids.clear();
        let serving = desk.peers().filter(|peer| !peer.chokes_us && peer.useful > 0);
        self.bids.extend(serving.map(|peer| Bid {
            key: peer.key,
            good: peer.is_good(),
            round_trip_nanos: peer.round_trip_nanos,
            block_nanos: peer.block_nanos,
            queued: u64::from(peer.queued),
            room: peer.room,
        }));
    }

    fn distribute(&mut self, desk: &mut Desk<'_>, now: Instant) {
        let critical = self.targets.iter().take_while(|target| target.critical).count();
        let mut held = 0;
        // Readers that wait take turns block by block: the head and the tail of a film come at once.
        loop {
            let mut placed = false;
            for nth in 0..critical {
                placed |= self.place(nth, desk, &mut held, now);
            }
            if !placed || held >= HELD_BLOCKS_MAX {
                break;
            }
        }
        for nth in critical..self.targets.len() {
            while held < HELD_BLOCKS_MAX && self.place(nth, desk, &mut held, now) {}
        }
    }

    /// Asks for the target's next block, or holds it back. False if there's none, or nobody for it.
    fn place(&mut self, nth: usize, desk: &mut Desk<'_>, held: &mut u32, now: Instant) -> bool {
        let target = self.targets[nth];
        let Some(block) = desk.unasked(target.piece, BlockIndex(target.next)) else { return false };
        let Some(best) = self.best_bid(target.piece, desk) else { return false };
        self.targets[nth].next = block.0 + 1;
        let bid = &mut self.bids[best];
        bid.queued += 1;
        if bid.room == 0 {
            *held += 1;
            return true;
        }
        bid.room -= 1;
        desk.ask(bid.key, target.piece, block, now)
    }

    /// Who would deliver a block of the piece soonest.
    fn best_bid(&self, piece: PieceIndex, desk: &Desk<'_>) -> Option<usize> {
        let open = desk.table().piece(piece);
        let mut best: Option<(bool, u64, usize)> = None;
        for (nth, bid) in self.bids.iter().enumerate() {
            if !bid.good && bid.room == 0 {
                continue;
            }
            let rank = (!bid.good, bid.expected_nanos(), nth);
            let better = best.is_none_or(|best| rank < best);
            let fits = better
                && desk.peer(bid.key).is_some_and(|peer| peer.offers.contains(piece))
                && open.is_none_or(|open| open.admits(bid.key));
            if fits {
                best = Some(rank);
            }
        }
        best.map(|(_, _, nth)| nth)
    }
}

/// Band 2. Of several readers the one whose next missing piece is due first; the newest among equals.
fn ahead(board: &mut Board<'_>, applicant: &Applicant<'_>, now: Instant) -> Option<Pick> {
    let mut best: Option<(Instant, u64, Pick)> = None;
    let wants = board.wants;
    for reader in wants.readers() {
        let soon = reader.soon();
        if soon.is_empty() {
            continue;
        }
        let reachable = reachable(board, reader, now + applicant.expected).clamp(soon.start, soon.end);
        let pick = board
            .first_within(reachable, soon.end, applicant)
            .or_else(|| board.first_within(soon.start, reachable, applicant));
        let Some(pick) = pick else { continue };
        let deadline = reader.deadline(board.layout, pick.piece);
        let sooner = best
            .is_none_or(|(least, turn, _)| deadline < least || (deadline == least && reader.turn() > turn));
        if sooner {
            best = Some((deadline, reader.turn(), pick));
        }
    }
    best.map(|(_, _, pick)| pick)
}

/// The first piece of the reader's that is due no sooner than `then`.
fn reachable(board: &Board<'_>, reader: &Reader, then: Instant) -> u32 {
    let soon = reader.soon();
    let first = reader.deadline(board.layout, PieceIndex(soon.start));
    let step = reader.deadline(board.layout, PieceIndex(soon.start + 1)).saturating_duration_since(first);
    let late = then.saturating_duration_since(first);
    if step.is_zero() {
        return soon.start;
    }
    let pieces = late.as_nanos().div_ceil(step.as_nanos());
    soon.start.saturating_add(u32::try_from(pieces).unwrap_or(u32::MAX))
}
