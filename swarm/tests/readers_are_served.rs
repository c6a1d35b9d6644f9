//! Readers: what they need comes first, wherever it is, and whoever is slow.

mod harness;

use std::collections::BTreeSet;
use std::time::Duration;

use afflux_metainfo::{Bitfield, PieceIndex};
use afflux_peer::{Command, Event, ExtensionHandshake};
use afflux_swarm::{Config, Kind, Output, ReaderKey, Window};
use harness::{KIB, MIB, Manner, World, config, layout, play};

const FILM: u64 = 64 * MIB;

fn world(seed: u64) -> World {
    World::new(config(), layout(256 * KIB, FILM), seed)
}

#[test]
fn a_reader_in_the_middle_gets_its_piece_first() {
    let mut world = world(1);
    for _ in 0..4 {
        world.seed(MIB, 30, Manner::Honest);
    }
    world.run_for(Duration::from_secs(1));
    let before = world.verified_order.len();
    let asked_at = world.millis();
    world.want(1, play(40 * MIB + 100, FILM));
    world.run_until(5, |world| world.have(160));
    // Four peers share its 16 blocks: a round trip, four blocks each, and what was on the wire.
    assert!(world.millis() - asked_at < 250, "{} ms", world.millis() - asked_at);
    let first = world.verified_order[before..].iter().position(|piece| piece.0 == 160).unwrap();
    assert!(first <= 3, "{first} other pieces came before");
}

#[test]
fn the_blocks_of_the_first_piece_are_spread_over_all_good_peers() {
    let mut world = world(2);
    for _ in 0..4 {
        world.seed(MIB, 30, Manner::Honest);
    }
    world.run_for(Duration::from_secs(1));
    let mark = world.log.len();
    world.want(1, play(40 * MIB, FILM));
    world.run_until(5, |world| world.have(160));
    let requests = world.requests_since(mark);
    let peers: std::collections::BTreeSet<_> =
        requests.iter().filter(|(_, block)| block.index.0 == 160).map(|(key, _)| *key).collect();
    assert_eq!(peers.len(), 4);
}

#[test]
fn head_and_tail_are_served_at_once() {
    let mut world = world(3);
    for _ in 0..3 {
        world.seed(MIB, 30, Manner::Honest);
    }
    world.want(1, play(0, FILM));
    world.want(2, play(FILM - 300 * KIB, FILM));
    world.run_until(5, |world| world.have(0) && world.have(254) && world.have(255));
    assert!(world.millis() < 800, "{} ms", world.millis());
}

#[test]
fn a_seek_cancels_and_asks_anew_in_the_same_turn() {
    let mut world = world(4);
    let fast = world.seed(4 * MIB, 30, Manner::Honest);
    world.seed(MIB, 30, Manner::Honest);
    world.want(1, play(0, FILM));
    world.run_until(5, |world| world.have(0));
    world.run_for(Duration::from_millis(100));
    let mark = world.log.len();
    world.want(1, play(48 * MIB, FILM));
    assert!(world.cancels_since(mark) > 0, "nothing was cancelled");
    let requests = world.requests_since(mark);
    let to_fast = world.peers[fast].key.unwrap();
    assert!(requests.iter().any(|(key, block)| *key == to_fast && block.index.0 == 192), "{requests:?}");
    assert!(requests.iter().all(|(_, block)| (192..208).contains(&block.index.0)), "{requests:?}");
    let cancel = world.log[mark..].iter().position(|(_, o)| matches!(o, Output::Send(_, Command::Cancel(_))));
    let request =
        world.log[mark..].iter().position(|(_, o)| matches!(o, Output::Send(_, Command::Request(_))));
    assert!(cancel < request, "asked before it cancelled");
}

#[test]
fn a_reader_that_is_faster_than_a_fast_link_has_nothing_taken_back() {
    let mut world = world(21);
    for _ in 0..2 {
        world.seed(64 * MIB, 1, Manner::Honest);
    }
    world.run_for(Duration::from_millis(300));
    let mut mark = None;
    let mut position = 32 * MIB;
    while position < FILM {
        // It reads all there is, and runs dry.
        let window = Window { urgent_end: FILM.min(position + 2 * MIB), ..play(position, FILM) };
        world.want(1, Window { waiting: false, ..window });
        world.want(1, window);
        world.run_until(5, |world| world.swarm.contiguous_from(position) > position);
        position = world.swarm.contiguous_from(position);
        // The jump to the middle is behind it.
        mark = mark.or_else(|| (position > 36 * MIB).then_some(world.log.len()));
    }
    assert_eq!(world.cancels_since(mark.unwrap()), 0);
}

#[test]
fn a_slow_peer_does_not_hold_up_a_reader() {
    let mut world = world(5);
    let slow = world.seed(20 * KIB, 200, Manner::Honest);
    world.seed(4 * MIB, 20, Manner::Honest);
    // Long enough for both rates to be known.
    world.run_for(Duration::from_secs(3));
    let asked_at = world.millis();
    let mark = world.log.len();
    world.want(1, play(60 * MIB, FILM));
    world.run_until(5, |world| world.have(240));
    let key = world.peers[slow].key.unwrap();
    let slow_urgent =
        world.requests_since(mark).iter().filter(|(peer, b)| *peer == key && b.index.0 == 240).count();
    assert_eq!(slow_urgent, 0);
    assert!(world.millis() - asked_at < 200, "{} ms", world.millis() - asked_at);
}

#[test]
fn urgent_blocks_that_a_silent_peer_holds_are_bought_from_another_within_the_budget() {
    let mut world = world(6);
    world.want(1, play(0, FILM));
    world.seed(4 * MIB, 20, Manner::Silent);
    world.seed(MIB, 20, Manner::Honest);
    world.run_until(3, |world| world.have(0));
    // The silent one counts as snubbed only after 3 s here.
    assert!(world.millis() < 1_500, "{} ms", world.millis());
    let snapshot = world.swarm.snapshot(world.now);
    assert!(snapshot.duplicate_bytes > 0);
    assert!(snapshot.duplicate_bytes <= 32 * 16 * KIB + snapshot.received_bytes * 3 / 100, "{snapshot:?}");
}

#[test]
fn nothing_but_its_head_is_fetched_for_a_probe() {
    let mut world =
        World::new(Config { keep_bytes_max: Some(8 * MIB), ..config() }, layout(256 * KIB, FILM), 7);
    world.seed(4 * MIB, 20, Manner::Honest);
    let probe = Window { kind: Kind::Probe, urgent_end: 256 * KIB, ..play(0, FILM) };
    world.want(1, probe);
    world.run_for(Duration::from_secs(3));
    assert_eq!(world.verified_order, [PieceIndex(0)]);
}

#[test]
fn peers_are_kept_shallow_while_there_is_a_reader_and_until_a_seek_would_have_brought_the_next() {
    let mut world = world(8);
    world.seed(4 * MIB, 20, Manner::Honest);
    let told = |world: &World, mark: usize| {
        let log = world.log[mark..].iter();
        log.filter_map(|(_, output)| match output {
            Output::Send(_, Command::ReaderWaiting(waiting)) => Some(*waiting),
            _ => None,
        })
        .collect::<Vec<_>>()
    };
    world.want(1, play(0, FILM));
    world.want(2, play(0, FILM));
    assert_eq!(told(&world, 0), [true]);
    let mark = world.log.len();
    world.want(1, Window { waiting: false, ..play(0, FILM) });
    assert_eq!(told(&world, mark), []);
    world.swarm.forget(ReaderKey(1), world.now);
    world.swarm.forget(ReaderKey(2), world.now);
    world.settle();
    assert_eq!(told(&world, mark), []);
    world.run_for(Duration::from_secs(2));
    assert_eq!(told(&world, mark), [false]);
}

/// Reads the whole film, as fast as verified bytes come, from `from` on.
fn read_to(world: &mut World, mut position: u64, end: u64, limit_s: u64) {
    while position < end {
        world.want(1, play(position, FILM));
        world.run_until(limit_s, |world| world.swarm.contiguous_from(position) > position);
        position = world.swarm.contiguous_from(position);
    }
}

fn memory_world(seed: u64, keep_bytes: u64) -> World {
    let config = Config { keep_bytes_max: Some(keep_bytes), open_bytes_max: 2 * MIB, ..config() };
    let mut world = World::new(config, layout(256 * KIB, FILM), seed);
    for _ in 0..3 {
        world.seed(4 * MIB, 20, Manner::Honest);
    }
    world
}

#[test]
fn a_film_of_ten_times_the_memory_streams_forwards_and_back() {
    let keep = FILM / 10;
    let mut world = memory_world(9, keep);
    read_to(&mut world, 0, FILM, 10);
    assert!(world.kept_bytes_max <= keep, "{} kept", world.kept_bytes_max);
    assert!(world.open_bytes_max <= 2 * MIB, "{} open", world.open_bytes_max);
    let forwards = world.verified_order.len();
    // About every piece once: what was read ahead wasn't evicted before it was read.
    assert!(forwards <= 256 + 16, "{forwards} pieces fetched for 256");
    // Back again, an eighth of the film at a time.
    for eighth in (0..8).rev() {
        read_to(&mut world, eighth * FILM / 8, (eighth + 1) * FILM / 8, 10);
    }
    assert!(world.kept_bytes_max <= keep, "{} kept", world.kept_bytes_max);
    assert!(world.banned.is_empty(), "a peer was blamed for an eviction");
}

#[test]
fn a_memory_torrent_advertises_nothing_to_those_that_cannot_unlearn() {
    let mut world = memory_world(10, 8 * MIB);
    read_to(&mut world, 0, 16 * MIB, 10);
    for (_, output) in &world.log {
        match output {
            Output::Send(_, Command::Have(_) | Command::DontHave(_)) => panic!("{output:?}"),
            Output::Send(_, Command::Advertise(have)) => assert!(have.is_empty()),
            _ => {}
        }
    }
}

#[test]
fn only_those_that_can_unlearn_are_told_of_pieces_that_can_go() {
    let mut world = memory_world(12, 4 * MIB);
    let leecher = world.join(Bitfield::new(256), MIB, 20, Manner::Honest);
    read_to(&mut world, 0, 2 * MIB, 10);
    let handshake = ExtensionHandshake { lt_donthave: Some(7), ..Default::default() };
    world.report(leecher, vec![Event::ExtensionsKnown(Box::new(handshake))]);
    read_to(&mut world, 2 * MIB, 16 * MIB, 10);
    let (mut known, mut taken_back) = (BTreeSet::new(), 0);
    for (_, output) in &world.log {
        match output {
            Output::Send(peer, Command::Advertise(have)) if world.peers[leecher].key == Some(*peer) => {
                known.extend(have.iter());
            }
            Output::Send(_, Command::Advertise(have)) => assert!(have.is_empty()),
            Output::Send(peer, Command::Have(piece)) => {
                assert_eq!(world.peers[leecher].key, Some(*peer));
                known.insert(*piece);
            }
            Output::Send(peer, Command::DontHave(piece)) => {
                assert_eq!(world.peers[leecher].key, Some(*peer));
                assert!(known.remove(piece), "{piece} was never told");
                taken_back += 1;
            }
            _ => {}
        }
    }
    assert!(taken_back >= 40, "{taken_back} of at least 48 evictions were told");
    assert!(known.iter().all(|piece| world.have(piece.0)), "what it knows of is there");
}

#[test]
fn what_nobody_reads_any_more_is_forgotten_after_a_while() {
    let config = Config {
        keep_bytes_max: Some(8 * MIB),
        open_bytes_max: 2 * MIB,
        unread_max: Some(Duration::from_secs(30)),
        ..config()
    };
    let mut world = World::new(config, layout(256 * KIB, FILM), 13);
    world.seed(4 * MIB, 20, Manner::Honest);
    read_to(&mut world, 0, 16 * MIB, 10);
    world.swarm.forget(ReaderKey(1), world.now);
    world.run_for(Duration::from_secs(25));
    assert!(world.swarm.progress().pieces_have > 0, "it may come back");
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.swarm.progress().pieces_have, 0);
    read_to(&mut world, 0, MIB, 10);
    assert!(world.banned.is_empty());
}

#[test]
fn what_lies_beside_stays_when_what_nobody_reads_is_forgotten() {
    let config = Config {
        keep_bytes_max: Some(8 * MIB),
        open_bytes_max: 2 * MIB,
        unread_max: Some(Duration::from_secs(30)),
        ..config()
    };
    let mut world = World::new(config, layout(256 * KIB, FILM), 13);
    world.seed(4 * MIB, 20, Manner::Honest);
    let beside = Window {
        kind: Kind::Beside,
        soon_end: 32 * MIB + 512 * KIB,
        file_end: 32 * MIB + 512 * KIB,
        ..play(32 * MIB, FILM)
    };
    world.want(9, beside);
    read_to(&mut world, 0, 16 * MIB, 10);
    assert!(world.have(128) && world.have(129));
    world.swarm.forget(ReaderKey(1), world.now);
    world.run_for(Duration::from_secs(40));
    assert!(world.have(128) && world.have(129));
    assert_eq!(world.swarm.progress().pieces_have, 2);
    let fetched = world.verified_order.len();
    world.run_for(Duration::from_secs(40));
    assert_eq!(world.verified_order.len(), fetched, "nothing is fetched again and again");
}

#[test]
fn what_nobody_reads_is_forgotten_when_everybody_has_left_too() {
    let config =
        Config { keep_bytes_max: Some(8 * MIB), unread_max: Some(Duration::from_secs(30)), ..config() };
    let mut world = World::new(config, layout(256 * KIB, FILM), 13);
    let seed = world.seed(4 * MIB, 20, Manner::Honest);
    read_to(&mut world, 0, 4 * MIB, 10);
    world.swarm.forget(ReaderKey(1), world.now);
    world.leave(seed);
    world.run_for(Duration::from_secs(40));
    assert_eq!(world.swarm.progress().pieces_have, 0);
    assert!(world.swarm.is_at_rest());
}

#[test]
fn a_memory_torrent_drops_what_a_seek_abandons() {
    let mut world = memory_world(11, 8 * MIB);
    world.want(1, play(0, FILM));
    world.run_for(Duration::from_millis(60));
    let mark = world.log.len();
    world.want(1, play(32 * MIB, FILM));
    assert!(world.log[mark..].iter().any(|(_, output)| matches!(output, Output::Discard(_))));
    world.run_until(3, |world| world.have(128));
}

#[test]
fn with_room_for_two_pieces_three_readers_take_turns() {
    let config = Config { keep_bytes_max: Some(8 * MIB), open_bytes_max: 8 * MIB, ..config() };
    let mut world = World::new(config, layout(4 * MIB, FILM), 12);
    world.seed(16 * MIB, 20, Manner::Honest);
    let mut positions = [0, 20 * MIB, 40 * MIB];
    let mut read = [0u64; 3];
    for _ in 0..30 {
        for (reader, position) in (0..).zip(positions) {
            world.want(reader, play(position, FILM));
        }
        world.run_until(10, |world| positions.iter().any(|&at| world.swarm.contiguous_from(at) > at));
        for (position, read) in positions.iter_mut().zip(&mut read) {
            let end = world.swarm.contiguous_from(*position);
            *read += end - *position;
            *position = end;
        }
        if read.iter().all(|&bytes| bytes >= 8 * MIB) {
            break;
        }
    }
    assert!(read.iter().all(|&bytes| bytes >= 8 * MIB), "{read:?}");
    assert!(world.kept_bytes_max <= 8 * MIB, "{}", world.kept_bytes_max);
}

#[test]
fn readers_closing_and_opening_at_the_same_place_lose_nothing() {
    let mut world = memory_world(13, 16 * MIB);
    world.want(1, play(0, FILM));
    world.run_for(Duration::from_millis(60));
    let mark = world.log.len();
    world.swarm.forget(ReaderKey(1), world.now);
    world.want(2, play(0, FILM));
    // A block may move to a peer that has it sooner, but none is given up.
    let cancelled = world.log[mark..].iter().filter_map(|(_, output)| match output {
        Output::Send(_, Command::Cancel(block)) => Some(*block),
        _ => None,
    });
    let asked = world.requests_since(mark);
    let lost: Vec<_> = cancelled.filter(|block| !asked.iter().any(|(_, again)| again == block)).collect();
    assert_eq!(lost, []);
    assert!(!world.log[mark..].iter().any(|(_, output)| matches!(output, Output::Discard(_))));
}

#[test]
fn a_reader_that_says_no_more_after_its_window_is_there_does_not_end_a_download() {
    let mut world = world(15);
    world.seed(4 * MIB, 30, Manner::Honest);
    world.want(1, play(0, FILM));
    world.complete(60);
}

#[test]
fn what_a_reader_left_behind_is_dropped_a_moment_later() {
    let mut world = memory_world(14, 16 * MIB);
    for peer in &mut world.peers {
        peer.rate = 20 * KIB;
    }
    world.want(1, play(0, FILM));
    world.run_for(Duration::from_millis(60));
    world.swarm.forget(ReaderKey(1), world.now);
    world.run_for(Duration::from_secs(3));
    assert_eq!(world.swarm.snapshot(world.now).open_bytes, 0);
}

#[test]
fn a_block_of_a_discarded_attempt_is_waste_and_still_to_be_fetched() {
    let mut world = memory_world(16, 16 * MIB);
    world.seed(MIB, 30, Manner::Honest);
    world.want(1, play(0, FILM));
    let (peer, block) = world.requests_since(0)[0];
    world.swarm.handle_outdated(peer, block);
    let snapshot = world.swarm.snapshot(world.now);
    assert_eq!((snapshot.wasted_bytes, snapshot.received_bytes), (u64::from(block.length), 0));
    world.run_until(10, |world| world.have(block.index.0));
}
