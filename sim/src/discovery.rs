//! How peers find each other: a tracker in the middle of the network that tells some of those who are there.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::chance::Chance;

/// Addresses in an answer: what trackers give who doesn't say.
const ANSWER_MAX: usize = 50;

/// Where everybody listens.
const PORT: u16 = 6881;

/// Nodes whose addresses differ: 10.0.0.0/8 less a few.
pub(crate) const NODES_MAX: usize = 1 << 20;

/// The address of a node.
pub(crate) fn address_of(node: u32) -> SocketAddr {
    // A network each, so that allowed-fast sets, which go by networks, differ too.
    let [_, high, middle, low] = node.to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(16 + high, middle, low, 1)), PORT)
}

/// The node at an address.
pub(crate) fn node_at(addr: SocketAddr) -> Option<u32> {
    let IpAddr::V4(ip) = addr.ip() else { return None };
    let [first, middle, low, _] = ip.octets();
    Some(u32::from_be_bytes([0, first.checked_sub(16)?, middle, low]))
}

/// Who is there.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    present: Vec<u32>,
    /// Per node: its place in `present`.
    places: Vec<u32>,
}

impl Tracker {
    /// A node has come.
    pub(crate) fn enter(&mut self, node: u32) {
        if self.places.len() <= node as usize {
            self.places.resize(node as usize + 1, u32::MAX);
        }
        self.places[node as usize] = self.present.len() as u32;
        self.present.push(node);
    }

    /// It has gone.
    pub(crate) fn leave(&mut self, node: u32) {
        let Some(place) = self.places.get(node as usize).copied().filter(|&place| place != u32::MAX) else {
            return;
        };
        self.present.swap_remove(place as usize);
        if let Some(&moved) = self.present.get(place as usize) {
            self.places[moved as usize] = place;
        }
        self.places[node as usize] = u32::MAX;
    }

    /// Everyone who is there.
    pub(crate) fn present(&self) -> &[u32] {
        &self.present
    }

    /// Some of the others, by chance.
    pub(crate) fn answer(&self, asker: u32, chance: &mut Chance) -> Vec<u32> {
        let mut others: Vec<u32> = self.present.iter().copied().filter(|&node| node != asker).collect();
        let count = others.len().min(ANSWER_MAX);
        for place in 0..count {
            let drawn = place + chance.below(others.len() - place);
            others.swap(place, drawn);
        }
        others.truncate(count);
        others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lead_back_to_their_nodes() {
        for node in [0, 1, 255, 256, 70_000, NODES_MAX as u32 - 1] {
            assert_eq!(node_at(address_of(node)), Some(node));
        }
    }

    #[test]
    fn an_answer_names_others_who_are_there_each_once() {
        let mut tracker = Tracker::default();
        (0..200).for_each(|node| tracker.enter(node));
        (0..100).for_each(|node| tracker.leave(node));
        let mut answer = tracker.answer(150, &mut Chance::new(1));
        assert_eq!(answer.len(), ANSWER_MAX);
        answer.sort_unstable();
        answer.dedup();
        assert_eq!(answer.len(), ANSWER_MAX);
        assert!(answer.iter().all(|node| (100..200).contains(node) && *node != 150));
    }
}
