//! Rounds of choking in virtual time.

use super::*;
use crate::testing::epoch;

fn key(index: u32) -> PeerKey {
    PeerKey { index, generation: 0 }
}

/// An interested peer that connected long ago.
fn peer(index: u32, start: Instant) -> Candidate {
    Candidate {
        key: key(index),
        interested: true,
        unchoked: false,
        download_rate: 0,
        upload_rate: 0,
        uploaded_bytes: 0,
        connected_at: start,
        is_snubbed: false,
        upload_only: false,
    }
}

fn config(slots: u32, optimistic_slots: u32) -> Config {
    Config { slots, optimistic_slots, quota_bytes: 1_000 }
}

/// Decides and applies.
fn step(choker: &mut Choker, peers: &mut [Candidate], seeding: bool, now: Instant) -> Vec<Change> {
    let changes = choker.rechoke(peers.iter().copied(), seeding, now);
    for change in &changes {
        let peer = peers.iter_mut().find(|peer| peer.key == change.key).expect("a change names a peer");
        assert_ne!(peer.unchoked, change.unchoke, "a change changes something");
        peer.unchoked = change.unchoke;
    }
    changes
}

fn unchoked(peers: &[Candidate]) -> Vec<u32> {
    peers.iter().filter(|peer| peer.unchoked).map(|peer| peer.key.index).collect()
}

fn later(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

#[test]
fn while_leeching_the_best_givers_have_the_slots() {
    let start = epoch();
    let mut choker = Choker::new(config(3, 0), 1);
    let mut peers: Vec<_> = (0..10).map(|index| peer(index, start)).collect();
    for peer in &mut peers {
        peer.download_rate = u64::from(peer.key.index) * 100;
    }
    peers[9].interested = false;
    step(&mut choker, &mut peers, false, start);
    assert_eq!(unchoked(&peers), [6, 7, 8]);
    peers[0].download_rate = 10_000;
    step(&mut choker, &mut peers, false, later(start, 9));
    assert_eq!(unchoked(&peers), [6, 7, 8], "nobody loses a slot between rounds");
    step(&mut choker, &mut peers, false, later(start, 10));
    assert_eq!(unchoked(&peers), [0, 7, 8]);
}

#[test]
fn a_free_slot_is_given_away_at_once() {
    let start = epoch();
    let mut choker = Choker::new(config(2, 0), 1);
    let mut peers: Vec<_> = (0..3).map(|index| peer(index, start)).collect();
    peers.iter_mut().for_each(|peer| peer.interested = false);
    assert!(step(&mut choker, &mut peers, false, start).is_empty());
    peers[1].interested = true;
    let changes = step(&mut choker, &mut peers, false, later(start, 1));
    assert_eq!(changes, [Change { key: key(1), unchoke: true }]);
    // Full: the third waits for the round, unless somebody has no use for its slot any more.
    peers[0].interested = true;
    peers[2].interested = true;
    step(&mut choker, &mut peers, false, later(start, 2));
    assert_eq!(unchoked(&peers), [0, 1]);
    peers[1].interested = false;
    step(&mut choker, &mut peers, false, later(start, 3));
    assert_eq!(unchoked(&peers), [0, 2]);
}

#[test]
fn a_slot_that_nobody_needs_is_kept_until_the_round() {
    let start = epoch();
    let mut choker = Choker::new(config(2, 0), 1);
    let mut peers = vec![peer(0, start)];
    step(&mut choker, &mut peers, false, start);
    for second in 1..10 {
        peers[0].interested = !peers[0].interested;
        let changes = step(&mut choker, &mut peers, false, later(start, second));
        assert!(changes.is_empty(), "interest that flaps makes no noise");
    }
    peers[0].interested = false;
    step(&mut choker, &mut peers, false, later(start, 10));
    assert!(unchoked(&peers).is_empty());
}

#[test]
fn a_snubbing_peer_loses_its_slot() {
    let start = epoch();
    let mut choker = Choker::new(config(2, 0), 1);
    let mut peers: Vec<_> = (0..4).map(|index| peer(index, start)).collect();
    peers[3].download_rate = 1_000;
    step(&mut choker, &mut peers, false, start);
    assert_eq!(unchoked(&peers), [0, 3]);
    peers[3].is_snubbed = true;
    step(&mut choker, &mut peers, false, later(start, 10));
    assert_eq!(unchoked(&peers), [0, 1]);
    peers.truncate(1);
    peers.push(Candidate { is_snubbed: true, ..peer(3, start) });
    step(&mut choker, &mut peers, false, later(start, 11));
    assert_eq!(unchoked(&peers), [0], "not even a free one is given to it");
}

#[test]
fn the_optimistic_slot_goes_round() {
    let start = epoch();
    let mut choker = Choker::new(config(1, 1), 7);
    let mut peers: Vec<_> = (0..6).map(|index| peer(index, start)).collect();
    peers[0].download_rate = 1_000;
    let mut lucky = Vec::new();
    for round in 0..60 {
        step(&mut choker, &mut peers, false, later(start, 10 * round));
        let now_unchoked = unchoked(&peers);
        assert_eq!(now_unchoked.len(), 2);
        assert_eq!(now_unchoked[0], 0);
        if round % 3 == 0 {
            assert_ne!(lucky.last(), Some(&now_unchoked[1]), "the turn goes to another");
            lucky.push(now_unchoked[1]);
        } else {
            assert_eq!(lucky.last(), Some(&now_unchoked[1]), "it lasts three rounds");
        }
    }
    let all: BTreeSet<_> = lucky.into_iter().collect();
    assert_eq!(all.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
}

#[test]
fn newcomers_are_three_times_as_likely() {
    let start = epoch();
    let now = later(start, 1_000);
    let mut hits = 0;
    for seed in 0..4_000 {
        let mut choker = Choker::new(config(1, 1), seed);
        let mut peers: Vec<_> = (0..4).map(|index| peer(index, start)).collect();
        peers[0].download_rate = 1;
        peers[3].connected_at = now;
        step(&mut choker, &mut peers, false, now);
        hits += u32::from(peers[3].unchoked);
    }
    // Three tickets of five.
    assert!((2_250..2_550).contains(&hits), "{hits} of 4,000");
}

#[test]
fn while_seeding_everyone_gets_a_turn_of_the_same_length() {
    let start = epoch();
    let mut choker = Choker::new(config(2, 0), 1);
    let mut peers: Vec<_> = (0..6).map(|index| peer(index, start)).collect();
    // One could take ten times as much; it has no more turns for that.
    let mut rounds_held = [0; 6];
    for round in 0..180 {
        step(&mut choker, &mut peers, true, later(start, 10 * round));
        assert_eq!(unchoked(&peers).len(), 2);
        for peer in peers.iter_mut().filter(|peer| peer.unchoked) {
            rounds_held[peer.key.index as usize] += 1;
            peer.upload_rate = if peer.key.index == 0 { 1_000 } else { 100 };
            peer.uploaded_bytes += peer.upload_rate * 10;
        }
    }
    for held in rounds_held {
        assert!((48..=72).contains(&held), "{rounds_held:?}");
    }
}

#[test]
fn a_turn_lasts_until_the_quota_of_bytes_is_had() {
    let start = epoch();
    let mut choker = Choker::new(config(1, 0), 1);
    let mut peers: Vec<_> = (0..2).map(|index| peer(index, start)).collect();
    step(&mut choker, &mut peers, true, start);
    assert_eq!(unchoked(&peers), [0]);
    peers[0].upload_rate = 1;
    peers[0].uploaded_bytes = 999;
    step(&mut choker, &mut peers, true, later(start, 60));
    assert_eq!(unchoked(&peers), [0]);
    peers[0].uploaded_bytes = 1_000;
    step(&mut choker, &mut peers, true, later(start, 70));
    assert_eq!(unchoked(&peers), [1]);
}

#[test]
fn a_slow_peer_does_not_sit_on_its_slot_for_hours() {
    let start = epoch();
    let mut choker = Choker::new(config(1, 0), 1);
    let mut peers: Vec<_> = (0..2).map(|index| peer(index, start)).collect();
    peers[0].upload_rate = 1;
    step(&mut choker, &mut peers, true, start);
    step(&mut choker, &mut peers, true, start + TURN_TIME_MAX - ROUND);
    assert_eq!(unchoked(&peers), [0]);
    step(&mut choker, &mut peers, true, start + TURN_TIME_MAX);
    assert_eq!(unchoked(&peers), [1]);
}

#[test]
fn no_slots_choke_everybody_and_seeds_get_none() {
    let start = epoch();
    let mut choker = Choker::new(config(2, 1), 1);
    let mut peers: Vec<_> = (0..3).map(|index| peer(index, start)).collect();
    peers[2].upload_only = true;
    step(&mut choker, &mut peers, true, start);
    assert_eq!(unchoked(&peers), [0, 1]);
    choker.set_config(config(0, 1));
    step(&mut choker, &mut peers, true, later(start, 1));
    assert!(unchoked(&peers).is_empty());
    assert_eq!(choker.deadline(), Some(later(start, 11)));
}

#[test]
fn the_same_seed_decides_the_same() {
    let start = epoch();
    let run = |seed| {
        let mut choker = Choker::new(config(2, 2), seed);
        let mut peers: Vec<_> = (0..20).map(|index| peer(index, start)).collect();
        (0..50).map(|r| step(&mut choker, &mut peers, r > 25, later(start, 10 * r))).collect::<Vec<_>>()
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn a_lucky_peer_that_wants_again_leaves_no_room_for_more_luck() {
    let start = epoch();
    let mut choker = Choker::new(config(1, 2), 1);
    let mut peers: Vec<_> = (0..5).map(|index| peer(index, start)).collect();
    (peers[3].interested, peers[4].interested) = (false, false);
    step(&mut choker, &mut peers, false, start);
    assert_eq!(unchoked(&peers), [0, 1, 2]);
    peers[..3].iter_mut().for_each(|peer| peer.interested = false);
    step(&mut choker, &mut peers, false, later(start, 1));
    assert_eq!(unchoked(&peers), [0, 1, 2], "nobody else needs the slots");
    peers.iter_mut().for_each(|peer| peer.interested = true);
    step(&mut choker, &mut peers, false, later(start, 2));
    assert_eq!(unchoked(&peers), [0, 1, 2]);
}
