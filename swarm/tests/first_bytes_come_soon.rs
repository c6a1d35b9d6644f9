//! The first bytes after a start or a seek: the piece under the reader is split by blocks over all good peers, and
//! nothing that was asked before is in its way.

mod harness;

use std::time::Duration;

use afflux_peer::Command;
use afflux_swarm::{Config, Kind, Output, ReaderKey, Window};
use harness::{KIB, MIB, Manner, World, config, layout, play};

const FILM: u64 = 256 * MIB;

/// Eight seeds that have been busy with the film for a while, for nobody in particular.
fn busy(piece: u64, rate: u64, seed: u64) -> World {
    let mut world = World::new(config(), layout(piece, FILM), seed);
    for _ in 0..8 {
        world.seed(rate, 40, Manner::Honest);
    }
    world.run_for(Duration::from_secs(5));
    world
}

/// Milliseconds from a seek to its first verified byte.
fn seek(world: &mut World, reader: u64, position: u64) -> u128 {
    let asked_at = world.millis();
    let probe = Window { kind: Kind::Probe, urgent_end: position + 256 * KIB, ..play(position, FILM) };
    world.want(reader, probe);
    world.run_until(10, |world| world.swarm.contiguous_from(position) > position);
    world.millis() - asked_at
}

#[test]
fn eight_seeds_bring_a_large_piece_in_little_more_than_its_own_time() {
    let mut world = busy(4 * MIB, MIB, 1);
    let took = seek(&mut world, 1, 128 * MIB);
    // Its blocks take half a second, and a round trip.
    assert!((540..=650).contains(&took), "{took} ms");
}

#[test]
fn eight_slow_seeds_bring_a_piece_in_little_more_than_its_own_time() {
    let mut world = busy(MIB, 192 * KIB, 2);
    let took = seek(&mut world, 1, 128 * MIB);
    assert!((700..=950).contains(&took), "{took} ms");
}

#[test]
fn a_seek_from_a_film_that_plays_is_as_quick() {
    for (piece, rate, limit) in [(4 * MIB, MIB, 650), (MIB, 192 * KIB, 950)] {
        let mut world = busy(piece, rate, 3);
        for (nth, position) in [64 * MIB, 160 * MIB, 32 * MIB, 200 * MIB].into_iter().enumerate() {
            let reader = nth as u64;
            let took = seek(&mut world, reader, position);
            assert!(took <= limit, "seek {nth} took {took} ms with pieces of {} KiB", piece / KIB);
            world.want(reader, Window { waiting: false, ..play(position, FILM) });
            world.run_for(Duration::from_secs(2));
            world.swarm.forget(ReaderKey(reader), world.now);
            world.settle();
        }
    }
}

#[test]
fn all_peers_are_asked_for_the_piece_in_the_turn_of_the_seek_and_nothing_wanted_is_lost() {
    let mut world = busy(MIB, MIB, 4);
    let mark = world.log.len();
    world.want(1, play(128 * MIB, FILM));
    let requests = world.requests_since(mark);
    let asked: std::collections::BTreeSet<_> =
        requests.iter().filter(|(_, block)| block.index.0 == 128).map(|(peer, _)| *peer).collect();
    assert_eq!(asked.len(), 8, "{requests:?}");
    assert!(world.cancels_since(mark) > 50, "{} requests were taken back", world.cancels_since(mark));
    let withdrawn: Vec<_> = world.log[mark..]
        .iter()
        .filter_map(|(_, output)| match output {
            Output::Send(_, Command::Cancel(block)) => Some(*block),
            _ => None,
        })
        .collect();
    assert!(withdrawn.iter().all(|block| block.index.0 != 128));
    world.swarm.forget(ReaderKey(1), world.now);
    world.complete(120);
}

#[test]
fn what_is_on_the_wire_at_a_seek_still_counts() {
    let mut world = busy(MIB, MIB, 5);
    let before = world.swarm.snapshot(world.now).received_bytes;
    world.want(1, play(128 * MIB, FILM));
    world.run_for(Duration::from_millis(45));
    let snapshot = world.swarm.snapshot(world.now);
    // A round trip's worth of eight peers at 1 MiB/s is 320 KiB.
    assert!(snapshot.received_bytes - before >= 256 * KIB, "{snapshot:?}");
    assert_eq!(snapshot.wasted_bytes, 0);
}

#[test]
fn head_and_tail_keep_what_is_under_way_while_readers_come_and_go() {
    let config = afflux_swarm::Config { keep_bytes_max: Some(64 * MIB), ..config() };
    let mut world = World::new(config, layout(MIB, FILM), 6);
    for _ in 0..4 {
        world.seed(MIB, 40, Manner::Honest);
    }
    world.want(1, play(0, FILM));
    world.run_for(Duration::from_millis(100));
    let mark = world.log.len();
    // The player looks at the tail, and returns to the head.
    world.swarm.forget(ReaderKey(1), world.now);
    world.want(2, play(FILM - 300 * KIB, FILM));
    world.run_for(Duration::from_millis(200));
    world.swarm.forget(ReaderKey(2), world.now);
    world.want(3, play(0, FILM));
    world.run_until(5, |world| world.have(0) && world.have(255));
    assert!(!world.log[mark..].iter().any(|(_, output)| matches!(output, Output::Discard(_))));
    assert!(world.asked_again().len() < 40, "{} blocks were asked again", world.asked_again().len());
}

/// A range server tells of a reader when it opens, and that it waits a moment later.
#[test]
fn a_slow_peer_gets_no_block_that_others_would_have_sooner_even_before_the_reader_waits() {
    let mut world = World::new(Config { keep_bytes_max: Some(64 * MIB), ..config() }, layout(MIB, FILM), 8);
    for _ in 0..7 {
        world.seed(155 * KIB, 40, Manner::Honest);
    }
    let slow = world.seed(155 * KIB / 10, 40, Manner::Honest);
    let first = Window { urgent_end: MIB, soon_end: 16 * MIB, waiting: false, ..play(0, FILM) };
    world.want(1, first);
    world.run_until(60, |world| (0..16).all(|piece| world.have(piece)));
    assert!(world.peers[slow].delivered > 0, "its rate is known");
    let mark = world.log.len();
    let seek = Window { urgent_end: 130 * MIB, soon_end: 130 * MIB, ..play(128 * MIB, FILM) };
    world.want(2, Window { waiting: false, ..seek });
    world.want(2, seek);
    let slow = world.peers[slow].key.expect("it is connected");
    let requests = world.requests_since(mark);
    let urgent = |block: &afflux_metainfo::BlockRef| (128..130).contains(&block.index.0);
    assert!(requests.iter().any(|(_, block)| urgent(block)), "the seek's first requests leave at once");
    // Its one block is there when the seven others would have got round to it; a second one would be a second late.
    let given: Vec<_> = requests.iter().filter(|(key, block)| *key == slow && urgent(block)).collect();
    assert!(given.len() <= 1 && given.iter().all(|(_, block)| block.index.0 == 129), "{given:?}");
}

#[test]
fn silent_peers_do_not_keep_a_piece_that_failed_from_all_who_had_a_part_in_it() {
    let mut world = World::new(config(), layout(MIB, FILM), 9);
    world.seed(2 * MIB, 40, Manner::Honest);
    for _ in 0..6 {
        world.seed(64 * KIB, 40, Manner::Honest);
    }
    world.seed(MIB, 40, Manner::Silent);
    world.seed(MIB, 40, Manner::Silent);
    let liar = world.seed(192 * KIB, 40, Manner::Corrupt);
    world.want(1, play(0, FILM));
    world.run_until(4, |world| world.have(0));
    assert_eq!(world.banned, [world.peers[liar].addr.ip()]);
}
