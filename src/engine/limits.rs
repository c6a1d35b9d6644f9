//! What can be limited while the engine runs: rates on every level, and numbers.
//!
//! All of it takes effect within a second, also for what waits for an older limit. Nothing here closes a connection.

use std::sync::atomic::Ordering;
use std::time::Instant;

use afflux_swarm::shaper::{ClassKey, Limits, Need};

use super::torrent::Input;
use super::{Engine, Torrent, UserShare};

/// What an engine is limited to at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineLimits {
    /// Rates over all torrents.
    pub rates: Limits,
    /// Connections over all torrents.
    pub connections_max: u32,
    /// Connections of one torrent.
    pub torrent_connections_max: u32,
    /// Dials under way.
    pub half_open_max: u32,
    /// Peers that are served at once, over all torrents.
    pub served_max: u32,
    /// Requests queued for a peer.
    pub request_queue_max: u32,
}

impl Engine {
    /// What it is limited to at this moment.
    pub fn limits(&self) -> EngineLimits {
        let shared = &self.shared;
        EngineLimits {
            rates: shared.rates.limits(),
            connections_max: shared.slots.connections_max(),
            torrent_connections_max: shared.torrent_connections_max.load(Ordering::Relaxed),
            half_open_max: shared.slots.half_open_max(),
            served_max: shared.unchokes.peers_max(),
            request_queue_max: shared.slots.request_queue_max(),
        }
    }

    /// Other rates over all torrents, in bytes per second.
    pub fn set_limits(&self, limits: Limits) {
        self.shared.rates.set(limits, Instant::now());
    }

    /// A user among the rates, for as long as the answer is kept: with limits of its own, and with an even share of what
    /// is contended.
    pub fn add_user(&self, limits: Limits) -> UserShare {
        self.shared.rates.user(limits, Instant::now())
    }

    /// Another bound on connections over all torrents. Those beyond it stay as long as they would have, and nobody new
    /// comes until there are fewer.
    pub fn set_connections_max(&self, max: u32) {
        self.shared.slots.set_connections_max(max);
    }

    /// Another bound on the connections of each torrent, also of those that are here already.
    pub async fn set_torrent_connections_max(&self, max: u32) {
        self.shared.torrent_connections_max.store(max, Ordering::Relaxed);
        for torrent in self.torrents() {
            torrent.set_connections_max(max).await;
        }
    }

    /// Another bound on dials under way.
    pub fn set_half_open_max(&self, max: u32) {
        self.shared.slots.set_half_open_max(max);
    }

    /// Another bound on peers that are served at once, over all torrents, the optimistic unchokes among them. It holds
    /// after a round of the chokers, which is ten seconds.
    pub fn set_served_max(&self, max: u32) {
        self.shared.unchokes.set_peers_max(max);
    }

    /// How many requests peers that connect from now on are told that we queue: 1 to 512.
    pub fn set_request_queue_max(&self, max: u32) {
        self.shared.slots.set_request_queue_max(max);
    }
}

impl Torrent {
    /// Other rates for this torrent alone, in bytes per second.
    pub fn set_limits(&self, limits: Limits) {
        self.rates.set(limits, Instant::now());
    }

    /// Says whom this torrent is for ([`UserShare::key`]), and how urgently each needs it. Where the rate of all torrents is
    /// limited and contended this decides whose turn it is. Nobody: a download for nobody in particular.
    ///
    /// Cheap enough to be said again every half second.
    pub fn set_shares(&self, shares: &[(ClassKey, Need)]) {
        self.rates.set_shares(shares);
    }

    /// Another bound on this torrent's connections; see [`Engine::set_connections_max`].
    pub async fn set_connections_max(&self, max: u32) {
        // A torrent that is gone has none.
        let _ = self.inbox.send(Input::SetPeersMax(max)).await;
    }
}
