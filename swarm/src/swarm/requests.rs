//! Who is asked for what, and what is taken back.

use std::time::{Duration, Instant};

use afflux_metainfo::{BlockIndex, BlockRef, PieceIndex};
use afflux_peer::Command;

use super::Swarm;
use crate::key::PeerKey;
use crate::output::Output;
use crate::picker::{Applicant, Board, Pick};
use crate::pieces::{Asker, Block, OpenPiece};
use crate::trace::Fate;

impl Swarm {
    /// Asks the peer for as much as its pipeline wants.
    pub(super) fn fill(&mut self, key: PeerKey, now: Instant) {
        let shallow = self.is_shallow();
        if self.peers.get(key).is_some_and(|peer| peer.can_wait(shallow, self.ways.queue_time)) {
            return;
        }
        while let Some(peer) = self.peers.get(key) {
            let starved = peer.starved_at == Some(self.board.version);
            if peer.room(shallow, self.ways.queue_time) == 0 || peer.useful == 0 || starved {
                return;
            }
            let expected = peer.expected(self.rate_default);
            let asked = match self.pick(key, expected, now) {
                Some(pick) => self.ask(key, pick, expected, now),
                None => self.ask_at_the_end(key, expected, now),
            };
            if !asked {
                let version = self.board.version;
                if let Some(peer) = self.peers.get_mut(key) {
                    peer.starved_at = Some(version);
                }
                return;
            }
        }
    }

    /// Asks a peer for a block. False if that can't be.
    pub(super) fn ask(&mut self, key: PeerKey, pick: Pick, expected: Duration, now: Instant) -> bool {
        let (Some(content), Some(peer)) = (&mut self.content, self.peers.get_mut(key)) else { return false };
        if pick.opens {
            content.open(pick.piece, peer.on_parole.then_some(key));
        } else if peer.on_parole && content.table.piece(pick.piece).is_some_and(OpenPiece::is_untouched) {
            content.table.claim(pick.piece, key);
        }
        let Some(asker) = content.table.ask(pick.piece, pick.block, key, now, expected) else { return false };
        let block = content.layout.block(pick.piece, pick.block);
        peer.asked.push_back(block);
        peer.last_piece = Some(pick.piece);
        self.rank(key);
        self.note_asked(pick.piece, pick.block, &asker);
        self.send(key, Command::Request(block));
        self.hold_nothing_back(key, block);
        true
    }

    /// The peer won't deliver a block: rejected, lapsed, or void by a choke.
    pub(super) fn returned(&mut self, key: PeerKey, block: BlockRef, fate: Fate, now: Instant) {
        let (Some(content), Some(peer)) = (&mut self.content, self.peers.get_mut(key)) else { return };
        let Some(number) = block.block().filter(|_| peer.take_asked(block)) else { return };
        if content.table.unask(block.index, number, key) {
            self.wake();
        }
        self.note_fate(key, block, fate, now);
    }

    /// Takes a request back.
    pub(super) fn cancel(&mut self, key: PeerKey, block: BlockRef, fate: Fate, now: Instant) {
        self.call_off(key, block, fate, now);
        let (Some(content), Some(number)) = (&mut self.content, block.block()) else { return };
        content.table.unask(block.index, number, key);
    }

    /// Takes a request back whose block came from another.
    pub(super) fn call_off(&mut self, key: PeerKey, block: BlockRef, fate: Fate, now: Instant) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        if peer.take_asked(block) {
            peer.linger();
            peer.starved_at = None;
            self.send(key, Command::Cancel(block));
            self.rank(key);
            self.wake();
            self.note_fate(key, block, fate, now);
        }
    }

    /// The peer is gone: all it was asked for is missing again.
    pub(super) fn return_all(&mut self, key: PeerKey, now: Instant) {
        let (Some(content), Some(peer)) = (&mut self.content, self.peers.get_mut(key)) else { return };
        let asked = std::mem::take(&mut peer.asked);
        for block in &asked {
            if let Some(number) = block.block() {
                content.table.unask(block.index, number, key);
            }
        }
        self.release_owned(key);
        asked.into_iter().for_each(|block| self.note_fate(key, block, Fate::Gone, now));
        self.wake();
    }

    /// The peer is far later than its own history says: others get what it was asked for. Its oldest request stays, since
    /// its answer is what would clear it, but nobody counts on it.
    pub(super) fn snubbed(&mut self, key: PeerKey, now: Instant) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.snubbed = true;
        let rest: Vec<BlockRef> = peer.asked.iter().skip(1).copied().collect();
        self.release_owned(key);
        rest.into_iter().for_each(|block| self.cancel(key, block, Fate::Snubbed, now));
        if let Some(oldest) = self.peers.get(key).and_then(|peer| peer.asked.front().copied()) {
            self.hold_nothing_back(key, oldest);
        }
        self.rank(key);
        self.wake();
    }

    /// What a snubbed peer is asked for is there for others too, if there are any: a silent one would hold it back for ever.
    fn hold_nothing_back(&mut self, key: PeerKey, block: BlockRef) {
        let snubbed = self.peers.get(key).is_some_and(|peer| peer.snubbed);
        if !snubbed || !self.has_better(key) {
            return;
        }
        let (Some(content), Some(number)) = (&mut self.content, block.block()) else { return };
        if content.table.unask(block.index, number, key) {
            self.wake();
        }
    }

    /// Takes all requests back.
    pub(super) fn cancel_all(&mut self, now: Instant) {
        self.collect_keys();
        for nth in 0..self.scratch.keys.len() {
            let key = self.scratch.keys[nth];
            let asked: Vec<BlockRef> =
                self.peers.get(key).map(|peer| peer.asked.iter().copied().collect()).unwrap_or_default();
            asked.into_iter().for_each(|block| self.cancel(key, block, Fate::Cancelled, now));
        }
    }

    /// Takes back what was asked of a piece.
    pub(super) fn cancel_piece(&mut self, piece: PieceIndex, now: Instant) {
        let Some(content) = &self.content else { return };
        let Some(open) = content.table.piece(piece) else { return };
        let mut asked = Vec::new();
        for (block, number) in open.blocks().iter().zip(0..) {
            if let Block::Asked(state) = block {
                let block = content.layout.block(piece, BlockIndex(number));
                asked.extend(state.askers().map(|asker: &Asker| (asker.peer, block)));
            }
        }
        // Snubbed peers are asked for what counts as missing.
        for (key, peer) in self.peers.iter().filter(|(_, peer)| peer.snubbed) {
            asked.extend(peer.asked.iter().filter(|block| block.index == piece).map(|block| (key, *block)));
        }
        asked.into_iter().for_each(|(key, block)| self.cancel(key, block, Fate::Cancelled, now));
    }

    /// Forgets a piece under way with all that came of it.
    pub(super) fn discard(&mut self, piece: PieceIndex, now: Instant) {
        self.cancel_piece(piece, now);
        let Some(content) = &mut self.content else { return };
        if content.close(piece).is_some() {
            self.blame.forget(piece);
            self.outputs.push_back(Output::Discard(piece));
            self.wake();
        }
    }

    /// Whether nothing is fetched but what windows cover: torrents of the memory kind.
    pub(super) fn windows_only(&self) -> bool {
        self.config.keep_bytes_max.is_some()
    }

    fn pick(&mut self, key: PeerKey, expected: Duration, now: Instant) -> Option<Pick> {
        let outcast = self.peers.get(key).is_some_and(|peer| peer.snubbed) && self.has_better(key);
        let for_readers = self.ways.shallow_queues && self.outlook.waiting;
        let anywhere = !self.windows_only() && !for_readers;
        let windows_only = self.windows_only();
        let (peer, content) = (self.peers.get(key)?, self.content.as_mut()?);
        let mut board = Board {
            layout: &content.layout,
            missing: &content.missing,
            table: &content.table,
            availability: &mut content.availability,
            wants: &self.wants,
            outlook: self.outlook,
            link_rate: self.link_rate,
            windows_only,
            open_bytes_max: self.config.open_bytes_max,
            reserve_bytes: if self.wants.is_empty() { 0 } else { self.config.open_bytes_max / 4 },
            crowded: false,
        };
        let applicant = Applicant {
            key,
            offers: peer.offers(),
            on_parole: peer.on_parole,
            expected: expected + peer.lateness.usual(),
            last_piece: peer.last_piece,
            outcast,
        };
        let strategy = self.strategy.as_mut()?;
        let mut pick = |applicant: &Applicant<'_>| match peer.allowed_only() {
            Some(allowed) => board.allowed(applicant, allowed, anywhere),
            None => strategy.pick(&mut board, applicant, now),
        };
        let mut found = pick(&applicant);
        if found.is_none() && peer.on_parole {
            // Nothing is left that it could deliver alone. Better it shares than nobody delivers: digests will
            // still tell whose blocks were bad.
            found = pick(&Applicant { on_parole: false, ..applicant });
        }
        self.board.crowded |= board.crowded;
        found
    }

    /// Whether another peer serves us well.
    fn has_better(&self, key: PeerKey) -> bool {
        self.peers
            .iter()
            .any(|(other, peer)| other != key && !peer.chokes_us && !peer.snubbed && peer.useful > 0)
    }

    pub(super) fn block_length(&self, piece: PieceIndex, block: BlockIndex) -> u64 {
        self.content.as_ref().map_or(0, |content| u64::from(content.layout.block(piece, block).length))
    }

    /// What a peer had for itself alone is everybody's again.
    pub(super) fn release_owned(&mut self, key: PeerKey) {
        let Some(content) = &mut self.content else { return };
        let owned = content.table.iter().filter(|(_, open)| open.owner() == Some(key));
        let owned: Vec<PieceIndex> = owned.map(|(piece, _)| piece).collect();
        if !owned.is_empty() {
            self.wake();
        }
        let Some(content) = &mut self.content else { return };
        owned.into_iter().for_each(|piece| content.table.release(piece));
    }
}
