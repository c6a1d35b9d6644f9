//! Who would deliver one more block soonest: the good peers in the order of their expected completion times, kept
//! between picks, so that a pick looks at the first few of them and not at all. Only readers need it, so it's only kept
//! while there are some.

use std::collections::BTreeSet;

use super::Swarm;
use crate::key::PeerKey;

/// Good peers by expected completion time.
#[derive(Debug, Default)]
pub(super) struct Ranks {
    /// Nanoseconds from being asked to delivery, and who.
    order: BTreeSet<(u64, PeerKey)>,
}

impl Ranks {
    /// The soonest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, PeerKey)> + '_ {
        self.order.iter().copied()
    }
}

impl Swarm {
    /// Puts a peer where it belongs, after anything of it has changed that its completion time depends on.
    pub(super) fn rank(&mut self, key: PeerKey) {
        if self.wants.is_empty() {
            return;
        }
        let Some(peer) = self.peers.get_mut(key) else { return };
        let serves = peer.is_good() && peer.useful > 0 && peer.depth > 0;
        let rank = serves.then(|| peer.reliable_nanos(self.rate_default));
        if rank == peer.rank {
            return;
        }
        let before = std::mem::replace(&mut peer.rank, rank);
        if let Some(before) = before {
            self.ranks.order.remove(&(before, key));
        }
        if let Some(rank) = rank {
            self.ranks.order.insert((rank, key));
        }
    }

    /// Takes out a peer that goes.
    pub(super) fn unrank(&mut self, key: PeerKey) {
        if let Some(rank) = self.peers.get_mut(key).and_then(|peer| peer.rank.take()) {
            self.ranks.order.remove(&(rank, key));
        }
    }

    /// Puts all peers where they belong: something has changed for all, or the first reader came.
    pub(super) fn rank_all(&mut self) {
        self.collect_keys();
        for nth in 0..self.scratch.keys.len() {
            self.rank(self.scratch.keys[nth]);
        }
    }
}
