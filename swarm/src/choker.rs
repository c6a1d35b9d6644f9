//! Who is unchoked: by what they give us while we leech, in turn while we seed (BEP 3).

use std::time::Instant;

use crate::key::PeerKey;

/// The bounds of a choker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Peers unchoked for what they give (or in their turn), the optimistic ones apart. 0 chokes everybody.
    pub slots: u32,
    /// Peers unchoked by chance on top of that.
    pub optimistic_slots: u32,
    /// While seeding, what a peer gets at least before its turn can end, in bytes.
    pub quota_bytes: u64,
}

/// What the choker needs to know of a connected peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The peer.
    pub key: PeerKey,
    /// Whether it wants something of us.
    pub interested: bool,
    /// Whether we have it unchoked now.
    pub unchoked: bool,
    /// What it sends us, in bytes per second.
    pub download_rate: u64,
    /// What we send it, in bytes per second.
    pub upload_rate: u64,
    /// Payload sent to it since it connected.
    pub uploaded_bytes: u64,
    /// When it connected.
    pub connected_at: Instant,
    /// Whether it owes us blocks for too long.
    pub is_snubbed: bool,
    /// Whether it has all pieces, or says that it takes none (BEP 21).
    pub upload_only: bool,
}

/// A command to one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The peer.
    pub key: PeerKey,
    /// `true`: unchoke; `false`: choke.
    pub unchoke: bool,
}

/// Decides who is unchoked.
#[derive(Debug)]
pub struct Choker {
    config: Config,
}

#[allow(unused_variables, reason = "face")]
impl Choker {
    /// Nobody is unchoked yet.
    pub fn new(config: Config, seed: u64) -> Self {
        todo!()
    }
    /// Changes the bounds, from the next call of `rechoke` on.
    pub fn set_config(&mut self, config: Config) {
        todo!()
    }
    /// Decides. From `deadline()` on this is a whole round; before it, only free slots are filled, so it can be
    /// called whenever a peer becomes interested or leaves. `peers` are all connected peers, in a stable order.
    pub fn rechoke(
        &mut self,
        peers: impl Iterator<Item = Candidate>,
        seeding: bool,
        now: Instant,
    ) -> Vec<Change> {
        todo!()
    }
    /// When the next round is due; `None` before the first call.
    pub fn deadline(&self) -> Option<Instant> {
        todo!()
    }
}
