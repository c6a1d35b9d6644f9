//! Figures for status lines, readers and tests.

use std::time::Instant;

use afflux_metainfo::{Bitfield, PieceIndex};

use super::Swarm;
use super::peer::Peer;
use crate::trace::Stall;

/// How much of what is wanted is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Verified pieces among the selected ones.
    pub pieces_have: u32,
    /// Selected pieces.
    pub pieces_selected: u32,
    /// Bytes of the former.
    pub bytes_have: u64,
    /// Bytes of the latter.
    pub bytes_selected: u64,
}

/// Figures for status lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Peers connected.
    pub connected: u32,
    /// Those of them that have everything.
    pub seeds: u32,
    /// Addresses known.
    pub known: u32,
    /// Dials under way.
    pub dialling: u32,
    /// Peers that serve us.
    pub serving_us: u32,
    /// Peers that we serve.
    pub served: u32,
    /// Readers with windows.
    pub readers: u32,
    /// Readers whose next piece nobody has who is connected.
    pub stuck_readers: u32,
    /// Payload received, in bytes per second.
    pub download_rate: u64,
    /// Payload sent, in bytes per second.
    pub upload_rate: u64,
    /// Payload received since the start, each block once.
    pub received_bytes: u64,
    /// Payload sent since the start.
    pub sent_bytes: u64,
    /// Asked of a second peer because the first was late, the endgame included, in bytes.
    pub duplicate_bytes: u64,
    /// Asked again by the strategy's own rules, which know no budget, in bytes.
    pub repeated_bytes: u64,
    /// How many duplicates came before what they were bought for, of those that are decided.
    pub duplicates_won: u32,
    /// How many came later.
    pub duplicates_lost: u32,
    /// Until when none are bought, because the last ones were of little use; `None` while they are bought.
    pub duplicates_stopped_until: Option<Instant>,
    /// Blocks that came more than once or too late, in bytes; links count more of them.
    pub wasted_bytes: u64,
    /// Bytes of pieces whose hash was wrong.
    pub failed_bytes: u64,
    /// Bytes of pieces under way, each charged whole.
    pub open_bytes: u64,
    /// Bytes of verified pieces in memory (memory kind).
    pub kept_bytes: u64,
}

impl Swarm {
    /// The verified pieces; `None` while the layout is unknown.
    pub fn have(&self) -> Option<&Bitfield> {
        self.content.as_ref().map(|content| &content.have)
    }

    /// The selected pieces; `None` while the layout is unknown.
    pub fn selected(&self) -> Option<&Bitfield> {
        self.content.as_ref().map(|content| &content.selected)
    }

    /// Why readers waited, the oldest wait first; the last ones may go on.
    pub fn trace(&self) -> impl Iterator<Item = &Stall> {
        self.trace.stalls()
    }

    /// Connected peers that want something of us, and can take it.
    pub fn takers(&self) -> u32 {
        let takes = |peer: &Peer| peer.interested && !peer.upload_only && !peer.is_seed();
        self.peers.iter().filter(|(_, peer)| takes(peer)).count() as u32
    }

    /// Peers unchoked at once at most, the optimistic one apart.
    pub fn unchoke_slots(&self) -> u32 {
        self.config.unchoke_slots
    }

    /// How much of what is selected is there.
    pub fn progress(&self) -> Progress {
        let Some(content) = &self.content else { return Progress::default() };
        let last = PieceIndex(content.layout.piece_count() - 1);
        let length = u64::from(content.layout.piece_length());
        let short = length - u64::from(content.layout.length_of(last));
        let bytes =
            |count: u32, with_last: bool| u64::from(count) * length - if with_last { short } else { 0 };
        let selected = content.selected.count();
        let missing = content.missing.count();
        let bytes_selected = bytes(selected, content.selected.contains(last));
        Progress {
            pieces_have: selected - missing,
            pieces_selected: selected,
            bytes_have: bytes_selected - bytes(missing, content.missing.contains(last)),
            bytes_selected,
        }
    }

    /// Figures for status lines.
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let counts = self.roster.counts();
        let mut snapshot = Snapshot {
            known: counts.known,
            dialling: counts.dialling,
            readers: self.wants.count() as u32,
            stuck_readers: self.wants.readers().filter(|reader| self.is_stuck(reader.window())).count()
                as u32,
            download_rate: self.tallies.download.per_second(now),
            upload_rate: self.tallies.upload.per_second(now),
            received_bytes: self.tallies.received,
            sent_bytes: self.tallies.sent,
            duplicate_bytes: self.duplicates.bytes(),
            repeated_bytes: self.tallies.repeated,
            duplicates_won: self.duplicates.won(),
            duplicates_lost: self.duplicates.lost(),
            duplicates_stopped_until: self.duplicates.stopped_until(now),
            wasted_bytes: self.tallies.wasted,
            failed_bytes: self.tallies.failed,
            ..Snapshot::default()
        };
        for (_, peer) in self.peers.iter() {
            snapshot.connected += 1;
            snapshot.seeds += u32::from(peer.is_seed());
            snapshot.serving_us += u32::from(!peer.chokes_us);
            snapshot.served += u32::from(!peer.choked);
        }
        if let Some(content) = &self.content {
            snapshot.open_bytes = content.table.open_bytes();
            snapshot.kept_bytes = content.keep.as_ref().map_or(0, |keep| keep.bytes());
        }
        snapshot
    }

    /// Where the run of verified bytes that begins at `offset` (in the torrent) ends; `offset` itself if that byte
    /// is missing.
    pub fn contiguous_from(&self, offset: u64) -> u64 {
        let Some(content) = &self.content else { return offset };
        let Some(first) = content.layout.piece_at(offset) else { return offset };
        let end = first_lacking(&content.have, first.0);
        if end == first.0 {
            return offset;
        }
        content.layout.piece_offset(PieceIndex(end)).min(content.layout.total_length())
    }
}

/// The first piece at or behind `start` that is not in the set; their number if there's none.
fn first_lacking(set: &Bitfield, start: u32) -> u32 {
    let mut mask = u64::MAX >> (start % u64::BITS);
    for (word, base) in set.words().iter().zip((0u32..).step_by(64)).skip((start / u64::BITS) as usize) {
        let lacking = !word & mask;
        if lacking != 0 {
            return (base + lacking.leading_zeros()).min(set.length());
        }
        mask = u64::MAX;
    }
    set.length()
}
