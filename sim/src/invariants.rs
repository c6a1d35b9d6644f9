//! What must hold at every step of a run, whatever happens in it. One that doesn't ends the run with its seed.

use std::time::Duration;

use afflux_metainfo::{BlockRef, PieceIndex};
use afflux_swarm::limits::{DUPLICATE_PERCENT, DUPLICATES_FREE_BYTES};
use thiserror::Error;

use crate::node::PEER_TIMEOUT;

/// What an invariant was broken by.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Broken {
    #[error("peer {node} counts {counted} bytes as received, and {stored} were stored")]
    CountedTwice { node: u32, counted: u64, stored: u64 },
    #[error("peer {node} is about to send piece {piece}, which it hasn't verified")]
    Unverified { node: u32, piece: PieceIndex },
    #[error("peer {node} has asked for {asked} bytes a second time; {budget} are allowed")]
    Budget { node: u32, asked: u64, budget: u64 },
    #[error("peer {node} has {connections} connections; {allowed} are allowed")]
    Crowded { node: u32, connections: usize, allowed: u32 },
    #[error("peer {node} waits for {waiting} requests of peer {peer}, whose connection knows of {known}")]
    Dangling { node: u32, peer: u32, waiting: u32, known: u32 },
    #[error("peer {node} waits for peer {peer}, which has done nothing for {} s", .waited.as_secs_f64())]
    Overdue { node: u32, peer: u32, waited: Duration },
    #[error(
        "{came} bytes came from peer {peer} to peer {node}, whose oldest request was among the first {asked} asked for"
    )]
    Overtaken { node: u32, peer: u32, came: u64, asked: u64 },
    #[error("peer {node} heard of the end of a request for {block} that it hasn't made of peer {peer}")]
    EndedTwice { node: u32, peer: u32, block: String },
    #[error("peer {node} asks peer {peer} for piece {piece}, which that lacks")]
    AskedInVain { node: u32, peer: u32, piece: PieceIndex },
    #[error(
        "the player of peer {node} was given bytes up to {position}, and {verified} is where verified ones end"
    )]
    ReadUnverified { node: u32, position: u64, verified: u64 },
    #[error(
        "from peer {from} to peer {to} {sent} bytes of payload left, {came} came and {flying} are under way"
    )]
    Lost { from: u32, to: u32, sent: u64, came: u64, flying: u64 },
    #[error("from peer {from} to peer {to} payload came where none was announced")]
    OutOfStep { from: u32, to: u32 },
    #[error("peer {node} broke a rule of the protocol on its connection with peer {peer}: {rule}")]
    Rude { node: u32, peer: u32, rule: String },
}

/// Timers of connections are set a little later than they are due (ours: ten times as much as they may be).
const OVERDUE_SLACK: Duration = Duration::from_millis(1);

/// Goes on, or ends the run.
pub(crate) type Step = Result<(), Broken>;

/// No block is counted twice: what the swarm has counted is what was stored for the first time.
pub(crate) fn counted_once(node: u32, counted: u64, stored: u64) -> Step {
    if counted == stored { Ok(()) } else { Err(Broken::CountedTwice { node, counted, stored }) }
}

/// No unverified byte leaves.
pub(crate) fn verified(node: u32, piece: PieceIndex, has: bool) -> Step {
    if has { Ok(()) } else { Err(Broken::Unverified { node, piece }) }
}

/// What was asked twice stays within the budget.
pub(crate) fn within_budget(node: u32, asked: u64, budget: u64) -> Step {
    if asked <= budget { Ok(()) } else { Err(Broken::Budget { node, asked, budget }) }
}

/// A node has no more connections than it allows itself.
pub(crate) fn not_crowded(node: u32, connections: usize, allowed: u32) -> Step {
    if connections <= allowed as usize { Ok(()) } else { Err(Broken::Crowded { node, connections, allowed }) }
}

/// What a node that has received so much may have asked for twice.
pub(crate) fn duplicate_budget(received: u64) -> u64 {
    DUPLICATES_FREE_BYTES + received.saturating_mul(u64::from(DUPLICATE_PERCENT)) / 100
}

/// Every request without an end is known to its connection, which will end it; and the connection knows no others.
pub(crate) fn none_dangling(node: u32, peer: u32, waiting: usize, known: u32) -> Step {
    let waiting = waiting as u32;
    if waiting == known { Ok(()) } else { Err(Broken::Dangling { node, peer, waiting, known }) }
}

/// No request waits for a peer that does nothing about any: after the peer timeout the connection gives them all up, choked
/// or not. While other blocks come one may well wait for longer, but not for ever: see [`not_overtaken`].
pub(crate) fn not_overdue(node: u32, peer: u32, waited: Duration) -> Step {
    if waited <= PEER_TIMEOUT + OVERDUE_SLACK { Ok(()) } else { Err(Broken::Overdue { node, peer, waited }) }
}

/// Requests are answered in their order: while one waits, no more payload comes than was ever asked up to it. Peers may do
/// otherwise, but all those simulated serve in order, over a network that keeps it.
pub(crate) fn not_overtaken(node: u32, peer: u32, came: u64, asked: u64) -> Step {
    if came <= asked { Ok(()) } else { Err(Broken::Overtaken { node, peer, came, asked }) }
}

/// A request ends once.
pub(crate) fn ended_once(node: u32, peer: u32, block: &BlockRef, was_asked: bool) -> Step {
    if was_asked { Ok(()) } else { Err(Broken::EndedTwice { node, peer, block: format!("{block:?}") }) }
}

/// Nobody is asked for what it lacks.
pub(crate) fn peer_has(node: u32, peer: u32, piece: PieceIndex, has: bool) -> Step {
    if has { Ok(()) } else { Err(Broken::AskedInVain { node, peer, piece }) }
}

/// A player is given verified bytes only. `verified` is where the run of them ends that begins at the reader's start.
pub(crate) fn read_verified(node: u32, position: u64, verified: u64) -> Step {
    if position <= verified { Ok(()) } else { Err(Broken::ReadUnverified { node, position, verified }) }
}

/// Bytes neither vanish nor appear on their way.
pub(crate) fn conserved(from: u32, to: u32, sent: u64, came: u64, flying: u64) -> Step {
    if sent == came + flying { Ok(()) } else { Err(Broken::Lost { from, to, sent, came, flying }) }
}

/// Payload comes where its receiver expects it.
pub(crate) fn in_step(from: u32, to: u32, expected: bool) -> Step {
    if expected { Ok(()) } else { Err(Broken::OutOfStep { from, to }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_holds_where_it_holds_and_breaks_where_it_does_not() {
        let block = BlockRef { index: PieceIndex(1), begin: 0, length: 16_384 };
        let piece = PieceIndex(1);
        let cases = [
            (counted_once(0, 5, 5), counted_once(0, 6, 5)),
            (verified(0, piece, true), verified(0, piece, false)),
            (within_budget(0, 5, 5), within_budget(0, 6, 5)),
            (not_crowded(0, 5, 5), not_crowded(0, 6, 5)),
            (none_dangling(0, 1, 2, 2), none_dangling(0, 1, 2, 1)),
            (not_overdue(0, 1, PEER_TIMEOUT), not_overdue(0, 1, PEER_TIMEOUT + 2 * OVERDUE_SLACK)),
            (not_overtaken(0, 1, 5, 5), not_overtaken(0, 1, 6, 5)),
            (ended_once(0, 1, &block, true), ended_once(0, 1, &block, false)),
            (peer_has(0, 1, piece, true), peer_has(0, 1, piece, false)),
            (read_verified(0, 5, 5), read_verified(0, 6, 5)),
            (in_step(0, 1, true), in_step(0, 1, false)),
            (conserved(0, 1, 7, 4, 3), conserved(0, 1, 7, 4, 2)),
        ];
        for (holds, breaks) in cases {
            assert_eq!(holds, Ok(()));
            assert!(!breaks.expect_err("it's broken").to_string().is_empty());
        }
    }
}
