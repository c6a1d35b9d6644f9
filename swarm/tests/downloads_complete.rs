//! Whole downloads, with peers that help and peers that don't.

mod harness;

use std::time::Duration;

use afflux_metainfo::{Bitfield, PieceIndex};
use afflux_peer::{Command, Event};
use afflux_swarm::trace::Hindrance;
use afflux_swarm::{Config, Output, StrategyName};
use harness::{KIB, MIB, Manner, World, config, layout, play};

#[test]
fn one_seed_is_enough_and_every_block_is_asked_once() {
    let mut world = World::new(config(), layout(256 * KIB, 10 * MIB + 5), 1);
    world.seed(2 * MIB, 20, Manner::Honest);
    world.complete(20);
    assert!(world.asked_again().is_empty(), "{:?}", world.asked_again());
    assert_eq!(world.swarm.progress().bytes_have, 10 * MIB + 5);
}

#[test]
fn eight_seeds_share_the_work_and_nothing_is_asked_twice_before_the_end() {
    let mut world = World::new(config(), layout(256 * KIB, 32 * MIB), 2);
    for nth in 0..8 {
        world.seed(MIB + nth * 200 * KIB, 10 + nth * 5, Manner::Honest);
    }
    world.complete(20);
    // 32 MiB at 13.5 MiB/s in all take 2.4 s; the end costs a little.
    assert!(world.millis() < 3_500, "{} ms", world.millis());
    assert!(world.asked_again().len() <= 64, "{}", world.asked_again().len());
    assert!(world.peers.iter().all(|peer| peer.delivered > MIB), "someone was left out");
}

#[test]
fn peers_with_parts_make_a_whole() {
    let mut world = World::new(config(), layout(64 * KIB, 8 * MIB), 3);
    for nth in 0..4u32 {
        let mut pieces = Bitfield::new(128);
        (0..128).filter(|piece| piece % 4 == nth || piece % 7 == 0).for_each(|piece| {
            pieces.insert(PieceIndex(piece));
        });
        world.join(pieces, MIB, 20, Manner::Honest);
    }
    world.complete(20);
}

#[test]
fn the_rarest_pieces_come_early() {
    let mut world = World::new(config(), layout(64 * KIB, 16 * MIB), 4);
    let mut most = Bitfield::full(256);
    (200..210).for_each(|piece| {
        most.remove(PieceIndex(piece));
    });
    for _ in 0..4 {
        world.join(most.clone(), 500 * KIB, 20, Manner::Honest);
    }
    world.seed(500 * KIB, 20, Manner::Honest);
    world.complete(60);
    let late = world.verified_order.iter().rposition(|piece| (200..210).contains(&piece.0)).unwrap();
    assert!(late < 120, "the last rare piece came as number {late}");
}

#[test]
fn sequential_is_ascending() {
    let mut world =
        World::new(Config { strategy: StrategyName::Sequential, ..config() }, layout(256 * KIB, 8 * MIB), 5);
    world.seed(2 * MIB, 20, Manner::Honest);
    world.complete(20);
    assert!(world.verified_order.is_sorted(), "{:?}", world.verified_order);
}

#[test]
fn a_peer_that_dies_leaves_its_blocks_to_others() {
    let mut world = World::new(config(), layout(256 * KIB, 16 * MIB), 6);
    let dying = world.seed(4 * MIB, 20, Manner::Honest);
    world.seed(MIB, 20, Manner::Honest);
    world.run_until(5, |world| world.swarm.progress().pieces_have > 10);
    world.leave(dying);
    world.complete(30);
}

#[test]
fn a_peer_that_chokes_leaves_its_blocks_to_others() {
    let mut world = World::new(config(), layout(256 * KIB, 16 * MIB), 7);
    let choking = world.seed(4 * MIB, 20, Manner::Honest);
    world.seed(MIB, 20, Manner::Honest);
    world.run_until(5, |world| world.swarm.progress().pieces_have > 10);
    let mark = world.log.len();
    world.choke(choking);
    let key = world.peers[choking].key.unwrap();
    world.complete(30);
    assert!(world.requests_since(mark).iter().all(|(peer, _)| *peer != key), "asked while choked");
}

#[test]
fn a_peer_that_never_answers_delays_nothing_for_long() {
    let mut world = World::new(config(), layout(256 * KIB, 16 * MIB), 8);
    world.seed(4 * MIB, 20, Manner::Silent);
    world.seed(4 * MIB, 20, Manner::Honest);
    world.complete(30);
    assert!(world.millis() < 10_000, "{} ms", world.millis());
}

#[test]
fn a_peer_that_rejects_everything_is_not_asked_for_ever() {
    let mut world = World::new(config(), layout(256 * KIB, 8 * MIB), 9);
    let rejecting = world.seed(4 * MIB, 20, Manner::Rejecting);
    world.seed(4 * MIB, 20, Manner::Honest);
    world.complete(30);
    let key = world.peers[rejecting].key.unwrap();
    let asked = world.requests_since(0).iter().filter(|(peer, _)| *peer == key).count();
    assert!(asked <= 512, "asked {asked} times for 512 blocks");
}

#[test]
fn memory_for_pieces_under_way_is_bounded() {
    let mut world = World::new(Config { open_bytes_max: 4 * MIB, ..config() }, layout(MIB, 64 * MIB), 10);
    for _ in 0..20 {
        world.seed(MIB, 20, Manner::Honest);
    }
    world.complete(60);
    assert!(world.open_bytes_max <= 4 * MIB, "{}", world.open_bytes_max);
}

#[test]
fn one_piece_is_open_however_little_memory_there_is() {
    let mut world = World::new(Config { open_bytes_max: 1, ..config() }, layout(MIB, 8 * MIB), 11);
    world.seed(8 * MIB, 20, Manner::Honest);
    world.complete(60);
    assert_eq!(world.open_bytes_max, MIB);
}

#[test]
fn only_what_is_selected_is_fetched() {
    let mut world = World::new(config(), layout(256 * KIB, 8 * MIB), 12);
    let mut wanted = Bitfield::new(32);
    (8..16).for_each(|piece| {
        wanted.insert(PieceIndex(piece));
    });
    world.swarm.select(wanted, world.now);
    let seed = world.seed(4 * MIB, 20, Manner::Honest);
    world.complete(30);
    world.run_for(Duration::from_secs(3));
    assert_eq!(world.verified_order.len(), 8);
    assert!(!world.peers[seed].interested_told, "still interested");
    world.swarm.select(Bitfield::full(32), world.now);
    world.completed = false;
    world.complete(30);
    assert_eq!(world.verified_order.len(), 32);
}

#[test]
fn pause_takes_everything_back_and_resume_goes_on() {
    let mut world = World::new(config(), layout(256 * KIB, 8 * MIB), 13);
    world.seed(MIB, 20, Manner::Honest);
    world.run_until(5, |world| world.swarm.progress().pieces_have > 5);
    world.swarm.pause(world.now);
    let mark = world.log.len();
    world.run_for(Duration::from_secs(5));
    assert!(world.requests_since(mark).is_empty());
    let before = world.swarm.progress().pieces_have;
    world.swarm.resume(world.now);
    world.complete(30);
    assert!(before < 32);
}

#[test]
fn lost_pieces_are_told_and_fetched_again() {
    let mut world = World::new(config(), layout(256 * KIB, 4 * MIB), 14);
    world.seed(4 * MIB, 20, Manner::Honest);
    world.complete(30);
    world.completed = false;
    world.swarm.handle_lost(&[PieceIndex(3), PieceIndex(3), PieceIndex(99)], world.now);
    assert!(!world.have(3));
    world.complete(30);
    assert_eq!(world.verified_order.last(), Some(&PieceIndex(3)));
}

#[test]
fn pieces_that_end_unselected_make_no_peer_useless() {
    for moment in 1..30 {
        let mut world = World::new(config(), layout(256 * KIB, 8 * MIB), 20);
        let mut others = Bitfield::full(32);
        others.remove(PieceIndex(31));
        for nth in 0..6 {
            world.join(others.clone(), 100 * KIB + nth * 20 * KIB, 20, Manner::Honest);
        }
        let last = world.seed(MIB, 20, Manner::Honest);
        world.choke(last);
        world.run_for(Duration::from_millis(100 * moment));
        let mut wanted = Bitfield::new(32);
        wanted.insert(PieceIndex(31));
        world.swarm.select(wanted, world.now);
        // What is nearly whole by now is finished all the same.
        world.run_for(Duration::from_secs(5));
        assert!(world.peers[last].interested_told, "after {moment} tenths of a second");
        world.report(last, vec![Event::Unchoked]);
        world.run_until(10, |world| world.have(31));
    }
}

#[test]
fn the_last_blocks_of_a_piece_of_1024_do_not_wait_for_a_slow_peer() {
    let mut world = World::new(config(), layout(16 * MIB, 16 * MIB), 21);
    let slow = world.seed(10 * KIB, 20, Manner::Honest);
    let half = |world: &mut World| world.peers.iter().map(|peer| peer.delivered).sum::<u64>() > 12 * MIB;
    let quick = world.seed(4 * MIB, 20, Manner::Honest);
    world.run_until(20, half);
    // The slow one is asked for some of the last blocks, after all that was there by then.
    world.complete(20);
    let left = world.peers[slow].delivered + world.peers[quick].delivered;
    assert!(left >= 16 * MIB);
    // 4 s for the quick one alone; each block of the slow one takes 1.6 s, and it's asked for two at a time.
    assert!(world.millis() < 5_000, "{} ms", world.millis());
}

#[test]
fn what_a_snubbed_peer_owes_is_called_off_when_another_sends_it() {
    let mut world = World::new(config(), layout(256 * KIB, 4 * MIB), 22);
    let silent = world.seed(MIB, 20, Manner::Silent);
    world.seed(200 * KIB, 20, Manner::Honest);
    world.complete(60);
    let silent = world.peers[silent].key;
    let asked = world.requests_since(0).into_iter().filter(|(key, _)| Some(*key) == silent).count();
    let called_off = world.log.iter().filter(
        |(_, output)| matches!(output, Output::Send(key, Command::Cancel(_)) if Some(*key) == silent),
    );
    assert_eq!((asked > 0, called_off.count()), (true, asked));
}

#[test]
fn a_peer_that_loses_and_gains_in_turns_is_counted_once() {
    let mut world = World::new(config(), layout(256 * KIB, 8 * MIB), 23);
    let fickle = world.join(Bitfield::full(32), MIB, 20, Manner::Silent);
    for piece in 0..32 {
        let events = vec![Event::Lost(PieceIndex(piece)), Event::PiecesKnown(Bitfield::full(32))];
        world.report(fickle, events);
    }
    let mut most = Bitfield::full(32);
    most.remove(PieceIndex(5));
    world.join(most, MIB, 20, Manner::Honest);
    world.leave(fickle);
    world.run_until(30, |world| world.verified_order.len() == 31);
    assert!(!world.have(5));
    world.want(1, play(5 * 256 * KIB, 8 * MIB));
    let wait = world.swarm.trace().last().expect("it waits");
    assert!(wait.obstacles.iter().any(|obstacle| obstacle.kind == Hindrance::NobodyHas), "{wait:?}");
}
