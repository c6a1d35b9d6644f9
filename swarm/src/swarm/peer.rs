//! What is known of one connected peer.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use afflux_metainfo::{BLOCK_LENGTH, Bitfield, BlockRef, PeerId, PieceIndex};

use crate::availability::Counting;
use crate::input::{Connected, Direction, Gauges};
use crate::lateness::Lateness;
use crate::limits::{
    ALLOWED_FAST_MAX, DEEP_QUEUE, DEEP_QUEUE_PARTS, LINGERING_MAX, OUTSTANDING_MAX, PEER_RATE_MIN,
    QUEUE_DEPTH_MAX, READER_DEPTH_MIN, READER_DEPTH_UNKNOWN, READER_SLACK, REFUSAL, ROUND_TRIP_DEFAULT,
};
use crate::pieces::Asker;

/// One connected peer, as the torrent sees it.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) addr: SocketAddr,
    pub(super) peer_id: PeerId,
    pub(super) direction: Direction,
    /// Where it takes connections, if that isn't where this one comes from.
    pub(super) listens_at: Option<SocketAddr>,
    /// What it has; of no length while we don't know the layout.
    pub(super) pieces: Bitfield,
    /// What it has, less what it refused since it last unchoked us; `None` while that is the same.
    offers: Option<Bitfield>,
    refused_at: Option<Instant>,
    pub(super) counting: Option<Counting>,
    /// Pieces it has that we miss.
    pub(super) useful: u32,
    pub(super) chokes_us: bool,
    pub(super) choked: bool,
    pub(super) interested: bool,
    /// Whether we told it that we're interested.
    pub(super) told_interested: bool,
    pub(super) snubbed: bool,
    pub(super) on_parole: bool,
    /// Whether it owed a reader's block for longer than its history explains, and has sent nothing since.
    pub(super) overdue: bool,
    pub(super) upload_only: bool,
    /// Whether it can be told that we lack a piece again (BEP 54), so that it may know of pieces that can go.
    pub(super) unlearns: bool,
    /// Blocks asked of it, oldest first.
    pub(super) asked: VecDeque<BlockRef>,
    /// Blocks that were taken back and will probably still come.
    pub(super) lingering: u32,
    /// How many blocks it should be asked for at once.
    pub(super) depth: u32,
    pub(super) round_trip: Duration,
    /// Payload it could send, in bytes per second; zero while unknown.
    pub(super) rate: u64,
    /// Payload it sends, in bytes per second; what it last showed while it was busy.
    pub(super) download_rate: u64,
    pub(super) upload_rate: u64,
    /// Payload sent to it, in bytes.
    pub(super) uploaded: u64,
    /// Blocks that came from it.
    pub(super) delivered: u32,
    allowed_fast: Vec<PieceIndex>,
    pub(super) last_piece: Option<PieceIndex>,
    pub(super) lateness: Lateness,
    /// Its place among those that may get urgent blocks; see `ranks`.
    pub(super) rank: Option<u64>,
    /// The state of the board at which nothing was found for it.
    pub(super) starved_at: Option<u64>,
    pub(super) connected_at: Instant,
}

impl Peer {
    pub(super) fn new(link: &Connected, piece_count: u32, now: Instant) -> Self {
        Self {
            addr: link.addr,
            peer_id: link.peer_id,
            direction: link.direction,
            listens_at: None,
            pieces: Bitfield::new(piece_count),
            offers: None,
            refused_at: None,
            counting: None,
            useful: 0,
            chokes_us: true,
            choked: true,
            interested: false,
            told_interested: false,
            snubbed: false,
            on_parole: false,
            overdue: false,
            upload_only: false,
            unlearns: false,
            asked: VecDeque::new(),
            lingering: 0,
            depth: 0,
            round_trip: Duration::ZERO,
            rate: 0,
            download_rate: 0,
            upload_rate: 0,
            uploaded: 0,
            delivered: 0,
            allowed_fast: Vec::new(),
            last_piece: None,
            lateness: Lateness::default(),
            rank: None,
            starved_at: None,
            connected_at: now,
        }
    }

    /// Its link has new figures, and perhaps blocks that came.
    pub(super) fn measured(&mut self, gauges: Gauges, received: bool) {
        self.depth = gauges.room.saturating_add(gauges.outstanding);
        self.lingering = gauges.lingering.min(LINGERING_MAX);
        self.round_trip = gauges.round_trip;
        self.rate = gauges.delivery_rate;
        self.upload_rate = gauges.upload_rate;
        // A meter falls while nothing is asked; that says nothing about what the peer gives.
        if received || gauges.outstanding > 0 || gauges.download_rate > self.download_rate {
            self.download_rate = gauges.download_rate;
        }
    }

    /// A block that was asked of it is taken back. It may be on its way already; the link's next report knows.
    pub(super) fn linger(&mut self) {
        self.lingering = (self.lingering + 1).min(LINGERING_MAX);
    }

    /// The pieces that may be asked of it.
    pub(super) fn offers(&self) -> &Bitfield {
        self.offers.as_ref().unwrap_or(&self.pieces)
    }

    /// It refused a block of this piece although it serves it: not asked again for a while. That a choke voids what was
    /// asked is no refusal.
    pub(super) fn refuse(&mut self, piece: PieceIndex, now: Instant) {
        let served = !self.chokes_us || self.allowed_fast.contains(&piece);
        if served && self.pieces.contains(piece) {
            self.offers.get_or_insert_with(|| self.pieces.clone()).remove(piece);
            self.refused_at = Some(now);
        }
    }

    /// Whatever it refused may be asked again.
    pub(super) fn forgive(&mut self) {
        self.offers = None;
        self.refused_at = None;
    }

    /// The same, once its last refusal is old.
    pub(super) fn forgive_old(&mut self, now: Instant) {
        if self.refused_at.is_some_and(|at| at + REFUSAL <= now) {
            self.forgive();
        }
    }

    pub(super) fn had(&mut self, piece: PieceIndex) -> bool {
        if let Some(offers) = &mut self.offers {
            offers.insert(piece);
        }
        self.pieces.insert(piece)
    }

    pub(super) fn lost(&mut self, piece: PieceIndex) -> bool {
        if let Some(offers) = &mut self.offers {
            offers.remove(piece);
        }
        self.pieces.remove(piece)
    }

    pub(super) fn allow_fast(&mut self, piece: PieceIndex) {
        if self.allowed_fast.len() < ALLOWED_FAST_MAX && !self.allowed_fast.contains(&piece) {
            self.allowed_fast.push(piece);
        }
    }

    /// The only pieces that may be asked, if it chokes us.
    pub(super) fn allowed_only(&self) -> Option<&[PieceIndex]> {
        self.chokes_us.then_some(self.allowed_fast.as_slice())
    }

    /// How many more blocks it should be asked for.
    pub(super) fn room(&self, waiting: bool, queue_time: Option<Duration>) -> u32 {
        self.aim(waiting, queue_time).saturating_sub(self.asked.len() as u32)
    }

    /// Whether so little is missing in a deep queue that a few more blocks can come first: asking for each one that came
    /// would be a packet each, and a wake-up at both ends.
    pub(super) fn can_wait(&self, waiting: bool, queue_time: Option<Duration>) -> bool {
        let aim = self.aim(waiting, queue_time);
        aim >= DEEP_QUEUE && aim.saturating_sub(self.asked.len() as u32) < aim / DEEP_QUEUE_PARTS
    }

    /// How many blocks should be on their way, whoever says so.
    fn aim(&self, waiting: bool, queue_time: Option<Duration>) -> u32 {
        let deep = queue_time.map_or(0, |time| self.deep(time));
        self.depth_now(waiting).max(deep)
    }

    /// Whether a block may be asked of it beyond what its pipeline wants, because it's late elsewhere.
    pub(super) fn can_be_pressed(&self) -> bool {
        (self.asked.len() as u32) < self.depth.saturating_add(2).min(OUTSTANDING_MAX)
    }

    /// How many blocks should be on their way. The pipeline's word is of a moment ago: it may not know yet that a
    /// reader waits, and when it wants fewer than there are it can't say how many fewer.
    fn depth_now(&self, waiting: bool) -> u32 {
        if self.snubbed {
            return self.depth.min(1);
        }
        let deepest = if waiting { self.shallow() } else { OUTSTANDING_MAX };
        self.depth.min(deepest)
    }

    /// What a strategy wants asked for beyond what the pipeline wants, once the rate is known. It begins slowly: a block more
    /// for each that came.
    fn deep(&self, queue_time: Duration) -> u32 {
        if self.snubbed || self.rate == 0 || self.depth == 0 {
            return 0;
        }
        let blocks = queue_time.as_nanos() / u128::from(self.block_nanos(self.rate).max(1));
        u32::try_from(blocks).unwrap_or(u32::MAX).min(self.delivered).min(QUEUE_DEPTH_MAX)
    }

    /// A round trip plus 50 ms of requests, or two blocks, whichever is more: what is asked already can't be taken
    /// back, so deep queues are what makes a seek slow.
    fn shallow(&self) -> u32 {
        if self.rate == 0 {
            return READER_DEPTH_UNKNOWN;
        }
        let nanos = u64::try_from((self.round_trip() + READER_SLACK).as_nanos()).unwrap_or(u64::MAX);
        let blocks = nanos.div_ceil(self.block_nanos(self.rate).max(1));
        u32::try_from(blocks).unwrap_or(u32::MAX).max(READER_DEPTH_MIN)
    }

    /// Takes a block off the list of what was asked; says whether it was on it.
    pub(super) fn take_asked(&mut self, block: BlockRef) -> bool {
        // Answers come in order of the requests, but for a few.
        let Some(place) = self.asked.iter().position(|asked| *asked == block) else { return false };
        self.asked.remove(place);
        true
    }

    /// Time for one block at its rate, in nanoseconds.
    pub(super) fn block_nanos(&self, rate_default: u64) -> u64 {
        let rate = if self.rate == 0 { rate_default } else { self.rate }.max(PEER_RATE_MIN);
        u64::from(BLOCK_LENGTH) * 1_000_000_000 / rate
    }

    /// The round trip, or a guess.
    pub(super) fn round_trip(&self) -> Duration {
        if self.round_trip.is_zero() { ROUND_TRIP_DEFAULT } else { self.round_trip }
    }

    /// Blocks that come before one that is asked now: those that were asked before, taken back or not.
    pub(super) fn queued(&self) -> u32 {
        self.lingering.saturating_add(self.asked.len() as u32)
    }

    /// How long one more block would take, behind those that were asked before.
    pub(super) fn expected(&self, rate_default: u64) -> Duration {
        Duration::from_nanos(self.expected_nanos(rate_default))
    }

    /// The same in nanoseconds.
    pub(super) fn expected_nanos(&self, rate_default: u64) -> u64 {
        let queued = u64::from(self.queued()) + 1;
        let round_trip = u64::try_from(self.round_trip().as_nanos()).unwrap_or(u64::MAX);
        round_trip.saturating_add(self.block_nanos(rate_default).saturating_mul(queued))
    }

    /// The same with what its history says of its answers on top: what a reader can count on.
    pub(super) fn reliable_nanos(&self, rate_default: u64) -> u64 {
        self.expected_nanos(rate_default).saturating_add(self.usual_delay_nanos())
    }

    /// By how much its answers come later than expected, as far as its history tells.
    pub(super) fn usual_delay_nanos(&self) -> u64 {
        u64::try_from(self.lateness.usual().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Whether a reader's block may depend on it.
    pub(super) fn is_good(&self) -> bool {
        !self.chokes_us && !self.snubbed && !self.on_parole && !self.overdue
    }

    /// Whether what was asked of it is later than its own history explains.
    pub(super) fn owes(&self, asker: &Asker, now: Instant) -> bool {
        let expected = asker.expected_at.saturating_duration_since(asker.asked_at);
        asker.expected_at + self.lateness.grace(expected) <= now
    }

    /// How many of the blocks asked of it are on the wire by now, or so near that taking them back saves nothing: at least
    /// the one that it sends.
    pub(super) fn on_the_wire(&self, rate_default: u64) -> usize {
        let round_trip = u64::try_from(self.round_trip().as_nanos()).unwrap_or(u64::MAX);
        let blocks = round_trip / self.block_nanos(rate_default).max(1);
        usize::try_from(blocks).unwrap_or(usize::MAX).saturating_add(1)
    }

    pub(super) fn is_seed(&self) -> bool {
        self.pieces.length() > 0 && self.pieces.is_full()
    }
}
