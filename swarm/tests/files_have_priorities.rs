//! Files that are wanted more than others, and pieces that are half there from an earlier run.

mod harness;

use std::sync::Arc;
use std::time::Duration;

use afflux_metainfo::{Layout, PieceIndex};
use afflux_swarm::Priority;
use harness::{KIB, MIB, Manner, World, config, layout};

/// Three files of 32 pieces each.
fn three() -> Arc<Layout> {
    let rows = ["a", "b", "c"].map(|name| (vec![name.to_owned()], 2 * MIB, false));
    Arc::new(Layout::new(64 * KIB, rows).expect("sizes that are allowed"))
}

#[test]
fn a_file_that_is_wanted_more_comes_first_and_one_that_is_off_never() {
    let mut world = World::new(config(), three(), 31);
    world.swarm.prioritize(&[Priority::Off, Priority::Normal, Priority::High], world.now);
    world.seed(MIB, 20, Manner::Honest);
    world.complete(20);
    assert_eq!(world.verified_order.len(), 64);
    assert!(world.verified_order[..30].iter().all(|piece| piece.0 >= 64), "{:?}", world.verified_order);
    world.completed = false;
    world.swarm.prioritize(&[Priority::Low, Priority::Normal, Priority::High], world.now);
    world.complete(20);
    assert_eq!(world.verified_order.len(), 96);
}

#[test]
fn what_is_there_of_a_piece_is_not_asked_for_again() {
    let mut world = World::new(config(), layout(256 * KIB, MIB), 32);
    let half: Vec<u32> = (0..16).step_by(2).collect();
    assert!(world.swarm.resume_piece(PieceIndex(2), &half, world.now));
    assert!(!world.swarm.resume_piece(PieceIndex(2), &half, world.now), "it is under way already");
    assert!(!world.swarm.resume_piece(PieceIndex(4), &half, world.now), "there is no such piece");
    world.seed(MIB, 20, Manner::Honest);
    world.run_until(20, |world| world.peers[0].delivered == MIB - 8 * 16 * KIB);
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.peers[0].delivered, MIB - 8 * 16 * KIB);
    // The tests' storage knows only of blocks that came.
    assert!(!world.swarm.awaits_blocks(PieceIndex(2)));
    world.swarm.handle_verified(PieceIndex(2), None, world.now);
    assert_eq!(world.swarm.progress().bytes_have, MIB);
    assert!(world.requests.keys().all(|block| block.index.0 != 2 || block.begin / 16_384 % 2 == 1));
}
