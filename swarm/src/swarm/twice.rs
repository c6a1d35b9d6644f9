//! What is asked twice: blocks that a reader needs soon and that are late, and the last blocks of a download.

use std::time::{Duration, Instant};

use afflux_metainfo::{BLOCK_LENGTH, BlockIndex, PieceIndex};

use super::{Content, Peer, Swarm};
use crate::key::PeerKey;
use crate::limits::{ENDGAME_PROBES_MAX, HOPELESS, LATE_HORIZON, LATE_PROBES_MAX};
use crate::picker::Pick;
use crate::pieces::{Asked, Block};
use crate::wants::Reader;

impl Swarm {
    /// Looks for blocks that are later than their peers' own histories explain and that a reader is about to need, and
    /// asks the best other peer for them, within the budget.
    pub(super) fn buy_late(&mut self, now: Instant) {
        let active = !self.paused && self.ways.buys_late_blocks && self.duplicates.help(now);
        let Some(content) = self.content.as_ref().filter(|_| active) else { return };
        let mut late: Vec<(PieceIndex, BlockIndex)> = Vec::new();
        let mut probes = LATE_PROBES_MAX;
        for reader in self.wants.readers() {
            self.collect_late(content, reader, &mut probes, &mut late, now);
        }
        for (piece, block) in late {
            let length = self.block_length(piece, block);
            if !self.duplicates.affords(length, self.tallies.received) {
                return;
            }
            let Some(key) = self.best_other(piece, block) else { continue };
            let Some(expected) = self.peers.get(key).map(|peer| peer.expected(self.rate_default)) else {
                continue;
            };
            if self.is_beaten(piece, block, expected, now) {
                self.buy(key, piece, block, expected, now);
            }
        }
    }

    /// The endgame: everything is asked for. This peer gets a block that another is late with, or that it would
    /// deliver in half the time.
    pub(super) fn ask_at_the_end(&mut self, key: PeerKey, expected: Duration, now: Instant) -> bool {
        let (Some(content), Some(peer)) = (&self.content, self.peers.get(key)) else { return false };
        let all_asked =
            content.availability.pickable().is_empty() && content.table.partial().next().is_none();
        let affords = self.duplicates.affords(u64::from(BLOCK_LENGTH), self.tallies.received);
        if !all_asked || peer.chokes_us || peer.snubbed || !affords {
            return false;
        }
        let slow = |block: &Block| match block {
            Block::Asked(asked) => {
                let faster = asked.expected_at().is_some_and(|at| now + expected * 2 < at);
                (faster || self.is_late(asked, now)) && !asked.includes(key) && !asked.is_crowded()
            }
            Block::Missing | Block::Received => false,
        };
        let offered = content
            .table
            .iter()
            .filter(|(piece, open)| !open.is_whole() && peer.offers().contains(*piece) && open.admits(key));
        let blocks = offered.flat_map(|(piece, open)| {
            open.blocks().iter().zip(0..).map(move |(block, nth)| (piece, nth, block))
        });
        let under_way = blocks.filter(|(_, _, block)| matches!(block, Block::Asked(_)));
        let found = under_way.take(ENDGAME_PROBES_MAX).find(|(_, _, block)| slow(block));
        let Some((piece, number, _)) = found else { return false };
        self.buy(key, piece, BlockIndex(number), expected, now)
    }

    fn buy(
        &mut self,
        key: PeerKey,
        piece: PieceIndex,
        block: BlockIndex,
        expected: Duration,
        now: Instant,
    ) -> bool {
        let bought = self.ask(key, Pick { piece, block, opens: false }, expected, now);
        if bought {
            self.duplicates.bought(self.block_length(piece, block));
        }
        bought
    }

    /// A block came that more than one peer was asked for: was it worth it?
    pub(super) fn judge_duplicate(&mut self, asked: &Asked, from: PeerKey, now: Instant) {
        if asked.is_shared() {
            let won = asked.asker(from).is_some_and(|asker| asker.is_second);
            self.duplicates.decided(won, now);
        }
    }

    fn collect_late(
        &self,
        content: &Content,
        reader: &Reader,
        probes: &mut usize,
        late: &mut Vec<(PieceIndex, BlockIndex)>,
        now: Instant,
    ) {
        let urgent = reader.urgent();
        for (piece, open) in content.table.open_within(PieceIndex(urgent.start)..PieceIndex(urgent.end)) {
            let deadline = reader.deadline(&content.layout, piece).max(now);
            let needed = reader.is_waiting() || deadline <= now + LATE_HORIZON;
            if !needed || *probes == 0 {
                return;
            }
            *probes -= 1;
            let blocks = open.blocks().iter().zip(0..);
            late.extend(blocks.filter_map(|(block, number)| match block {
                Block::Asked(asked) if !asked.is_crowded() => {
                    let late = self.is_late(asked, now) || Self::is_hopeless(asked, deadline);
                    late.then_some((piece, BlockIndex(number)))
                }
                _ => None,
            }));
        }
    }

    /// Whether all that were asked are later than their own histories explain.
    fn is_late(&self, asked: &Asked, now: Instant) -> bool {
        asked.askers().all(|asker| self.peers.get(asker.peer).is_none_or(|peer| peer.owes(asker, now)))
    }

    /// The peer that would deliver the block soonest, of those that weren't asked for it; a suspect if no good peer is left.
    fn best_other(&self, piece: PieceIndex, block: BlockIndex) -> Option<PeerKey> {
        let open = self.content.as_ref()?.table.piece(piece)?;
        let Some(Block::Asked(asked)) = open.blocks().get(block.as_usize()) else { return None };
        let fits = |key: PeerKey, peer: &Peer| {
            let offered = peer.can_be_pressed() && peer.offers().contains(piece);
            offered && !asked.includes(key) && open.admits(key)
        };
        let best =
            self.ranks.iter().find(|&(_, key)| self.peers.get(key).is_some_and(|peer| fits(key, peer)));
        let suspects = || {
            let serving = |peer: &Peer| !peer.chokes_us && !peer.snubbed && !peer.overdue && peer.depth > 0;
            let all = self.peers.iter().filter(|&(key, peer)| serving(peer) && fits(key, peer));
            all.map(|(key, peer)| (peer.expected_nanos(self.rate_default), key)).min()
        };
        best.or_else(suspects).map(|(_, key)| key)
    }

    /// Whether a block that is late, or that won't come in time, comes sooner from a peer that takes so long. One that isn't
    /// late yet has to be beaten clearly.
    fn is_beaten(&self, piece: PieceIndex, block: BlockIndex, expected: Duration, now: Instant) -> bool {
        let open = self.content.as_ref().and_then(|content| content.table.piece(piece));
        match open.and_then(|open| open.blocks().get(block.as_usize())) {
            Some(Block::Asked(asked)) => {
                let beaten = asked.expected_at().is_some_and(|at| now + expected * 2 + HOPELESS < at);
                beaten || self.is_late(asked, now)
            }
            _ => false,
        }
    }

    /// Whether none of those that were asked will deliver before a reader feels it, by their own figures.
    fn is_hopeless(asked: &Asked, deadline: Instant) -> bool {
        asked.expected_at().is_some_and(|at| at > deadline + HOPELESS)
    }
}
