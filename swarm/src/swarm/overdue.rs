//! Peers that owe a block for longer than their own histories explain.

use std::time::Instant;

use super::Swarm;

impl Swarm {
    /// Looks for them. Until something comes from such a peer, or it owes nothing any more, nothing that a reader waits for
    /// depends on it, however quick it was expected to be: a silent peer's figures are guesses, and would be the best of all.
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

    /// Gives those that owe nothing any more another chance: what they were late with came from others, and nothing else would
    /// ever show that they send again. A silent one is found out again by the next block.
    pub(super) fn forgive_overdue(&mut self) {
        self.collect_keys();
        for nth in 0..self.scratch.keys.len() {
            let key = self.scratch.keys[nth];
            let Some(peer) = self.peers.get_mut(key) else { continue };
            if peer.overdue && peer.asked.is_empty() {
                peer.overdue = false;
                self.rank(key);
                self.wake();
            }
        }
    }
}
