//! Checking files before they are used: those that may have changed, and spots of those that shouldn't have.
//!
//! A spot that is wrong says that its files can't be trusted at all: then all of their pieces are checked.

use std::sync::Arc;
use std::time::Instant;

use afflux_metainfo::{Bitfield, FileIndex, PieceIndex};
use afflux_storage::Kind;
use tracing::{info, warn};

use super::super::open;
use super::{Ready, Task};

/// Storage that is open, and is checked before it's used.
#[derive(Debug)]
pub(super) struct Checking {
    pub(super) ready: Arc<Ready>,
    /// Pieces that nothing speaks against.
    spots: Bitfield,
    /// Spots that are wrong.
    wrong: Bitfield,
    /// Files that may be somebody else's.
    strangers: Vec<FileIndex>,
    /// All pieces that are or were looked at.
    looked_at: Bitfield,
}

impl Task {
    pub(super) fn check(
        &mut self,
        ready: Arc<Ready>,
        recheck: Bitfield,
        spots: Bitfield,
        strangers: Vec<FileIndex>,
    ) {
        let wrong = Bitfield::new(spots.length());
        let mut looked_at = recheck;
        for piece in spots.iter() {
            looked_at.insert(piece);
        }
        let pieces: Vec<PieceIndex> = looked_at.iter().collect();
        info!(pieces = pieces.len(), spots = spots.count(), "checking files that may have changed");
        self.checked = Some((0, pieces.len() as u32));
        ready.store.check(pieces);
        self.checking = Some(Checking { ready, spots, wrong, strangers, looked_at });
    }

    pub(super) fn checked(&mut self, piece: PieceIndex, ok: bool, progress: (u32, u32), now: Instant) {
        self.checked = Some(progress);
        if self.checking.is_none() && ok {
            // A file was changed underneath, but not this piece of it.
            self.config.swarm.handle_verified(piece, None, now);
            self.want_only_what_is_there(now);
        }
        if let Some(checking) =
            self.checking.as_mut().filter(|checking| !ok && checking.spots.contains(piece))
        {
            checking.wrong.insert(piece);
        }
    }

    pub(super) fn check_finished(&mut self, have: Bitfield, now: Instant) {
        self.checked = None;
        let Some(mut checking) = self.checking.take() else { return };
        let suspects = open::suspects(&checking.ready.layout, &checking.wrong, &checking.looked_at);
        if let Kind::Disk { dir } = &self.config.place.kind
            && let Some(reason) = open::stranger(&checking.ready.layout, dir, &checking.strangers, &have)
        {
            return self.fail(reason);
        }
        if suspects.is_empty() {
            return self.begin(checking.ready, have, now);
        }
        warn!(pieces = suspects.len(), "files lost what they had: all of them is checked");
        self.checked = Some((0, suspects.len() as u32));
        for piece in &suspects {
            checking.looked_at.insert(*piece);
        }
        checking.spots = Bitfield::new(checking.spots.length());
        checking.wrong = checking.spots.clone();
        checking.ready.store.check(suspects);
        self.checking = Some(checking);
    }
}
