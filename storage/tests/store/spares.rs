//! A block that two links have memory for: the first copy counts, and nothing stays charged.

use crate::common::{Bench, Sample, verified, written};
use afflux_metainfo::{BlockIndex, BlockRef, PieceIndex};
use afflux_storage::limits::SPARES_PER_BLOCK_MAX;
use afflux_storage::{BlockBuffer, Kind};

const PIECE: usize = 300 * 1024;
const BLOCK: usize = 16 * 1024;

fn bench_in(kind: Kind, limit_bytes: usize) -> Bench {
    Bench::new(Sample::new(PIECE as u64, &[("film", 2 * PIECE as u64)]), kind, limit_bytes)
}

fn bench() -> Bench {
    bench_in(Kind::Memory, 1 << 20)
}

/// The block of piece 0 that two links bring: neither first nor last of its extent.
fn contested(bench: &Bench) -> BlockRef {
    bench.sample.layout.block(PieceIndex(0), BlockIndex(3))
}

fn ask(bench: &Bench, block: BlockRef) -> BlockBuffer {
    bench.store.reserve(block).unwrap();
    bench.store.take_buffer(block).unwrap()
}

fn fill(bench: &Bench, block: BlockRef, mut buffer: BlockBuffer) -> bool {
    buffer.copy_from_slice(bench.sample.block(block));
    bench.store.fill(block, buffer).is_some()
}

/// Brings every other block of piece 0.
fn bring_rest(bench: &Bench, except: BlockRef) {
    for block in bench.sample.layout.blocks(PieceIndex(0)).filter(|block| *block != except) {
        bench.store.reserve(block).unwrap();
        bench.bring(block, bench.sample.block(block));
    }
}

/// Bytes charged that are not merely there for the next piece.
fn in_use(bench: &Bench) -> usize {
    bench.pool.ledger().used() - bench.pool.idle_bytes()
}

#[test]
fn the_quick_copy_wins_while_a_slow_link_has_the_memory() {
    let bench = bench();
    let block = contested(&bench);
    let slow = ask(&bench, block);
    let quick = ask(&bench, block);
    assert_eq!(in_use(&bench), PIECE + BLOCK, "a spare is charged");
    assert!(fill(&bench, block, quick));
    assert!(bench.store.take_buffer(block).is_none(), "it is there");
    bring_rest(&bench, block);
    bench.wait_for(&verified(0));
    assert_eq!(bench.read_piece(0).unwrap(), bench.sample.piece(0));
    let parts = bench.read_parts(0, 3 * 16384 - 10..4 * 16384 + 10).unwrap();
    assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [10, BLOCK, 10]);
    assert_eq!(parts.concat(), bench.sample.piece(0)[3 * BLOCK - 10..4 * BLOCK + 10]);
    drop(parts);
    assert!(!fill(&bench, block, slow), "it comes too late");
    assert_eq!(in_use(&bench), PIECE + BLOCK, "the piece keeps the spare");
    bench.store.evict(PieceIndex(0));
    assert_eq!(in_use(&bench), 0);
}

#[test]
fn the_slow_copy_wins_if_it_is_first_after_all() {
    let bench = bench();
    let block = contested(&bench);
    let (slow, quick) = (ask(&bench, block), ask(&bench, block));
    assert!(fill(&bench, block, slow));
    assert!(!fill(&bench, block, quick));
    assert_eq!(in_use(&bench), PIECE, "the spare is given back");
    bring_rest(&bench, block);
    bench.wait_for(&verified(0));
    assert_eq!(bench.read_piece(0).unwrap(), bench.sample.piece(0));
    bench.store.evict(PieceIndex(0));
    assert_eq!(in_use(&bench), 0);
}

#[test]
fn memory_that_comes_back_in_time_makes_the_piece_whole_again() {
    for late in [false, true] {
        let bench = bench();
        let block = contested(&bench);
        let (slow, quick) = (ask(&bench, block), ask(&bench, block));
        assert!(fill(&bench, block, quick));
        if late {
            // What a slow link wrote meanwhile, right or wrong, is of no consequence.
            assert!(bench.store.fill(block, slow).is_none());
        } else {
            bench.store.put_back(block, slow);
        }
        bring_rest(&bench, block);
        bench.wait_for(&verified(0));
        assert_eq!(in_use(&bench), PIECE, "no more than it was admitted with");
        assert_eq!(bench.read_parts(0, 0..256 * 1024).unwrap().len(), 1);
        assert_eq!(bench.read_piece(0).unwrap(), bench.sample.piece(0));
    }
}

#[test]
fn a_slow_link_that_parts_first_leaves_the_spare_in_force() {
    let bench = bench();
    let block = contested(&bench);
    let (slow, quick) = (ask(&bench, block), ask(&bench, block));
    bench.store.put_back(block, slow);
    bench.store.release(block);
    assert!(fill(&bench, block, quick));
    bring_rest(&bench, block);
    bench.wait_for(&verified(0));
    assert_eq!(in_use(&bench), PIECE);
    assert_eq!(bench.read_piece(0).unwrap(), bench.sample.piece(0));
}

#[test]
fn a_piece_is_let_go_when_the_last_of_its_buffers_is_back() {
    let bench = bench();
    let block = contested(&bench);
    let (slow, quick) = (ask(&bench, block), ask(&bench, block));
    bench.store.release(block);
    bench.store.release(block);
    bench.store.put_back(block, slow);
    assert_eq!(in_use(&bench), PIECE + BLOCK, "a link still has a spare");
    bench.store.put_back(block, quick);
    assert_eq!(in_use(&bench), 0);
}

#[test]
fn spares_are_bounded_per_block_and_by_the_ledger() {
    let bench = bench_in(Kind::Memory, PIECE + SPARES_PER_BLOCK_MAX * BLOCK + BLOCK - 1);
    let block = contested(&bench);
    let own = ask(&bench, block);
    let spares: Vec<_> = (0..SPARES_PER_BLOCK_MAX).map(|_| ask(&bench, block)).collect();
    assert!(bench.store.take_buffer(block).is_none(), "enough for one block");
    let other = bench.sample.layout.block(PieceIndex(0), BlockIndex(4));
    let others_own = ask(&bench, other);
    assert!(bench.store.take_buffer(other).is_none(), "the ledger is full");
    for spare in spares {
        bench.store.put_back(block, spare);
    }
    assert!(bench.store.take_buffer(other).is_some());
    drop((own, others_own));
}

#[test]
fn a_spare_of_a_discarded_piece_or_another_block_is_worthless() {
    let bench = bench();
    let block = contested(&bench);
    let other = bench.sample.layout.block(PieceIndex(0), BlockIndex(0));
    let (own, spare) = (ask(&bench, block), ask(&bench, block));
    let (others_own, others_spare) = (ask(&bench, other), ask(&bench, other));
    assert!(bench.store.fill(other, spare).is_none());
    assert!(bench.store.fill(block, others_spare).is_none());
    let spare = ask(&bench, block);
    bench.store.discard(PieceIndex(0));
    let _new = ask(&bench, block);
    assert!(bench.store.fill(block, spare).is_none());
    bench.store.put_back(block, own);
    drop(others_own);
    assert_eq!(in_use(&bench), PIECE);
}

#[test]
fn a_piece_with_a_spare_in_it_is_written_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench_in(Kind::Disk { dir: folder.path().to_path_buf() }, 1 << 20);
    let block = contested(&bench);
    let (slow, quick) = (ask(&bench, block), ask(&bench, block));
    assert!(fill(&bench, block, quick));
    bring_rest(&bench, block);
    bench.wait_for(&written(0));
    bench.store.put_back(block, slow);
    bench.download(1);
    bench.wait_for(&written(1));
    assert_eq!(bench.sample.read_from(folder.path()), bench.sample.content);
}
