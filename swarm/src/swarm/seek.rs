//! A reader jumps: in one step what it no longer needs is taken back, memory is made for what it needs, and blocks that
//! lie deep in a slow peer's queue are given to a better one.

use std::time::{Duration, Instant};

use afflux_metainfo::{BlockIndex, BlockRef, PieceIndex};

use super::{Content, Swarm};
use crate::availability::first_common_within;
use crate::key::PeerKey;
use crate::limits::{HOPELESS, NEARLY_THERE_BLOCKS, PROMOTE_MARGIN};
use crate::picker::Pick;
use crate::pieces::{Asked, Block, OpenPiece};
use crate::trace::Fate;
use crate::wants::Reader;

impl Swarm {
    /// A reader jumped or went. What is in the way of readers' urgent blocks is taken back from those that could help with
    /// them: everything without a deadline while one waits, else what no window covers. What is on the wire already stays,
    /// since it comes in any case, and so does what completes a piece. Where nothing is fetched but windows, pieces that
    /// have hardly begun and that no window covers are forgotten altogether.
    pub(super) fn retarget(&mut self, now: Instant) {
        if self.paused {
            return;
        }
        if self.windows_only() {
            self.discard_abandoned(now);
        }
        let Some(content) = &self.content else { return };
        let urgent = self.ways.cancels_on_seek && self.is_urgent_missing(content);
        if !urgent && !self.windows_only() {
            return;
        }
        let mut withdrawn: Vec<(PeerKey, BlockRef)> = Vec::new();
        for (key, peer) in self.peers.iter() {
            if !self.windows_only() && !self.could_help(content, peer.offers()) {
                continue;
            }
            let queued = peer.asked.iter().skip(peer.on_the_wire(self.rate_default));
            let useless = queued.filter(|block| !self.stays(content, block.index));
            withdrawn.extend(useless.map(|block| (key, *block)));
        }
        withdrawn.into_iter().for_each(|(key, block)| self.cancel(key, block, Fate::Cancelled, now));
    }

    /// Whether a block that a reader needs at once could be here clearly sooner if queues were shorter. Where not, a reader that
    /// ran dry is only faster than its link: what is behind its blocks isn't in their way, and much of it is on the wire.
    pub(super) fn is_urgent_far(&self, now: Instant) -> bool {
        let Some(content) = &self.content else { return false };
        let good = self.peers.iter().map(|(_, peer)| peer).filter(|peer| !peer.chokes_us && !peer.snubbed);
        let (alone, queued) = good.fold((u64::MAX, u64::MAX), |(alone, queued), peer| {
            let empty = peer
                .expected_nanos(self.rate_default)
                .saturating_sub(peer.block_nanos(self.rate_default).saturating_mul(u64::from(peer.queued())));
            (alone.min(empty), queued.min(peer.expected_nanos(self.rate_default)))
        });
        let alone = clearly_sooner(Duration::from_nanos(alone.min(HOPELESS.as_nanos() as u64)));
        let unasked_is_far = Duration::from_nanos(queued) > alone;
        let is_far = |block: &Block| match block {
            Block::Received => false,
            Block::Missing => unasked_is_far,
            // Later than it should be by so much, it may never come.
            Block::Asked(asked) => asked.expected_at().is_none_or(|at| at > now + alone || at + alone < now),
        };
        let urgent = self.wants.readers().flat_map(Reader::urgent).map(PieceIndex);
        urgent.filter(|piece| content.missing.contains(*piece)).any(|piece| {
            content.table.piece(piece).map_or(unasked_is_far, |open| open.blocks().iter().any(is_far))
        })
    }

    /// Open pieces that aren't wanted any more are forgotten, unless they are nearly there.
    pub(super) fn drop_unselected(&mut self, now: Instant) {
        let Some(content) = &self.content else { return };
        let dropped: Vec<PieceIndex> = content
            .table
            .iter()
            .filter(|(piece, open)| !content.missing.contains(*piece) && !open.is_nearly_whole())
            .map(|(piece, _)| piece)
            .collect();
        dropped.into_iter().for_each(|piece| self.discard(piece, now));
    }

    /// Makes room for an urgent piece: forgets what no window covers, least first. A reader of whose window no piece
    /// is open gets its piece in any case, or it would wait for ever.
    pub(super) fn admit_urgent(&mut self, piece: PieceIndex, now: Instant) -> bool {
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
            self.discard(victim, now);
        }
    }

    /// Moves a block of the piece to this peer, if it lies in another's queue and isn't on the wire, and this one would
    /// deliver it clearly sooner. Nothing is asked twice by that.
    pub(super) fn promote(&mut self, to: PeerKey, piece: PieceIndex, now: Instant) -> bool {
        let Some((from, number)) = self.promotable(to, piece, now) else { return false };
        let (Some(content), Some(peer)) = (&self.content, self.peers.get(to)) else { return false };
        let block = content.layout.block(piece, number);
        let expected = peer.expected(self.rate_default);
        self.cancel(from, block, Fate::Cancelled, now);
        self.ask(to, Pick { piece, block: number, opens: false }, expected, now)
    }

    /// The block that is to come last of those asked of one peer alone, if it's better moved.
    fn promotable(&self, to: PeerKey, piece: PieceIndex, now: Instant) -> Option<(PeerKey, BlockIndex)> {
        let (content, peer) = (self.content.as_ref()?, self.peers.get(to)?);
        let open = content.table.piece(piece).filter(|open| open.admits(to))?;
        if !peer.offers().contains(piece) {
            return None;
        }
        let alone = |asked: &Asked| {
            let asker = asked.askers().next().filter(|asker| !asked.is_shared() && asker.peer != to)?;
            Some((asker.expected_at, asker.peer))
        };
        let asked = open.blocks().iter().zip(0..).filter_map(|(block, number)| match block {
            Block::Asked(asked) => alone(asked).map(|(at, from)| (at, from, BlockIndex(number))),
            Block::Missing | Block::Received => None,
        });
        let soon = now + clearly_sooner(peer.expected(self.rate_default));
        let (_, from, number) =
            asked.max_by_key(|&(at, _, number)| (at, number)).filter(|last| last.0 > soon)?;
        let holder = self.peers.get(from)?;
        let block = content.layout.block(piece, number);
        let place = holder.asked.iter().position(|asked| *asked == block)?;
        let wait = Duration::from_nanos(holder.block_nanos(self.rate_default))
            * (holder.lingering + place as u32 + 1);
        let deep = place >= holder.on_the_wire(self.rate_default);
        (deep && now + wait > soon).then_some((from, number))
    }

    fn discard_abandoned(&mut self, now: Instant) {
        let Some(content) = &self.content else { return };
        let hardly_begun = |open: &OpenPiece| (open.received() as usize) * 2 < open.blocks().len();
        let abandoned: Vec<PieceIndex> = content
            .table
            .iter()
            .filter(|(piece, open)| hardly_begun(open) && !self.wants.covers_or_did(*piece))
            .map(|(piece, _)| piece)
            .collect();
        abandoned.into_iter().for_each(|piece| self.discard(piece, now));
    }

    /// Whether what is queued of a piece isn't in the way of readers.
    fn stays(&self, content: &Content, piece: PieceIndex) -> bool {
        let nearly_there = content.table.piece(piece).is_some_and(|open| {
            open.missing() == 0 && open.blocks().len() as u32 - open.received() <= NEARLY_THERE_BLOCKS
        });
        let needed =
            if self.outlook.waiting { self.wants.is_urgent(piece) } else { self.wants.covers(piece) };
        nearly_there || needed
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
}

/// Sooner by less isn't worth a cancel: expectations aren't that exact.
fn clearly_sooner(expected: Duration) -> Duration {
    expected + expected / 4 + PROMOTE_MARGIN
}
