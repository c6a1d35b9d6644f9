//! The table against a model that keeps every block by itself.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::key::SlabKey;

fn peer(index: u32) -> PeerKey {
    PeerKey::from_parts(index, 0)
}

fn table() -> PieceTable {
    let mut table = PieceTable::default();
    table.open(PieceIndex(4), 40_000, 3, None);
    table
}

const PIECE: PieceIndex = PieceIndex(4);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn blocks_are_asked_in_order_and_come_back_when_nobody_delivers() {
    let (mut table, now) = (table(), crate::testing::epoch());
    for block in 0..3 {
        assert_eq!(table.piece(PIECE).unwrap().next_missing(), Some(BlockIndex(block)));
        assert!(table.ask(PIECE, BlockIndex(block), peer(1), now, SECOND).is_some());
    }
    assert_eq!(table.partial().count(), 0);
    assert!(table.unask(PIECE, BlockIndex(1), peer(1)));
    assert_eq!(table.piece(PIECE).unwrap().next_missing(), Some(BlockIndex(1)));
    assert_eq!(table.partial().collect::<Vec<_>>(), [PIECE]);
}

#[test]
fn a_block_is_missing_only_when_its_last_asker_gives_up() {
    let (mut table, now) = (table(), crate::testing::epoch());
    assert!(table.ask(PIECE, BlockIndex(0), peer(1), now, SECOND).is_some());
    assert!(table.ask(PIECE, BlockIndex(0), peer(1), now, SECOND).is_none());
    assert!(table.ask(PIECE, BlockIndex(0), peer(2), now, SECOND).is_some());
    assert!(table.ask(PIECE, BlockIndex(0), peer(3), now, SECOND).is_some());
    assert!(table.ask(PIECE, BlockIndex(0), peer(4), now, SECOND).is_none(), "one more than may be asked");
    assert!(!table.unask(PIECE, BlockIndex(0), peer(1)));
    assert!(!table.unask(PIECE, BlockIndex(0), peer(9)), "never asked");
    assert!(!table.unask(PIECE, BlockIndex(0), peer(2)));
    assert!(table.unask(PIECE, BlockIndex(0), peer(3)));
}

#[test]
fn a_block_is_expected_from_whoever_delivers_it_first() {
    let (mut table, now) = (table(), crate::testing::epoch());
    table.ask(PIECE, BlockIndex(0), peer(1), now, 3 * SECOND);
    table.ask(PIECE, BlockIndex(0), peer(2), now + SECOND, SECOND);
    let Block::Asked(asked) = table.piece(PIECE).unwrap().blocks()[0] else { panic!("not asked") };
    assert_eq!(asked.expected_at(), Some(now + 2 * SECOND));
    assert!(!asked.asker(peer(1)).unwrap().is_second && asked.asker(peer(2)).unwrap().is_second);
    assert!(asked.is_shared());
}

#[test]
fn what_comes_is_new_once_then_a_duplicate_and_stray_when_the_piece_is_closed() {
    let (mut table, now) = (table(), crate::testing::epoch());
    table.ask(PIECE, BlockIndex(0), peer(1), now, SECOND);
    assert!(matches!(table.receive(PIECE, BlockIndex(0)), Receipt::New { asked: Some(_), whole: false }));
    assert!(matches!(table.receive(PIECE, BlockIndex(0)), Receipt::Duplicate));
    assert!(matches!(table.receive(PIECE, BlockIndex(1)), Receipt::New { asked: None, whole: false }));
    assert!(matches!(table.receive(PIECE, BlockIndex(2)), Receipt::New { whole: true, .. }));
    assert!(matches!(table.receive(PIECE, BlockIndex(3)), Receipt::Stray), "there is no such block");
    assert_eq!(table.open_bytes(), 40_000);
    table.close(PIECE);
    assert!(matches!(table.receive(PIECE, BlockIndex(0)), Receipt::Stray));
    assert_eq!(table.open_bytes(), 0);
}

#[test]
fn a_claimed_piece_admits_its_owner_alone_until_released() {
    let mut table = table();
    table.claim(PIECE, peer(1));
    assert!(table.piece(PIECE).unwrap().admits(peer(1)) && !table.piece(PIECE).unwrap().admits(peer(2)));
    table.release(PIECE);
    assert!(table.piece(PIECE).unwrap().admits(peer(2)));
}

#[derive(Clone, Debug)]
enum Step {
    Open(u32),
    Close(u32),
    Reset(u32),
    Ask(u32, u32, u32),
    Unask(u32, u32, u32),
    Receive(u32, u32),
}

fn step() -> impl Strategy<Value = Step> {
    let (piece, block, peer) = (0..4u32, 0..6u32, 0..4u32);
    prop_oneof![
        1 => piece.clone().prop_map(Step::Open),
        1 => piece.clone().prop_map(Step::Close),
        1 => piece.clone().prop_map(Step::Reset),
        6 => (piece.clone(), block.clone(), peer.clone()).prop_map(|(p, b, k)| Step::Ask(p, b, k)),
        4 => (piece.clone(), block.clone(), peer).prop_map(|(p, b, k)| Step::Unask(p, b, k)),
        3 => (piece, block).prop_map(|(p, b)| Step::Receive(p, b)),
    ]
}

/// Per block: who was asked, or `None` if it is there.
type Model = BTreeMap<u32, Vec<Option<Vec<u32>>>>;

fn model_ask(model: &mut Model, piece: u32, block: u32, peer: u32) -> bool {
    let askers = model.get_mut(&piece).and_then(|blocks| blocks.get_mut(block as usize));
    match askers {
        Some(Some(askers)) if !askers.contains(&peer) && askers.len() < ASKERS_MAX => {
            askers.push(peer);
            true
        }
        _ => false,
    }
}

fn model_unask(model: &mut Model, piece: u32, block: u32, peer: u32) -> bool {
    let askers = model.get_mut(&piece).and_then(|blocks| blocks.get_mut(block as usize));
    let Some(Some(askers)) = askers else { return false };
    let before = askers.len();
    askers.retain(|&asker| asker != peer);
    before > 0 && askers.is_empty()
}

proptest! {
    #[test]
    fn the_table_never_drifts_from_the_model(steps in prop::collection::vec(step(), 0..200)) {
        let now = crate::testing::epoch();
        let (mut table, mut model) = (PieceTable::default(), Model::new());
        for step in steps {
            match step {
                Step::Open(piece) => {
                    table.open(PieceIndex(piece), 1000 + piece, 5, None);
                    model.entry(piece).or_insert_with(|| vec![Some(Vec::new()); 5]);
                }
                Step::Close(piece) => {
                    let closed = table.close(PieceIndex(piece)).is_some();
                    prop_assert_eq!(closed, model.remove(&piece).is_some());
                }
                Step::Reset(piece) => {
                    table.reset(PieceIndex(piece));
                    if let Some(blocks) = model.get_mut(&piece) {
                        *blocks = vec![Some(Vec::new()); 5];
                    }
                }
                Step::Ask(piece, block, key) => prop_assert_eq!(
                    table.ask(PieceIndex(piece), BlockIndex(block), peer(key), now, SECOND).is_some(),
                    model_ask(&mut model, piece, block, key)
                ),
                Step::Unask(piece, block, key) => {
                    let expected = model_unask(&mut model, piece, block, key);
                    let before = table.unask(PieceIndex(piece), BlockIndex(block), peer(key));
                    prop_assert_eq!(before, expected);
                }
                Step::Receive(piece, block) => {
                    let receipt = table.receive(PieceIndex(piece), BlockIndex(block));
                    let known = model.get_mut(&piece).and_then(|blocks| blocks.get_mut(block as usize));
                    match (receipt, known) {
                        (Receipt::New { .. }, Some(state @ Some(_))) => *state = None,
                        (Receipt::Duplicate, Some(None)) | (Receipt::Stray, None) => {}
                        (receipt, known) => prop_assert!(false, "{receipt:?} of {known:?}"),
                    }
                }
            }
            check(&table, &model)?;
        }
    }
}

fn check(table: &PieceTable, model: &Model) -> Result<(), TestCaseError> {
    prop_assert_eq!(table.open_count(), model.len());
    prop_assert_eq!(table.open_bytes(), model.keys().map(|piece| u64::from(1000 + piece)).sum::<u64>());
    for (piece, open) in table.iter() {
        let blocks = &model[&piece.0];
        let missing = |block: &Option<Vec<u32>>| block.as_ref().is_some_and(Vec::is_empty);
        prop_assert_eq!(open.missing() as usize, blocks.iter().filter(|block| missing(block)).count());
        prop_assert_eq!(open.received() as usize, blocks.iter().filter(|block| block.is_none()).count());
        let first = blocks.iter().position(missing).map(|nth| BlockIndex(nth as u32));
        prop_assert_eq!(open.next_missing(), first);
        prop_assert_eq!(table.partial().any(|partial| partial == piece), first.is_some());
    }
    Ok(())
}
