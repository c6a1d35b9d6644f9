//! The piece table against a model that keeps every block by itself.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use afflux_metainfo::{BlockIndex, PieceIndex};
use afflux_swarm::limits::ASKERS_MAX;
use afflux_swarm::pieces::{PieceTable, Receipt};
use afflux_swarm::{PeerKey, Slab};

const PIECES: u8 = 4;
const BLOCKS: u8 = 6;
const PEERS: u8 = 5;

/// Who was asked for a block; `None` once it's there.
type Block = Option<Vec<PeerKey>>;

/// Every three bytes are a step: what, piece and block, peer. The table and the model must agree after each.
pub fn piece_table(data: &[u8]) {
    let mut slab: Slab<()> = Slab::new();
    let peers: Vec<PeerKey> = (0..PEERS).map(|_| slab.insert(())).collect();
    let now = Instant::now();
    let (mut table, mut model) = (PieceTable::default(), BTreeMap::<u32, Vec<Block>>::new());
    for step in data.chunks_exact(3).take(4_096) {
        let number = u32::from(step[1] % PIECES);
        let piece = PieceIndex(number);
        let block = BlockIndex(u32::from(step[1] / PIECES % (BLOCKS + 1)));
        let peer = peers[usize::from(step[2] % PEERS)];
        match step[0] % 6 {
            0 => {
                table.open(piece, 100 + number, u32::from(BLOCKS), None);
                model.entry(number).or_insert_with(fresh);
            }
            1 => assert_eq!(table.close(piece).is_some(), model.remove(&number).is_some()),
            2 => {
                table.reset(piece);
                model.entry(number).and_modify(|blocks| *blocks = fresh());
            }
            3 => {
                let asked = table.ask(piece, block, peer, now, Duration::from_millis(u64::from(step[2])));
                assert_eq!(asked.is_some(), ask(&mut model, number, block, peer));
            }
            4 => assert_eq!(table.unask(piece, block, peer), unask(&mut model, number, block, peer)),
            _ => receive(&mut table, &mut model, piece, block),
        }
        agree(&table, &model);
    }
}

fn fresh() -> Vec<Block> {
    vec![Some(Vec::new()); usize::from(BLOCKS)]
}

fn block_of(model: &mut BTreeMap<u32, Vec<Block>>, piece: u32, block: BlockIndex) -> Option<&mut Block> {
    model.get_mut(&piece)?.get_mut(block.as_usize())
}

fn ask(model: &mut BTreeMap<u32, Vec<Block>>, piece: u32, block: BlockIndex, peer: PeerKey) -> bool {
    let Some(Some(askers)) = block_of(model, piece, block) else { return false };
    let admitted = !askers.contains(&peer) && askers.len() < ASKERS_MAX;
    if admitted {
        askers.push(peer);
    }
    admitted
}

fn unask(model: &mut BTreeMap<u32, Vec<Block>>, piece: u32, block: BlockIndex, peer: PeerKey) -> bool {
    let Some(Some(askers)) = block_of(model, piece, block) else { return false };
    let before = askers.len();
    askers.retain(|&asker| asker != peer);
    before > 0 && askers.is_empty()
}

fn receive(
    table: &mut PieceTable,
    model: &mut BTreeMap<u32, Vec<Block>>,
    piece: PieceIndex,
    block: BlockIndex,
) {
    let receipt = table.receive(piece, block);
    match (receipt, block_of(model, piece.0, block)) {
        (Receipt::New { asked, whole }, Some(state @ Some(_))) => {
            let askers = state.take().unwrap_or_default();
            let told = asked.map(|asked| asked.askers().count()).unwrap_or_default();
            assert_eq!(told, askers.len());
            assert_eq!(whole, model[&piece.0].iter().all(Option::is_none));
        }
        (Receipt::Duplicate, Some(None)) | (Receipt::Stray, None) => {}
        (receipt, state) => panic!("{receipt:?} of {state:?}"),
    }
}

fn agree(table: &PieceTable, model: &BTreeMap<u32, Vec<Block>>) {
    assert_eq!(table.open_count(), model.len());
    assert_eq!(table.open_bytes(), model.keys().map(|piece| u64::from(100 + piece)).sum::<u64>());
    for (piece, open) in table.iter() {
        let blocks = &model[&piece.0];
        let missing = |block: &Block| block.as_ref().is_some_and(Vec::is_empty);
        assert_eq!(open.missing() as usize, blocks.iter().filter(|block| missing(block)).count());
        assert_eq!(open.received() as usize, blocks.iter().filter(|block| block.is_none()).count());
        assert_eq!(open.is_whole(), blocks.iter().all(Option::is_none));
        let first = blocks.iter().position(missing).map(|nth| BlockIndex(nth as u32));
        assert_eq!(open.next_missing(), first);
        assert_eq!(table.partial().any(|partial| partial == piece), first.is_some());
    }
}
