//! Torrents in memory: assembly of pieces, the byte bound, eviction.

use crate::common::{Bench, Sample, verified};
use afflux_metainfo::{BlockIndex, BlockRef, PieceIndex};
use afflux_storage::{Event, Full, Kind, ReadError};

const MIB: usize = 1 << 20;

/// Three pieces of 300 KiB (two extents, the second short) and one of 1000 bytes.
fn sample() -> Sample {
    Sample::new(300 * 1024, &[("film", 3 * 300 * 1024 + 1000)])
}

fn bench() -> Bench {
    Bench::new(sample(), Kind::Memory, 4 * MIB)
}

fn block(bench: &Bench, piece: u32, block: u32) -> BlockRef {
    bench.sample.layout.block(PieceIndex(piece), BlockIndex(block))
}

#[test]
fn pieces_are_readable_once_verified_whatever_order_blocks_come_in() {
    let bench = bench();
    assert_eq!(bench.read(0, 0..1), Err(ReadError::NotHave));
    for piece in [3, 1, 0, 2] {
        bench.download(piece);
        assert_eq!(bench.event(), verified(piece));
        assert!(bench.store.have(PieceIndex(piece)));
        assert_eq!(bench.read_piece(piece).unwrap(), bench.sample.piece(piece));
    }
    assert!(bench.store.have_all().is_full());
    let parts = bench.read_parts(0, 262_100..262_200).unwrap();
    assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [44, 56], "one part per extent");
    assert_eq!(parts.concat(), bench.sample.piece(0)[262_100..262_200]);
}

#[test]
fn ranges_outside_the_piece_are_refused() {
    let bench = bench();
    bench.download(3);
    bench.wait_for(&verified(3));
    assert_eq!(bench.read(3, 999..1000).unwrap().len(), 1);
    for range in [999..1001, 5..5, 1000..1001, u32::MAX - 1..u32::MAX] {
        assert_eq!(bench.read(3, range), Err(ReadError::Range));
    }
    #[expect(clippy::reversed_empty_ranges, reason = "a caller may get its arithmetic wrong")]
    let reversed = bench.read(3, 6..5);
    assert_eq!(reversed, Err(ReadError::Range));
    assert_eq!(bench.read(4, 0..1), Err(ReadError::Range));
}

#[test]
fn a_failure_names_the_attempt_that_its_blocks_were_reserved_and_filled_in() {
    let bench = bench();
    let only = block(&bench, 3, 0);
    let fail = || {
        let reserved = bench.store.reserve(only).unwrap();
        let buffer = bench.store.take_buffer(only).unwrap();
        let filled = bench.store.fill(only, buffer);
        let Event::Failed { attempt, .. } = bench.event() else { panic!("not failed") };
        assert_eq!((reserved, filled), (Some(attempt), Some(attempt)));
        attempt
    };
    assert_ne!(fail(), fail());
}

#[test]
fn a_wrong_block_fails_the_piece_and_the_digests_tell_which() {
    let bench = bench();
    let blocks: Vec<_> = bench.sample.layout.blocks(PieceIndex(1)).collect();
    for &block in &blocks {
        bench.store.reserve(block).unwrap();
        let mut payload = bench.sample.block(block).to_vec();
        if block.begin == 5 * 16384 {
            payload[77] ^= 1;
        }
        bench.bring(block, &payload);
    }
    let Event::Failed { piece: PieceIndex(1), digests: bad, .. } = bench.event() else {
        panic!("not failed")
    };
    assert!(!bench.store.have(PieceIndex(1)));
    assert_eq!(bench.pool.ledger().used(), bench.pool.idle_bytes(), "the memory is given back");

    bench.store.want_digests(PieceIndex(1));
    bench.download(1);
    let Event::Verified { piece: PieceIndex(1), digests: Some(good) } = bench.event() else {
        panic!("not verified with digests")
    };
    assert_eq!((bad.len(), good.len()), (blocks.len(), blocks.len()));
    let differing: Vec<usize> = (0..good.len()).filter(|&n| good[n] != bad[n]).collect();
    assert_eq!(differing, [5]);
    let expected = sha1_smol::Sha1::from(bench.sample.block(blocks[18])).digest().bytes();
    assert_eq!(good[18], expected);
}

#[test]
fn a_block_has_one_memory_of_its_own_and_none_when_it_is_filled() {
    let bench = bench();
    let first = block(&bench, 0, 0);
    assert!(bench.store.take_buffer(first).is_none(), "not reserved");
    bench.store.reserve(first).unwrap();
    let buffer = bench.store.take_buffer(first).unwrap();
    let address = buffer.as_ptr();
    assert_eq!(buffer.len(), 16384);
    bench.store.put_back(first, buffer);
    let again = bench.store.take_buffer(first).unwrap();
    assert_eq!(again.as_ptr(), address);
    bench.store.put_back(first, again);
    bench.bring(first, bench.sample.block(first));
    assert!(bench.store.take_buffer(first).is_none(), "it is filled");
    let last = block(&bench, 0, 18);
    bench.store.reserve(last).unwrap();
    assert_eq!(bench.store.take_buffer(last).unwrap().len(), last.length as usize);
}

#[test]
fn requests_for_no_block_of_ours_reserve_nothing() {
    let bench = bench();
    for wrong in [
        BlockRef { index: PieceIndex(4), begin: 0, length: 16384 },
        BlockRef { index: PieceIndex(0), begin: 1, length: 16384 },
        BlockRef { index: PieceIndex(0), begin: 0, length: 16383 },
        BlockRef { index: PieceIndex(u32::MAX), begin: u32::MAX, length: u32::MAX },
    ] {
        assert!(bench.store.reserve(wrong).is_ok());
        assert!(bench.store.take_buffer(wrong).is_none());
        bench.store.release(wrong);
    }
    assert_eq!(bench.pool.ledger().used(), 0);
}

#[test]
fn a_piece_that_is_begun_is_charged_whole_and_let_go_when_nothing_is_asked_of_it() {
    let bench = bench();
    let (first, second) = (block(&bench, 0, 0), block(&bench, 0, 17));
    bench.store.reserve(first).unwrap();
    assert_eq!(bench.pool.ledger().used(), 300 * 1024);
    bench.store.reserve(second).unwrap();
    bench.store.reserve(second).unwrap();
    let buffer = bench.store.take_buffer(first).unwrap();
    bench.store.release(first);
    bench.store.release(second);
    bench.store.release(second);
    assert_eq!(bench.pool.ledger().used(), 300 * 1024, "a link still has a buffer");
    bench.store.put_back(first, buffer);
    assert_eq!(bench.pool.ledger().used(), 0);
}

#[test]
fn a_piece_that_was_begun_can_always_be_finished() {
    let bench = Bench::new(sample(), Kind::Memory, 2 * 300 * 1024 + 999);
    bench.store.reserve(block(&bench, 0, 0)).unwrap();
    bench.store.reserve(block(&bench, 1, 0)).unwrap();
    assert_eq!(bench.store.reserve(block(&bench, 2, 0)), Err(Full));
    assert_eq!(bench.store.reserve(block(&bench, 3, 0)), Err(Full));
    bench.download(0);
    bench.download(1);
    bench.wait_for_all([verified(0), verified(1)]);
    assert_eq!(bench.store.reserve(block(&bench, 2, 0)), Err(Full), "verified pieces stay until evicted");
    bench.store.evict(PieceIndex(0));
    bench.download(2);
    bench.wait_for(&verified(2));
    assert!(bench.pool.ledger().peak() <= bench.pool.ledger().limit());
}

#[test]
fn a_buffer_of_a_discarded_piece_is_worthless_even_if_the_piece_is_begun_again() {
    let bench = bench();
    let first = block(&bench, 0, 0);
    bench.store.reserve(first).unwrap();
    let old = bench.store.take_buffer(first).unwrap();
    bench.store.discard(PieceIndex(0));
    assert_eq!(bench.pool.ledger().used(), 256 * 1024, "the buffer keeps its extent charged");
    bench.store.reserve(first).unwrap();
    let new = bench.store.take_buffer(first).unwrap();
    assert!(bench.store.fill(first, old).is_none());
    assert!(bench.store.fill(first, new).is_some());
}

#[test]
fn a_buffer_of_another_block_is_refused() {
    let bench = bench();
    let (first, second) = (block(&bench, 0, 0), block(&bench, 0, 1));
    bench.store.reserve(first).unwrap();
    let (one, two) = (bench.store.take_buffer(first).unwrap(), bench.store.take_buffer(second).unwrap());
    assert!(bench.store.fill(first, two).is_none());
    assert!(bench.store.fill(first, one).is_some());
}

#[test]
fn an_evicted_piece_is_gone_until_it_is_fetched_again() {
    let bench = bench();
    bench.download(0);
    bench.wait_for(&verified(0));
    let reader = bench.read_parts(0, 0..10).unwrap();
    bench.store.evict(PieceIndex(0));
    bench.store.evict(PieceIndex(2));
    assert!(!bench.store.have(PieceIndex(0)));
    assert_eq!(bench.read(0, 0..1), Err(ReadError::Evicted));
    assert_eq!(bench.read(2, 0..1), Err(ReadError::NotHave));
    assert_eq!(bench.store.try_read_cached(PieceIndex(0), 0..1), None);
    assert_eq!(reader.concat(), bench.sample.piece(0)[..10], "who reads it may finish");
    drop(reader);
    assert_eq!(bench.pool.ledger().used(), bench.pool.idle_bytes());
    bench.download(0);
    bench.wait_for(&verified(0));
    assert_eq!(bench.read_piece(0).unwrap(), bench.sample.piece(0));
}

#[test]
fn a_closed_store_refuses_and_gives_all_memory_back() {
    let bench = bench();
    bench.download(0);
    bench.store.reserve(block(&bench, 1, 0)).unwrap();
    bench.store.close();
    assert_eq!(bench.event(), verified(0), "what was complete is verified first");
    assert_eq!(bench.read(0, 0..1), Err(ReadError::Closed));
    assert!(bench.store.reserve(block(&bench, 1, 0)).is_ok());
    assert!(bench.store.take_buffer(block(&bench, 1, 0)).is_none());
    assert_eq!(bench.pool.ledger().used(), bench.pool.idle_bytes());
    assert!(bench.store.snapshot().unwrap().have.is_empty(), "memory leaves nothing to resume");
}

#[test]
fn a_dropped_store_gives_all_memory_back() {
    let bench = bench();
    bench.download(0);
    bench.wait_for(&verified(0));
    // The pool still has it after a clone of the store is gone, and not after the last one.
    drop(bench.store.clone());
    assert!(bench.pool.cached_bytes() > 0);
    let Bench { pool, store, disk, .. } = bench;
    store.close();
    drop((store, disk));
    assert_eq!(pool.cached_bytes(), 0);
}

#[test]
fn a_check_in_memory_says_what_is_there() {
    let bench = bench();
    bench.download(1);
    bench.wait_for(&verified(1));
    bench.store.check([PieceIndex(0), PieceIndex(1), PieceIndex(99)]);
    let mut good = Vec::new();
    loop {
        match bench.event() {
            Event::Checked { piece, ok, total: 2, .. } => good.push((piece.0, ok)),
            Event::CheckFinished { have } => break assert_eq!(have.count(), 1),
            other => panic!("{other:?}"),
        }
    }
    good.sort_unstable();
    assert_eq!(good, [(0, false), (1, true)]);
}
