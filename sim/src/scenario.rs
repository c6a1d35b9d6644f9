//! What is simulated: the torrent, the film in it, the peers, the network.
//!
//! These are plain values in SI units (bytes, bytes per second, durations); `file` reads them from TOML.

pub mod builtin;
mod fields;
mod file;
mod group;
pub mod limits;
mod meant;
mod mistake;
mod quantity;
mod readings;
#[cfg(test)]
mod tests;

pub use mistake::{FileError, Kind, Mistake};

use std::time::Duration;

/// One thing to simulate.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Its name in tables and reports: lower case, digits and hyphens.
    pub name: String,
    /// One sentence about what it asks.
    pub about: String,
    /// How the network is modelled.
    pub network: Network,
    /// The run ends after so much virtual time at the latest.
    pub limit: Duration,
    /// What is shared.
    pub content: Content,
    /// Who takes part.
    pub groups: Vec<Group>,
}

/// How finely the network is modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Rates are shared max-min fairly among flows: thousands of peers.
    Fluid,
    /// Segments, queues, losses and congestion windows: small swarms.
    Segment,
}

/// The torrent.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    /// Length of its one file, in bytes.
    pub length: u64,
    /// Length of a piece, in bytes.
    pub piece_length: u64,
    /// What the film needs, in bytes per second.
    pub media_rate: u64,
}

/// Peers that are alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its name in reports.
    pub name: String,
    /// How many there are.
    pub count: u32,
    /// What they do here.
    pub role: Role,
    /// How they behave on the wire.
    pub manner: Manner,
    /// When they come.
    pub arrival: Arrival,
    /// When they go.
    pub stay: Stay,
    /// What connects them to the network.
    pub access: Access,
    /// What each allows itself of that: the limits of its own shaper.
    pub limits: Limits,
    /// Where they keep what they get.
    pub disk: Disk,
    /// Whether nobody can connect to them, and they to others only.
    pub nat: bool,
    /// Piece selection; `None`: the one that is being compared.
    pub strategy: Option<String>,
    /// Most peers each is connected with.
    pub connections_max: u32,
    /// Peers each unchokes at once, the optimistic one apart.
    pub unchoke_slots: u32,
}

/// What a peer is here for.
#[derive(Clone, Debug, PartialEq)]
pub enum Role {
    /// It has everything.
    Seed,
    /// It has this fraction (0..1) of the pieces when it comes, and wants the rest.
    Leecher {
        /// Fraction of pieces that are there at the start, chosen at random.
        have: f64,
    },
    /// It plays the film.
    Viewer(Player),
}

/// How a peer behaves on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    Honest,
    /// It takes and gives nothing.
    FreeRider,
    /// It unchokes and never answers a request.
    Silent,
    /// It answers with wrong bytes.
    Corrupt,
}

/// When the peers of a group come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrival {
    /// All at this moment.
    At(Duration),
    /// Evenly spread over this span, from the first moment on.
    Spread(Duration),
    /// At random, so many per second on average.
    Poisson {
        /// Peers per second.
        rate: f64,
    },
}

/// When a peer goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stay {
    /// Never.
    Always,
    /// So long after it has everything (a viewer: after it has also played to the end).
    AfterDone(Duration),
    /// After this time, exactly.
    For(Duration),
    /// After a time that is exponentially distributed with this mean; another of its kind takes its place.
    Churn(Duration),
}

/// A peer's line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Access {
    /// What it can send, in bytes per second.
    pub up: u64,
    /// What it can receive, in bytes per second.
    pub down: u64,
    /// Time from it to the middle of the network, one way. A round trip between two peers takes twice the sum of both.
    pub latency: Duration,
    /// Part of segments lost on its way out (0..1).
    pub loss: f64,
    /// Bytes that queue before its uplink (segment network).
    pub queue: u64,
}

/// Rates that a peer's own shaper keeps, in bytes per second; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Payload that it sends.
    pub up: Option<u64>,
    /// Payload that it takes.
    pub down: Option<u64>,
}

/// A peer's disk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Disk {
    /// From the last block of a piece to its verdict, and from a request to its block.
    pub latency: Duration,
    /// Part of finished pieces that are lost before they are verified (0..1).
    pub faults: f64,
}

/// How a film is played.
#[derive(Clone, Debug, PartialEq)]
pub struct Player {
    /// Where it starts, as a fraction of the film.
    pub start: f64,
    /// It starts once so much of the film is there from its position on, and again after a stall.
    pub start_buffer: Duration,
    /// Whether it looks at the end of the file first, as players do that search an index there.
    pub tail_first: bool,
    /// Where it jumps.
    pub seeks: Seeks,
}

/// When a player jumps, and where.
#[derive(Clone, Debug, PartialEq)]
pub enum Seeks {
    /// Never.
    None,
    /// To a random place, so long after playing began again.
    Every(Duration),
    /// At these moments of playing time to these fractions of the film.
    At(Vec<(Duration, f64)>),
}
