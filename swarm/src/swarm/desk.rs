//! What a strategy sees and may do while blocks choose their peers.

use std::time::{Duration, Instant};

use afflux_metainfo::{Bitfield, BlockIndex, Layout, PieceIndex};

use super::{Content, Outlook, Peer, Swarm};
use crate::availability::Availability;
use crate::key::PeerKey;
use crate::picker::Pick;
use crate::pieces::{Block, PieceTable};
use crate::trace::Hindrance;
use crate::wants::Wants;

/// One peer, in figures.
#[derive(Clone, Copy, Debug)]
pub struct Figures<'a> {
    /// Its key.
    pub key: PeerKey,
    /// The pieces that it has and didn't refuse.
    pub offers: &'a Bitfield,
    /// Whether it chokes us.
    pub chokes_us: bool,
    /// Whether it is far later than its own history says.
    pub snubbed: bool,
    /// Whether it may have sent corrupt data: it delivers whole pieces alone.
    pub on_parole: bool,
    /// Whether it owed a reader's block for longer than its history explains, and has sent nothing since.
    pub overdue: bool,
    /// How many of our missing pieces it has.
    pub useful: u32,
    /// What it sends, in bytes per second; the swarm's mean while it has sent nothing.
    pub rate: u64,
    /// Whether that rate is its own.
    pub is_measured: bool,
    /// Its round trip, in nanoseconds.
    pub round_trip_nanos: u64,
    /// Time for one block at its rate, in nanoseconds.
    pub block_nanos: u64,
    /// By how much its answers come later than expected, as far as its history tells, in nanoseconds.
    pub usual_delay_nanos: u64,
    /// Blocks asked of it.
    pub queued: u32,
    /// How many more it should be asked for.
    pub room: u32,
}

impl Figures<'_> {
    /// When a block asked now should be here, in nanoseconds.
    pub fn expected_nanos(&self) -> u64 {
        let behind = self.block_nanos.saturating_mul(u64::from(self.queued) + 1);
        self.round_trip_nanos.saturating_add(behind)
    }

    /// The same with what its history says of its answers on top: what a reader can count on.
    pub fn reliable_nanos(&self) -> u64 {
        self.expected_nanos().saturating_add(self.usual_delay_nanos)
    }

    /// Whether a reader's block may depend on it.
    pub fn is_good(&self) -> bool {
        !self.chokes_us && !self.snubbed && !self.on_parole && !self.overdue
    }
}

/// The torrent, for a strategy that hands out work.
#[derive(Debug)]
pub struct Desk<'a> {
    swarm: &'a mut Swarm,
    reporter: Option<PeerKey>,
}

impl<'a> Desk<'a> {
    pub(super) fn new(swarm: &'a mut Swarm, reporter: Option<PeerKey>) -> Self {
        Self { swarm, reporter }
    }

    /// The one peer that has changed since the last turn; `None` if more than one has, or something else did.
    pub fn reporter(&self) -> Option<PeerKey> {
        self.reporter
    }

    /// Grows whenever there may be work that wasn't there before: a window moved, a block came back, memory was freed. While
    /// it stays, blocks are only asked for and received.
    pub fn version(&self) -> u64 {
        self.swarm.board.version
    }

    /// The geometry.
    pub fn layout(&self) -> &Layout {
        &self.content().layout
    }

    /// Pieces that are selected and not verified.
    pub fn missing(&self) -> &Bitfield {
        &self.content().missing
    }

    /// Pieces under way.
    pub fn table(&self) -> &PieceTable {
        &self.content().table
    }

    /// Who has what; its pickable pieces are those that are missing and not open.
    pub fn availability(&self) -> &Availability {
        &self.content().availability
    }

    /// How readers fare as a whole.
    pub fn outlook(&self) -> Outlook {
        self.swarm.outlook
    }

    /// Readers' windows.
    pub fn wants(&self) -> &Wants {
        &self.swarm.wants
    }

    /// All peers, in the order of their keys.
    pub fn peers(&self) -> impl Iterator<Item = Figures<'_>> {
        self.swarm.peers.iter().map(|(key, peer)| self.figures_of(key, peer))
    }

    /// One peer.
    pub fn peer(&self, key: PeerKey) -> Option<Figures<'_>> {
        self.swarm.peers.get(key).map(|peer| self.figures_of(key, peer))
    }

    /// Whether the peer has the piece and didn't refuse it.
    pub fn offers(&self, key: PeerKey, piece: PieceIndex) -> bool {
        self.swarm.peers.get(key).is_some_and(|peer| peer.offers().contains(piece))
    }

    /// Time for one block at the peer's rate, in nanoseconds.
    pub fn block_nanos(&self, key: PeerKey) -> u64 {
        self.swarm.peers.get(key).map_or(u64::MAX, |peer| peer.block_nanos(self.swarm.rate_default))
    }

    /// The peers that readers' blocks may depend on, with the time in nanoseconds after which each would deliver one more
    /// block; the soonest first.
    pub fn ranks(&self) -> impl Iterator<Item = (u64, PeerKey)> + '_ {
        self.swarm.ranks.iter()
    }

    /// What those send together, in bytes per second, as of the last second.
    pub fn link_rate(&self) -> u64 {
        self.swarm.link_rate
    }

    /// The first block at or behind `from` of a missing piece that nobody was asked for.
    pub fn unasked(&self, piece: PieceIndex, from: BlockIndex) -> Option<BlockIndex> {
        let content = self.content();
        match content.table.piece(piece) {
            Some(open) => open.missing_from(from),
            None => {
                let exists = from.0 < content.layout.block_count(piece);
                (exists && content.availability.pickable().contains(piece)).then_some(from)
            }
        }
    }

    /// Asks the peer for a block, opening its piece if need be; a block that was asked of others is asked once more, which is
    /// for the strategy to bound.
    /// False if that can't be: the peer lacks it or chokes us, the block is there, too many were asked, or there's no
    /// memory even when what no window covers is given up.
    pub fn ask(&mut self, peer: PeerKey, piece: PieceIndex, block: BlockIndex, now: Instant) -> bool {
        let Some(figures) = self.peer(peer) else { return false };
        if figures.chokes_us || !figures.offers.contains(piece) {
            return false;
        }
        let expected = Duration::from_nanos(figures.expected_nanos());
        let opens = !self.table().is_open(piece);
        if opens {
            if !self.availability().pickable().contains(piece) {
                return false;
            }
            if !self.swarm.admit_urgent(piece, now) {
                self.swarm.board.crowded = true;
                self.swarm.trace.hindered(piece, Hindrance::NoMemory, now);
                return false;
            }
        } else if !self.table().piece(piece).is_some_and(|open| open.admits(peer)) {
            return false;
        }
        let before = self.table().piece(piece).and_then(|open| open.blocks().get(block.as_usize()));
        let again = matches!(before, Some(Block::Asked(_)));
        let asked = self.swarm.ask(peer, Pick { piece, block, opens }, expected, now);
        if asked && again {
            self.swarm.tallies.repeated += self.swarm.block_length(piece, block);
        }
        asked
    }

    /// Lets everybody deliver a piece that a peer on parole has for itself: a reader can't wait for it, and digests tell
    /// afterwards whose blocks were bad.
    pub fn release(&mut self, piece: PieceIndex) {
        if let Some(content) = &mut self.swarm.content {
            content.table.release(piece);
        }
    }

    /// Moves a block of the piece to this peer out of another's queue, if that is clearly sooner and the block isn't on the
    /// wire yet. False if none is better moved.
    pub fn promote(&mut self, to: PeerKey, piece: PieceIndex, now: Instant) -> bool {
        self.swarm.promote(to, piece, now)
    }

    fn content(&self) -> &Content {
        self.swarm.content.as_ref().expect("a desk is opened once the layout is known")
    }

    fn figures_of<'p>(&self, key: PeerKey, peer: &'p Peer) -> Figures<'p> {
        let rate = if peer.rate == 0 { self.swarm.rate_default } else { peer.rate };
        let waiting = self.swarm.is_shallow();
        Figures {
            key,
            offers: peer.offers(),
            chokes_us: peer.chokes_us,
            snubbed: peer.snubbed,
            on_parole: peer.on_parole,
            overdue: peer.overdue,
            useful: peer.useful,
            rate,
            is_measured: peer.rate > 0,
            round_trip_nanos: u64::try_from(peer.round_trip().as_nanos()).unwrap_or(u64::MAX),
            block_nanos: peer.block_nanos(self.swarm.rate_default),
            usual_delay_nanos: peer.usual_delay_nanos(),
            queued: peer.queued(),
            room: peer.room(waiting, self.swarm.ways.queue_time),
        }
    }
}
