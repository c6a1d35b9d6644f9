//! The shaper against plain sums: no level ever lets more through than its rate allows, and nobody starves.

use std::time::{Duration, Instant};

use afflux_swarm::shaper::{
    BURST_TIME, Direction, Grant, Limits, LinkKey, QUANTUM_BYTES_MAX, QUANTUM_BYTES_MIN, Shaper,
};
use proptest::prelude::*;

use crate::epoch;

const DIRECTION: Direction = Direction::Upload;

/// Two classes of two torrents of two links.
const BRANCHES: usize = 2;

fn limits(rate: Option<u64>) -> Limits {
    Limits { upload: rate, download: None }
}

fn rate() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![Just(None), (1_000u64..10_000_000).prop_map(Some)]
}

/// What a level of this rate can have let through after `elapsed`.
fn most_bytes(rate: Option<u64>, elapsed: Duration) -> u64 {
    let Some(rate) = rate else { return u64::MAX };
    let burst = (rate as f64 * BURST_TIME.as_secs_f64()) as u64;
    (rate as f64 * elapsed.as_secs_f64()) as u64 + burst.max(u64::from(QUANTUM_BYTES_MIN)) + 1
}

struct Tree {
    shaper: Shaper,
    links: Vec<LinkKey>,
    /// Rates of the levels above each link, root first, with the level's number.
    paths: Vec<Vec<(usize, Option<u64>)>>,
}

/// `rates`: global, classes, torrents, links, each level from left to right.
fn tree(rates: &[Option<u64>], start: Instant) -> Tree {
    let mut shaper = Shaper::new(limits(rates[0]), start);
    let (mut links, mut paths) = (Vec::new(), Vec::new());
    for class in 0..BRANCHES {
        let class_key = shaper.add_class(limits(rates[1 + class]), start);
        for torrent in class * BRANCHES..(class + 1) * BRANCHES {
            let torrent_key = shaper.add_torrent(Some(class_key), limits(rates[3 + torrent]), start);
            for link in torrent * BRANCHES..(torrent + 1) * BRANCHES {
                links.extend(shaper.add_link(torrent_key, limits(rates[7 + link]), start));
                paths.push([0, 1 + class, 3 + torrent, 7 + link].map(|level| (level, rates[level])).into());
            }
        }
    }
    Tree { shaper, links, paths }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_level_lets_more_through_than_its_rate(
        rates in prop::collection::vec(rate(), 15),
        steps in prop::collection::vec((0usize..8, 1u32..200_000, 0u64..50, 0u8..10), 1..400),
    ) {
        let start = epoch();
        let mut now = start;
        let mut tree = tree(&rates, start);
        let mut passed = [0u64; 15];
        // Those ahead of one who leaves a queue may get their quantum early: no more than all links' claims.
        let mut early_bytes = 0;
        for (link, want, pause_ms, chance) in steps {
            now += Duration::from_millis(pause_ms);
            let key = tree.links[link];
            match (chance, tree.shaper.take(key, DIRECTION, want, now)) {
                (0, Grant::Now(bytes)) => tree.shaper.refund(key, DIRECTION, bytes),
                (_, Grant::Now(bytes)) => {
                    prop_assert!((1..=want).contains(&bytes));
                    tree.paths[link].iter().for_each(|&(level, _)| passed[level] += u64::from(bytes));
                }
                (1, Grant::Later(_)) => {
                    tree.shaper.give_up(key, DIRECTION);
                    early_bytes = tree.links.len() as u64;
                }
                (_, Grant::Later(then)) => prop_assert!(then > now),
            }
            for &(level, rate) in &tree.paths[link] {
                let quantum_bytes = rate.map_or(0, |rate| (rate / 50).clamp(1_024, 65_536));
                let most_bytes = most_bytes(rate, now - start).saturating_add(early_bytes * quantum_bytes);
                prop_assert!(passed[level] <= most_bytes, "level {}", level);
            }
        }
    }

    /// Whoever keeps asking when told gets bytes, and no later than all others' quanta take at the narrowest
    /// level, however greedy they are.
    #[test]
    fn nobody_starves(rates in prop::collection::vec(rate(), 15)) {
        let start = epoch();
        let mut tree = tree(&rates, start);
        let narrowest = rates.iter().flatten().min().copied().unwrap_or(1_000);
        let turn = Duration::from_secs_f64(f64::from(QUANTUM_BYTES_MAX.min(
            (narrowest / 50).clamp(1024, 65_536) as u32)) / narrowest as f64);
        // Eight links, four levels, each level with all of them ahead.
        let patience = turn * 8 * 4 + Duration::from_millis(1);
        let mut next = vec![(start, start); tree.links.len()];
        for _ in 0..2_000 {
            let (link, &(now, since)) = next.iter().enumerate().min_by_key(|(_, (at, _))| *at).unwrap();
            prop_assert!(now - since <= patience, "link {} waits for {:?}", link, now - since);
            next[link] = match tree.shaper.take(tree.links[link], DIRECTION, 16 * 1024, now) {
                // A millisecond to send it in: an unlimited link must not hold up the others' time.
                Grant::Now(_) => (now + Duration::from_millis(1), now + Duration::from_millis(1)),
                Grant::Later(then) => (then, since),
            };
        }
    }
}
