//! Ours: bands, from the most pressing:
//! 1. urgent blocks, by deadline. They choose their peer: each goes to the one with the least expected completion time,
//!    behind all that was asked of it before; see `urgent`;
//! 2. read-ahead, in the order of the window that runs dry first, but leaving what is due before this peer can deliver
//!    to faster ones;
//! 3. what is read next, then pieces under way, then new pieces, rarest first.
//!
//! Once what lies ahead of every reader lasts for a while, the swarm's health comes first: bands 2 and 3 change places, and
//! the read-ahead is preferred only among equally rare pieces.
//!
//! Where seeds are scarce, they are asked for what only they have, and everybody for something else; see `scarce`.

mod scarce;
mod urgent;

use std::time::Instant;

use afflux_metainfo::PieceIndex;

use super::{Applicant, Board, Desk, Pick, Strategy, StrategyName, Ways};
use crate::chance::Chance;
use crate::wants::Reader;

use urgent::Urgent;

/// Urgent blocks by deadline, read-ahead, partial pieces, rarest first.
#[derive(Debug)]
pub struct Deadline {
    urgent: Urgent,
    dice: Chance,
}

impl Deadline {
    /// What is asked of scarce seeds is drawn by this seed.
    pub fn new(seed: u64) -> Self {
        Self { urgent: Urgent::default(), dice: Chance::new(seed) }
    }
}

impl Strategy for Deadline {
    fn name(&self) -> StrategyName {
        StrategyName::Deadline
    }

    fn ways(&self) -> Ways {
        Ways {
            cancels_on_seek: true,
            buys_late_blocks: true,
            shallow_queues: true,
            grows_read_ahead: true,
            queue_time: None,
        }
    }

    fn pick(&mut self, board: &mut Board<'_>, applicant: &Applicant<'_>, now: Instant) -> Option<Pick> {
        if board.outlook.scarce && !applicant.outcast {
            return scarce::pick(board, applicant, &mut self.dice);
        }
        if board.outlook.safe {
            return in_peace(board, applicant, now);
        }
        // A snubbed or suspected peer must not hold up a reader while others can serve it.
        if !applicant.outcast
            && let Some(pick) = ahead(board, applicant, now)
        {
            return Some(pick);
        }
        let needed = board.outlook.pressing && !applicant.outcast && board.could_help(applicant.offers);
        if needed {
            return None;
        }
        background(board, applicant, now)
    }

    fn hand_out(&mut self, desk: &mut Desk<'_>, now: Instant) {
        self.urgent.hand_out(desk, now);
    }
}

/// Pieces under way, then new ones, but for those that a reader needs sooner than this peer would have them: who gets the
/// blocks with deadlines is the urgent band's to say, and a slow peer that took one would hold its reader up.
fn background(board: &mut Board<'_>, applicant: &Applicant<'_>, now: Instant) -> Option<Pick> {
    let wants = board.wants;
    let needed: Vec<_> = wants
        .readers()
        .map(|reader| reader.urgent().start..reachable(board, reader, applicant, now))
        .collect();
    let can_wait =
        |piece: PieceIndex| !wants.is_urgent(piece) && !needed.iter().any(|pieces| pieces.contains(&piece.0));
    let under_way = board.under_way_if(applicant, can_wait);
    under_way.or_else(|| board.rarest(applicant).filter(|pick| can_wait(pick.piece)))
}

/// No reader is in need.
fn in_peace(board: &mut Board<'_>, applicant: &Applicant<'_>, now: Instant) -> Option<Pick> {
    if board.wants.is_empty() {
        return board.under_way(applicant).or_else(|| board.rarest(applicant));
    }
    if let Some(pick) = next(board, applicant).or_else(|| board.under_way(applicant)) {
        return Some(pick);
    }
    let rarest = board.rarest(applicant);
    let ahead = ahead(board, applicant, now);
    match (ahead, rarest) {
        (Some(ahead), Some(rarest)) => {
            let rarer = board.availability.count(rarest.piece) < board.availability.count(ahead.piece);
            Some(if rarer { rarest } else { ahead })
        }
        (ahead, rarest) => ahead.or(rarest),
    }
}

/// The head of what is read next.
fn next(board: &mut Board<'_>, applicant: &Applicant<'_>) -> Option<Pick> {
    let wants = board.wants;
    let mut heads = wants.readers().filter(|reader| reader.is_next()).map(Reader::soon);
    heads.find_map(|pieces| board.first_within(pieces.start, pieces.end, applicant))
}

/// The read-ahead. Of several readers the one whose next missing piece is due first; the newest among equals.
fn ahead(board: &mut Board<'_>, applicant: &Applicant<'_>, now: Instant) -> Option<Pick> {
    let mut best: Option<(Instant, u64, Pick)> = None;
    let wants = board.wants;
    for reader in wants.readers().filter(|reader| !reader.is_next()) {
        let soon = reader.soon();
        if soon.is_empty() {
            continue;
        }
        let reachable = reachable(board, reader, applicant, now).clamp(soon.start, soon.end);
        let Some(pick) = board.first_within(reachable, soon.end, applicant) else { continue };
        let deadline = reader.deadline(board.layout, pick.piece);
        let sooner = best
            .is_none_or(|(least, turn, _)| deadline < least || (deadline == least && reader.turn() > turn));
        if sooner {
            best = Some((deadline, reader.turn(), pick));
        }
    }
    best.map(|(_, _, pick)| pick)
}

/// The first piece of the reader's read-ahead that this peer would not hold up: it's due no sooner than the peer's block
/// would be here, or the others won't be done with it by then.
fn reachable(board: &Board<'_>, reader: &Reader, applicant: &Applicant<'_>, now: Instant) -> u32 {
    let start = reader.soon().start;
    let meanwhile = (applicant.expected.as_secs_f64() * board.link_rate as f64) as u64;
    let far = reader.window().position.saturating_add(meanwhile) / u64::from(board.layout.piece_length());
    let by_rate = u32::try_from(far).unwrap_or(u32::MAX);
    let first = reader.deadline(board.layout, PieceIndex(start));
    let late = (now + applicant.expected).saturating_duration_since(first);
    let step = reader.deadline(board.layout, PieceIndex(start + 1)).saturating_duration_since(first);
    if late.is_zero() || step.is_zero() {
        return start;
    }
    let pieces = late.as_nanos().div_ceil(step.as_nanos());
    start.saturating_add(u32::try_from(pieces).unwrap_or(u32::MAX)).min(by_rate)
}
