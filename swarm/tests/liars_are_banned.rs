//! Corrupt blocks: exactly who sent them goes, and the download ends well.

mod harness;

use harness::{KIB, MIB, Manner, World, config, layout};

#[test]
fn exactly_the_corrupt_peer_is_banned() {
    for seed in 0..4 {
        let mut world = World::new(config(), layout(256 * KIB, 16 * MIB), seed);
        world.seed(MIB, 20, Manner::Honest);
        world.seed(MIB, 25, Manner::Honest);
        let liar = world.seed(MIB, 30, Manner::Corrupt);
        world.seed(MIB, 35, Manner::Honest);
        world.complete(60);
        assert_eq!(world.banned, [world.peers[liar].addr.ip()], "seed {seed}");
        assert!(world.peers[liar].key.is_none(), "still connected");
    }
}

#[test]
fn two_liars_among_five_go_and_nobody_else() {
    let mut world = World::new(config(), layout(256 * KIB, 16 * MIB), 5);
    let liars = [world.seed(MIB, 20, Manner::Corrupt), world.seed(MIB, 25, Manner::Corrupt)];
    for nth in 0..3 {
        world.seed(MIB, 20 + nth * 5, Manner::Honest);
    }
    world.complete(60);
    let mut expected: Vec<_> = liars.iter().map(|&liar| world.peers[liar].addr.ip()).collect();
    world.banned.sort();
    expected.sort();
    assert_eq!(world.banned, expected);
}

#[test]
fn a_corrupt_peer_does_not_stop_a_reader() {
    let mut world = World::new(config(), layout(256 * KIB, 16 * MIB), 6);
    let liar = world.seed(2 * MIB, 20, Manner::Corrupt);
    world.seed(MIB, 20, Manner::Honest);
    world.want(1, harness::play(8 * MIB, 16 * MIB));
    world.run_until(20, |world| world.have(32));
    world.complete(60);
    assert_eq!(world.banned, [world.peers[liar].addr.ip()]);
}
