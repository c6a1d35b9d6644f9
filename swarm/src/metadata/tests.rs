//! Attack 33: wrong sizes, wrong bytes, endless rejections, silence.

use super::*;
use crate::testing::epoch;

fn peer(index: u32) -> PeerKey {
    PeerKey { index, generation: 0 }
}

/// Metadata of `bytes` bytes, every piece different.
fn info(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at / 7 + at / PIECE_BYTES as usize) as u8).collect()
}

fn piece_of(info: &[u8], piece: u32) -> &[u8] {
    info.chunks(PIECE_BYTES as usize).nth(piece as usize).unwrap()
}

fn assembly_of(info: &[u8]) -> Assembly {
    Assembly::new(InfoHashes::V1(InfoHash::of(info)))
}

/// Asks `from` for all it may be asked for, and lets it answer out of `copy`.
fn serve(assembly: &mut Assembly, from: PeerKey, copy: &[u8], now: Instant) -> Progress {
    let mut last = Progress::Pending;
    while let Some(piece) = assembly.next_request(from, now) {
        last = assembly.received(from, piece, copy.len() as u32, piece_of(copy, piece), now);
        if !matches!(last, Progress::Pending) {
            break;
        }
    }
    last
}

#[test]
fn one_peer_gives_all_of_it() {
    let (now, info) = (epoch(), info(40_000));
    let mut assembly = assembly_of(&info);
    assert!(assembly.size_claimed(peer(1), 40_000, now));
    assert_eq!(serve(&mut assembly, peer(1), &info, now), Progress::Complete(Bytes::from(info)));
    assert_eq!(assembly.next_request(peer(1), now), None);
    assert_eq!(assembly.deadline(), None);
    assert!(assembly.take_liars().is_empty());
}

#[test]
fn a_v2_magnet_is_judged_by_sha_256() {
    let (now, info) = (epoch(), info(20_000));
    let mut assembly = Assembly::new(InfoHashes::V2(InfoHashV2::of(&info)));
    assembly.size_claimed(peer(1), 20_000, now);
    assert_eq!(serve(&mut assembly, peer(1), &info, now), Progress::Complete(Bytes::from(info)));
}

#[test]
fn a_piece_is_asked_of_one_peer_at_a_time() {
    let (now, info) = (epoch(), info(PIECE_BYTES as usize * 6));
    let mut assembly = assembly_of(&info);
    let mut asked = Vec::new();
    for index in 0..2 {
        assembly.size_claimed(peer(index), info.len() as u32, now);
        let before = asked.len();
        asked.extend(std::iter::from_fn(|| assembly.next_request(peer(index), now)));
        assert!(asked.len() - before <= ASKED_MAX);
    }
    assert_eq!(asked, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn impossible_sizes_are_refused_and_the_first_claim_counts() {
    let now = epoch();
    let mut assembly = assembly_of(&info(1));
    assert!(!assembly.size_claimed(peer(1), 0, now));
    assert!(!assembly.size_claimed(peer(1), METADATA_BYTES_MAX as u32 + 1, now));
    assert!(!assembly.size_claimed(peer(1), u32::MAX, now));
    assert!(assembly.size_claimed(peer(1), 100, now));
    assert!(assembly.size_claimed(peer(1), 100, now));
    assert!(!assembly.size_claimed(peer(1), 200, now));
}

#[test]
fn a_large_claim_costs_no_memory() {
    let now = epoch();
    let mut assembly = assembly_of(&info(1));
    for index in 0..50 {
        assembly.size_claimed(peer(index), METADATA_BYTES_MAX as u32 - index, now);
        while assembly.next_request(peer(index), now).is_some() {}
    }
    assert_eq!(assembly.held_bytes(), 0);
}

#[test]
fn unrequested_pieces_and_wrong_lengths_are_dropped() {
    let (now, info) = (epoch(), info(40_000));
    let mut assembly = assembly_of(&info);
    assembly.size_claimed(peer(1), 40_000, now);
    let good = piece_of(&info, 0);
    assert_eq!(assembly.received(peer(1), 0, 40_000, good, now), Progress::Ignored, "never asked");
    assert_eq!(assembly.received(peer(2), 0, 40_000, good, now), Progress::Ignored, "never claimed");
    assert_eq!(assembly.next_request(peer(1), now), Some(0));
    assert_eq!(assembly.received(peer(1), u32::MAX, 40_000, good, now), Progress::Ignored, "no such piece");
    assert_eq!(assembly.received(peer(1), 0, 39_999, good, now), Progress::Ignored, "another total");
    assert_eq!(assembly.next_request(peer(1), now), None, "it rests");
    let later = now + RETRY;
    assert_eq!(assembly.next_request(peer(1), later), Some(0));
    assert_eq!(assembly.received(peer(1), 0, 40_000, &good[1..], later), Progress::Ignored, "too short");
    assert_eq!(assembly.held_bytes(), 0);
}

#[test]
fn silence_hands_the_piece_to_another_after_three_seconds() {
    let (now, info) = (epoch(), info(100));
    let mut assembly = assembly_of(&info);
    assembly.size_claimed(peer(1), 100, now);
    assembly.size_claimed(peer(2), 100, now);
    assert_eq!(assembly.next_request(peer(1), now), Some(0));
    assert_eq!(assembly.next_request(peer(2), now + RETRY / 2), None);
    assert_eq!(assembly.deadline(), Some(now + RETRY));
    assert_eq!(assembly.next_request(peer(2), now + RETRY), Some(0));
    assert_eq!(assembly.next_request(peer(1), now + RETRY), None);
    // The late answer is still welcome.
    let late = assembly.received(peer(1), 0, 100, &info, now + RETRY);
    assert_eq!(late, Progress::Complete(Bytes::from(info)));
}

#[test]
fn a_rejecter_rests_for_longer_each_time() {
    let (mut now, info) = (epoch(), info(100));
    let mut assembly = assembly_of(&info);
    assembly.size_claimed(peer(1), 100, now);
    let mut asked = 0;
    let end = now + Duration::from_secs(600);
    while now < end {
        while assembly.next_request(peer(1), now).is_some() {
            assembly.rejected(peer(1), 0, now);
            assembly.rejected(peer(1), 0, now);
            asked += 1;
        }
        now = assembly.deadline().unwrap();
    }
    assert!((10..20).contains(&asked), "asked {asked} times in ten minutes");
}

#[test]
fn the_honest_size_wins_against_many_liars_about_it() {
    let (now, info) = (epoch(), info(40_000));
    let mut assembly = assembly_of(&info);
    let mut now = now;
    for index in 0..20 {
        assembly.size_claimed(peer(index), 1_000 + index % 5, now);
    }
    assembly.size_claimed(peer(99), 40_000, now);
    // The liars never answer.
    for _ in 0..100 {
        for index in 0..20 {
            while assembly.next_request(peer(index), now).is_some() {}
        }
        if let Progress::Complete(_) = serve(&mut assembly, peer(99), &info, now) {
            return;
        }
        now = assembly.deadline().unwrap();
    }
    panic!("the metadata never came");
}

#[test]
fn a_lone_liar_is_named_at_once_and_never_asked_again() {
    let (now, info) = (epoch(), info(40_000));
    let mut assembly = assembly_of(&info);
    let lie = vec![1; 40_000];
    assembly.size_claimed(peer(1), 40_000, now);
    assert_eq!(serve(&mut assembly, peer(1), &lie, now), Progress::Failed { liars: vec![peer(1)] });
    assert_eq!(assembly.next_request(peer(1), now + REST_MAX), None);
    assembly.size_claimed(peer(2), 40_000, now);
    assert!(matches!(serve(&mut assembly, peer(2), &info, now), Progress::Complete(_)));
}

#[test]
fn after_a_shared_failure_exactly_the_liar_is_named() {
    let (now, info) = (epoch(), info(PIECE_BYTES as usize * 8));
    let total = info.len() as u32;
    let mut assembly = assembly_of(&info);
    let lie = vec![0xee; info.len()];
    (1..=3).for_each(|index| assert!(assembly.size_claimed(peer(index), total, now)));
    // Each gives two or more pieces; number 2 lies.
    let mut outcome = Progress::Pending;
    let mut served = 0;
    while outcome == Progress::Pending {
        served += 1;
        let from = peer(served % 3 + 1);
        let copy = if from == peer(2) { &lie } else { &info };
        let Some(piece) = assembly.next_request(from, now) else { continue };
        outcome = assembly.received(from, piece, total, piece_of(copy, piece), now);
    }
    assert_eq!(outcome, Progress::Failed { liars: vec![] }, "one of three lied: nobody is proven to");
    // Whoever comes first writes alone now, the others aren't asked meanwhile.
    assert_eq!(assembly.next_request(peer(1), now), Some(0));
    assert_eq!(assembly.next_request(peer(3), now), None);
    let first = assembly.received(peer(1), 0, total, piece_of(&info, 0), now);
    assert_eq!(first, Progress::Pending);
    assert_eq!(serve(&mut assembly, peer(1), &info, now), Progress::Complete(Bytes::from(info)));
    assert_eq!(assembly.take_liars(), [peer(2)]);
}

#[test]
fn a_lone_author_that_falls_silent_is_replaced() {
    let (now, info) = (epoch(), info(PIECE_BYTES as usize * 2));
    let total = info.len() as u32;
    let mut assembly = assembly_of(&info);
    (1..=2).for_each(|index| assert!(assembly.size_claimed(peer(index), total, now)));
    assert_eq!(assembly.next_request(peer(1), now), Some(0));
    assert_eq!(assembly.next_request(peer(2), now), Some(1));
    assembly.received(peer(1), 0, total, &vec![9; PIECE_BYTES as usize], now);
    let failed = assembly.received(peer(2), 1, total, piece_of(&info, 1), now);
    assert_eq!(failed, Progress::Failed { liars: vec![] });
    assert_eq!(assembly.next_request(peer(1), now), Some(0));
    assert_eq!(assembly.next_request(peer(2), now), None);
    let later = now + RETRY;
    assert!(matches!(serve(&mut assembly, peer(2), &info, later), Progress::Complete(_)));
    assert_eq!(assembly.take_liars(), [peer(1)]);
}

#[test]
fn a_peer_that_leaves_frees_what_it_was_asked() {
    let (now, info) = (epoch(), info(100));
    let mut assembly = assembly_of(&info);
    assembly.size_claimed(peer(1), 100, now);
    assembly.size_claimed(peer(2), 100, now);
    assert_eq!(assembly.next_request(peer(1), now), Some(0));
    assembly.departed(peer(1));
    assert_eq!(assembly.next_request(peer(2), now), Some(0));
    assert_eq!(assembly.peers().collect::<Vec<_>>(), [peer(2)]);
}

#[test]
fn starting_over_pauses_first() {
    let (now, info) = (epoch(), info(100));
    let mut assembly = assembly_of(&info);
    assembly.size_claimed(peer(1), 100, now);
    serve(&mut assembly, peer(1), &info, now);
    assembly.start_over(now);
    assert_eq!(assembly.next_request(peer(1), now), None);
    assert!(matches!(serve(&mut assembly, peer(1), &info, now + REST_MAX), Progress::Complete(_)));
}

#[test]
fn a_lone_author_that_sends_nonsense_is_replaced() {
    let (now, info) = (epoch(), info(PIECE_BYTES as usize * 2));
    let total = info.len() as u32;
    let mut assembly = assembly_of(&info);
    (1..=3).for_each(|index| assert!(assembly.size_claimed(peer(index), total, now)));
    assert_eq!(assembly.next_request(peer(1), now), Some(0));
    assert_eq!(assembly.next_request(peer(2), now), Some(1));
    assembly.received(peer(1), 0, total, &vec![9; PIECE_BYTES as usize], now);
    assembly.received(peer(2), 1, total, piece_of(&info, 1), now);
    assert_eq!(assembly.next_request(peer(3), now), Some(0));
    assert_eq!(assembly.received(peer(3), 0, total, b"cut", now), Progress::Ignored);
    assert!(matches!(serve(&mut assembly, peer(2), &info, now), Progress::Complete(_)));
}
