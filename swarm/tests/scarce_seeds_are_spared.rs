//! Few slow seeds among many leechers: who asks for what, so that pieces leave the seeds once.

mod harness;

use std::collections::BTreeSet;
use std::time::Duration;

use afflux_metainfo::{Bitfield, PieceIndex};
use harness::{KIB, MIB, Manner, World, config, layout, play};

const FILM: u64 = 64 * MIB;
const PIECES: u32 = 256;

/// One seed and so many leechers, the first of which has these pieces. A reader has read for three seconds, and waits.
fn watched(leechers: usize, has: &[u32], seed: u64) -> World {
    let mut world = World::new(config(), layout(256 * KIB, FILM), seed);
    world.want(1, play(0, FILM));
    world.want(1, play(3 * MIB, FILM));
    for nth in 0..leechers {
        let mut pieces = Bitfield::new(PIECES);
        let has = if nth == 0 { has } else { &[] };
        has.iter().for_each(|&piece| _ = pieces.insert(PieceIndex(piece)));
        world.join(pieces, 128 * KIB, 20, Manner::Honest);
    }
    world.seed(64 * KIB, 20, Manner::Honest);
    world
}

/// The pieces that the peer was asked for since a place in the log.
fn asked_of(world: &World, peer: usize, mark: usize) -> BTreeSet<u32> {
    let requests = world.requests_since(mark).into_iter();
    requests.filter(|(key, _)| Some(*key) == world.peers[peer].key).map(|(_, block)| block.index.0).collect()
}

#[test]
fn every_reader_draws_other_pieces_of_the_next_minute() {
    let firsts = (1..=6).map(|seed| {
        let mut world = watched(6, &[], seed);
        world.run_for(Duration::from_secs(15));
        let asked = asked_of(&world, 6, 0);
        // It reads at four pieces a second.
        assert!(asked.iter().all(|piece| (12..12 + 60 * 4 + 1).contains(piece)), "{asked:?}");
        asked
    });
    let different: BTreeSet<_> = firsts.collect();
    assert!(different.len() >= 5, "{different:?}");
}

#[test]
fn what_a_leecher_has_is_left_to_it() {
    let has: Vec<u32> = (12..24).collect();
    let mut world = watched(6, &has, 1);
    // A second tells what the seed is good for.
    world.run_for(Duration::from_secs(2));
    let mark = world.log.len();
    world.run_for(Duration::from_secs(5));
    let of_seed = asked_of(&world, 6, mark);
    assert!(!of_seed.is_empty() && of_seed.iter().all(|piece| !has.contains(piece)), "{of_seed:?}");
    assert!(asked_of(&world, 0, mark).iter().all(|piece| has.contains(piece)));
}

#[test]
fn a_reader_that_jumps_gets_its_piece_before_any_is_drawn() {
    let mut world = watched(6, &[], 1);
    world.run_for(Duration::from_secs(5));
    let mark = world.log.len();
    world.want(1, play(48 * MIB, FILM));
    world.run_until(20, |world| world.have(192));
    let asked = asked_of(&world, 6, mark);
    assert!(asked.iter().all(|piece| (192..196).contains(piece)), "{asked:?}");
}

#[test]
fn a_seed_that_few_ask_is_asked_in_order() {
    let mut world = watched(2, &[], 1);
    world.run_for(Duration::from_secs(15));
    let asked: Vec<u32> = asked_of(&world, 2, 0).into_iter().collect();
    let in_order: Vec<u32> = (12..).take(asked.len()).collect();
    assert_eq!(asked, in_order);
}

#[test]
fn the_film_is_downloaded_whole_all_the_same() {
    let mut world = watched(6, &[200, 201], 1);
    let fast = world.seed(8 * MIB, 20, Manner::Honest);
    world.run_for(Duration::from_secs(1));
    world.leave(fast);
    world.complete(1100);
}
