//! What the engine tells a [`Swarm`](crate::Swarm): connections, reports of peers, windows of readers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use afflux_metainfo::PeerId;
use afflux_peer::{Connection, Event};

/// Who began a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// They dialled us.
    Incoming,
    /// We dialled them.
    Outgoing,
}

/// A connection whose handshake is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connected {
    /// The other end.
    pub addr: SocketAddr,
    /// Who began.
    pub direction: Direction,
    /// What it calls itself.
    pub peer_id: PeerId,
    /// Whether both sides speak the fast extension (BEP 6).
    pub fast: bool,
}

/// Why a connection isn't taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// All places are taken, and by useful peers.
    #[error("no place is left for another peer")]
    Full,
    /// It sent corrupt data or broke the protocol before.
    #[error("the address is banned")]
    Banned,
    /// The peer id is our own.
    #[error("the peer is ourselves")]
    Ourselves,
    /// A peer of this id, or at this very address, is connected already.
    #[error("the peer is connected already")]
    Duplicate,
    /// Too many connections with one address.
    #[error("the address has too many connections")]
    PerAddress,
}

/// What a link saw of its peer since the last report.
#[derive(Debug)]
pub struct Report<E> {
    /// What the peer did, in order.
    pub events: E,
    /// What it measured.
    pub gauges: Gauges,
}

/// What a link measures of its peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// How many more blocks the peer's pipeline wants asked for (`Connection::room`).
    pub room: u32,
    /// Blocks that the connection itself counted as asked for when it computed `room`. Requests that are still on
    /// their way to the link aren't among them, so the two together are the depth aimed at, and nothing is asked twice.
    pub outstanding: u32,
    /// Blocks that were cancelled and will probably still come, before those that were asked later.
    pub lingering: u32,
    /// Least recent round trip.
    pub round_trip: Duration,
    /// What it could send us, in bytes per second, if it were asked for enough; zero while unknown.
    pub delivery_rate: u64,
    /// What it sends us, in bytes per second.
    pub download_rate: u64,
    /// What we send it, in bytes per second.
    pub upload_rate: u64,
}

impl Gauges {
    /// What a connection knows now.
    pub fn of(connection: &Connection, now: Instant) -> Self {
        let facts = connection.facts(now);
        Self {
            room: connection.room(),
            outstanding: facts.outstanding,
            lingering: facts.lingering,
            round_trip: facts.round_trip.unwrap_or_default(),
            delivery_rate: facts.delivery_rate,
            download_rate: facts.download_rate,
            upload_rate: facts.upload_rate,
        }
    }
}

impl<E: Iterator<Item = Event>> Report<E> {
    /// A report of events alone, for a link that has measured nothing yet.
    pub fn of(events: E, room: u32, outstanding: u32) -> Self {
        Self { events, gauges: Gauges { room, outstanding, ..Gauges::default() } }
    }
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// Either side closed it.
    Closed,
    /// Nothing came for too long.
    TimedOut,
    /// The peer broke a rule.
    Violation {
        /// Whether it's so grave that the address is banned.
        ban: bool,
    },
}

/// A reader's name; the engine gives it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReaderKey(pub u64);

/// What a reader looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It looks at a file's head and goes away: nothing is read ahead for it.
    Probe,
    /// It plays.
    Play,
    /// Nobody reads it yet: what comes next, the head of the next episode. It has no deadlines, and is fetched only while
    /// all that others read is safely ahead of them.
    Next,
    /// Nobody reads it yet, and it is little: what belongs to a film, its subtitles. It is fetched before anything is read ahead of
    /// anybody, a moment later even before what a player waits for, and stays while the window does.
    Beside,
}

/// What a reader needs, in bytes of the torrent.
///
/// `position <= urgent_end <= soon_end <= file_end`; what isn't so is clamped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The next byte it will read.
    pub position: u64,
    /// Bytes before this have deadlines.
    pub urgent_end: u64,
    /// Bytes before this are read ahead, in order.
    pub soon_end: u64,
    /// Where its file ends.
    pub file_end: u64,
    /// How fast it plays, in bytes per second, where known.
    pub rate: Option<u64>,
    /// Whether it waits for the byte at `position` right now.
    pub waiting: bool,
    /// What it looks like.
    pub kind: Kind,
}

/// How much a file, or a piece, is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Not at all.
    Off,
    /// When there is nothing else to fetch.
    Low,
    /// As usual.
    #[default]
    Normal,
    /// Before all else but what readers wait for.
    High,
}

impl Priority {
    /// How many there are but `Off`.
    pub(crate) const WANTED: usize = 3;

    /// Its number for a file of settings or resume data.
    pub fn to_byte(self) -> u8 {
        self as u8
    }

    /// The priority of a number; one that doesn't exist is as usual.
    pub fn from_byte(byte: u8) -> Self {
        [Self::Off, Self::Low, Self::Normal, Self::High].get(usize::from(byte)).copied().unwrap_or_default()
    }

    /// Its place among those that are wanted, the highest first. What isn't wanted may be all the same, by a reader.
    pub(crate) fn level(self) -> usize {
        Self::WANTED - (self as usize).max(1)
    }
}
