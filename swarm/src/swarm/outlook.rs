//! How readers fare as a whole: what decides between haste and good citizenship.

use afflux_metainfo::PieceIndex;

use super::Swarm;
use crate::availability::first_common_within;
use crate::input::{Kind, Window};
use crate::limits::{CROWD_LEECHERS, SAFE_SECONDS, SCARCE_PERCENT};
use crate::wants::Reader;

/// What readers need of the torrent as a whole, at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// A reader waits for something that a peer has.
    pub waiting: bool,
    /// A reader waits, or looks at a file's head, and a peer has what it misses: nothing else is asked of those that
    /// could help.
    pub pressing: bool,
    /// What is contiguous ahead of each reader lasts for a while, or is all that it wants: the swarm's health comes first.
    pub safe: bool,
    /// Few seeds face many leechers, and send so little that a piece that two ask them for is one that
    /// nobody gets in time.
    pub scarce: bool,
}

impl Swarm {
    /// Looks at all readers anew, after one moved or a piece came or went; tells peers whether one waits.
    pub(super) fn survey(&mut self) {
        let before = self.outlook;
        self.note_stuck();
        self.outlook = self.look();
        if self.outlook.pressing != before.pressing || self.outlook.safe != before.safe {
            self.wake();
        }
        self.tell_waiting();
    }

    /// Whether peers are asked for little at once, so that a seek needn't wait for what was asked before: as long as there
    /// is a reader, and a moment longer, since a seek often is one reader's end and another's beginning.
    pub(super) fn is_shallow(&self) -> bool {
        self.ways.shallow_queues && (self.wants.anyone_reads() || self.timers.retarget.is_some())
    }

    /// Whether nobody has the piece under a reader.
    pub(super) fn is_stuck(&self, window: &Window) -> bool {
        let Some(content) = &self.content else { return false };
        let mut under = content.layout.pieces_of(window.position..window.position.saturating_add(1));
        under
            .next()
            .map(PieceIndex)
            .is_some_and(|piece| content.missing.contains(piece) && content.availability.count(piece) == 0)
    }

    fn note_stuck(&mut self) {
        let mut wants = std::mem::take(&mut self.wants);
        let laid = self
            .content
            .as_ref()
            .is_some_and(|content| wants.note_stuck(&content.layout, |window| self.is_stuck(window)));
        self.wants = wants;
        if laid {
            self.select_windows();
            self.wake();
        }
    }

    fn look(&self) -> Outlook {
        let Some(content) = &self.content else {
            let waiting = self.wants.anyone_waits();
            return Outlook { waiting, pressing: waiting, safe: !waiting, scarce: false };
        };
        let mut outlook = Outlook { safe: true, ..Outlook::default() };
        let missing = &content.missing;
        for reader in self.wants.readers().filter(|reader| !reader.is_next()) {
            let first = first_common_within(missing, missing, reader.pieces());
            let obtainable = first.is_some_and(|piece| content.availability.count(piece) > 0);
            outlook.waiting |= reader.is_waiting() && obtainable;
            let looks = reader.window().kind == Kind::Probe && obtainable;
            outlook.pressing |= looks || (reader.is_waiting() && obtainable);
            outlook.safe &= !obtainable || self.is_safe(reader);
        }
        outlook.scarce = self.is_scarce();
        outlook
    }

    /// Whether seeds that serve us send less than a part of what is read, among many who want the same of them.
    fn is_scarce(&self) -> bool {
        let (mut seeds, mut leechers, mut from_seeds) = (0, 0, 0u64);
        for (_, peer) in self.peers.iter() {
            if !peer.is_seed() {
                leechers += 1;
                continue;
            }
            seeds += 1;
            let rate = if peer.rate == 0 { self.rate_default } else { peer.rate };
            from_seeds = from_seeds.saturating_add(if peer.chokes_us { 0 } else { rate });
        }
        // Whoever only looks in tells no rate, and the guess for it may be several films'.
        let playing = self.wants.readers().filter(|reader| reader.window().kind == Kind::Play);
        let read = playing.map(Reader::rate).max().unwrap_or(0);
        let crowded = leechers > seeds * CROWD_LEECHERS;
        crowded && from_seeds > 0 && from_seeds < read / 100 * SCARCE_PERCENT
    }

    /// Whether what lies contiguous ahead of the reader lasts for [`SAFE_SECONDS`], or to the end of its window.
    fn is_safe(&self, reader: &Reader) -> bool {
        let window = reader.window();
        let lasting = window.position.saturating_add(reader.rate().saturating_mul(SAFE_SECONDS));
        let end = lasting.min(reader.end());
        self.contiguous_from(window.position) >= end
    }
}
