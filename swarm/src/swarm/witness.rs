//! What the trace is told: when readers wait, who is asked for what they wait for, and what comes of it.

use std::time::Instant;

use afflux_metainfo::{BlockIndex, BlockRef, PieceIndex};

use super::Swarm;
use crate::input::ReaderKey;
use crate::key::PeerKey;
use crate::pieces::{Asker, Block};
use crate::trace::{Ask, Fate, Hindrance, Stall};

impl Swarm {
    /// A reader has said where it is: its stall begins, goes on or ends.
    pub(super) fn note_reader(&mut self, key: ReaderKey, now: Instant) {
        let Some(reader) = self.wants.reader(key) else { return self.trace.end(key, now) };
        let position = reader.window().position;
        let missing = self.content.as_ref().and_then(|content| {
            let piece = content.layout.piece_at(position)?;
            content.missing.contains(piece).then_some(piece)
        });
        match missing.filter(|_| reader.is_waiting()) {
            Some(_) if self.trace.knows(key, position) => {}
            Some(piece) => self.begin_stall(key, position, piece, now),
            None => self.trace.end(key, now),
        }
    }

    /// A block of a piece that a reader waits for was asked of a peer.
    pub(super) fn note_asked(&mut self, piece: PieceIndex, block: BlockIndex, asker: &Asker) {
        if self.trace.watches(piece)
            && let Some(ask) = self.testimony(block, asker)
        {
            self.trace.asked(piece, ask);
        }
    }

    /// Something came of a request.
    pub(super) fn note_fate(&mut self, key: PeerKey, block: BlockRef, fate: Fate, now: Instant) {
        if !self.trace.watches(block.index) {
            return;
        }
        if let (Some(peer), Some(number)) = (self.peers.get(key), block.block()) {
            self.trace.answered(block.index, number, peer.addr, fate, now);
        }
    }

    /// Looks for what keeps the pieces away that readers wait for, besides slowness.
    pub(super) fn note_obstacles(&mut self, now: Instant) {
        let mut watched: Vec<PieceIndex> = self.trace.watched().collect();
        watched.sort_unstable();
        watched.dedup();
        for piece in watched {
            let mut having = self.peers.iter().filter(|(_, peer)| peer.pieces.contains(piece)).peekable();
            if having.peek().is_none() {
                self.trace.hindered(piece, Hindrance::NobodyHas, now);
            } else if having.all(|(_, peer)| peer.chokes_us) {
                self.trace.hindered(piece, Hindrance::AllChoke, now);
            }
        }
    }

    fn begin_stall(&mut self, reader: ReaderKey, position: u64, piece: PieceIndex, now: Instant) {
        let Some(content) = &self.content else { return };
        let mut stall = Stall {
            reader,
            position,
            piece,
            since: now,
            until: None,
            blocks: content.layout.block_count(piece),
            blocks_there: 0,
            asks: Vec::new(),
            asks_left_out: 0,
            obstacles: Vec::new(),
        };
        if let Some(open) = content.table.piece(piece) {
            stall.blocks_there = open.received();
            for (block, number) in open.blocks().iter().zip(0..) {
                let Block::Asked(asked) = block else { continue };
                let asks = asked.askers().filter_map(|asker| self.testimony(BlockIndex(number), asker));
                stall.asks.extend(asks);
            }
            stall.asks.sort_by_key(|ask| ask.at);
            let left_out = stall.asks.len().saturating_sub(crate::trace::ASKS_MAX);
            stall.asks.truncate(crate::trace::ASKS_MAX);
            stall.asks_left_out = left_out as u32;
        }
        self.trace.begin(stall);
        self.note_obstacles(now);
    }

    fn testimony(&self, block: BlockIndex, asker: &Asker) -> Option<Ask> {
        let peer = self.peers.get(asker.peer)?;
        Some(Ask {
            block,
            peer: peer.addr,
            at: asker.asked_at,
            expected_at: asker.expected_at,
            fate: Fate::Pending,
            ended: None,
        })
    }
}
