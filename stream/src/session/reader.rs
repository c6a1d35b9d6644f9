//! One reader of a session: an answer with bytes of a file, on whichever connection.

use std::time::{Duration, Instant};

use super::{Place, Run};
use crate::window::{PROBE_BYTES, PROBE_SENT_MAX, PROBE_TIME, PROBE_WAIT};

/// A reader's name, given by whoever opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReaderKey(pub u64);

/// What a reader is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReaderKind {
    /// A player reads, or looks first: which of both it is shows in time.
    Play,
    /// It is known to be no more than a look: a range too short to be played, or we ourselves look at the file.
    Probe,
    /// Somebody wants the whole file, and watches nothing.
    Download,
}

/// How a reader begins.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// Its first byte.
    pub place: Place,
    /// What it is for.
    pub kind: ReaderKind,
    /// What its client calls itself: the `User-Agent`.
    pub client: Option<&'a str>,
}

/// A reader that is open.
#[derive(Debug)]
pub(super) struct Reader {
    kind: ReaderKind,
    /// It reads the index at the file's end.
    tail: bool,
    /// Which opening of the session it was.
    pub(super) opening: u64,
    opened: Instant,
    first_byte: Option<Instant>,
    last_byte: Option<Instant>,
    /// What it plays, once it has turned out to be a player's.
    pub(super) run: Option<Run>,
    /// Where it began, and its next byte.
    pub(super) begun: Place,
    pub(super) place: Place,
    pub(super) sent: u64,
    pub(super) waits_since: Option<Instant>,
    settled: bool,
    /// It leaves the place where the player was.
    pub(super) is_seek: bool,
}

impl Reader {
    pub(super) fn new(opening: &Opening<'_>, tail: bool, number: u64, now: Instant) -> Reader {
        Reader {
            kind: opening.kind,
            tail,
            opening: number,
            opened: now,
            first_byte: None,
            last_byte: None,
            run: None,
            begun: opening.place,
            place: opening.place,
            sent: 0,
            waits_since: None,
            settled: false,
            is_seek: false,
        }
    }

    pub(super) fn handle_sent(&mut self, bytes: u64, now: Instant) {
        self.first_byte.get_or_insert(now);
        self.last_byte = Some(now);
        self.place.offset = self.place.offset.saturating_add(bytes);
        self.sent = self.sent.saturating_add(bytes);
        self.waits_since = None;
    }

    pub(super) fn handle_waiting(&mut self, offset: u64, now: Instant) {
        if self.place.offset != offset {
            self.waits_since = None;
        }
        self.place.offset = offset;
        self.waits_since.get_or_insert(now);
    }

    /// Whether it has just turned out to be a player's that stays.
    pub(super) fn settle(&mut self, now: Instant) -> bool {
        let settles = !self.settled && self.settles_at().is_some_and(|at| at <= now);
        self.settled |= settles;
        settles && self.is_players()
    }

    /// When it will have shown that it stays, if it does: as `window` judges its run.
    pub(super) fn settles_at(&self) -> Option<Instant> {
        let after = match self.sent {
            0..PROBE_BYTES => PROBE_WAIT,
            PROBE_BYTES..PROBE_SENT_MAX => PROBE_TIME,
            _ => Duration::ZERO,
        };
        (!self.settled).then(|| self.opened + after)
    }

    /// Whether it shows where the player is.
    pub(super) fn shows_place(&self) -> bool {
        self.settled && self.is_players()
    }

    /// Reckons what it plays up to now.
    pub(super) fn follow_run(&mut self, file_length: Option<u64>, now: Instant) {
        let Some(run) = &mut self.run else { return };
        if let Some(at) = self.last_byte {
            run.handle_sent(self.place.offset, at);
        }
        let is_at_end = file_length.is_some_and(|length| self.place.offset >= length);
        run.follow(self.sent > 0, is_at_end, now);
    }

    /// Whether it was sent bytes and stayed.
    pub(super) fn reads_on(&self, now: Instant) -> bool {
        let settled = self.settled || self.settles_at().is_some_and(|at| at <= now);
        self.kind != ReaderKind::Probe && settled && self.sent > 0
    }

    /// What a seek took from the opening to its first byte; once.
    pub(super) fn take_seek(&mut self) -> Option<Duration> {
        let first_byte = self.first_byte.filter(|_| self.is_seek)?;
        self.is_seek = false;
        Some(first_byte.saturating_duration_since(self.opened))
    }

    fn is_players(&self) -> bool {
        self.kind == ReaderKind::Play && !self.tail
    }
}
