//! The one picker: which block this peer is asked for next.
//!
//! Bands, from the most pressing:
//! 1. urgent blocks, by deadline. They choose their peer, not the other way round, so they're handed out over all
//!    peers at once, in `swarm`'s urgent turn;
//! 2. read-ahead, in the order of the window that runs dry first, but leaving what is due before this peer
//!    can deliver to faster ones;
//! 3. pieces under way, so that memory and seeds-to-be come of them;
//! 4. new pieces, rarest first or ascending.
//!
//! It looks at a [`Board`] and an [`Applicant`] and knows no torrent, link or clock: another strategy is another
//! function of the same shape. Nothing is allocated in a pick.

use std::time::{Duration, Instant};

use afflux_metainfo::{Bitfield, BlockIndex, Layout, PieceIndex};

use crate::availability::Availability;
use crate::config::Strategy;
use crate::key::PeerKey;
use crate::limits::{OPEN_PIECES_MAX, OPEN_PIECES_MIN, PARTIAL_PROBES_MAX};
use crate::pieces::PieceTable;
use crate::wants::{Reader, Wants};

/// What there is to pick from.
#[derive(Debug)]
pub struct Board<'a> {
    /// The geometry.
    pub layout: &'a Layout,
    /// Pieces under way.
    pub table: &'a PieceTable,
    /// Who has what; its pickable pieces are those that are wanted and not open.
    pub availability: &'a mut Availability,
    /// Readers' windows.
    pub wants: &'a Wants,
    /// The order of pieces outside of windows.
    pub strategy: Strategy,
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
    /// Whether it chokes us: then only these allowed-fast pieces may be asked (BEP 6).
    pub allowed_only: Option<&'a [PieceIndex]>,
    /// Whether it must deliver whole pieces alone, because it may have sent corrupt data.
    pub on_parole: bool,
    /// When a block asked now should be here.
    pub expected: Duration,
    /// The piece it worked on last.
    pub last_piece: Option<PieceIndex>,
    /// Whether it may be given what windows cover.
    pub windows: bool,
    /// Whether it may be given what no window covers.
    pub background: bool,
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

    /// Picks a block for the peer, outside of the urgent band.
    pub fn pick(&mut self, applicant: &Applicant<'_>, now: Instant) -> Option<Pick> {
        if let Some(allowed) = applicant.allowed_only {
            return self.allowed(applicant, allowed);
        }
        if applicant.windows
            && let Some(pick) = self.ahead(applicant, now)
        {
            return Some(pick);
        }
        if !applicant.background {
            return None;
        }
        self.under_way(applicant).or_else(|| self.fresh(applicant))
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

    fn allowed(&mut self, applicant: &Applicant<'_>, allowed: &[PieceIndex]) -> Option<Pick> {
        let wants = self.wants;
        let wanted = allowed.iter().filter(|&&piece| applicant.background || wants.covers(piece));
        wanted.copied().find_map(|piece| self.block_of(piece, applicant))
    }

    /// Band 2. Of several readers the one whose next missing piece is due first; the newest among equals.
    fn ahead(&mut self, applicant: &Applicant<'_>, now: Instant) -> Option<Pick> {
        let mut best: Option<(Instant, u64, Pick)> = None;
        let wants = self.wants;
        for reader in wants.readers() {
            let soon = reader.soon();
            if soon.is_empty() {
                continue;
            }
            let reachable = self.reachable(reader, now + applicant.expected).clamp(soon.start, soon.end);
            let pick = self
                .first_within(reachable, soon.end, applicant)
                .or_else(|| self.first_within(soon.start, reachable, applicant));
            let Some(pick) = pick else { continue };
            let deadline = reader.deadline(self.layout, pick.piece);
            let sooner = best.is_none_or(|(least, turn, _)| {
                deadline < least || (deadline == least && reader.turn() > turn)
            });
            if sooner {
                best = Some((deadline, reader.turn(), pick));
            }
        }
        best.map(|(_, _, pick)| pick)
    }

    /// The first piece of the reader's that is due no sooner than `then`.
    fn reachable(&self, reader: &Reader, then: Instant) -> u32 {
        let soon = reader.soon();
        let first = reader.deadline(self.layout, PieceIndex(soon.start));
        let step = reader.deadline(self.layout, PieceIndex(soon.start + 1)).saturating_duration_since(first);
        let late = then.saturating_duration_since(first);
        if step.is_zero() {
            return soon.start;
        }
        let pieces = late.as_nanos().div_ceil(step.as_nanos());
        soon.start.saturating_add(u32::try_from(pieces).unwrap_or(u32::MAX))
    }

    /// The first block of pieces `start..end` that the peer may be asked for.
    fn first_within(&mut self, start: u32, end: u32, applicant: &Applicant<'_>) -> Option<Pick> {
        if start >= end {
            return None;
        }
        let table = self.table;
        let open = table
            .partial_within(PieceIndex(start)..PieceIndex(end))
            .take(PARTIAL_PROBES_MAX)
            .find_map(|piece| self.block_of(piece, applicant));
        let fresh = self.availability.next_from(applicant.offers, start).filter(|piece| piece.0 < end);
        let fresh = fresh.and_then(|piece| self.block_of(piece, applicant));
        match (open, fresh) {
            (Some(open), Some(fresh)) if fresh.piece < open.piece => Some(fresh),
            (open, fresh) => open.or(fresh),
        }
    }

    /// Band 3: the piece it works on already, else the rarest of those under way.
    fn under_way(&mut self, applicant: &Applicant<'_>) -> Option<Pick> {
        let table = self.table;
        let last = applicant.last_piece.filter(|&piece| table.is_open(piece));
        let last = last.and_then(|piece| self.block_of(piece, applicant));
        if last.is_some() {
            return last;
        }
        let mut best: Option<(u32, Pick)> = None;
        for piece in table.partial().take(PARTIAL_PROBES_MAX) {
            let Some(pick) = self.block_of(piece, applicant) else { continue };
            if self.strategy == Strategy::Sequential {
                return Some(pick);
            }
            let count = self.availability.count(piece);
            if best.is_none_or(|(least, _)| count < least) {
                best = Some((count, pick));
            }
        }
        best.map(|(_, pick)| pick)
    }

    /// Band 4.
    fn fresh(&mut self, applicant: &Applicant<'_>) -> Option<Pick> {
        let length = self.layout.piece_length();
        let spared = self.table.open_bytes() + u64::from(length) + self.reserve_bytes <= self.open_bytes_max;
        if !self.admits(length) || (self.reserve_bytes > 0 && !spared) {
            self.crowded = true;
            return None;
        }
        let piece = match self.strategy {
            Strategy::Rarest => self.availability.rarest(applicant.offers),
            Strategy::Sequential => self.availability.next_from(applicant.offers, 0),
            Strategy::Deadline => None,
        }?;
        Some(Pick { piece, block: BlockIndex(0), opens: true })
    }
}
