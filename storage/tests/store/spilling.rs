//! Memory that is too small for the pieces under way: what has come of them goes to disk ahead of the rest.

use crate::common::{Bench, Sample, verified, written};
use afflux_metainfo::{BlockIndex, BlockRef, PieceIndex};
use afflux_storage::{Event, Full, Kind, Ledger, Spills};

const MIB: usize = 1 << 20;
const PIECE: usize = 4 * MIB;
const MEMORY: usize = 2 * MIB;

/// A piece is twice as long as all the memory there is.
fn bench(kind: Kind) -> Bench {
    Bench::new(Sample::new(PIECE as u64, &[("film", 3 * PIECE as u64 + 5)]), kind, MEMORY)
}

fn on_disk() -> (tempfile::TempDir, Bench) {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(Kind::Disk { dir: folder.path().to_path_buf() });
    (folder, bench)
}

fn cached(places: usize) -> (tempfile::TempDir, Ledger, Bench) {
    let folder = tempfile::tempdir().unwrap();
    let places = Ledger::new(places);
    let kind = Kind::Cache { dir: folder.path().to_path_buf(), places: places.clone() };
    (folder, places, bench(kind))
}

/// Brings one block after the other in the order given.
fn bring(bench: &Bench, blocks: impl IntoIterator<Item = BlockRef>) {
    for block in blocks {
        bench.reserve(block);
        bench.bring(block, bench.sample.block(block));
    }
}

fn blocks(bench: &Bench, piece: u32) -> Vec<BlockRef> {
    bench.sample.layout.blocks(PieceIndex(piece)).collect()
}

/// Waits until it's read, since a piece larger than all memory is read in parts.
fn assert_readable(bench: &Bench, piece: u32) {
    assert!(bench.read_piece(piece).unwrap() == bench.sample.piece(piece), "piece {piece} differs");
}

#[test]
fn a_piece_larger_than_the_memory_comes_in_order_and_is_read_back_no_more_than_needed() {
    let (folder, bench) = on_disk();
    bring(&bench, blocks(&bench, 0));
    bench.wait_for(&verified(0));
    assert_readable(&bench, 0);
    bench.wait_for(&written(0));
    let Spills { spilled_bytes, read_back_bytes } = bench.store.spills();
    assert!(spilled_bytes as usize >= PIECE - MEMORY, "{spilled_bytes} bytes");
    // Only what was spilled before the hash thread came to it.
    assert!(read_back_bytes <= spilled_bytes);
    assert!(bench.pool.ledger().peak() <= MEMORY);
    let file = std::fs::read(folder.path().join("film")).unwrap();
    assert!(file[..PIECE] == bench.sample.content[..PIECE], "the file differs");
}

#[test]
fn blocks_in_any_order_are_read_back_to_finish_the_hash() {
    let (_folder, bench) = on_disk();
    bring(&bench, blocks(&bench, 1).into_iter().rev());
    bench.wait_for(&verified(1));
    assert_readable(&bench, 1);
    let spills = bench.store.spills();
    assert!(spills.read_back_bytes as usize >= PIECE - MEMORY, "{spills:?}");
    assert!(bench.pool.ledger().peak() <= MEMORY);
}

#[test]
fn pieces_that_stay_half_done_are_in_nobodys_way() {
    let (_folder, bench) = on_disk();
    // A block here and there, none of which makes an extent whole.
    for piece in 0..2 {
        bring(&bench, blocks(&bench, piece).into_iter().step_by(20));
    }
    bring(&bench, blocks(&bench, 2));
    bench.wait_for(&verified(2));
    for piece in 0..2 {
        let rest = blocks(&bench, piece).into_iter().enumerate().filter(|(nth, _)| nth % 20 != 0);
        bring(&bench, rest.map(|(_, block)| block).rev());
        bench.wait_for(&verified(piece));
        assert_readable(&bench, piece);
    }
    assert!(bench.pool.ledger().peak() <= MEMORY);
}

#[test]
fn a_piece_that_nothing_comes_of_any_more_gives_its_memory_back() {
    let (_folder, bench) = on_disk();
    bring(&bench, blocks(&bench, 0).into_iter().step_by(3).take(8));
    let held = || bench.pool.ledger().used() - bench.pool.idle_bytes();
    assert!(held() > 0);
    // The first look only sees that something came.
    bench.disk.spill_idle();
    bench.disk.spill_idle();
    while held() > 0 {
        std::thread::yield_now();
    }
    let rest = blocks(&bench, 0).into_iter().enumerate().filter(|(nth, _)| nth % 3 != 0 || *nth >= 24);
    bring(&bench, rest.map(|(_, block)| block));
    bench.wait_for(&verified(0));
    assert_readable(&bench, 0);
}

#[test]
fn what_is_on_its_way_keeps_its_memory() {
    let (_folder, bench) = on_disk();
    let asked: Vec<BlockRef> = blocks(&bench, 0).into_iter().step_by(16).take(8).collect();
    asked.iter().for_each(|&block| bench.reserve(block));
    let more = bench.sample.layout.block(PieceIndex(0), BlockIndex(8 * 16));
    for _ in 0..100 {
        assert_eq!(bench.store.reserve(more), Err(Full), "all memory is promised");
    }
    for block in asked {
        bench.bring(block, bench.sample.block(block));
    }
    bench.reserve(more);
}

#[test]
fn the_digests_of_a_failure_tell_of_spilled_blocks_too() {
    let (_folder, bench) = on_disk();
    for (nth, block) in blocks(&bench, 0).into_iter().enumerate() {
        bench.reserve(block);
        let mut payload = bench.sample.block(block).to_vec();
        payload[3] ^= u8::from(nth == 77);
        bench.bring(block, &payload);
    }
    let Event::Failed { piece: PieceIndex(0), digests: bad, .. } = bench.event() else {
        panic!("not failed")
    };
    assert!(bench.store.spills().spilled_bytes > 0);
    bench.store.want_digests(PieceIndex(0));
    bring(&bench, blocks(&bench, 0));
    let Event::Verified { digests: Some(good), .. } = bench.event() else { panic!("not verified") };
    let differing: Vec<usize> = (0..good.len()).filter(|&nth| good[nth] != bad[nth]).collect();
    assert_eq!(differing, [77]);
}

#[test]
fn what_cannot_be_spilled_is_dropped_and_said() {
    let (folder, bench) = on_disk();
    bring(&bench, blocks(&bench, 0).into_iter().take(3 * MEMORY / 4 / 16_384));
    // Where the file belongs there is a folder now.
    std::fs::create_dir(folder.path().join("film")).unwrap();
    let others = blocks(&bench, 1);
    let is_unstored = |event: &Event| matches!(event, Event::Unstored { .. });
    let mut events = Vec::new();
    for block in others {
        bench.reserve(block);
        events.extend(bench.events.try_iter());
        if events.iter().any(is_unstored) {
            break;
        }
        // It has no memory any more if its own piece was dropped.
        if let Some(mut buffer) = bench.store.take_buffer(block) {
            buffer.copy_from_slice(bench.sample.block(block));
            bench.store.fill(block, buffer);
        }
    }
    assert!(events.iter().any(is_unstored), "{events:?}");
    assert!(bench.store.stopped().is_some());
}

#[test]
fn a_cache_gives_the_place_of_an_evicted_piece_to_the_next() {
    let (_folder, places, bench) = cached(2 * PIECE);
    for piece in [0, 1] {
        bring(&bench, blocks(&bench, piece));
        bench.wait_for(&verified(piece));
        assert_readable(&bench, piece);
        bench.wait_for(&written(piece));
    }
    let first = blocks(&bench, 2)[0];
    assert_eq!(bench.store.reserve(first), Err(Full), "both places are taken");
    bench.store.evict(PieceIndex(0));
    assert!(!bench.store.have(PieceIndex(0)));
    bring(&bench, blocks(&bench, 2));
    bench.wait_for(&verified(2));
    assert_readable(&bench, 2);
    assert_readable(&bench, 1);
    assert!(places.peak() <= 2 * PIECE);
    bench.store.close();
}

#[test]
fn a_piece_that_comes_back_to_the_cache_is_whole() {
    let (_folder, places, bench) = cached(2 * PIECE);
    for _ in 0..3 {
        bring(&bench, blocks(&bench, 0));
        bench.wait_for(&verified(0));
        assert_readable(&bench, 0);
        bench.store.evict(PieceIndex(0));
        // Half of it comes, and is given up.
        bring(&bench, blocks(&bench, 0).into_iter().step_by(2));
        bench.store.discard(PieceIndex(0));
    }
    bench.store.close();
    assert_eq!(places.used(), 0);
}
