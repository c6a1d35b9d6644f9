//! Who is asked for what, what is taken back, and what is asked twice.

use std::time::{Duration, Instant};

use afflux_metainfo::{BLOCK_LENGTH, BlockIndex, BlockRef, PieceIndex};
use afflux_peer::Command;

use super::{Content, Swarm};
use crate::availability::first_common_within;
use crate::key::PeerKey;
use crate::limits::{ENDGAME_PROBES_MAX, LATE_PROBES_MAX};
use crate::output::Output;
use crate::picker::{Applicant, Board, Pick};
use crate::pieces::{Block, OpenPiece};
use crate::wants::Reader;

impl Swarm {
    /// Asks the peer for as much as its pipeline wants.
    pub(super) fn fill(&mut self, key: PeerKey, now: Instant) {
        let waiting = self.is_shallow();
        while let Some(peer) = self.peers.get(key) {
            let starved = peer.starved_at == Some(self.board.version);
            if peer.room(waiting, self.ways.queue_time) == 0 || peer.useful == 0 || starved {
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
        if !content.table.ask(pick.piece, pick.block, key, now, expected) {
            return false;
        }
        let block = content.layout.block(pick.piece, pick.block);
        peer.asked.push_back(block);
        peer.last_piece = Some(pick.piece);
        self.send(key, Command::Request(block));
        true
    }

    /// The peer won't deliver a block: rejected, lapsed, or void by a choke.
    pub(super) fn returned(&mut self, key: PeerKey, block: BlockRef) {
        let (Some(content), Some(peer)) = (&mut self.content, self.peers.get_mut(key)) else { return };
        let Some(number) = block.block().filter(|_| peer.take_asked(block)) else { return };
        if content.table.unask(block.index, number, key) {
            self.wake();
        }
    }

    /// Takes a request back.
    pub(super) fn cancel(&mut self, key: PeerKey, block: BlockRef) {
        self.call_off(key, block);
        let (Some(content), Some(number)) = (&mut self.content, block.block()) else { return };
        content.table.unask(block.index, number, key);
    }

    /// Takes a request back whose block came from another.
    pub(super) fn call_off(&mut self, key: PeerKey, block: BlockRef) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        if peer.take_asked(block) {
            peer.starved_at = None;
            self.send(key, Command::Cancel(block));
            self.wake();
        }
    }

    /// The peer is gone: all it was asked for is missing again.
    pub(super) fn return_all(&mut self, key: PeerKey) {
        let (Some(content), Some(peer)) = (&mut self.content, self.peers.get_mut(key)) else { return };
        for block in std::mem::take(&mut peer.asked) {
            if let Some(number) = block.block() {
                content.table.unask(block.index, number, key);
            }
        }
        release_owned(content, key);
        self.wake();
    }

    /// The peer is far later than its own history says: others get what it was asked for. Its oldest request stays,
    /// since its answer is what would clear it.
    pub(super) fn snubbed(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.snubbed = true;
        let rest: Vec<BlockRef> = peer.asked.iter().skip(1).copied().collect();
        if let Some(content) = &mut self.content {
            release_owned(content, key);
        }
        rest.into_iter().for_each(|block| self.cancel(key, block));
        self.wake();
    }

    /// Takes all requests back.
    pub(super) fn cancel_all(&mut self) {
        self.collect_keys();
        for nth in 0..self.scratch.keys.len() {
            let key = self.scratch.keys[nth];
            let asked: Vec<BlockRef> =
                self.peers.get(key).map(|peer| peer.asked.iter().copied().collect()).unwrap_or_default();
            asked.into_iter().for_each(|block| self.cancel(key, block));
        }
    }

    /// Forgets a piece under way with all that came of it.
    pub(super) fn discard(&mut self, piece: PieceIndex) {
        self.cancel_piece(piece, |_| true);
        let Some(content) = &mut self.content else { return };
        if content.close(piece).is_some() {
            self.blame.forget(piece);
            self.outputs.push_back(Output::Discard(piece));
            self.wake();
        }
    }

    /// A reader jumped or went: what no window covers is taken back from those that could help one, unless it's nearly
    /// there. Where nothing is fetched but windows, what has hardly begun is forgotten altogether.
    pub(super) fn retarget(&mut self) {
        let only_windows = self.windows_only();
        let Some(content) = &self.content else { return };
        let seeks = self.ways.cancels_on_seek && self.is_urgent_missing(content);
        if self.paused || !(only_windows || seeks) {
            return;
        }
        let abandoned: Vec<PieceIndex> = content
            .table
            .iter()
            .filter(|(piece, open)| !open.is_nearly_whole() && !self.wants.covers(*piece))
            .map(|(piece, _)| piece)
            .collect();
        for piece in abandoned {
            let Some(content) = &self.content else { return };
            let Some(open) = content.table.piece(piece) else { continue };
            let hardly_begun = (open.received() as usize) * 2 < open.blocks().len();
            if only_windows && hardly_begun {
                self.discard(piece);
                continue;
            }
            let helpers: Vec<PeerKey> = self
                .peers
                .iter()
                .filter(|(_, peer)| only_windows || self.could_help(content, peer.offers()))
                .map(|(key, _)| key)
                .collect();
            self.cancel_piece(piece, |key| helpers.binary_search(&key).is_ok());
        }
    }

    /// Open pieces that aren't wanted any more are forgotten, unless they are nearly there.
    pub(super) fn drop_unselected(&mut self) {
        let Some(content) = &self.content else { return };
        let dropped: Vec<PieceIndex> = content
            .table
            .iter()
            .filter(|(piece, open)| !content.missing.contains(*piece) && !open.is_nearly_whole())
            .map(|(piece, _)| piece)
            .collect();
        dropped.into_iter().for_each(|piece| self.discard(piece));
    }

    /// Makes room for an urgent piece: forgets what no window covers, least first. A reader of whose window no piece
    /// is open gets its piece in any case, or it would wait for ever.
    pub(super) fn admit_urgent(&mut self, piece: PieceIndex) -> bool {
        loop {
            let Some(content) = &self.content else { return false };
            let length = u64::from(content.layout.length_of(piece));
            if content.table.open_bytes() + length <= self.config.open_bytes_max
                || content.table.open_count() == 0
            {
                return true;
            }
            let loose = content.table.iter().filter(|(_, open)| !open.is_whole());
            let loose = loose.filter(|(open, _)| !self.wants.covers(*open));
            let Some((victim, _)) = loose.min_by_key(|(_, open)| open.received()) else {
                let mut covering = self.wants.readers().filter(|r| r.pieces().contains(&piece.0));
                return covering.any(|reader| {
                    let pieces = reader.pieces();
                    content
                        .table
                        .open_within(PieceIndex(pieces.start)..PieceIndex(pieces.end))
                        .next()
                        .is_none()
                });
            };
            self.discard(victim);
        }
    }

    /// Looks for urgent blocks that are later than their peers' own histories explain, and asks the best other peer
    /// for them, within the budget.
    pub(super) fn buy_late(&mut self, now: Instant) {
        let active = !self.paused && self.ways.buys_late_blocks;
        let Some(content) = self.content.as_ref().filter(|_| active) else { return };
        let mut late: Vec<(PieceIndex, BlockIndex)> = Vec::new();
        for reader in self.wants.readers() {
            let urgent = reader.urgent();
            let open = content.table.open_within(PieceIndex(urgent.start)..PieceIndex(urgent.end));
            for (piece, open) in open.take(LATE_PROBES_MAX) {
                let blocks = open.blocks().iter().zip(0..);
                late.extend(blocks.filter_map(|(block, number)| match block {
                    Block::Asked(asked) if asked.late_at() <= now && !asked.is_crowded() => {
                        Some((piece, BlockIndex(number)))
                    }
                    _ => None,
                }));
            }
        }
        for (piece, block) in late {
            let length = self.block_length(piece, block);
            if !self.duplicates.affords(length, self.tallies.received) {
                return;
            }
            let Some((key, expected)) = self.best_other(piece, block) else { continue };
            if self.ask(key, Pick { piece, block, opens: false }, expected, now) {
                self.duplicates.bought(length);
            }
        }
    }

    /// Whether nothing is fetched but what windows cover: torrents of the memory kind.
    pub(super) fn windows_only(&self) -> bool {
        self.config.keep_bytes_max.is_some()
    }

    /// Whether peers are asked for little at once, so that a seek needn't wait for what was asked before: as long as there
    /// is a reader, and a moment longer, since a seek often is one reader's end and another's beginning.
    pub(super) fn is_shallow(&self) -> bool {
        self.ways.shallow_queues && (!self.wants.is_empty() || self.timers.retarget.is_some())
    }

    fn pick(&mut self, key: PeerKey, expected: Duration, now: Instant) -> Option<Pick> {
        let outcast = self.peers.get(key).is_some_and(|peer| peer.snubbed) && self.has_better(key);
        let anywhere = !self.windows_only() && !(self.ways.shallow_queues && self.wants.anyone_waits());
        let reserve_bytes = if self.wants.is_empty() { 0 } else { self.config.open_bytes_max / 4 };
        let windows_only = self.windows_only();
        let (peer, content) = (self.peers.get(key)?, self.content.as_mut()?);
        let mut board = Board {
            layout: &content.layout,
            missing: &content.missing,
            table: &content.table,
            availability: &mut content.availability,
            wants: &self.wants,
            windows_only,
            open_bytes_max: self.config.open_bytes_max,
            reserve_bytes,
            crowded: false,
        };
        let applicant = Applicant {
            key,
            offers: peer.offers(),
            on_parole: peer.on_parole,
            expected,
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

    /// The endgame: everything is asked for. This peer gets a block that another is late with, or that it would
    /// deliver in half the time.
    fn ask_at_the_end(&mut self, key: PeerKey, expected: Duration, now: Instant) -> bool {
        let (Some(content), Some(peer)) = (&self.content, self.peers.get(key)) else { return false };
        let all_asked =
            content.availability.pickable().is_empty() && content.table.partial().next().is_none();
        let affords = self.duplicates.affords(u64::from(BLOCK_LENGTH), self.tallies.received);
        if !all_asked || peer.chokes_us || peer.snubbed || !affords {
            return false;
        }
        let slow = |block: &Block| match block {
            Block::Asked(asked) => {
                let faster = now + expected * 2 < asked.expected_at();
                (faster || asked.late_at() <= now) && !asked.includes(key) && !asked.is_crowded()
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
        let found = blocks.take(ENDGAME_PROBES_MAX).find(|(_, _, block)| slow(block));
        let Some((piece, number, _)) = found else { return false };
        let pick = Pick { piece, block: BlockIndex(number), opens: false };
        self.duplicates.bought(self.block_length(piece, pick.block));
        self.ask(key, pick, expected, now)
    }

    /// The peer that would deliver the block soonest, of those that weren't asked for it.
    fn best_other(&self, piece: PieceIndex, block: BlockIndex) -> Option<(PeerKey, Duration)> {
        let open = self.content.as_ref()?.table.piece(piece)?;
        let Some(Block::Asked(asked)) = open.blocks().get(block.as_usize()) else { return None };
        let fit = self.peers.iter().filter(|(key, peer)| {
            !peer.chokes_us
                && !peer.snubbed
                && !peer.on_parole
                && peer.can_be_pressed()
                && peer.offers().contains(piece)
                && !asked.includes(*key)
                && open.admits(*key)
        });
        fit.map(|(key, peer)| (key, peer.expected(self.rate_default)))
            .min_by_key(|&(key, expected)| (expected, key))
    }

    pub(super) fn cancel_piece(&mut self, piece: PieceIndex, at: impl Fn(PeerKey) -> bool) {
        let Some(content) = &self.content else { return };
        let Some(open) = content.table.piece(piece) else { return };
        let mut asked = Vec::new();
        for (block, number) in open.blocks().iter().zip(0..) {
            if let Block::Asked(state) = block {
                let block = content.layout.block(piece, BlockIndex(number));
                asked.extend(state.askers().filter(|&key| at(key)).map(|key| (key, block)));
            }
        }
        asked.into_iter().for_each(|(key, block)| self.cancel(key, block));
    }

    /// Whether these pieces hold one that a reader misses now.
    fn could_help(&self, content: &Content, offers: &afflux_metainfo::Bitfield) -> bool {
        let mut windows = self.wants.readers().map(Reader::pieces);
        windows.any(|pieces| first_common_within(&content.missing, offers, pieces).is_some())
    }

    fn is_urgent_missing(&self, content: &Content) -> bool {
        let missing = &content.missing;
        self.wants.readers().any(|reader| first_common_within(missing, missing, reader.urgent()).is_some())
    }

    /// Whether another peer serves us that isn't snubbed.
    fn has_better(&self, key: PeerKey) -> bool {
        self.peers
            .iter()
            .any(|(other, peer)| other != key && !peer.chokes_us && !peer.snubbed && peer.useful > 0)
    }

    fn block_length(&self, piece: PieceIndex, block: BlockIndex) -> u64 {
        self.content.as_ref().map_or(0, |content| u64::from(content.layout.block(piece, block).length))
    }
}

/// What a peer had for itself alone is everybody's again.
fn release_owned(content: &mut Content, key: PeerKey) {
    let owned: Vec<PieceIndex> =
        content.table.iter().filter(|(_, open)| open.owner() == Some(key)).map(|(piece, _)| piece).collect();
    owned.into_iter().for_each(|piece| content.table.release(piece));
}
