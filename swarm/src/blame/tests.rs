//! Attack 30: liars among honest peers.

use super::*;

const PIECE: PieceIndex = PieceIndex(7);
const BLOCKS: u32 = 8;

fn sender(number: u32) -> Sender {
    let [_, _, high, low] = number.to_be_bytes();
    Sender { peer: PeerKey { index: number, generation: 0 }, ip: IpAddr::from([10, 0, high, low]) }
}

fn good() -> Vec<Digest> {
    (0..BLOCKS as u8).map(|block| [block; 20]).collect()
}

/// The digests of a piece in which these blocks are wrong, each in its own way.
fn corrupt(blocks: &[usize]) -> Vec<Digest> {
    let mut digests = good();
    blocks.iter().for_each(|&block| digests[block] = [0xf0 | block as u8; 20]);
    digests
}

/// Blocks in turn by each of `senders`.
fn send(blame: &mut Blame, piece: PieceIndex, senders: &[u32]) {
    for block in 0..BLOCKS {
        blame.sent(piece, BlockIndex(block), sender(senders[block as usize % senders.len()]));
    }
}

#[test]
fn a_piece_from_one_source_bans_at_once() {
    let mut blame = Blame::new();
    send(&mut blame, PIECE, &[1]);
    let verdict = blame.failed(PIECE, &corrupt(&[3]));
    assert_eq!(verdict, Verdict { ban: vec![sender(1)], suspects: vec![] });
    assert!(!blame.wants_digests(PIECE));
}

#[test]
fn exactly_those_whose_blocks_differ_are_banned() {
    let mut blame = Blame::new();
    send(&mut blame, PIECE, &[1, 2, 3, 4]);
    // Blocks 1 and 5 are number 2's, block 3 is number 4's.
    let verdict = blame.failed(PIECE, &corrupt(&[1, 3, 5]));
    assert!(verdict.ban.is_empty());
    assert_eq!(verdict.suspects, [1, 2, 3, 4].map(sender));
    assert!((1..=4).all(|number| blame.on_parole(sender(number).peer)));
    assert!(blame.wants_digests(PIECE));
    send(&mut blame, PIECE, &[3]);
    assert_eq!(blame.verified(PIECE, Some(&good())), [sender(2), sender(4)]);
    assert!((1..=4).all(|number| !blame.on_parole(sender(number).peer)));
    assert_eq!(blame.trust(sender(1).peer), 0);
    assert_eq!(blame.trust(sender(3).peer), 1);
    assert!(!blame.wants_digests(PIECE));
}

#[test]
fn a_proven_liar_accuses_nobody_else() {
    let mut blame = Blame::new();
    let (second, third, fourth) = (PieceIndex(8), PieceIndex(9), PieceIndex(10));
    for piece in [PIECE, second, third] {
        send(&mut blame, piece, &[1, 2, 3]);
    }
    send(&mut blame, fourth, &[3, 4]);
    blame.failed(PIECE, &corrupt(&[1]));
    blame.failed(second, &corrupt(&[1]));
    blame.failed(fourth, &corrupt(&[1]));
    send(&mut blame, PIECE, &[1]);
    assert_eq!(blame.verified(PIECE, Some(&good())), [sender(2)]);
    // The second piece failed by the liar's hand; the fourth without it.
    assert!(!blame.on_parole(sender(1).peer));
    assert!(blame.on_parole(sender(4).peer));
    // What it had a part in before fails later, and says nothing of the others.
    assert_eq!(blame.pieces_of(sender(2)).collect::<Vec<_>>(), [third]);
    assert_eq!(blame.failed(third, &corrupt(&[1])), Verdict::default());
    assert!(!blame.on_parole(sender(1).peer));
}

#[test]
fn a_liar_that_left_is_still_named() {
    let mut blame = Blame::new();
    send(&mut blame, PIECE, &[1, 2]);
    blame.failed(PIECE, &corrupt(&[1]));
    blame.departed(sender(2).peer);
    send(&mut blame, PIECE, &[1]);
    assert_eq!(blame.verified(PIECE, Some(&good())), [sender(2)]);
}

#[test]
fn several_failed_tries_are_all_compared() {
    let mut blame = Blame::new();
    send(&mut blame, PIECE, &[1, 2]);
    blame.failed(PIECE, &corrupt(&[1]));
    send(&mut blame, PIECE, &[3, 4]);
    blame.failed(PIECE, &corrupt(&[0]));
    send(&mut blame, PIECE, &[1]);
    assert_eq!(blame.verified(PIECE, Some(&good())), [sender(2), sender(3)]);
}

#[test]
fn a_piece_thrown_away_blames_nobody() {
    let mut blame = Blame::new();
    send(&mut blame, PIECE, &[1]);
    blame.forget(PIECE);
    assert_eq!(blame.failed(PIECE, &corrupt(&[1])), Verdict::default());
}

#[test]
fn blocks_of_unknown_origin_make_no_proof() {
    let mut blame = Blame::new();
    for block in 1..BLOCKS {
        blame.sent(PIECE, BlockIndex(block), sender(1));
    }
    let verdict = blame.failed(PIECE, &corrupt(&[0]));
    assert_eq!(verdict, Verdict { ban: vec![], suspects: vec![sender(1)] });
}

#[test]
fn a_duplicate_that_was_thrown_away_is_not_blamed() {
    let mut blame = Blame::new();
    send(&mut blame, PIECE, &[1]);
    send(&mut blame, PIECE, &[2]);
    assert_eq!(blame.failed(PIECE, &corrupt(&[0])).ban, [sender(1)]);
}

#[test]
fn honest_peers_survive_a_liar_in_every_piece() {
    let mut blame = Blame::new();
    for piece in 0..100 {
        send(&mut blame, PieceIndex(piece), &[1, 2, 3, 66]);
        assert!(blame.failed(PieceIndex(piece), &corrupt(&[3])).ban.is_empty());
    }
    assert_eq!(blame.trust(sender(1).peer), TRUST_MIN);
    let mut banned = BTreeSet::new();
    for piece in 0..100 {
        send(&mut blame, PieceIndex(piece), &[1]);
        banned.extend(blame.verified(PieceIndex(piece), Some(&good())));
    }
    assert_eq!(banned.into_iter().collect::<Vec<_>>(), [sender(66)]);
    assert_eq!(blame.trust(sender(1).peer), TRUST_MAX);
}

#[test]
fn a_whole_good_piece_ends_parole_and_reconnecting_does_not() {
    let mut blame = Blame::new();
    send(&mut blame, PIECE, &[1, 2]);
    blame.failed(PIECE, &corrupt(&[0]));
    blame.departed(sender(1).peer);
    let again = Sender { peer: PeerKey { index: 1, generation: 1 }, ip: sender(1).ip };
    blame.arrived(again);
    assert!(blame.on_parole(again.peer));
    // A share in a good piece proves little.
    send(&mut blame, PieceIndex(8), &[2, 3]);
    blame.verified(PieceIndex(8), None);
    assert!(blame.on_parole(sender(2).peer));
    send(&mut blame, PieceIndex(9), &[2]);
    blame.verified(PieceIndex(9), None);
    assert!(!blame.on_parole(sender(2).peer));
}

#[test]
fn evidence_is_bounded_and_the_oldest_goes_first() {
    let mut blame = Blame::new();
    let digests = vec![[1; 20]; 1_024];
    for piece in 0..200 {
        for block in 0..1_024 {
            blame.sent(PieceIndex(piece), BlockIndex(block), sender(block % 2));
        }
        blame.failed(PieceIndex(piece), &digests);
        assert!(blame.evidence_digests <= EVIDENCE_MAX);
    }
    assert!(!blame.wants_digests(PieceIndex(0)));
    assert!(blame.wants_digests(PieceIndex(199)));
}

#[test]
fn impossible_blocks_grow_no_table() {
    let mut blame = Blame::new();
    blame.sent(PIECE, BlockIndex(u32::MAX), sender(1));
    assert!(blame.senders(PIECE).is_empty());
    for piece in 0..OPEN_PIECES_MAX as u32 + 100 {
        blame.sent(PieceIndex(piece), BlockIndex(0), sender(1));
    }
    assert_eq!(blame.open.len(), OPEN_PIECES_MAX);
}
