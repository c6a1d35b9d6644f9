//! Peers that owe a block for longer than their own histories explain.

use std::time::Instant;

use super::Swarm;

impl Swarm {
    /// Looks for them. Until something comes from such a peer, nothing that a reader waits for depends on it, however quick it
    /// was expected to be: a silent peer's figures are guesses, and would be the best of all.
    pub(super) fn mark_overdue(&mut self, now: Instant) {
        let Some(content) = &self.content else { return };
        self.scratch.keys.clear();
        for (key, peer) in self.peers.iter_mut().filter(|(_, peer)| !peer.overdue) {
            let oldest = peer.asked.front().and_then(|block| content.table.asker(block, key));
            if oldest.is_some_and(|asker| peer.owes(asker, now)) {
                peer.overdue = true;
                self.scratch.keys.push(key);
            }
        }
        for nth in 0..self.scratch.keys.len() {
            self.rank(self.scratch.keys[nth]);
            self.wake();
        }
    }
}
