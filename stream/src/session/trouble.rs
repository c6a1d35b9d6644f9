//! What can be wrong with a stream: a code that never changes, and a sentence that says what to do.

use thiserror::Error;

/// Why a stream waits or can't go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Error)]
pub enum Trouble {
    /// Nobody is connected.
    #[error("no peer has been found yet: check the network, or give the torrent more trackers")]
    NoPeers,
    /// A magnet's metadata didn't come in time.
    #[error("no peer has sent this torrent's metadata: try again later, or use the .torrent file")]
    NoMetadata,
    /// No tracker answers.
    #[error("none of the torrent's trackers answers: peers can only be found in other ways until one does")]
    TrackerDown,
    /// Pieces that nobody has.
    #[error(
        "nobody who is connected has the pieces that are needed: wait for a complete peer, or try another release"
    )]
    SwarmIncomplete,
    /// Bytes come, but slower than they are played.
    #[error("the peers send more slowly than this plays: pause for a while, or try a smaller release")]
    SlowSwarm,
    /// No room is left on the disk.
    #[error("the disk is full: free some space, and the stream goes on")]
    DiskFull,
    /// The disk fails.
    #[error("the disk can't be read or written: look at the system's log, then start the stream again")]
    DiskError,
    /// What comes is wrong again and again, or files changed under us.
    #[error("the data is damaged: check the torrent, or try another release")]
    Corrupt,
    /// The content was judged to be a trap.
    #[error("this file isn't what its name says and was blocked: try another release")]
    BlockedContent,
    /// The user's limit of bytes was used up.
    #[error("the quota is used up: wait until it is renewed, or ask for more")]
    Quota,
    /// An administrator stopped the torrent.
    #[error("the torrent was stopped by an administrator: ask there")]
    Stopped,
}

impl Trouble {
    /// All there are.
    pub const ALL: [Trouble; 11] = [
        Trouble::NoPeers,
        Trouble::NoMetadata,
        Trouble::TrackerDown,
        Trouble::SwarmIncomplete,
        Trouble::SlowSwarm,
        Trouble::DiskFull,
        Trouble::DiskError,
        Trouble::Corrupt,
        Trouble::BlockedContent,
        Trouble::Quota,
        Trouble::Stopped,
    ];

    /// The code of the HTTP API; never changes.
    pub fn code(self) -> &'static str {
        match self {
            Trouble::NoPeers => "no_peers",
            Trouble::NoMetadata => "no_metadata",
            Trouble::TrackerDown => "tracker_down",
            Trouble::SwarmIncomplete => "swarm_incomplete",
            Trouble::SlowSwarm => "slow_swarm",
            Trouble::DiskFull => "disk_full",
            Trouble::DiskError => "disk_error",
            Trouble::Corrupt => "corrupt",
            Trouble::BlockedContent => "blocked_content",
            Trouble::Quota => "quota",
            Trouble::Stopped => "stopped",
        }
    }

    /// Whether the stream can't go on while it lasts. The others explain why it waits.
    pub fn is_fatal(self) -> bool {
        match self {
            Trouble::NoPeers | Trouble::TrackerDown | Trouble::SwarmIncomplete | Trouble::SlowSwarm => false,
            Trouble::NoMetadata
            | Trouble::DiskFull
            | Trouble::DiskError
            | Trouble::Corrupt
            | Trouble::BlockedContent
            | Trouble::Quota
            | Trouble::Stopped => true,
        }
    }
}
