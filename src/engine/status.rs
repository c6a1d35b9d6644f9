//! How a torrent is doing, for people and programs.

use afflux_peer::Totals;
use afflux_storage::{Ledger, Spills, disk};
use afflux_swarm::{Progress, Snapshot};

/// What a torrent is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// The metadata is being fetched.
    #[default]
    Metadata,
    /// Files on disk are being verified.
    Checking,
    /// Pieces are missing.
    Downloading,
    /// Everything selected is there.
    Seeding,
    /// It can't go on; see [`Status::error`].
    Error,
}

impl State {
    /// The word of the HTTP API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Checking => "checking",
            Self::Downloading => "downloading",
            Self::Seeding => "seeding",
            Self::Error => "error",
        }
    }
}

/// Whose fault it is that a torrent can't go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The disk is full. It is tried again every few seconds.
    DiskFull,
    /// The disk can't be written. Likewise.
    Disk,
    /// The torrent itself can't be used: its metadata, or its place in memory or on disk.
    Torrent,
}

impl From<&disk::Error> for Fault {
    fn from(error: &disk::Error) -> Self {
        if matches!(error, disk::Error::Full { .. }) { Self::DiskFull } else { Self::Disk }
    }
}

/// What the byte ledger of the process says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Payload bytes that are held.
    pub used_bytes: u64,
    /// The most that ever were.
    pub peak_bytes: u64,
    /// The most that may be (`STREAM_CACHE_SIZE`).
    pub limit_bytes: u64,
}

impl Memory {
    /// A look at a ledger.
    pub(super) fn of(ledger: &Ledger) -> Self {
        Self {
            used_bytes: ledger.used() as u64,
            peak_bytes: ledger.peak() as u64,
            limit_bytes: ledger.limit() as u64,
        }
    }
}

/// How a torrent's trackers do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackerCount {
    /// How many there are.
    pub known: u32,
    /// Those that haven't answered since they failed.
    pub failing: u32,
}

impl TrackerCount {
    /// There are some, and none answers.
    pub fn all_fail(self) -> bool {
        self.known > 0 && self.failing == self.known
    }
}

/// One look at a torrent.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// What it is at.
    pub state: State,
    /// How much of what is selected is there.
    pub progress: Progress,
    /// Peers and rates.
    pub snapshot: Snapshot,
    /// What was carried since the start.
    pub totals: Totals,
    /// Payload bytes that were copied on the way, because a read was laid out wrongly (links that ended).
    pub copied_bytes: u64,
    /// What went to disk before its piece was whole, because memory was short.
    pub spills: Spills,
    /// The memory of the whole process.
    pub memory: Memory,
    /// Its trackers.
    pub trackers: TrackerCount,
    /// Pieces checked, of how many, while it's checking.
    pub checked: Option<(u32, u32)>,
    /// Why it can't go on, as a sentence.
    pub error: Option<String>,
    /// Whose fault that is.
    pub fault: Option<Fault>,
}

impl Status {
    /// The part of what is selected that is there, from 0 to 1.
    pub fn fraction(&self) -> f64 {
        match self.progress.bytes_selected {
            0 => 0.0,
            all => self.progress.bytes_have as f64 / all as f64,
        }
    }
}
