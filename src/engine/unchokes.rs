//! How many peers are served at once, over all torrents.
//!
//! A peer that doesn't read holds the blocks of a full send buffer in memory that streams need, so what bounds them is the
//! process and not the torrent. Torrents with peers that want something divide the places evenly, each as far as it has
//! use for them; when there are more such torrents than places, they take turns.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Peers of one torrent served at once, the optimistic one among them: as many as home lines feed at a rate that is of
/// use to each.
const TORRENT_MAX: u32 = 9;
/// A torrent that serves needs a place for a peer that has earned it and one for the optimistic unchoke.
const TORRENT_MIN: u32 = 2;
/// So long a torrent keeps its places where not all have some: time for several rounds of its choker.
const TURN: Duration = Duration::from_secs(60);

/// All places of an engine.
#[derive(Clone, Debug)]
pub(super) struct Unchokes(Arc<Mutex<Book>>);

#[derive(Debug)]
struct Book {
    peers_max: u32,
    began: Instant,
    next: u64,
    /// How many peers of each torrent want something, where any does.
    takers: BTreeMap<u64, u32>,
}

/// A torrent's part; dropping it leaves it to the others.
#[derive(Debug)]
pub(super) struct TorrentUnchokes {
    unchokes: Unchokes,
    key: u64,
}

impl Unchokes {
    /// Places for so many peers.
    pub(super) fn new(peers_max: u32, now: Instant) -> Self {
        let book = Book { peers_max, began: now, next: 0, takers: BTreeMap::new() };
        Self(Arc::new(Mutex::new(book)))
    }

    /// Another number of places. Torrents follow within a round of their chokers.
    pub(super) fn set_peers_max(&self, peers_max: u32) {
        self.lock().peers_max = peers_max;
    }

    /// How many places there are.
    pub(super) fn peers_max(&self) -> u32 {
        self.lock().peers_max
    }

    /// A part for another torrent.
    pub(super) fn torrent(&self) -> TorrentUnchokes {
        let mut book = self.lock();
        book.next += 1;
        TorrentUnchokes { unchokes: self.clone(), key: book.next }
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TorrentUnchokes {
    /// The torrent's unchoke slots at this moment, the optimistic one apart, where so many of its peers want something.
    pub(super) fn slots(&self, takers: u32, now: Instant) -> u32 {
        let mut book = self.unchokes.lock();
        match takers {
            0 => book.takers.remove(&self.key),
            _ => book.takers.insert(self.key, takers),
        };
        book.peers_of(self.key, now).saturating_sub(1)
    }
}

impl Book {
    fn peers_of(&self, key: u64, now: Instant) -> u32 {
        let torrents = self.takers.len() as u32;
        if torrents > self.peers_max / TORRENT_MIN {
            return if self.has_turn(key, now) { TORRENT_MIN } else { 0 };
        }
        // Those who have the least use for places come first; what they leave goes to the rest.
        let mut uses: Vec<(u32, u64)> =
            self.takers.iter().map(|(&key, &takers)| (use_of(takers), key)).collect();
        uses.sort_unstable();
        let (mut left, mut waiting) = (self.peers_max, torrents);
        for (useful, other) in uses {
            let part = useful.min(left / waiting);
            if other == key {
                return part;
            }
            left -= part;
            waiting -= 1;
        }
        // Nobody there wants anything yet; the first who does finds a place if there is one.
        if left < TORRENT_MIN { 0 } else { left.min(TORRENT_MAX) }
    }

    fn has_turn(&self, key: u64, now: Instant) -> bool {
        let Some(rank) = self.takers.keys().position(|&other| other == key) else { return false };
        let (torrents, places) = (self.takers.len() as u64, u64::from(self.peers_max / TORRENT_MIN));
        let turn = now.saturating_duration_since(self.began).as_secs() / TURN.as_secs();
        // Each turn goes to the next so many in the circle.
        (rank as u64 + torrents - turn * places % torrents) % torrents < places
    }
}

fn use_of(takers: u32) -> u32 {
    takers.clamp(TORRENT_MIN, TORRENT_MAX)
}

impl Drop for TorrentUnchokes {
    fn drop(&mut self) {
        self.unchokes.lock().takers.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks until everybody has heard of everybody.
    fn slots(torrents: &[(&TorrentUnchokes, u32)], now: Instant) -> Vec<u32> {
        torrents.iter().for_each(|(torrent, takers)| {
            torrent.slots(*takers, now);
        });
        torrents.iter().map(|(torrent, takers)| torrent.slots(*takers, now)).collect()
    }

    #[test]
    fn places_go_where_they_are_of_use() {
        let now = Instant::now();
        let unchokes = Unchokes::new(17, now);
        let torrents: Vec<_> = (0..3).map(|_| unchokes.torrent()).collect();
        let [a, b, c] = [&torrents[0], &torrents[1], &torrents[2]];
        assert_eq!(
            slots(&[(a, 50), (b, 0), (c, 0)], now),
            [8, 7, 7],
            "idle ones may begin with what is left"
        );
        assert_eq!(slots(&[(a, 50), (b, 3), (c, 20)], now), [6, 2, 6]);
        unchokes.set_peers_max(6);
        assert_eq!(slots(&[(a, 50), (b, 3), (c, 20)], now), [1, 1, 1]);
        drop(torrents);
        assert_eq!(unchokes.torrent().slots(50, now), 5);
    }

    #[test]
    fn more_torrents_than_places_take_turns() {
        let start = Instant::now();
        let unchokes = Unchokes::new(7, start);
        let torrents: Vec<_> = (0..10).map(|_| unchokes.torrent()).collect();
        let wanting: Vec<_> = torrents.iter().map(|torrent| (torrent, 9)).collect();
        let mut turns = [0; 10];
        for turn in 0..10 {
            let now = start + TURN * turn;
            let slots = slots(&wanting, now);
            assert_eq!(slots.iter().sum::<u32>(), 3, "three of them, with an optimistic one each");
            turns.iter_mut().zip(slots).for_each(|(turns, slots)| *turns += slots);
        }
        assert_eq!(turns, [3; 10]);
    }

    #[test]
    fn there_may_be_no_places() {
        let now = Instant::now();
        let unchokes = Unchokes::new(0, now);
        assert_eq!(unchokes.torrent().slots(3, now), 0);
        assert_eq!(unchokes.torrent().slots(0, now), 0);
    }
}
