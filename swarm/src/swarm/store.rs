//! What storage says of pieces, and what it is told to forget.

use std::time::Instant;

use afflux_metainfo::{BlockIndex, PieceIndex};
use afflux_peer::Command;

use super::{Content, Swarm};
use crate::blame::Sender;
use crate::output::Output;
use crate::trace::Hindrance;

impl Swarm {
    /// A piece's hash is right, and storage keeps it. `digests`: SHA-1 of each of its blocks, if they were taken; they are
    /// needed when [`Swarm::wants_digests`] says so.
    pub fn handle_verified(&mut self, piece: PieceIndex, digests: Option<&[[u8; 20]]>, now: Instant) {
        let Some(content) = self.content.as_mut().filter(|content| content.exists(piece)) else { return };
        let asked_still = content.table.piece(piece).is_some_and(|open| !open.is_whole());
        if asked_still {
            // Verified behind our back, by a recheck perhaps: what is on its way isn't needed.
            self.discard_quietly(piece, now);
        }
        let liars = self.blame.verified(piece, digests);
        let Some(content) = &mut self.content else { return };
        let was_missing = content.missing.contains(piece);
        if content.gain(piece) {
            self.announce(piece, was_missing);
        }
        self.trace.verified(piece, now);
        self.survey();
        self.punish(&liars, now);
        self.check_complete();
        self.evict();
        self.make_use_of_room();
        self.schedule(None, now);
    }

    /// A piece's hash is wrong; storage has forgotten its blocks. `digests`: SHA-1 of each of its blocks.
    pub fn handle_failed(&mut self, piece: PieceIndex, digests: &[[u8; 20]], now: Instant) {
        let Some(content) = self.content.as_ref().filter(|content| content.exists(piece)) else { return };
        self.tallies.failed += u64::from(content.layout.length_of(piece));
        self.cancel_piece(piece, now);
        if let Some(content) = &mut self.content {
            content.table.reset(piece);
        }
        self.trace.hindered(piece, Hindrance::WrongHash, now);
        let verdict = self.blame.failed(piece, digests);
        self.punish(&verdict.ban, now);
        self.wake();
        self.schedule(None, now);
    }

    /// Verified pieces are gone without our asking: their file changed underneath us, or memory ran out. Nobody is
    /// blamed; they are fetched again if they're wanted.
    pub fn handle_lost(&mut self, pieces: &[PieceIndex], now: Instant) {
        for &piece in pieces {
            self.lose(piece);
        }
        self.check_complete();
        self.survey();
        self.wake();
        self.schedule(None, now);
    }

    /// Storage has these blocks of a piece from an earlier run, unverified: they count as received, from nobody. `false` if
    /// the piece isn't wanted, or there is no room for it; then storage may forget them.
    pub fn resume_piece(&mut self, piece: PieceIndex, blocks: &[u32], now: Instant) -> bool {
        let Some(content) = self.content.as_mut().filter(|content| content.exists(piece)) else {
            return false;
        };
        let length = u64::from(content.layout.length_of(piece));
        // Half of the room, so that what readers want can be begun all the same.
        let fits = content.table.open_bytes() + length <= self.config.open_bytes_max / 2;
        if !fits || !content.missing.contains(piece) || content.table.is_open(piece) {
            return false;
        }
        content.open(piece, None);
        for block in blocks {
            content.table.receive(piece, BlockIndex(*block));
        }
        self.wake();
        self.schedule(None, now);
        true
    }

    /// Blocks of a piece under way are gone: storage couldn't keep them. They are asked for again.
    pub fn handle_unstored(&mut self, piece: PieceIndex, now: Instant) {
        self.discard_quietly(piece, now);
        self.blame.forget(piece);
        self.wake();
        self.schedule(None, now);
    }

    /// Whether a piece is under way and blocks of it haven't been reported yet: a verdict on it is early.
    pub fn awaits_blocks(&self, piece: PieceIndex) -> bool {
        let content = self.content.as_ref();
        content.and_then(|content| content.table.piece(piece)).is_some_and(|open| !open.is_whole())
    }

    /// Whether the digests of this piece's blocks will be compared once it passes: it failed before.
    pub fn wants_digests(&self, piece: PieceIndex) -> bool {
        self.blame.wants_digests(piece)
    }

    /// Says once when all selected pieces are there, and again when they are after a change.
    pub(super) fn check_complete(&mut self) {
        let Some(content) = &self.content else { return };
        let complete = content.missing.is_empty();
        let evictable = content.keep.is_some();
        if complete == self.told_complete {
            return;
        }
        self.told_complete = complete;
        if !evictable {
            self.collect_keys();
            for nth in 0..self.scratch.keys.len() {
                let key = self.scratch.keys[nth];
                self.send(key, Command::UploadOnly(complete));
            }
        }
        if complete {
            self.outputs.push_back(Output::Completed);
        }
    }

    /// Memory kind: forgets verified pieces while there are too many.
    pub(super) fn evict(&mut self) {
        while let Some(content) = &self.content {
            let victim = content.keep.as_ref().and_then(|keep| keep.victim(&self.wants, &content.layout));
            let Some(victim) = victim else { return };
            self.give_up(victim);
        }
    }

    /// Memory kind: a reader that has been gone for long hardly comes back, and others can use the memory.
    pub(super) fn forget_unread(&mut self, now: Instant) {
        let Some(unread_max) = self.config.unread_max else { return };
        if self.wants.anyone_reads() {
            self.unread_since = None;
            return;
        }
        let since = *self.unread_since.get_or_insert(now);
        if now.saturating_duration_since(since) < unread_max {
            return;
        }
        let Some(content) = &self.content else { return };
        let under_way: Vec<PieceIndex> = content
            .table
            .iter()
            .filter(|(piece, open)| !open.is_whole() && !self.wants.covers(*piece))
            .map(|(piece, _)| piece)
            .collect();
        under_way.into_iter().for_each(|piece| self.discard(piece, now));
        while let Some(piece) =
            self.content.as_ref().and_then(|content| content.keep.as_ref()?.loose(&self.wants))
        {
            self.give_up(piece);
        }
    }

    /// Whether [`forget_unread`](Self::forget_unread) will have something to do.
    pub(super) fn holds_what_may_go(&self) -> bool {
        let holds = |content: &Content| {
            content.table.open_count() > 0
                || content.keep.as_ref().is_some_and(|keep| keep.loose(&self.wants).is_some())
        };
        self.config.unread_max.is_some() && self.content.as_ref().is_some_and(holds)
    }

    fn give_up(&mut self, piece: PieceIndex) {
        self.lose(piece);
        self.blame.forget(piece);
        self.outputs.push_back(Output::Evict(piece));
    }

    /// Everybody learns that we have the piece, and how much use each peer still is: of one that wasn't wanted any more, none
    /// was expected.
    fn announce(&mut self, piece: PieceIndex, was_missing: bool) {
        let stays = self.content.as_ref().is_some_and(|content| content.keep.is_none());
        self.collect_keys();
        for nth in 0..self.scratch.keys.len() {
            let key = self.scratch.keys[nth];
            let Some(peer) = self.peers.get_mut(key) else { continue };
            let advertised = stays || peer.unlearns;
            if peer.pieces.contains(piece) {
                peer.useful = peer.useful.saturating_sub(u32::from(was_missing));
                self.tell_interest(key);
            } else if advertised {
                self.send(key, Command::Have(piece));
            }
        }
    }

    fn lose(&mut self, piece: PieceIndex) {
        let Some(content) = self.content.as_mut().filter(|content| content.exists(piece)) else { return };
        if !content.lose(piece) {
            return;
        }
        let (stays, missing) = (content.keep.is_none(), content.missing.contains(piece));
        self.collect_keys();
        for nth in 0..self.scratch.keys.len() {
            let key = self.scratch.keys[nth];
            let Some(peer) = self.peers.get_mut(key) else { continue };
            let unlearns = peer.unlearns;
            if missing && peer.pieces.contains(piece) {
                peer.useful += 1;
                self.tell_interest(key);
            }
            if stays || unlearns {
                self.send(key, Command::DontHave(piece));
            }
        }
    }

    /// Forgets a piece under way whose blocks storage has no more.
    fn discard_quietly(&mut self, piece: PieceIndex, now: Instant) {
        self.cancel_piece(piece, now);
        if let Some(content) = &mut self.content {
            content.close(piece);
        }
    }

    /// Memory was freed: peers that found no room may open pieces again.
    fn make_use_of_room(&mut self) {
        if std::mem::take(&mut self.board.crowded) {
            self.wake();
        }
    }

    /// The senders that `blame` has on parole now, for views and tests.
    pub fn suspects(&self) -> impl Iterator<Item = Sender> + '_ {
        let suspected = self.peers.iter().filter(|(_, peer)| peer.on_parole);
        suspected.map(|(peer, known)| Sender { peer, ip: known.addr.ip() })
    }
}
