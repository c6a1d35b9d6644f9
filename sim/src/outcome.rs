//! What came of a run: figures per peer and of the whole swarm, from which all reports are made.

use std::time::Duration;

/// One run of one scenario.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// The scenario's name.
    pub scenario: String,
    /// The strategy that was compared.
    pub strategy: String,
    /// What chance was drawn from.
    pub seed: u64,
    /// Virtual time from start to end.
    pub elapsed: Duration,
    /// Whether the run was cut short from outside: figures are of what was simulated.
    pub interrupted: bool,
    /// Every peer that ever came, in the order of arrival.
    pub peers: Vec<PeerOutcome>,
    /// Payload that connections sent, in bytes: blocks that nobody wanted any more and parts of blocks too.
    pub sent_bytes: u64,
    /// Payload that came to somebody, in bytes: what was sent, but for what was under way when its connection or the run
    /// ended.
    pub came_bytes: u64,
    /// Of that, whole blocks that reached whoever asked for them.
    pub delivered_bytes: u64,
    /// Of what came, what somebody already had or threw away, in bytes.
    pub duplicate_bytes: u64,
    /// What all present peers together could have sent, in bytes.
    pub uplink_bytes: u64,
    /// Entropy of the pieces' distribution over leechers, 0 (all have the same few) to 1 (all pieces equally often), mean over
    /// time while anybody misses something.
    pub diversity: f64,
    /// Events that were handled, for figures about the simulator itself.
    pub events: u64,
    /// SHA-1 of the log: the same for the same scenario, strategy and seed.
    pub log_hash: [u8; 20],
}

/// One peer's part in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeerOutcome {
    /// Its group's name.
    pub group: String,
    /// Whether its figures count in the comparison: viewers and leechers of the strategy compared, but for odd ones.
    pub counted: bool,
    /// When it came.
    pub arrived: Duration,
    /// When it went; `None`: it stayed to the end of the run.
    pub left: Option<Duration>,
    /// From its arrival to all pieces; `None`: it never had them all.
    pub download: Option<Duration>,
    /// From its arrival to the first frame; `None`: it's no viewer, or never got so far.
    pub startup: Option<Duration>,
    /// Whether it is a viewer.
    pub viewer: bool,
    /// Stalls of its player: how often it ran dry after it had begun.
    pub stalls: u32,
    /// How long they took together.
    pub stalled: Duration,
    /// Its seeks, one after the other.
    pub seeks: Vec<Seek>,
    /// Pieces that were there when an uninterrupted player would have needed them, and all pieces that it needed.
    pub on_time: (u32, u32),
    /// Payload that it received, each block once, in bytes.
    pub received_bytes: u64,
    /// Payload that it received again or threw away, in bytes: blocks that it no longer waited for, and those that a
    /// connection's end cut off.
    pub duplicate_bytes: u64,
    /// Payload that it sent, in bytes, wanted or not.
    pub sent_bytes: u64,
}

/// One seek of a player.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seek {
    /// How long it waited: until playing went on, or until it was given up.
    pub waited: Duration,
    /// Whether playing went on. If not, the viewer left, jumped elsewhere, or the run ended before: it would have waited
    /// longer than that.
    pub resumed: bool,
}
