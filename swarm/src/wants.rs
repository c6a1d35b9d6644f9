//! What readers need: windows in bytes become pieces with deadlines.
//!
//! A piece can be served only when all of it is verified, so a window's unit is the piece, and all blocks of a piece
//! share the deadline of the first byte of it that the reader still needs. Not here: who delivers (`picker`).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use afflux_metainfo::{Layout, PieceIndex};

use crate::input::{Kind, ReaderKey, Window};
use crate::limits::{
    AHEAD_SECONDS, BESIDE_PATIENCE, BESIDE_SHARE, NEXT_SHARE, READER_RATE_DEFAULT, READERS_MAX, SAFE_SECONDS,
    SETTLED_SECONDS, TAIL_BYTES,
};

/// One reader and the pieces its window covers.
#[derive(Clone, Debug)]
pub struct Reader {
    window: Window,
    /// Pieces with deadlines, the one under the reader first.
    urgent: Range<u32>,
    /// Pieces read ahead, in order; they begin where the urgent ones end.
    soon: Range<u32>,
    /// Where the read-ahead ends, in bytes.
    end: u64,
    /// The moment that deadlines count from: when it began to wait, or else the last word of it.
    since: Instant,
    /// Readers that came or jumped later have greater numbers.
    turn: u64,
    /// Bytes read since it came or jumped.
    run_bytes: u64,
    /// Whether nobody has the piece under it.
    stuck: bool,
}

impl Reader {
    /// What the reader said, clamped.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// The pieces that have deadlines.
    pub fn urgent(&self) -> Range<u32> {
        self.urgent.clone()
    }

    /// The pieces to read ahead.
    pub fn soon(&self) -> Range<u32> {
        self.soon.clone()
    }

    /// All pieces of the window.
    pub fn pieces(&self) -> Range<u32> {
        self.urgent.start..self.soon.end.max(self.urgent.end)
    }

    /// Whether it waits right now.
    pub fn is_waiting(&self) -> bool {
        self.window.waiting && !self.is_next() && !self.is_beside()
    }

    /// Whether nobody has the piece under it, so that no memory has to be kept for what follows.
    pub fn is_stuck(&self) -> bool {
        self.stuck
    }

    /// Whether nobody reads it yet, so that nothing of it has a deadline.
    pub fn is_next(&self) -> bool {
        self.window.kind == Kind::Next
    }

    /// Whether it is what lies beside a film, which nobody reads yet either.
    pub fn is_beside(&self) -> bool {
        self.window.kind == Kind::Beside
    }

    /// Whether it has read for a while since it came or jumped: its rate is a film's, and a pause would be felt.
    pub fn is_settled(&self) -> bool {
        self.window.kind == Kind::Play && self.run_bytes >= self.rate().saturating_mul(SETTLED_SECONDS)
    }

    /// Bytes per second at which its position moves.
    pub fn rate(&self) -> u64 {
        self.window.rate.unwrap_or(READER_RATE_DEFAULT).max(1)
    }

    /// Later comers have greater ones.
    pub fn turn(&self) -> u64 {
        self.turn
    }

    /// Where its read-ahead ends, in bytes of the torrent.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// When the piece is needed.
    pub fn deadline(&self, layout: &Layout, piece: PieceIndex) -> Instant {
        let ahead = layout.piece_offset(piece).saturating_sub(self.window.position);
        let rate = self.rate();
        // A day is for ever, and keeps the sum representable.
        let seconds = (ahead as f64 / rate as f64).min(86_400.0);
        let patience = if self.is_beside() { BESIDE_PATIENCE } else { Duration::ZERO };
        self.since + patience + Duration::from_secs_f64(seconds)
    }

    /// What a picker looks at. While it's the same, there's no new work.
    fn needs(&self) -> (Range<u32>, Range<u32>, bool, Kind) {
        (self.urgent(), self.soon(), self.is_waiting(), self.window.kind)
    }

    fn lay(&mut self, layout: &Layout, share_bytes: Option<u64>, grows: bool) {
        let window = &self.window;
        let tail = window.file_end.saturating_sub(window.position) <= TAIL_BYTES;
        let under = window.position.saturating_add(1).min(window.file_end);
        let (urgent_end, soon_end) = match (window.kind, tail) {
            (Kind::Play, true) => (window.file_end, window.file_end),
            (Kind::Play, false) => (window.urgent_end.max(under), self.soon_end(grows)),
            (Kind::Probe, _) => (window.urgent_end.max(under), window.urgent_end),
            (Kind::Next, _) => (window.position, window.soon_end),
            (Kind::Beside, _) => (window.soon_end, window.soon_end),
        };
        let pieces = layout.pieces_of(window.position..soon_end.max(urgent_end));
        let urgent_pieces = layout.pieces_of(window.position..urgent_end).end;
        self.urgent = pieces.start..if self.is_next() { pieces.start } else { urgent_pieces };
        self.soon = self.urgent.end..pieces.end.max(self.urgent.end);
        self.end = soon_end.max(urgent_end);
        if let Some(share) = share_bytes {
            let share = if self.stuck { 0 } else { share };
            // A reader gets one piece in any case. What lies beside a film waits until it is read where pieces are so large.
            let least = u64::from(!self.is_beside());
            let pieces = (share / u64::from(layout.piece_length())).clamp(least, u64::from(u32::MAX)) as u32;
            let end = self.urgent.start.saturating_add(pieces);
            self.urgent.end = self.urgent.end.min(end);
            self.soon = self.soon.start.min(self.urgent.end)..self.soon.end.min(end);
            self.end = self.end.min(layout.piece_offset(PieceIndex(self.pieces().end)));
        }
    }

    /// Up to where is read ahead. Where memory is no question, the buffer grows in order until it's safe, whatever the
    /// reader dares to ask for.
    fn soon_end(&self, grows: bool) -> u64 {
        let window = &self.window;
        let seconds = if self.is_settled() { SAFE_SECONDS } else { AHEAD_SECONDS };
        let lasting = window.position.saturating_add(self.rate().saturating_mul(seconds));
        if grows { window.soon_end.max(lasting).min(window.file_end) } else { window.soon_end }
    }
}

/// What a new window changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Movement {
    /// The reader went on, but needs the same pieces as before.
    Stayed,
    /// The reader went on reading.
    Slid,
    /// It's new, or jumped to where its last window didn't reach: what was asked may be useless now.
    Jumped,
    /// There are too many readers; this one isn't served.
    Refused,
}

/// All readers of a torrent.
#[derive(Clone, Debug, Default)]
pub struct Wants {
    readers: BTreeMap<ReaderKey, Reader>,
    turns: u64,
    waiting: usize,
    /// Bytes that all windows together may cover (memory kind): more would be evicted before it's read.
    keep_bytes_max: Option<u64>,
    /// Whether windows reach as far ahead as makes a buffer safe.
    grows: bool,
    /// What readers covered that have just left: players close one connection and open the next.
    left: Vec<Range<u32>>,
}

impl Wants {
    /// No readers. `keep_bytes_max` is what all windows together may cover.
    pub fn new(keep_bytes_max: Option<u64>) -> Self {
        Self { keep_bytes_max, ..Self::default() }
    }

    /// Another bound on what all windows together may cover; [`lay`](Self::lay) them anew after this.
    pub fn set_keep_bytes_max(&mut self, keep_bytes_max: u64) {
        self.keep_bytes_max = Some(keep_bytes_max);
    }

    /// Whether windows reach as far ahead as makes a buffer safe; [`lay`](Self::lay) them anew after this.
    pub fn set_growing(&mut self, grows: bool) {
        self.grows = grows;
    }

    /// Takes a reader's window; `stuck` says whether nobody has the piece under it.
    pub fn want(
        &mut self,
        key: ReaderKey,
        window: Window,
        stuck: bool,
        layout: Option<&Layout>,
        now: Instant,
    ) -> Movement {
        let window = clamp(window);
        let (movement, since, run_bytes) = match self.readers.get(&key) {
            None if self.readers.len() == READERS_MAX => return Movement::Refused,
            None => (Movement::Jumped, now, 0),
            Some(reader) => {
                let old = &reader.window;
                let reached = old.position..=old.soon_end.max(old.urgent_end).max(old.position);
                let slid = reached.contains(&window.position);
                let still_waits = old.waiting && window.waiting && old.position == window.position;
                let since = if still_waits { reader.since } else { now };
                let forward = window.position.saturating_sub(old.position);
                match slid {
                    true => (Movement::Slid, since, reader.run_bytes.saturating_add(forward)),
                    false => (Movement::Jumped, since, 0),
                }
            }
        };
        let turn = match self.readers.get(&key) {
            Some(reader) if movement == Movement::Slid => reader.turn,
            _ => {
                self.turns += 1;
                self.turns
            }
        };
        let changes_shares = self.readers.get(&key).is_none_or(|reader| reader.stuck != stuck);
        let before = self.readers.get(&key).map(Reader::needs);
        let end = window.position;
        let reader = Reader { window, urgent: 0..0, soon: 0..0, end, since, turn, run_bytes, stuck };
        self.readers.insert(key, reader);
        self.waiting = self.readers.values().filter(|reader| reader.is_waiting()).count();
        let Some(layout) = layout else { return movement };
        if self.keep_bytes_max.is_some() && (changes_shares || self.takes_turns(layout)) {
            self.lay(layout);
            return movement;
        }
        let shares = self.shares(layout);
        let Some(reader) = self.readers.get_mut(&key) else { return movement };
        reader.lay(layout, shares.of(reader), shares.grows);
        let stayed = movement == Movement::Slid && before == Some(reader.needs());
        if stayed { Movement::Stayed } else { movement }
    }

    /// Forgets a reader; says whether there was one.
    pub fn forget(&mut self, key: ReaderKey, layout: Option<&Layout>) -> bool {
        let gone = self.readers.remove(&key);
        let known = gone.is_some();
        if let Some(gone) = gone.filter(|gone| !gone.pieces().is_empty() && self.left.len() < READERS_MAX) {
            self.left.push(gone.pieces());
        }
        self.waiting = self.readers.values().filter(|reader| reader.is_waiting()).count();
        if let Some(layout) = layout.filter(|_| known && self.keep_bytes_max.is_some()) {
            self.lay(layout);
        }
        known
    }

    /// Translates all windows anew: the layout became known, or the shares changed.
    pub fn lay(&mut self, layout: &Layout) {
        if !self.takes_turns(layout) {
            let shares = self.shares(layout);
            self.readers.values_mut().for_each(|reader| reader.lay(layout, shares.of(reader), shares.grows));
            return;
        }
        // Fewer pieces fit than there are readers. Those without a turn cover nothing, or what one fetches would be evicted
        // for the other before it's read.
        let served = self.served(self.places(layout));
        for (key, reader) in &mut self.readers {
            reader.lay(layout, Some(0), false);
            if !reader.stuck && !served.contains(key) {
                (reader.urgent, reader.soon, reader.end) = (0..0, 0..0, reader.window.position);
            }
        }
    }

    /// Whose turn it is, if so many can be served: half of the places are for films that play, since a pause is felt there;
    /// then whoever has waited longest.
    fn served(&self, places: usize) -> BTreeSet<ReaderKey> {
        let rank = |reader: &Reader| (reader.is_next(), !reader.is_waiting(), reader.since, reader.turn);
        let mut order: Vec<_> =
            self.readers.iter().filter(|(_, reader)| !reader.stuck && !reader.is_beside()).collect();
        order.sort_unstable_by_key(|(_, reader)| rank(reader));
        let playing = order.iter().filter(|(_, reader)| reader.is_settled()).take(places / 2);
        let mut served: BTreeSet<ReaderKey> = playing.map(|(key, _)| **key).collect();
        for (key, _) in order {
            if served.len() >= places {
                break;
            }
            served.insert(*key);
        }
        served
    }

    /// Notes for each reader whether nobody has the piece under it; lays the windows anew if that changes what others may
    /// cover. Says whether it did.
    pub fn note_stuck(&mut self, layout: &Layout, is_stuck: impl Fn(&Window) -> bool) -> bool {
        let mut changed = false;
        for reader in self.readers.values_mut() {
            let stuck = is_stuck(&reader.window);
            changed |= stuck != reader.stuck;
            reader.stuck = stuck;
        }
        let lays = changed && self.keep_bytes_max.is_some();
        if lays {
            self.lay(layout);
        }
        lays
    }

    /// Number of readers that somebody could serve.
    pub fn servable(&self) -> usize {
        self.readers.values().filter(|reader| !reader.stuck).count()
    }

    /// The readers, by their keys.
    pub fn readers(&self) -> impl Iterator<Item = &Reader> {
        self.readers.values()
    }

    /// Number of readers.
    pub fn count(&self) -> usize {
        self.readers.len()
    }

    /// Whether there is no reader.
    pub fn is_empty(&self) -> bool {
        self.readers.is_empty()
    }

    /// Whether somebody reads, or is about to: what lies beside a film alone is no reader.
    pub fn anyone_reads(&self) -> bool {
        self.readers.values().any(|reader| !reader.is_beside())
    }

    /// Whether a reader waits right now.
    pub fn anyone_waits(&self) -> bool {
        self.waiting > 0
    }

    /// Whether any window covers the piece.
    pub fn covers(&self, piece: PieceIndex) -> bool {
        self.readers.values().any(|reader| reader.pieces().contains(&piece.0))
    }

    /// The same, or whether a reader's window did that has just left.
    pub fn covers_or_did(&self, piece: PieceIndex) -> bool {
        self.covers(piece) || self.left.iter().any(|pieces| pieces.contains(&piece.0))
    }

    /// Readers that left won't come back.
    pub fn forget_left(&mut self) {
        self.left.clear();
    }

    /// One reader.
    pub fn reader(&self, key: ReaderKey) -> Option<&Reader> {
        self.readers.get(&key)
    }

    /// Whether the piece has a deadline.
    pub fn is_urgent(&self, piece: PieceIndex) -> bool {
        self.readers.values().any(|reader| reader.urgent.contains(&piece.0))
    }

    /// When the piece is needed first, if any window covers it.
    pub fn deadline(&self, layout: &Layout, piece: PieceIndex) -> Option<Instant> {
        let covering = self.readers.values().filter(|reader| reader.pieces().contains(&piece.0));
        covering.map(|reader| reader.deadline(layout, piece)).min()
    }

    /// Whether more readers want a piece than pieces can be kept.
    fn takes_turns(&self, layout: &Layout) -> bool {
        let readers = self.readers.values().filter(|reader| !reader.stuck && !reader.is_beside());
        self.keep_bytes_max.is_some() && readers.count() > self.places(layout)
    }

    /// How many pieces can be kept, at least one.
    fn places(&self, layout: &Layout) -> usize {
        let keep = self.keep_bytes_max.unwrap_or(u64::MAX);
        usize::try_from(keep / u64::from(layout.piece_length())).unwrap_or(usize::MAX).max(1)
    }

    /// What each reader may cover, so that all windows together fit what is kept. What is read next has a small part, and so has
    /// what lies beside, if it needs that much.
    fn shares(&self, layout: &Layout) -> Shares {
        let Some(keep) = self.keep_bytes_max else {
            return Shares { grows: self.grows, ..Shares::default() };
        };
        let servable = || self.readers.values().filter(|reader| !reader.stuck);
        let next = servable().filter(|reader| reader.is_next()).count() as u64;
        let beside = servable().filter(|reader| reader.is_beside()).count() as u64;
        let others = (servable().count() as u64 - next - beside).max(1);
        let next_bytes = if next > 0 { keep / NEXT_SHARE } else { 0 };
        let needed = servable().filter(|reader| reader.is_beside()).map(|reader| {
            let pieces = layout.pieces_of(reader.window.position..reader.window.soon_end);
            pieces.len() as u64 * u64::from(layout.piece_length())
        });
        let needed: u64 = needed.sum();
        let beside_max = keep / BESIDE_SHARE;
        let fits = needed <= beside_max;
        let piece_length = u64::from(layout.piece_length());
        let beside_each = beside_max / beside.max(1) / piece_length * piece_length;
        let beside_bytes = if fits { needed } else { beside_each * beside };
        Shares {
            play: Some((keep - next_bytes - beside_bytes) / others),
            next: Some(next_bytes / next.max(1)),
            beside: (!fits).then_some(beside_each),
            grows: false,
        }
    }
}

/// Bytes that a reader's window may cover; `None`: as many as it likes.
#[derive(Clone, Copy, Debug, Default)]
struct Shares {
    play: Option<u64>,
    next: Option<u64>,
    beside: Option<u64>,
    grows: bool,
}

impl Shares {
    fn of(self, reader: &Reader) -> Option<u64> {
        match reader.window.kind {
            Kind::Next => self.next,
            Kind::Beside => self.beside,
            Kind::Play | Kind::Probe => self.play,
        }
    }
}

fn clamp(window: Window) -> Window {
    let position = window.position.min(window.file_end);
    let urgent_end = window.urgent_end.clamp(position, window.file_end);
    let soon_end = window.soon_end.clamp(urgent_end, window.file_end);
    Window { position, urgent_end, soon_end, ..window }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn layout() -> Layout {
        Layout::new(MIB, [(vec!["film".into()], 100 * MIB, false)]).unwrap()
    }

    fn window(position: u64) -> Window {
        Window {
            position,
            urgent_end: position + 2 * MIB,
            soon_end: position + 10 * MIB,
            file_end: 100 * MIB,
            rate: Some(MIB),
            waiting: true,
            kind: Kind::Play,
        }
    }

    fn start() -> Instant {
        // The tests' own clock starts somewhere; machines get it as an argument.
        crate::testing::epoch()
    }

    fn only(wants: &Wants) -> Reader {
        wants.readers().next().unwrap().clone()
    }

    #[test]
    fn the_piece_under_the_reader_is_urgent_and_due_at_once() {
        let (layout, now) = (layout(), start());
        let mut wants = Wants::new(None);
        assert_eq!(
            wants.want(ReaderKey(1), window(5 * MIB + 7), false, Some(&layout), now),
            Movement::Jumped
        );
        let reader = only(&wants);
        assert_eq!((reader.urgent(), reader.soon()), (5..8, 8..16));
        assert_eq!(reader.deadline(&layout, PieceIndex(5)), now);
        assert!(reader.deadline(&layout, PieceIndex(7)) > now + Duration::from_secs(1));
    }

    #[test]
    fn reading_on_is_no_jump_but_leaving_the_window_is() {
        let (layout, now) = (layout(), start());
        let mut wants = Wants::new(None);
        wants.want(ReaderKey(1), window(0), false, Some(&layout), now);
        assert_eq!(wants.want(ReaderKey(1), window(3 * MIB), false, Some(&layout), now), Movement::Slid);
        assert_eq!(wants.want(ReaderKey(1), window(2 * MIB), false, Some(&layout), now), Movement::Jumped);
        assert_eq!(wants.want(ReaderKey(1), window(50 * MIB), false, Some(&layout), now), Movement::Jumped);
    }

    #[test]
    fn the_tail_of_a_file_is_urgent_to_its_end() {
        let (layout, now) = (layout(), start());
        let mut wants = Wants::new(None);
        wants.want(ReaderKey(1), window(95 * MIB), false, Some(&layout), now);
        assert_eq!(only(&wants).urgent(), 95..100);
        assert!(only(&wants).soon().is_empty());
    }

    #[test]
    fn nothing_is_read_ahead_for_a_probe() {
        let (layout, now) = (layout(), start());
        let mut wants = Wants::new(None);
        wants.want(ReaderKey(1), Window { kind: Kind::Probe, ..window(0) }, false, Some(&layout), now);
        assert_eq!((only(&wants).urgent(), only(&wants).soon().len()), (0..2, 0));
    }

    #[test]
    fn what_is_read_next_has_no_deadlines_and_a_small_share() {
        let (layout, now) = (layout(), start());
        let mut wants = Wants::new(None);
        let next = Window { kind: Kind::Next, ..window(50 * MIB) };
        wants.want(ReaderKey(1), next, false, Some(&layout), now);
        assert_eq!((only(&wants).urgent(), only(&wants).soon()), (50..50, 50..60));
        assert!(!wants.anyone_waits());
        let mut wants = Wants::new(Some(16 * MIB));
        wants.want(ReaderKey(1), next, false, Some(&layout), now);
        wants.want(ReaderKey(2), Window { soon_end: 90 * MIB, ..window(0) }, false, Some(&layout), now);
        let covered: Vec<_> = wants.readers().map(Reader::pieces).collect();
        assert_eq!(covered, [50..52, 0..14]);
    }

    #[test]
    fn what_lies_beside_is_due_a_moment_later_and_takes_from_readers_no_more_than_it_needs() {
        let (layout, now) = (layout(), start());
        let beside = |position, bytes| Window {
            soon_end: position + bytes,
            file_end: position + bytes,
            kind: Kind::Beside,
            ..window(position)
        };
        let mut wants = Wants::new(None);
        wants.want(ReaderKey(1), beside(50 * MIB, MIB), false, Some(&layout), now);
        assert_eq!((only(&wants).urgent(), only(&wants).soon()), (50..51, 51..51));
        assert_eq!(only(&wants).deadline(&layout, PieceIndex(50)), now + BESIDE_PATIENCE);
        assert!(!wants.anyone_waits() && !wants.anyone_reads());
        let covered = |keep, bytes| {
            let mut wants = Wants::new(Some(keep));
            wants.want(ReaderKey(1), beside(50 * MIB, bytes), false, Some(&layout), now);
            wants.want(ReaderKey(2), Window { soon_end: 90 * MIB, ..window(0) }, false, Some(&layout), now);
            wants.readers().map(Reader::pieces).collect::<Vec<_>>()
        };
        assert_eq!(covered(16 * MIB, MIB), [50..51, 0..15]);
        assert_eq!(covered(16 * MIB, 9 * MIB), [50..52, 0..14], "an eighth");
        assert_eq!(covered(4 * MIB, MIB), [50..50, 0..4], "a piece is more than an eighth");
        let mut wants = Wants::new(Some(2 * MIB));
        wants.want(ReaderKey(9), beside(50 * MIB, MIB), false, Some(&layout), now);
        for reader in 0..3 {
            wants.want(ReaderKey(reader), window(reader * 10 * MIB), false, Some(&layout), now);
        }
        let covered: Vec<_> = wants.readers().map(|reader| reader.pieces().len()).collect();
        assert_eq!(covered, [1, 1, 0, 0], "where readers take turns it has none");
    }

    #[test]
    fn a_reader_settles_by_reading_on_and_not_after_a_jump() {
        let (layout, now) = (layout(), start());
        let mut wants = Wants::new(None);
        for second in 0..SETTLED_SECONDS {
            wants.want(ReaderKey(1), window(second * MIB), false, Some(&layout), now);
            assert!(!only(&wants).is_settled());
        }
        wants.want(ReaderKey(1), window(SETTLED_SECONDS * MIB), false, Some(&layout), now);
        assert!(only(&wants).is_settled());
        wants.want(ReaderKey(1), window(70 * MIB), false, Some(&layout), now);
        assert!(!only(&wants).is_settled());
    }

    #[test]
    fn windows_of_a_memory_torrent_share_what_is_kept() {
        let (layout, now) = (layout(), start());
        let mut wants = Wants::new(Some(8 * MIB));
        wants.want(ReaderKey(1), window(0), false, Some(&layout), now);
        assert_eq!(only(&wants).pieces(), 0..8);
        wants.want(ReaderKey(2), window(50 * MIB), false, Some(&layout), now);
        assert_eq!(wants.readers().map(|reader| reader.pieces().len()).sum::<usize>(), 8);
        wants.forget(ReaderKey(2), Some(&layout));
        assert_eq!(only(&wants).pieces(), 0..8);
    }

    #[test]
    fn readers_take_turns_when_fewer_pieces_fit_than_there_are_readers() {
        let (layout, now) = (layout(), start());
        let mut wants = Wants::new(Some(2 * MIB));
        for key in 0..3u64 {
            wants.want(
                ReaderKey(key),
                window(key * 20 * MIB),
                false,
                Some(&layout),
                now + Duration::from_secs(key),
            );
        }
        let served = |wants: &Wants| wants.readers().map(|r| r.pieces().len()).collect::<Vec<_>>();
        assert_eq!(served(&wants), [1, 1, 0]);
        // The first got its piece and reads on: it's the third one's turn.
        wants.want(ReaderKey(0), window(MIB), false, Some(&layout), now + Duration::from_secs(9));
        assert_eq!(served(&wants), [0, 1, 1]);
    }

    #[test]
    fn half_of_the_turns_are_for_films_that_play() {
        let (layout, now) = (layout(), start());
        let mut wants = Wants::new(Some(2 * MIB));
        wants.want(ReaderKey(9), window(0), false, Some(&layout), now);
        for second in 1..=SETTLED_SECONDS {
            let plays = Window { waiting: false, ..window(second * MIB) };
            wants.want(ReaderKey(9), plays, false, Some(&layout), now + Duration::from_secs(9));
        }
        for key in 0..3u64 {
            wants.want(ReaderKey(key), window((2 + key) * 20 * MIB), false, Some(&layout), now);
        }
        let served: Vec<_> = wants.readers().map(|reader| reader.pieces().len()).collect();
        assert_eq!(served, [1, 0, 0, 1]);
    }

    #[test]
    fn a_reader_of_what_nobody_has_takes_no_memory_from_others() {
        let (layout, now) = (layout(), start());
        let mut wants = Wants::new(Some(8 * MIB));
        wants.want(ReaderKey(9), window(0), false, Some(&layout), now);
        for key in 0..8u64 {
            wants.want(ReaderKey(key), window((key + 2) * 10 * MIB), true, Some(&layout), now);
        }
        let covered = |wants: &Wants| wants.readers().map(|r| r.pieces().len()).collect::<Vec<_>>();
        assert_eq!(covered(&wants), [1, 1, 1, 1, 1, 1, 1, 1, 8], "but it's noticed when its piece comes");
        assert!(wants.note_stuck(&layout, |window| window.position >= 30 * MIB));
        assert_eq!(covered(&wants), [4, 1, 1, 1, 1, 1, 1, 1, 4]);
        assert!(!wants.note_stuck(&layout, |window| window.position >= 30 * MIB));
    }

    #[test]
    fn senseless_windows_are_clamped() {
        let (layout, now) = (layout(), start());
        let mut wants = Wants::new(None);
        let senseless = Window { position: 200 * MIB, urgent_end: 3, soon_end: u64::MAX, ..window(0) };
        wants.want(ReaderKey(1), senseless, false, Some(&layout), now);
        assert!(only(&wants).pieces().is_empty());
    }

    #[test]
    fn readers_are_bounded() {
        let (layout, now) = (layout(), start());
        let mut wants = Wants::new(None);
        for key in 0..READERS_MAX as u64 {
            wants.want(ReaderKey(key), window(0), false, Some(&layout), now);
        }
        assert_eq!(wants.want(ReaderKey(999), window(0), false, Some(&layout), now), Movement::Refused);
    }
}
