//! What a peer did, as its link reports it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use afflux_metainfo::{Bitfield, BlockRef, PieceIndex};
use afflux_peer::{Command, Event, ExtensionHandshake};

use super::Swarm;
use crate::availability::{Counting, common_count};
use crate::blame::Sender;
use crate::input::Report;
use crate::key::PeerKey;
use crate::metadata;
use crate::output::Output;
use crate::pieces::{Asked, Receipt};
use crate::trace::Fate;

impl Swarm {
    /// What a link saw of its peer since its last report. Storage already has the blocks that were received. A report
    /// of a peer that is gone is ignored.
    pub fn handle_report<E: Iterator<Item = Event>>(
        &mut self,
        peer: PeerKey,
        report: Report<E>,
        now: Instant,
    ) {
        let mut received = false;
        for event in report.events {
            if !self.peers.contains(peer) {
                return;
            }
            received |= matches!(event, Event::BlockReceived { .. });
            self.handle_event(peer, event, now);
        }
        let Some(known) = self.peers.get_mut(peer) else { return };
        known.measured(report.gauges, received);
        self.rank(peer);
        self.schedule(Some(peer), now);
    }

    /// A request was never sent, since there is no memory for its block. The peer's next report should say no room until there
    /// is some.
    pub fn handle_no_memory(&mut self, peer: PeerKey, block: BlockRef, now: Instant) {
        if let (Some(known), Some(number)) = (self.peers.get(peer), block.block()) {
            self.trace.unaffordable(block.index, number, known.addr, now);
        }
        self.returned(peer, block, Fate::Cancelled, now);
    }

    /// A block came that storage had when it came, and not any more: its piece has been discarded since, and perhaps begun
    /// anew. The peer did what it was asked, in vain; a report doesn't tell of such blocks.
    pub fn handle_outdated(&mut self, peer: PeerKey, block: BlockRef) {
        self.tallies.wasted += u64::from(block.length);
        self.with_peer(peer, |peer| {
            peer.delivered = peer.delivered.saturating_add(1);
            peer.snubbed = false;
            peer.overdue = false;
        });
    }

    fn handle_event(&mut self, key: PeerKey, event: Event, now: Instant) {
        match event {
            Event::PiecesKnown(pieces) => self.pieces_known(key, pieces),
            Event::Had(piece) => self.had(key, piece),
            Event::Lost(piece) => self.lost(key, piece, now),
            Event::Choked => self.with_peer(key, |peer| peer.chokes_us = true),
            Event::Unchoked => self.with_peer(key, |peer| {
                peer.chokes_us = false;
                peer.forgive();
            }),
            Event::Interested => {
                self.with_peer(key, |peer| peer.interested = true);
                self.rechoke(now);
            }
            Event::NotInterested => {
                self.with_peer(key, |peer| peer.interested = false);
                self.rechoke(now);
            }
            Event::BlockReceived { block, .. } => self.block_received(key, block, now),
            Event::RequestRejected(block) => {
                self.with_peer(key, |peer| peer.refuse(block.index, now));
                self.returned(key, block, Fate::Rejected, now);
            }
            Event::RequestLapsed(block) => self.returned(key, block, Fate::Snubbed, now),
            Event::RequestReturned(block) => {
                let chokes = self.peers.get(key).is_some_and(|peer| peer.chokes_us);
                self.returned(key, block, if chokes { Fate::Choked } else { Fate::Cancelled }, now);
            }
            Event::Snubbed => self.snubbed(key, now),
            Event::AllowedFast(piece) => {
                if self.content.as_ref().is_some_and(|content| content.exists(piece)) {
                    self.with_peer(key, |peer| peer.allow_fast(piece));
                }
            }
            Event::ExtensionsKnown(handshake) => self.extensions_known(key, &handshake, now),
            Event::MetadataReceived { piece, total_size, data } => {
                self.metadata_received(key, piece, total_size, &data, now);
            }
            Event::MetadataRejected { piece } => {
                if let Some(assembly) = &mut self.assembly {
                    assembly.rejected(key, piece, now);
                }
                self.request_metadata(now);
            }
            Event::BlockSent { block } => {
                self.tallies.sent += u64::from(block.length);
                self.tallies.upload.update(u64::from(block.length), now);
                self.with_peer(key, |peer| peer.uploaded += u64::from(block.length));
            }
            // The node, and the driver that reports the end, are the engine's; suggestions would make a peer
            // decide what we fetch.
            Event::DhtPort(_) | Event::Suggested(_) | Event::Closed(_) => {}
        }
    }

    /// Changes what is known of a peer; it may find work again.
    fn with_peer(&mut self, key: PeerKey, change: impl FnOnce(&mut super::Peer)) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.starved_at = None;
            change(peer);
        }
    }

    fn pieces_known(&mut self, key: PeerKey, mut pieces: Bitfield) {
        let (Some(content), Some(peer)) = (&mut self.content, self.peers.get_mut(key)) else { return };
        if pieces.length() != content.layout.piece_count() {
            return;
        }
        match peer.counting {
            None => peer.counting = Some(content.availability.add(&pieces)),
            // It was told before: a later bitfield stands for haves and takes nothing back. Only what is new is counted, and
            // piece by piece from now on: a peer that loses and gains in turns must not have all counted anew each time.
            Some(_) => {
                peer.pieces.iter().for_each(|piece| _ = pieces.insert(piece));
                let news = pieces.iter().filter(|piece| !peer.pieces.contains(*piece));
                news.for_each(|piece| content.availability.had(piece));
            }
        }
        peer.useful = common_count(&pieces, &content.missing);
        peer.pieces = pieces;
        peer.forgive();
        peer.starved_at = None;
        self.tell_interest(key);
        self.became_obtainable();
    }

    fn had(&mut self, key: PeerKey, piece: PieceIndex) {
        let (Some(content), Some(peer)) = (&mut self.content, self.peers.get_mut(key)) else { return };
        if !content.exists(piece) || !peer.had(piece) {
            return;
        }
        peer.counting.get_or_insert(Counting::Pieces);
        content.availability.had(piece);
        let first = content.availability.count(piece) == 1;
        if content.missing.contains(piece) {
            peer.useful += 1;
            peer.starved_at = None;
            self.tell_interest(key);
            if first && self.wants.covers(piece) {
                self.became_obtainable();
            }
        }
    }

    /// A reader may wait for what nobody had until now.
    fn became_obtainable(&mut self) {
        if !self.wants.is_empty() {
            self.survey();
            self.wake();
        }
    }

    fn lost(&mut self, key: PeerKey, piece: PieceIndex, now: Instant) {
        let (Some(content), Some(peer)) = (&mut self.content, self.peers.get_mut(key)) else { return };
        if !content.exists(piece) || !peer.lost(piece) {
            return;
        }
        if peer.counting == Some(Counting::Seed) {
            // It was counted once for all pieces; from now on piece by piece.
            content.availability.subtract(&peer.pieces, Counting::Seed);
            content.availability.add(&peer.pieces);
            peer.counting = Some(Counting::Pieces);
        } else {
            content.availability.lost(piece);
        }
        if content.missing.contains(piece) {
            peer.useful = peer.useful.saturating_sub(1);
        }
        let theirs: Vec<BlockRef> = peer.asked.iter().copied().filter(|block| block.index == piece).collect();
        for block in theirs {
            self.cancel(key, block, Fate::Rejected, now);
        }
        self.tell_interest(key);
    }

    fn block_received(&mut self, key: PeerKey, block: BlockRef, now: Instant) {
        let (Some(content), Some(peer)) = (&mut self.content, self.peers.get_mut(key)) else { return };
        peer.take_asked(block);
        peer.delivered = peer.delivered.saturating_add(1);
        peer.snubbed = false;
        peer.overdue = false;
        peer.starved_at = None;
        peer.last_piece = Some(block.index);
        let sender = Sender { peer: key, ip: peer.addr.ip() };
        let Some(number) = block.block().filter(|_| content.is_block(&block)) else { return };
        if content.have.contains(block.index) {
            self.tallies.wasted += u64::from(block.length);
            return;
        }
        match content.table.receive(block.index, number) {
            Receipt::New { asked, .. } => {
                self.tallies.received += u64::from(block.length);
                self.tallies.download.update(u64::from(block.length), now);
                self.blame.sent(block.index, number, sender);
                self.note_fate(key, block, Fate::Delivered, now);
                if let Some(asked) = asked {
                    self.settle(key, block, &asked, now);
                }
            }
            Receipt::Duplicate => {
                self.tallies.wasted += u64::from(block.length);
                self.note_fate(key, block, Fate::TooLate, now);
            }
            Receipt::Stray => {
                // It was discarded while these bytes were on their way; storage has opened it anew.
                self.tallies.wasted += u64::from(block.length);
                self.outputs.push_back(Output::Discard(block.index));
            }
        }
    }

    /// A block came: its sender's history grows, and whoever else was asked for it is asked no more.
    fn settle(&mut self, key: PeerKey, block: BlockRef, asked: &Asked, now: Instant) {
        if let (Some(asker), Some(peer)) = (asked.asker(key), self.peers.get_mut(key)) {
            let took = now.saturating_duration_since(asker.asked_at);
            peer.lateness.answered(took, asker.expected_at.saturating_duration_since(asker.asked_at));
        }
        self.judge_duplicate(asked, key, now);
        for loser in asked.askers().filter(|asker| asker.peer != key) {
            self.call_off(loser.peer, block, Fate::Cancelled, now);
        }
        self.call_off_snubbed(block, now);
    }

    /// What snubbed peers are asked for is there for others too, so the table doesn't know of them.
    fn call_off_snubbed(&mut self, block: BlockRef, now: Instant) {
        self.scratch.keys.clear();
        let snubbed = self.peers.iter().filter(|(_, peer)| peer.snubbed && peer.asked.contains(&block));
        self.scratch.keys.extend(snubbed.map(|(key, _)| key));
        for nth in 0..self.scratch.keys.len() {
            self.call_off(self.scratch.keys[nth], block, Fate::Cancelled, now);
        }
    }

    fn extensions_known(&mut self, key: PeerKey, handshake: &ExtensionHandshake, now: Instant) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        if let Some(upload_only) = handshake.upload_only {
            peer.upload_only = upload_only;
        }
        let unlearns = handshake.lt_donthave.is_some();
        let learns_more = unlearns && !std::mem::replace(&mut peer.unlearns, unlearns);
        if let Some(port) = handshake.listen_port {
            // Not told to the roster while it's connected: it would dial it a second time.
            peer.listens_at = Some(SocketAddr::new(peer.addr.ip(), port)).filter(|addr| *addr != peer.addr);
        }
        if let (Some(assembly), Some(size), Some(_)) =
            (&mut self.assembly, handshake.metadata_size, handshake.ut_metadata)
        {
            assembly.size_claimed(key, size, now);
            self.request_metadata(now);
        }
        if let Some(content) = self.content.as_ref().filter(|content| learns_more && content.keep.is_some()) {
            // What was kept back until now.
            let have = Arc::new(content.have.clone());
            self.send(key, Command::Advertise(have));
        }
    }

    fn metadata_received(&mut self, key: PeerKey, piece: u32, total: u32, data: &[u8], now: Instant) {
        let Some(assembly) = &mut self.assembly else { return };
        match assembly.received(key, piece, total, data, now) {
            metadata::Progress::Complete(info) => self.outputs.push_back(Output::MetadataComplete(info)),
            metadata::Progress::Failed { liars } => {
                let addresses: Vec<_> = liars
                    .iter()
                    .filter_map(|&liar| self.peers.get(liar))
                    .map(|peer| peer.addr.ip())
                    .collect();
                addresses.into_iter().for_each(|ip| self.ban(ip, now));
            }
            metadata::Progress::Pending | metadata::Progress::Ignored => {}
        }
        self.request_metadata(now);
    }

    /// Asks every peer that has it for what is still missing of the metadata.
    pub(super) fn request_metadata(&mut self, now: Instant) {
        let Some(assembly) = self.assembly.as_mut().filter(|_| !self.paused) else { return };
        self.scratch.keys.clear();
        self.scratch.keys.extend(assembly.peers());
        for &key in &self.scratch.keys {
            while let Some(piece) = assembly.next_request(key, now) {
                self.outputs.push_back(Output::Send(key, Command::RequestMetadata { piece }));
            }
        }
    }

    /// Keeps our interest true, and tells the peer when it changes.
    pub(super) fn tell_interest(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let interested = peer.useful > 0;
        if interested == peer.told_interested {
            return;
        }
        peer.told_interested = interested;
        self.rank(key);
        self.send(key, if interested { Command::Interested } else { Command::NotInterested });
    }

    /// Counts anew what each peer has for us.
    pub(super) fn recount_useful(&mut self) {
        let Some(content) = &self.content else { return };
        self.scratch.keys.clear();
        for (key, peer) in self.peers.iter_mut() {
            peer.useful = common_count(&peer.pieces, &content.missing);
            self.scratch.keys.push(key);
        }
        for nth in 0..self.scratch.keys.len() {
            let key = self.scratch.keys[nth];
            self.tell_interest(key);
        }
    }
}
