//! Invariants are looked at where they could break: a run that is tampered with ends with the right one.

use std::time::Duration;

use afflux_metainfo::{Bitfield, BlockRef, Layout, PieceIndex};
use afflux_peer::Command;
use afflux_swarm::StrategyName;

use super::World;
use crate::invariants::Broken;
use crate::link::EndId;
use crate::proven::Proven;
use crate::scenario::Scenario;

const SCENARIO: &str = r#"
name = "tampered"
about = "A seed and two leechers"
network = "fluid"
limit = "10 min"

[content]
length = "16 MiB"
piece-length = "256 KiB"
media-rate = "8 Mbit/s"

[[group]]
name = "seed"
role = "seed"
count = 1
up = "8 Mbit/s"
down = "8 Mbit/s"

[[group]]
name = "viewers"
role = "viewer"
count = 2
up = "8 Mbit/s"
down = "8 Mbit/s"
player = { start-buffer = "2 s" }
"#;

const LATE_SEED: &str = r#"
[[group]]
name = "late"
role = "seed"
arrival = { at = "5 min" }
up = "8 Mbit/s"
down = "8 Mbit/s"
"#;

/// A run that is three seconds old.
fn begun<T>(then: impl FnOnce(World<'_>) -> T) -> T {
    begun_as(SCENARIO, then)
}

fn begun_as<T>(scenario: &str, then: impl FnOnce(World<'_>) -> T) -> T {
    let scenario = Scenario::parse(scenario).expect("it's a scenario");
    let content = &scenario.content;
    let layout =
        Layout::new(content.piece_length, [(vec!["film".to_owned()], content.length, false)]).unwrap();
    let mut log = ();
    let strategies = vec![StrategyName::Deadline; scenario.groups.len()];
    let mut world = World::new(&scenario, strategies, layout, 1, &mut log);
    while world.now.elapsed() < Duration::from_secs(3) {
        assert!(world.step().expect("nothing is broken yet"), "it goes on for longer");
    }
    then(world)
}

/// Runs for three seconds, tampers, and goes on until something breaks.
fn tampered(tamper: impl FnOnce(&mut World<'_>)) -> Broken {
    begun(|mut world| {
        tamper(&mut world);
        world.run(&|| false).map(|outcome| outcome.elapsed).expect_err("it has to be noticed").1
    })
}

/// The end of a viewer's connection with the seed.
fn busy_end(world: &World<'_>) -> EndId {
    let node = world.node(1).expect("it's there");
    let with_seed = |&end: &EndId| world.links.get(end).is_some_and(|end| end.peer == 0);
    node.all_ends().find(with_seed).expect("they are connected")
}

/// A node's swarm is told that a piece is right, and nobody has judged it.
fn believe(world: &mut World<'_>, node: u32, piece: u32) {
    let instant = world.instant;
    world.node_mut(node).unwrap().swarm.handle_verified(PieceIndex(piece), None, instant);
    world.turn(node).expect("nothing is broken yet");
}

#[test]
fn a_block_counted_twice_is_noticed() {
    let broken = tampered(|world| world.figures(1).received_bytes -= 16_384);
    assert!(matches!(broken, Broken::CountedTwice { node: 1, .. }), "{broken}");
}

#[test]
fn a_block_counted_twice_is_noticed_in_the_turn_of_the_next_one() {
    let elapsed = begun(|mut world| {
        world.figures(1).received_bytes -= 16_384;
        while world.step() == Ok(true) {}
        world.now.elapsed()
    });
    // A block takes 16 ms.
    assert!(elapsed < Duration::from_millis(3_100), "at {elapsed:?}");
}

#[test]
fn a_block_counted_twice_is_noticed_when_its_node_leaves() {
    let broken = begun(|mut world| {
        world.figures(1).received_bytes -= 16_384;
        world.leave(1).expect_err("it has to be noticed")
    });
    assert!(matches!(broken, Broken::CountedTwice { node: 1, .. }), "{broken}");
}

#[test]
fn a_request_without_an_end_is_noticed() {
    let broken = tampered(|world| {
        let end = busy_end(world);
        let block = BlockRef { index: PieceIndex(0), begin: 0, length: 16_384 };
        let now = world.now;
        world.links.get_mut(end).unwrap().begins_request(block, now);
    });
    assert!(matches!(broken, Broken::Dangling { node: 1, peer: 0, .. }), "{broken}");
}

#[test]
fn a_request_that_ends_twice_is_noticed() {
    let broken = tampered(|world| {
        let end = busy_end(world);
        world.links.get_mut(end).unwrap().asked.clear();
    });
    assert!(
        matches!(broken, Broken::EndedTwice { node: 1, .. } | Broken::Dangling { node: 1, .. }),
        "{broken}"
    );
}

#[test]
fn a_request_that_is_never_given_up_is_noticed() {
    let silent = SCENARIO.replace("role = \"seed\"", "role = \"seed\"\nmanner = \"silent\"") + LATE_SEED;
    let (broken, at) = begun_as(&silent, |mut world| {
        let (end, instant) = (busy_end(&world), world.instant);
        let end = world.links.get_mut(end).unwrap();
        assert!(!end.asked.is_empty() && end.came_bytes == 0, "{end:?}");
        // The connection's clocks stand still, though all that comes is read.
        end.connection.set_reading(false, instant);
        let (at, broken) = world.run(&|| false).expect_err("it has to be noticed");
        (broken, at.elapsed())
    });
    assert!(matches!(broken, Broken::Overdue { node: 1, peer: 0, .. }), "{broken}");
    assert!((Duration::from_secs(30)..Duration::from_secs(41)).contains(&at), "at {at:?}");
}

#[test]
fn a_request_that_later_ones_overtake_is_noticed() {
    let broken = tampered(|world| {
        let end = busy_end(world);
        let end = world.links.get_mut(end).unwrap();
        assert!(end.asked.len() > 1, "{end:?}");
        // As if a block that was asked for later had come before the oldest.
        end.came_bytes = end.due_bytes() + 16_384;
    });
    assert!(matches!(broken, Broken::Overtaken { node: 1, peer: 0, .. }), "{broken}");
}

#[test]
fn asking_for_what_the_peer_lacks_is_noticed() {
    let broken = tampered(|world| {
        let node = world.node(1).unwrap();
        let with_viewer = |&end: &EndId| world.links.get(end).is_some_and(|end| end.peer == 2);
        let end = node.all_ends().find(with_viewer).expect("they are connected");
        let lacked = world.layout.pieces().find(|&piece| !world.node(2).unwrap().has(piece)).unwrap();
        let block = world.layout.blocks(lacked).next().unwrap();
        let broken = world.command(1, end, Command::Request(block)).expect_err("it's noticed at once");
        assert!(matches!(broken, Broken::AskedInVain { node: 1, peer: 2, .. }), "{broken}");
        // And so that the run ends too.
        world.figures(1).received_bytes += 1;
    });
    assert!(matches!(broken, Broken::CountedTwice { .. } | Broken::Dangling { .. }), "{broken}");
}

#[test]
fn an_unverified_byte_that_leaves_is_noticed() {
    let broken = tampered(|world| {
        // The seed's swarm goes on as before, but what it serves has never been judged.
        world.node_mut(0).unwrap().proven = Proven::new(Bitfield::new(world.layout.piece_count()));
    });
    assert!(matches!(broken, Broken::Unverified { node: 0, .. }), "{broken}");
}

#[test]
fn a_piece_that_a_swarm_believes_in_for_no_reason_is_noticed_when_it_leaves() {
    let broken = tampered(|world| {
        // So that the player isn't the first who is given it.
        world.node_mut(1).unwrap().player = None;
        believe(world, 1, world.layout.piece_count() - 1);
    });
    assert!(matches!(broken, Broken::Unverified { node: 1, .. }), "{broken}");
}

#[test]
fn a_piece_that_a_swarm_believes_in_for_no_reason_is_noticed_when_it_is_read() {
    let broken = begun(|mut world| {
        let next = world.layout.pieces().find(|&piece| !world.node(1).unwrap().has(piece)).unwrap();
        believe(&mut world, 1, next.0);
        world.play(1).expect_err("it has to be noticed")
    });
    assert!(matches!(broken, Broken::ReadUnverified { node: 1, .. }), "{broken}");
}

#[test]
fn a_connection_too_many_is_noticed() {
    let scenario = SCENARIO.replace("count = 2", "count = 2\nconnections-max = 2");
    let broken = begun_as(&scenario, |mut world| {
        let end = busy_end(&world);
        let key = world.links.get(end).unwrap().key.unwrap();
        // The swarm lets somebody in whose place it has given out already.
        world.node_mut(1).unwrap().connect(key, end);
        world.run(&|| false).map(|outcome| outcome.elapsed).expect_err("it has to be noticed").1
    });
    assert_eq!(broken, Broken::Crowded { node: 1, connections: 3, allowed: 2 });
}

#[test]
fn bytes_that_appear_are_noticed() {
    let broken = tampered(|world| {
        let end = busy_end(world);
        let (_, wire) = world.links.writing(end.other()).unwrap();
        wire.put_payload(100);
    });
    assert!(matches!(broken, Broken::OutOfStep { from: 0, to: 1 } | Broken::Lost { .. }), "{broken}");
}

#[test]
fn bytes_that_vanish_are_noticed() {
    let broken = tampered(|world| {
        let end = busy_end(world);
        let (_, wire) = world.links.writing(end.other()).unwrap();
        assert!(wire.payload_bytes() > 0, "a block is under way");
        while wire.take(u32::MAX, &mut Vec::new()).is_some() {}
        world.part(end, afflux_swarm::Parting::Closed).expect_err("it's noticed at once");
        world.figures(1).received_bytes += 1;
    });
    assert!(matches!(broken, Broken::CountedTwice { .. } | Broken::Lost { .. }), "{broken}");
}
