//! What a torrent's mind is told when it is made, and what can be changed later.
//!
//! Not here: rates and budgets shared by torrents (`shaper`), protocol constants (`limits`).

use std::time::Duration;

use afflux_metainfo::PeerId;

use crate::limits::DUPLICATE_PERCENT;
use crate::strategy::StrategyName;

/// One torrent's bounds and ways.
#[derive(Clone, Debug)]
pub struct Config {
    /// Most peers connected at once.
    pub peers_max: u32,
    /// Most peers being dialled at once (half-open).
    pub dials_max: u32,
    /// Most connections with one address; see `roster`.
    pub peers_per_address_max: u32,
    /// Memory for pieces under way (asked for, stored, not yet verified), in bytes. Growing it lets more
    /// pieces be open; each costs its whole length.
    pub open_bytes_max: u64,
    /// `Some`: the memory kind, or the bounded cache. Verified pieces beyond so many bytes are evicted, they are advertised
    /// only to peers that can be told when they're gone (BEP 54), and nothing is fetched that no reader's window covers.
    pub keep_bytes_max: Option<u64>,
    /// How long evictable pieces stay that no reader comes for; `None`: as long as there's room.
    pub unread_max: Option<Duration>,
    /// What is asked for next. Torrents of the memory kind work by deadlines whatever this says.
    pub strategy: StrategyName,
    /// Part of all received bytes that may be asked for twice, late blocks and the end of a download together, in percent.
    pub duplicate_percent: u32,
    /// Peers unchoked at once, the optimistic one apart.
    pub unchoke_slots: u32,
    /// Our own peer id: a peer that has it is ourselves (attack 31).
    pub local_peer_id: PeerId,
    /// BEP 27: only peers from trackers, and those given by hand.
    pub private: bool,
    /// Whether anyone is ever unchoked.
    pub serve: bool,
}

impl Config {
    /// A torrent kept on disk, with moderate bounds.
    pub fn new(local_peer_id: PeerId) -> Self {
        Self {
            peers_max: 100,
            dials_max: 20,
            peers_per_address_max: 3,
            open_bytes_max: 64 * 1024 * 1024,
            keep_bytes_max: None,
            unread_max: None,
            strategy: StrategyName::default(),
            duplicate_percent: DUPLICATE_PERCENT,
            unchoke_slots: 8,
            local_peer_id,
            private: false,
            serve: true,
        }
    }
}
