//! Why was it late? Each time a reader waits, what was done about the piece it waits for.
//!
//! A [`Stall`] begins when a reader has nothing to read and ends when it goes on, jumps or leaves. It keeps who was asked
//! for which block, when, and what came of it, and what stood in the way besides. Plain data; who shows it, and how, is
//! the engine's. All of it is bounded: the newest stalls are kept, and the first requests of each.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use afflux_metainfo::{BlockIndex, PieceIndex};

use crate::input::ReaderKey;

/// Stalls kept per torrent, those that go on included; the oldest goes. With [`ASKS_MAX`] this is 2 MiB at worst.
pub const STALLS_MAX: usize = 96;

/// Of those, kept of one reader: one that stalls all the time must not hide what happened to others.
pub const STALLS_PER_READER_MAX: usize = 32;

/// Requests kept of one stall: a piece of 4 MiB, each block once, and some of them twice.
pub const ASKS_MAX: usize = 320;

/// Obstacles kept of one stall.
pub const OBSTACLES_MAX: usize = 16;

/// A wait that is over sooner isn't kept: every piece's end may be one, and no player notices.
pub const STALL_MIN: Duration = Duration::from_millis(50);

/// One wait of one reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Who waited.
    pub reader: ReaderKey,
    /// The byte it waited for, counted from the torrent's beginning.
    pub position: u64,
    /// The piece that holds it.
    pub piece: PieceIndex,
    /// When it began to wait.
    pub since: Instant,
    /// When it ended; `None` while it goes on.
    pub until: Option<Instant>,
    /// Blocks of the piece.
    pub blocks: u32,
    /// Those of them that were there when it began to wait.
    pub blocks_there: u32,
    /// Who was asked for the others, in the order of asking.
    pub asks: Vec<Ask>,
    /// Requests beyond [`ASKS_MAX`], which were not kept.
    pub asks_left_out: u32,
    /// What else stood in the way, in the order of appearance.
    pub obstacles: Vec<Obstacle>,
}

/// One request for a block of the piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The block.
    pub block: BlockIndex,
    /// Who was asked.
    pub peer: SocketAddr,
    /// When. Before the wait began, if it was read ahead.
    pub at: Instant,
    /// When it should have come, by the peer's own history.
    pub expected_at: Instant,
    /// What came of it.
    pub fate: Fate,
    /// When that was known.
    pub ended: Option<Instant>,
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing yet.
    Pending,
    /// It delivered.
    Delivered,
    /// It delivered, when another had already.
    TooLate,
    /// It was asked no more: another delivered, or would sooner.
    Cancelled,
    /// It refused, or its answer lapsed.
    Rejected,
    /// It choked us.
    Choked,
    /// It fell silent.
    Snubbed,
    /// Its connection ended.
    Gone,
    /// It delivered, and the piece's hash was wrong.
    Corrupt,
}

impl Fate {
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::TooLate => "too late",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
            Self::Choked => "choked",
            Self::Snubbed => "snubbed",
            Self::Gone => "gone",
            Self::Corrupt => "corrupt",
        }
    }
}

/// Something besides a peer's slowness that kept the piece away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// What it was.
    pub kind: Hindrance,
    /// When it was noticed.
    pub at: Instant,
}

/// Kinds of obstacles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hindrance {
    /// No connected peer has the piece.
    NobodyHas,
    /// Those that have it choke us.
    AllChoke,
    /// There is no memory for it: other pieces under way hold it.
    NoMemory,
    /// All of it came, and its hash was wrong.
    WrongHash,
}

impl Hindrance {
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NobodyHas => "nobody has it",
            Self::AllChoke => "all who have it choke us",
            Self::NoMemory => "no memory for it",
            Self::WrongHash => "wrong hash",
        }
    }
}

/// The stalls of a torrent, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    stalls: VecDeque<Stall>,
    /// How many of them go on.
    open: usize,
}

impl Trace {
    /// All stalls that are kept, the oldest first.
    pub fn stalls(&self) -> impl Iterator<Item = &Stall> {
        self.stalls.iter()
    }

    /// Whether a reader waits for this piece.
    #[inline]
    pub fn watches(&self, piece: PieceIndex) -> bool {
        self.open > 0 && self.stalls.iter().any(|stall| stall.until.is_none() && stall.piece == piece)
    }

    /// Whether this reader's wait for this byte is known already.
    pub fn knows(&self, reader: ReaderKey, position: u64) -> bool {
        self.stalls
            .iter()
            .any(|stall| stall.until.is_none() && stall.reader == reader && stall.position == position)
    }

    /// A reader begins to wait.
    pub fn begin(&mut self, stall: Stall) {
        self.end(stall.reader, stall.since);
        let theirs = |kept: &Stall| kept.reader == stall.reader;
        if self.stalls.iter().filter(|kept| theirs(kept)).count() >= STALLS_PER_READER_MAX
            && let Some(oldest) = self.stalls.iter().position(theirs)
        {
            self.drop_nth(oldest);
        }
        if self.stalls.len() >= STALLS_MAX {
            self.drop_nth(0);
        }
        self.stalls.push_back(stall);
        self.open += 1;
    }

    /// A reader goes on, jumps or leaves. What was over at once is forgotten.
    pub fn end(&mut self, reader: ReaderKey, now: Instant) {
        if self.open == 0 {
            return;
        }
        let waits = |stall: &Stall| stall.until.is_none() && stall.reader == reader;
        let Some(nth) = self.stalls.iter().position(waits) else { return };
        if now.saturating_duration_since(self.stalls[nth].since) < STALL_MIN {
            self.drop_nth(nth);
        } else {
            self.stalls[nth].until = Some(now);
            self.open -= 1;
        }
    }

    /// The piece is there: whoever waits for it waits no more.
    pub fn verified(&mut self, piece: PieceIndex, now: Instant) {
        while self.open > 0 {
            let waits = |stall: &&Stall| stall.until.is_none() && stall.piece == piece;
            let Some(reader) = self.stalls.iter().find(waits).map(|stall| stall.reader) else { return };
            self.end(reader, now);
        }
    }

    /// A block was asked of a peer.
    pub fn asked(&mut self, piece: PieceIndex, ask: Ask) {
        for stall in self.waiting_for(piece) {
            if stall.asks.len() < ASKS_MAX {
                stall.asks.push(ask);
            } else {
                stall.asks_left_out = stall.asks_left_out.saturating_add(1);
            }
        }
    }

    /// Something came of a request.
    pub fn answered(
        &mut self,
        piece: PieceIndex,
        block: BlockIndex,
        peer: SocketAddr,
        fate: Fate,
        now: Instant,
    ) {
        for stall in self.waiting_for(piece) {
            let mut pending = stall.asks.iter_mut().rev().filter(|ask| ask.fate == Fate::Pending);
            if let Some(ask) = pending.find(|ask| ask.block == block && ask.peer == peer) {
                (ask.fate, ask.ended) = (fate, Some(now));
            }
        }
    }

    /// The peer wasn't asked after all: there was no memory for the block.
    pub fn unaffordable(&mut self, piece: PieceIndex, block: BlockIndex, peer: SocketAddr, now: Instant) {
        for stall in self.waiting_for(piece) {
            let pending = |ask: &Ask| ask.fate == Fate::Pending && ask.block == block && ask.peer == peer;
            if let Some(nth) = stall.asks.iter().rposition(pending) {
                stall.asks.remove(nth);
            }
        }
        self.hindered(piece, Hindrance::NoMemory, now);
    }

    /// Something stands in the way. The same obstacle twice in a row is one.
    pub fn hindered(&mut self, piece: PieceIndex, kind: Hindrance, now: Instant) {
        for stall in self.waiting_for(piece) {
            let again = stall.obstacles.last().is_some_and(|last| last.kind == kind);
            if !again && stall.obstacles.len() < OBSTACLES_MAX {
                stall.obstacles.push(Obstacle { kind, at: now });
            }
            if kind == Hindrance::WrongHash {
                let delivered = stall.asks.iter_mut().filter(|ask| ask.fate == Fate::Delivered);
                delivered.for_each(|ask| ask.fate = Fate::Corrupt);
            }
        }
    }

    /// The pieces that readers wait for.
    pub fn watched(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        self.stalls.iter().filter(|stall| stall.until.is_none()).map(|stall| stall.piece)
    }

    fn waiting_for(&mut self, piece: PieceIndex) -> impl Iterator<Item = &mut Stall> {
        let stalls = if self.open == 0 { None } else { Some(self.stalls.iter_mut()) };
        stalls.into_iter().flatten().filter(move |stall| stall.until.is_none() && stall.piece == piece)
    }

    fn drop_nth(&mut self, nth: usize) {
        if let Some(stall) = self.stalls.remove(nth)
            && stall.until.is_none()
        {
            self.open -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::testing::epoch;

    fn stall(reader: u64, piece: u32, since: Instant) -> Stall {
        Stall {
            reader: ReaderKey(reader),
            position: u64::from(piece) * 16_384,
            piece: PieceIndex(piece),
            since,
            until: None,
            blocks: 1,
            blocks_there: 0,
            asks: Vec::new(),
            asks_left_out: 0,
            obstacles: Vec::new(),
        }
    }

    fn ask(block: u32, at: Instant) -> Ask {
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let (block, expected_at) = (BlockIndex(block), at);
        Ask { block, peer, at, expected_at, fate: Fate::Pending, ended: None }
    }

    #[test]
    fn a_wait_is_kept_with_what_became_of_its_requests() {
        let now = epoch();
        let mut trace = Trace::default();
        trace.begin(stall(1, 7, now));
        trace.asked(PieceIndex(7), ask(0, now));
        trace.asked(PieceIndex(8), ask(0, now));
        let later = now + STALL_MIN;
        trace.answered(PieceIndex(7), BlockIndex(0), ask(0, now).peer, Fate::Delivered, later);
        trace.hindered(PieceIndex(7), Hindrance::WrongHash, later);
        trace.end(ReaderKey(1), later);
        trace.asked(PieceIndex(7), ask(0, later));
        let kept: Vec<_> = trace.stalls().collect();
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].until, Some(later));
        assert_eq!(kept[0].asks, [Ask { fate: Fate::Corrupt, ended: Some(later), ..ask(0, now) }]);
        assert_eq!(kept[0].obstacles, [Obstacle { kind: Hindrance::WrongHash, at: later }]);
        assert!(!trace.watches(PieceIndex(7)));
    }

    #[test]
    fn what_there_was_no_memory_for_is_an_obstacle_and_blames_nobody() {
        let now = epoch();
        let mut trace = Trace::default();
        trace.begin(stall(1, 7, now));
        trace.asked(PieceIndex(7), ask(0, now));
        trace.asked(PieceIndex(7), ask(1, now));
        trace.unaffordable(PieceIndex(7), BlockIndex(1), ask(1, now).peer, now);
        let kept = trace.stalls().next().unwrap();
        assert_eq!(kept.asks, [ask(0, now)]);
        assert_eq!(kept.obstacles, [Obstacle { kind: Hindrance::NoMemory, at: now }]);
    }

    #[test]
    fn what_is_over_at_once_is_forgotten() {
        let now = epoch();
        let mut trace = Trace::default();
        trace.begin(stall(1, 7, now));
        assert!(trace.watches(PieceIndex(7)));
        trace.end(ReaderKey(1), now + STALL_MIN / 2);
        assert_eq!(trace.stalls().count(), 0);
        assert!(!trace.watches(PieceIndex(7)));
    }

    #[test]
    fn stalls_and_requests_are_bounded_per_reader_and_in_all() {
        let mut now = epoch();
        let mut trace = Trace::default();
        trace.begin(stall(99, 1, now));
        for nth in 0..1_000 {
            now += STALL_MIN;
            trace.begin(stall(1, nth, now));
        }
        assert_eq!(trace.stalls().count(), STALLS_PER_READER_MAX + 1, "the other reader's is still there");
        for reader in 100..300 {
            trace.begin(stall(reader, 5, now));
        }
        assert_eq!(trace.stalls().count(), STALLS_MAX);
        for _ in 0..2 * ASKS_MAX {
            trace.asked(PieceIndex(5), ask(0, now));
        }
        let last = trace.stalls().last().unwrap();
        assert_eq!((last.asks.len(), last.asks_left_out as usize), (ASKS_MAX, ASKS_MAX));
        (100..300).for_each(|reader| trace.end(ReaderKey(reader), now + STALL_MIN));
        assert!(!trace.watches(PieceIndex(5)));
    }
}
