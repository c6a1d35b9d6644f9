//! libtorrent's time-critical pieces, as a player's plug-in would use them.
//!
//! Source: libtorrent 2.1, `docs/streaming.rst` ("piece picking", "download queue time", "timeouts") and
//! `torrent::request_time_critical_pieces`; what happens between its ticks is `request_a_block` and
//! `piece_picker::pick_pieces`. The rules, in our words:
//! - The pieces of the next [`AHEAD_BYTES`] of each reader are due at the pace of its film, the first one at once. A jump takes
//!   back what isn't due for anyone.
//! - Once a second peers are ranked by the time that their queue takes; the slowest tenth is left out, and so are those that
//!   choke, are snubbed, are suspected or have twice their queue. Pieces by their deadlines: each block goes to the first in rank
//!   that has it, and the ranks change with it. It ends when the first in rank has more than two seconds of it, or at a
//!   deadline beyond the usual time of a piece, four deviations and a second. The first piece is asked for in any case.
//! - Rates are taken once a second, after that: a peer gets time-critical blocks from the second tick on after it began to send.
//! - A piece whose blocks are all asked for is late once per usual time and half a deviation; so many more peers
//!   may then be asked for each of its blocks.
//! - In between, peers with room pick for themselves: a piece that is due before all others, but in no order among those, and
//!   then as ever. Their queues are [`QUEUE_TIME`] long. The first [`FIRST_PIECES`] of a torrent are any, due or not.
//!
//! "More than two seconds of queue" means what is asked beyond that length: in libtorrent only these blocks weigh in
//! full, and a queue that is always three seconds long would end every round at once.
//!
//! Parameters: as there. How far ahead deadlines are set is not libtorrent's to say but the player's; 8 MiB is what the
//! wrapper does that we measure against.

use std::ops::Range;
use std::time::{Duration, Instant};

use afflux_metainfo::{BLOCK_LENGTH, BlockIndex, Layout, PieceIndex};

use super::{Applicant, Board, Desk, Pick, Strategy, StrategyName, Ways};
use crate::availability::first_common_within;
use crate::chance::Chance;
use crate::key::PeerKey;
use crate::limits::PARTIAL_PROBES_MAX;
use crate::pieces::Block;
use crate::wants::Reader;

mod bid;
mod usual;

use bid::Bid;
use usual::Usual;

/// How often time-critical pieces are handed out.
const TICK: Duration = Duration::from_secs(1);

/// How far ahead of each reader pieces are due; two pieces at the least.
const AHEAD_BYTES: u64 = 8 * 1024 * 1024;
const AHEAD_PIECES_MIN: u32 = 2;

/// What is kept asked of each peer (`request_queue_time`).
const QUEUE_TIME: Duration = Duration::from_secs(3);

/// Until so many pieces are there, partial ones are finished and then any is begun (`initial_picker_threshold`).
const FIRST_PIECES: u32 = 4;

/// Pieces with deadlines at once: bounds what a tick looks through when pieces are small (ours).
const PIECES_MAX: usize = 256;

/// Bytes of partial pieces from which on these are finished before anything else.
const PARTIAL_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// libtorrent's time-critical pieces.
#[derive(Clone, Debug)]
pub struct LtDeadline {
    /// By deadline.
    due: Vec<Due>,
    /// The windows that the deadlines were set for.
    windows: Vec<Window>,
    /// Missing pieces when it was last looked which are done.
    missing: u32,
    tick: Option<Instant>,
    usual: Usual,
    peer_count: usize,
    /// Peers whose rates were known at the last tick.
    measured: Vec<PeerKey>,
    bids: Vec<Bid>,
    /// Bids that are of no use for the piece at hand.
    aside: Vec<Bid>,
    dice: Chance,
}

/// A piece with a deadline.
#[derive(Clone, Copy, Debug)]
struct Due {
    piece: PieceIndex,
    deadline: Instant,
    /// When a block of it was asked for first, and last, in a tick.
    first_asked: Option<Instant>,
    last_asked: Option<Instant>,
}

/// The pieces ahead of a reader that are due.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Window {
    turn: u64,
    pieces: Range<u32>,
    /// When each is due after the one before it.
    step: Duration,
}

impl Window {
    fn of(reader: &Reader, layout: &Layout, pieces_max: u32) -> Self {
        let length = u64::from(layout.piece_length());
        let ahead =
            u32::try_from(AHEAD_BYTES / length).unwrap_or(u32::MAX).clamp(AHEAD_PIECES_MIN, pieces_max);
        let window = reader.window();
        let read = layout.pieces_of(window.position..window.file_end);
        let pieces = read.start..read.end.min(read.start.saturating_add(ahead));
        let step = Duration::from_millis(length.saturating_mul(1000) / reader.rate());
        Self { turn: reader.turn(), pieces, step }
    }
}

impl LtDeadline {
    /// Chance, where libtorrent shuffles, comes from this seed.
    pub fn new(seed: u64) -> Self {
        Self {
            due: Vec::new(),
            windows: Vec::new(),
            missing: 0,
            tick: None,
            usual: Usual::default(),
            peer_count: 0,
            measured: Vec::new(),
            bids: Vec::new(),
            aside: Vec::new(),
            dice: Chance::new(seed),
        }
    }
}

impl Strategy for LtDeadline {
    fn name(&self) -> StrategyName {
        StrategyName::LtDeadline
    }

    fn ways(&self) -> Ways {
        Ways { cancels_on_seek: true, queue_time: Some(QUEUE_TIME), ..Ways::default() }
    }

    fn pick(&mut self, board: &mut Board<'_>, applicant: &Applicant<'_>, _now: Instant) -> Option<Pick> {
        let has = board.layout.piece_count() - board.missing.count();
        if has < FIRST_PIECES {
            return board.under_way(applicant).or_else(|| board.rarest(applicant));
        }
        if self.has_too_many_partial(board)
            && let Some(pick) = board.under_way(applicant)
        {
            return Some(pick);
        }
        self.due_partial(board, applicant)
            .or_else(|| self.due_fresh(board, applicant))
            .or_else(|| board.under_way(applicant))
            .or_else(|| board.rarest(applicant))
    }

    fn hand_out(&mut self, desk: &mut Desk<'_>, now: Instant) {
        let was_idle = self.due.is_empty();
        self.set_deadlines(desk, now);
        let tick = self.tick.unwrap_or(now + TICK);
        let is_tick = tick <= now;
        self.tick = Some(next_tick(tick, now));
        if is_tick && !was_idle {
            self.request(desk, now);
        }
        if is_tick {
            self.measured.clear();
            self.measured.extend(desk.peers().filter(|peer| peer.is_measured).map(|peer| peer.key));
            self.measured.sort_unstable();
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.tick.filter(|_| !self.due.is_empty())
    }
}

/// Deadlines.
impl LtDeadline {
    /// Sets all deadlines anew when a window moved, and takes note of the pieces that are done.
    fn set_deadlines(&mut self, desk: &Desk<'_>, now: Instant) {
        let each = (PIECES_MAX / desk.wants().count().max(1)).max(AHEAD_PIECES_MIN as usize) as u32;
        let windows = || {
            let reading = desk.wants().readers().filter(|reader| !reader.is_next());
            reading.map(|reader| Window::of(reader, desk.layout(), each))
        };
        // The pace changes a little with each word of the reader; what is due doesn't.
        let same = |new: Window, old: &Window| (new.turn, new.pieces) == (old.turn, old.pieces.clone());
        let moved = windows().count() != self.windows.len()
            || !windows().zip(&self.windows).all(|(new, old)| same(new, old));
        let missing = desk.missing();
        if !moved && missing.count() == self.missing {
            return;
        }
        self.missing = missing.count();
        let Self { due, usual, .. } = self;
        for done in due.iter().filter(|due| !missing.contains(due.piece)) {
            if let Some(asked) = done.first_asked {
                usual.note(now.saturating_duration_since(asked));
            }
        }
        due.retain(|due| missing.contains(due.piece));
        if !moved {
            return;
        }
        let old = std::mem::take(due);
        self.windows.clear();
        self.windows.extend(windows());
        for window in &self.windows {
            let pieces = window.pieces.clone().map(PieceIndex).zip(0u32..);
            for (piece, nth) in pieces.filter(|(piece, _)| missing.contains(*piece)) {
                let before = old.iter().find(|due| due.piece == piece);
                let deadline = now + window.step * nth;
                due.push(Due {
                    piece,
                    deadline,
                    first_asked: before.and_then(|due| due.first_asked),
                    last_asked: before.and_then(|due| due.last_asked),
                });
            }
        }
        due.sort_unstable_by_key(|due| (due.piece, due.deadline));
        due.dedup_by_key(|due| due.piece);
        due.sort_unstable_by_key(|due| (due.deadline, due.piece));
    }
}

/// The tick.
impl LtDeadline {
    /// Hands out the pieces that are due, each block to the peer with the least queue.
    fn request(&mut self, desk: &mut Desk<'_>, now: Instant) {
        self.collect_bids(desk);
        let horizon = now + self.usual.horizon();
        for nth in 0..self.due.len() {
            if self.bids.is_empty() || (nth > 0 && self.due[nth].deadline > horizon) {
                return;
            }
            let piece = self.due[nth].piece;
            let mut times_late = 0;
            if desk.unasked(piece, BlockIndex(0)).is_none() {
                let last_asked = *self.due[nth].last_asked.get_or_insert(now);
                times_late = self.usual.times_late(now.saturating_duration_since(last_asked));
                if times_late == 0 || desk.table().piece(piece).is_none_or(|open| open.is_whole()) {
                    continue;
                }
            }
            self.request_piece(nth, times_late, desk, now);
            self.bids.append(&mut self.aside);
            self.bids.sort_unstable_by_key(Bid::rank);
            if self.bids.first().is_some_and(Bid::is_over) {
                return;
            }
        }
    }

    fn collect_bids(&mut self, desk: &Desk<'_>) {
        self.bids.clear();
        self.bids.extend(
            desk.peers()
                .filter(|peer| peer.is_good() && peer.useful > 0)
                .filter(|peer| self.measured.binary_search(&peer.key).is_ok())
                .map(|peer| Bid::of(&peer))
                .filter(Bid::takes_more),
        );
        self.bids.sort_unstable_by_key(Bid::rank);
        self.bids.truncate((self.bids.len() * 9).div_ceil(10));
        self.peer_count = desk.peers().count();
    }

    /// Asks for blocks of a piece until none is left or nobody is fit for more.
    fn request_piece(&mut self, nth: usize, times_late: usize, desk: &mut Desk<'_>, now: Instant) {
        let piece = self.due[nth].piece;
        while self.bids.first().is_some_and(|first| !first.is_over()) {
            let has_piece = |bid: &Bid| desk.peer(bid.key).is_some_and(|peer| peer.offers.contains(piece));
            let Some(place) = self.bids.iter().position(has_piece) else { return };
            let key = self.bids[place].key;
            let unasked = desk.unasked(piece, BlockIndex(0));
            let Some((block, asked)) =
                unasked.map(|block| (block, false)).or_else(|| busy_block(desk, piece, key, times_late))
            else {
                return;
            };
            if asked || !desk.ask(key, piece, block, now) {
                // Of no use here, but for the next piece.
                self.aside.push(self.bids.remove(place));
                continue;
            }
            let due = &mut self.due[nth];
            due.first_asked.get_or_insert(now);
            if unasked.is_some() {
                due.last_asked = Some(now);
            }
            self.bids[place].queued += 1;
            if self.bids[place].takes_more() {
                self.sink(place);
            } else {
                self.bids.remove(place);
            }
        }
    }

    /// Moves a bid that got worse to its rank.
    fn sink(&mut self, mut place: usize) {
        while place + 1 < self.bids.len() && self.bids[place].rank() > self.bids[place + 1].rank() {
            self.bids.swap(place, place + 1);
            place += 1;
        }
    }
}

/// Between ticks.
impl LtDeadline {
    /// With more partial pieces than one and a half per peer, or 32 MiB of them, these come first whatever is due.
    fn has_too_many_partial(&self, board: &Board<'_>) -> bool {
        let by_bytes = PARTIAL_BYTES_MAX / u64::from(board.layout.piece_length().max(BLOCK_LENGTH));
        let by_peers = self.peer_count as u64 * 3 / 2;
        let many = usize::try_from(by_bytes.min(by_peers)).unwrap_or(usize::MAX).min(PARTIAL_PROBES_MAX);
        let begun = |piece: &PieceIndex| board.table.piece(*piece).is_some_and(|open| !open.is_untouched());
        self.peer_count > 0
            && board.table.partial().take(PARTIAL_PROBES_MAX).filter(begun).nth(many).is_some()
    }

    /// A block of a piece that is due and under way: of the one that the peer works on, else of any.
    fn due_partial(&mut self, board: &mut Board<'_>, applicant: &Applicant<'_>) -> Option<Pick> {
        let is_due = |piece: PieceIndex| self.windows.iter().any(|window| window.pieces.contains(&piece.0));
        let last = applicant.last_piece.filter(|&piece| board.table.is_open(piece) && is_due(piece));
        if let Some(pick) = last.and_then(|piece| board.block_of(piece, applicant)) {
            return Some(pick);
        }
        let table = board.table;
        let partial = || {
            let ranges = self.windows.iter().map(|window| window.pieces.clone());
            let pieces =
                ranges.flat_map(|range| table.partial_within(PieceIndex(range.start)..PieceIndex(range.end)));
            pieces.take(PARTIAL_PROBES_MAX)
        };
        let first = self.dice.below(partial().count());
        let found = partial().skip(first).find_map(|piece| board.block_of(piece, applicant));
        found.or_else(|| partial().take(first).find_map(|piece| board.block_of(piece, applicant)))
    }

    /// A new piece that is due: the first behind a place that chance points at.
    fn due_fresh(&mut self, board: &mut Board<'_>, applicant: &Applicant<'_>) -> Option<Pick> {
        let (before, behind) = self.windows.split_at(self.dice.below(self.windows.len()));
        let ranges = behind.iter().chain(before).map(|window| window.pieces.clone());
        ranges.filter(|range| !range.is_empty()).find_map(|range| {
            let place = range.start + self.dice.below(range.len()) as u32;
            let pickable = board.availability.pickable();
            let piece = first_common_within(pickable, applicant.offers, place..range.end)
                .or_else(|| first_common_within(pickable, applicant.offers, range.start..place))?;
            board.block_of(piece, applicant)
        })
    }
}

/// A block that is on its way from no more peers than its piece is late, from the fewest of all; and whether this peer is
/// one of them.
fn busy_block(
    desk: &Desk<'_>,
    piece: PieceIndex,
    key: PeerKey,
    times_late: usize,
) -> Option<(BlockIndex, bool)> {
    let open = desk.table().piece(piece)?;
    let asked = open.blocks().iter().zip(0u32..).filter_map(|(block, number)| match block {
        Block::Asked(asked) if !asked.is_crowded() => {
            Some((asked.askers().count(), number, asked.includes(key)))
        }
        _ => None,
    });
    let late = asked.filter(|&(askers, _, _)| askers <= times_late);
    late.min_by_key(|&(askers, number, _)| (askers, number))
        .map(|(_, number, included)| (BlockIndex(number), included))
}

/// The next tick behind `now`; ticks don't wait for readers, so theirs is no better than chance.
fn next_tick(tick: Instant, now: Instant) -> Instant {
    if tick > now {
        return tick;
    }
    let missed = now.duration_since(tick).as_nanos() / TICK.as_nanos() + 1;
    tick + TICK * u32::try_from(missed).unwrap_or(u32::MAX)
}
