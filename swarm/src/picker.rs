//! What there is to pick from, and the moves that every strategy is made of.
//!
//! A [`Board`] knows pieces, readers and one peer that wants work; it knows no torrent, link or clock. Which move comes
//! first is the strategy's to say (`strategy`). Nothing is allocated in a pick.

use std::time::Duration;

use afflux_metainfo::{Bitfield, BlockIndex, Layout, PieceIndex};

use crate::availability::{Availability, first_common_within};
use crate::key::PeerKey;
use crate::limits::{OPEN_PIECES_MAX, OPEN_PIECES_MIN, PARTIAL_PROBES_MAX};
use crate::pieces::PieceTable;
use crate::swarm::Outlook;
use crate::wants::{Reader, Wants};

/// What there is to pick from.
#[derive(Debug)]
pub struct Board<'a> {
    /// The geometry.
    pub layout: &'a Layout,
    /// Pieces that are selected and not verified, those under way among them.
    pub missing: &'a Bitfield,
    /// Pieces under way.
    pub table: &'a PieceTable,
    /// Who has what; its pickable pieces are those that are wanted and not open.
    pub availability: &'a mut Availability,
    /// Readers' windows.
    pub wants: &'a Wants,
    /// How readers fare as a whole.
    pub outlook: Outlook,
    /// What good peers send together, in bytes per second.
    pub link_rate: u64,
    /// Whether no new piece may be opened that no window covers (memory kind).
    pub windows_only: bool,
    /// Memory for pieces under way, in bytes.
    pub open_bytes_max: u64,
    /// How much of it is left to readers' windows when new pieces are opened outside of them.
    pub reserve_bytes: u64,
    /// Set when a piece couldn't be opened for want of memory: worth trying again once some is freed.
    pub crowded: bool,
}

/// The peer that wants work.
#[derive(Clone, Copy, Debug)]
pub struct Applicant<'a> {
    /// Its key.
    pub key: PeerKey,
    /// The pieces that it has and didn't refuse.
    pub offers: &'a Bitfield,
    /// Whether it must deliver whole pieces alone, because it may have sent corrupt data.
    pub on_parole: bool,
    /// When a block asked now can be counted on to be here: what its rate and queue promise, and what its history adds to
    /// that.
    pub expected: Duration,
    /// The piece it worked on last.
    pub last_piece: Option<PieceIndex>,
    /// Whether it is snubbed while others serve us: what a reader needs must not depend on it.
    pub outcast: bool,
}

/// A block to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// The piece.
    pub piece: PieceIndex,
    /// The block.
    pub block: BlockIndex,
    /// Whether the piece must be opened first.
    pub opens: bool,
}

impl Board<'_> {
    /// Whether one more piece of this length may be opened.
    pub fn admits(&self, length: u32) -> bool {
        let count = self.table.open_count();
        let fits = self.table.open_bytes() + u64::from(length) <= self.open_bytes_max;
        count < OPEN_PIECES_MAX && (fits || count < OPEN_PIECES_MIN)
    }

    /// The next missing block of a piece for this peer, whether or not the piece is open.
    pub fn block_of(&mut self, piece: PieceIndex, applicant: &Applicant<'_>) -> Option<Pick> {
        if !applicant.offers.contains(piece) {
            return None;
        }
        if let Some(open) = self.table.piece(piece) {
            let own = open.owner() == Some(applicant.key) || open.is_untouched();
            let fits = open.admits(applicant.key) && (own || !applicant.on_parole);
            let block = open.next_missing().filter(|_| fits)?;
            return Some(Pick { piece, block, opens: false });
        }
        if !self.availability.pickable().contains(piece) {
            return None;
        }
        if !self.admits(self.layout.length_of(piece)) {
            self.crowded = true;
            return None;
        }
        Some(Pick { piece, block: BlockIndex(0), opens: true })
    }

    /// A block of one of these pieces: what a peer that chokes us allows all the same (BEP 6). What no window covers only
    /// if `anywhere`.
    pub fn allowed(
        &mut self,
        applicant: &Applicant<'_>,
        allowed: &[PieceIndex],
        anywhere: bool,
    ) -> Option<Pick> {
        let wants = self.wants;
        let wanted = allowed.iter().filter(|&&piece| anywhere || wants.covers(piece));
        wanted.copied().find_map(|piece| self.block_of(piece, applicant))
    }

    /// Whether the peer has a piece that a reader's window covers and that is missing.
    pub fn could_help(&self, offers: &Bitfield) -> bool {
        let mut windows = self.wants.readers().map(Reader::pieces);
        windows.any(|pieces| first_common_within(self.missing, offers, pieces).is_some())
    }

    /// The first block of pieces `start..end` that the peer may be asked for.
    pub fn first_within(&mut self, start: u32, end: u32, applicant: &Applicant<'_>) -> Option<Pick> {
        if start >= end {
            return None;
        }
        let table = self.table;
        let open = table
            .partial_within(PieceIndex(start)..PieceIndex(end))
            .take(PARTIAL_PROBES_MAX)
            .find_map(|piece| self.block_of(piece, applicant));
        let fresh = first_common_within(self.availability.pickable(), applicant.offers, start..end);
        let fresh = fresh.and_then(|piece| self.block_of(piece, applicant));
        match (open, fresh) {
            (Some(open), Some(fresh)) if fresh.piece < open.piece => Some(fresh),
            (open, fresh) => open.or(fresh),
        }
    }

    /// A block of a piece under way: the one that the peer works on already, else the rarest.
    pub fn under_way(&mut self, applicant: &Applicant<'_>) -> Option<Pick> {
        self.under_way_if(applicant, |_| true)
    }

    /// The same of those pieces that are `fit`.
    pub fn under_way_if(
        &mut self,
        applicant: &Applicant<'_>,
        fit: impl Fn(PieceIndex) -> bool,
    ) -> Option<Pick> {
        let table = self.table;
        let last = applicant.last_piece.filter(|&piece| table.is_open(piece) && fit(piece));
        let last = last.and_then(|piece| self.block_of(piece, applicant));
        if last.is_some() {
            return last;
        }
        let mut best: Option<(u32, Pick)> = None;
        for piece in table.partial().take(PARTIAL_PROBES_MAX).filter(|&piece| fit(piece)) {
            let count = self.availability.count(piece);
            // The count is looked at first: it spares most of the lookups.
            if best.is_none_or(|(least, _)| count < least)
                && let Some(pick) = self.block_of(piece, applicant)
            {
                best = Some((count, pick));
            }
        }
        best.map(|(_, pick)| pick)
    }

    /// A new piece: the rarest of the peer's, random among equals.
    pub fn rarest(&mut self, applicant: &Applicant<'_>) -> Option<Pick> {
        if !self.spares_a_piece() {
            return None;
        }
        let piece = self.availability.rarest(applicant.offers)?;
        Some(Pick { piece, block: BlockIndex(0), opens: true })
    }

    /// Whether a new piece may be opened that no reader needs.
    pub fn spares_a_piece(&mut self) -> bool {
        if self.windows_only {
            return false;
        }
        let length = self.layout.piece_length();
        let spared = self.table.open_bytes() + u64::from(length) + self.reserve_bytes <= self.open_bytes_max;
        let spares = self.admits(length) && (self.reserve_bytes == 0 || spared);
        self.crowded |= !spares;
        spares
    }
}
