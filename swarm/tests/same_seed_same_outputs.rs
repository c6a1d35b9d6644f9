//! The machine is a function of its inputs and its seed.

mod harness;

use std::time::Duration;

use afflux_swarm::Output;
use harness::{KIB, MIB, Manner, World, config, layout, play};

fn scenario(seed: u64) -> Vec<(u128, Output)> {
    let mut world = World::new(config(), layout(128 * KIB, 16 * MIB), seed);
    world.seed(MIB, 20, Manner::Honest);
    world.seed(500 * KIB, 40, Manner::Honest);
    world.seed(2 * MIB, 10, Manner::Corrupt);
    let dying = world.seed(2 * MIB, 10, Manner::Honest);
    world.seed(MIB, 10, Manner::Silent);
    world.run_for(Duration::from_millis(700));
    world.want(1, play(9 * MIB, 16 * MIB));
    world.want(2, play(15 * MIB, 16 * MIB));
    world.run_for(Duration::from_millis(300));
    world.leave(dying);
    world.want(1, play(2 * MIB, 16 * MIB));
    world.run_for(Duration::from_secs(2));
    world.swarm.forget(afflux_swarm::ReaderKey(1), world.now);
    world.swarm.forget(afflux_swarm::ReaderKey(2), world.now);
    world.complete(120);
    world.log
}

#[test]
fn the_same_scenario_twice_gives_the_same_outputs() {
    let (one, other) = (scenario(42), scenario(42));
    assert_eq!(one.len(), other.len());
    for (nth, (one, other)) in one.iter().zip(&other).enumerate() {
        assert_eq!(one, other, "output {nth} differs");
    }
}

#[test]
fn another_seed_gives_another_order() {
    assert_ne!(scenario(1), scenario(2));
}
