//! What a scenario may ask for. A file may come from anybody: none may take the machine's memory or days of its time.

use std::time::Duration;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The built-in ones, comments and all, are a few KiB each.
pub const TEXT_BYTES_MAX: usize = 256 * 1024;
/// A screenful: the rest mostly follows from the first.
pub const MISTAKES_MAX: usize = 20;
/// Characters of a value or line that a message shows.
pub const SHOWN_CHARS_MAX: usize = 200;
/// A column's heading.
pub const NAME_CHARS_MAX: usize = 32;
/// One sentence.
pub const ABOUT_CHARS_MAX: usize = 300;

/// Each group costs a line in every report.
pub const GROUPS_MAX: usize = 64;
/// Twice what the simulator is built for.
pub const PEERS_MAX: u32 = 20_000;
/// The segment network handles each segment of 1448 bytes by itself.
pub const SEGMENT_PEERS_MAX: u32 = 256;
/// Peers that may come within one run, those that take the place of others counted.
pub const ARRIVALS_MAX: f64 = 200_000.0;
/// What all peers together may keep about pieces: [`PEER_PIECE_BYTES`] and [`CONNECTION_PIECE_BITS`] of each.
pub const PIECES_BYTES_MAX: u64 = 4 * GIB;
/// A swarm counts who has a piece and sorts the pieces by that. Measured: 8.9 bytes, with 500 peers and 200,000 pieces.
pub const PEER_PIECE_BYTES: u64 = 10;
/// At each of its ends a connection keeps what was told and what was heard, and the swarm what the other has. Measured: 2.9
/// bits, with 100 peers and 200,000 pieces.
pub const CONNECTION_PIECE_BITS: u64 = 3;

/// One block.
pub const LENGTH_MIN: u64 = 16 * KIB;
/// Well beyond any film.
pub const LENGTH_MAX: u64 = 256 * GIB;
/// One block.
pub const PIECE_LENGTH_MIN: u64 = 16 * KIB;
/// Beyond it torrents are rare, and a stream would have to wait minutes for a piece.
pub const PIECE_LENGTH_MAX: u64 = 64 * MIB;
/// What the engine's own limit on a bitfield is far above, and a torrent's author rarely reaches.
pub const PIECES_MAX: u64 = 200_000;
/// Slower than speech.
pub const RATE_MIN: u64 = KIB;
/// Faster than any line of a home, and far from overflowing sums.
pub const RATE_MAX: u64 = 16 * GIB;
/// Longer than any series in one file.
pub const FILM_MAX: Duration = Duration::from_secs(48 * 3600);
/// Virtual time of a run.
pub const LIMIT_MIN: Duration = Duration::from_secs(1);
/// Virtual time of a run.
pub const LIMIT_MAX: Duration = Duration::from_secs(48 * 3600);
/// The shortest mean stay under churn: shorter, nobody gets past a handshake.
pub const CHURN_MIN: Duration = Duration::from_secs(1);
/// From a peer to the middle of the network; the moon is 1.3 s away.
pub const LATENCY_MAX: Duration = Duration::from_secs(5);
/// Beyond it, no sender that backs off gets anywhere.
pub const LOSS_MAX: f64 = 0.5;
/// A few segments.
pub const QUEUE_MIN: u64 = 4 * KIB;
/// A bloated buffer.
pub const QUEUE_MAX: u64 = 64 * MIB;
/// A disk that has to wake first, and does so for every piece.
pub const DISK_LATENCY_MAX: Duration = Duration::from_secs(10);
/// Beyond it a download hardly ends.
pub const DISK_FAULTS_MAX: f64 = 0.5;
/// What the engine allows per torrent at most.
pub const CONNECTIONS_MAX: u32 = 1000;
/// As many as connections make sense.
pub const UNCHOKE_SLOTS_MAX: u32 = 1000;
/// What a player has in hand before it starts.
pub const START_BUFFER_MAX: Duration = Duration::from_secs(600);
/// The least time between two seeks: nobody watches less.
pub const SEEK_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// Seeks given one by one.
pub const SEEKS_MAX: usize = 1000;
/// Peers per second.
pub const POISSON_RATE_MAX: f64 = 1000.0;
/// One in a day.
pub const POISSON_RATE_MIN: f64 = 1.0 / 86_400.0;
