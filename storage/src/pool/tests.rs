//! Extents from lease to recycling, and the cache giving way.

use afflux_metainfo::PieceIndex;

use super::*;
use crate::cache::{Key, StoreId};
use crate::limits::{DISPOSABLE_BYTES_MAX, EXTENT_BYTES};

const EXTENT: usize = EXTENT_BYTES as usize;

fn extent(pool: &Pool) -> ExtentBuffer {
    pool.grant(EXTENT, EXTENT).unwrap().lease()
}

fn key(piece: u32) -> Key {
    Key { store: StoreId(0), piece: PieceIndex(piece), extent: 0 }
}

#[test]
fn blocks_are_parts_of_one_allocation_and_join_without_a_copy() {
    let pool = Pool::new(Ledger::new(EXTENT));
    let buffer = extent(&pool);
    let start = buffer.as_ptr() as usize;
    let mut blocks = buffer.split();
    assert_eq!(blocks.len(), 16);
    for (number, block) in blocks.iter_mut().enumerate() {
        assert_eq!(block.as_ptr() as usize, start + number * 16384);
        block.fill(number as u8);
    }
    let joined = Extent::assemble(blocks);
    let runs: Vec<&[u8]> = joined.runs().collect();
    assert_eq!((runs.len(), runs[0].as_ptr() as usize, runs[0].len()), (1, start, EXTENT));
    assert!(runs[0].chunks(16384).enumerate().all(|(number, block)| block == [number as u8; 16384]));
}

#[test]
fn an_extent_with_a_block_elsewhere_is_lent_run_by_run_and_freed_when_all_of_it_is_let_go() {
    let ledger = Ledger::new(EXTENT + 16384);
    let pool = Pool::new(ledger.clone());
    let mut blocks = extent(&pool).split();
    let mut spare = pool.spare(16384).unwrap();
    assert!(pool.spare(1).is_none(), "the ledger is full");
    blocks.iter_mut().for_each(|block| block.fill(1));
    spare.fill(2);
    let own = std::mem::replace(&mut blocks[3], spare);
    let whole = Extent::assemble(blocks);
    assert_eq!(whole.runs().map(<[u8]>::len).collect::<Vec<_>>(), [3 * 16384, 16384, 12 * 16384]);
    assert_eq!(whole.len(), EXTENT);
    let parts: Vec<Bytes> = whole.clone().lend(3 * 16384 - 1..4 * 16384 + 1).collect();
    assert_eq!(parts.concat(), [&[1][..], &[2; 16384], &[1]].concat());
    assert_eq!(whole.clone().lend(5 * 16384..6 * 16384).count(), 1);
    drop(whole);
    assert_eq!(ledger.used(), EXTENT + 16384);
    drop(parts);
    assert_eq!((ledger.used(), pool.idle_bytes()), (EXTENT + 16384, 16384), "a block is still lent");
    drop(own);
    assert_eq!((ledger.used(), pool.idle_bytes()), (16384, 16384), "the spare is there for the next");
}

#[test]
fn an_extent_stays_charged_until_its_last_part_is_gone() {
    let ledger = Ledger::new(EXTENT);
    let pool = Pool::new(ledger.clone());
    let mut blocks = extent(&pool).split();
    let last = blocks.pop().unwrap();
    drop(blocks);
    assert_eq!(ledger.used(), EXTENT);
    assert!(pool.grant(1, 1).is_none());
    drop(last);
    assert_eq!(ledger.used(), 0);

    let shared = extent(&pool).share();
    let part = shared.clone().lend(5..9).next().unwrap();
    drop(shared);
    assert_eq!((ledger.used(), part.len()), (EXTENT, 4));
    let copy = part.clone();
    drop(part);
    assert_eq!(ledger.used() - pool.idle_bytes(), EXTENT);
    drop(copy);
    assert_eq!(ledger.used() - pool.idle_bytes(), 0);
}

#[test]
fn shared_memory_is_used_again_and_stays_charged_while_idle() {
    let ledger = Ledger::new(2 * EXTENT);
    let pool = Pool::new(ledger.clone());
    let joined = Extent::assemble(extent(&pool).split());
    let address = joined.runs().next().unwrap().as_ptr() as usize;
    drop(joined);
    assert_eq!((pool.idle_bytes(), ledger.used()), (EXTENT, EXTENT));
    let again = extent(&pool);
    assert_eq!((again.as_ptr() as usize, pool.idle_bytes(), ledger.used()), (address, 0, EXTENT));
    // Split and shared once more: whatever bookkeeping the halves have, the memory comes back whole.
    drop(Extent::assemble(again.split()));
    assert_eq!((pool.idle_bytes(), extent(&pool).len()), (EXTENT, EXTENT));
}

#[test]
fn idle_memory_of_another_size_gives_way() {
    let ledger = Ledger::new(EXTENT);
    let pool = Pool::new(ledger.clone());
    drop(extent(&pool).share());
    assert_eq!(pool.idle_bytes(), EXTENT);
    let small = pool.grant(EXTENT / 2 + 1, 1000).unwrap();
    assert_eq!((pool.idle_bytes(), ledger.used()), (0, EXTENT / 2 + 1));
    drop(small);
    assert_eq!(ledger.used(), 0);
}

#[test]
fn the_free_list_is_bounded() {
    let ledger = Ledger::new(4 * FREE_LIST_BYTES_MAX);
    let pool = Pool::new(ledger.clone());
    let extents: Vec<_> = (0..2 * FREE_LIST_BYTES_MAX / EXTENT).map(|_| extent(&pool).share()).collect();
    drop(extents);
    assert_eq!((pool.idle_bytes(), ledger.used()), (FREE_LIST_BYTES_MAX, FREE_LIST_BYTES_MAX));
}

#[test]
fn the_cache_gives_way_oldest_first_but_not_what_is_read_or_kept() {
    let ledger = Ledger::new(4 * EXTENT);
    let pool = Pool::new(ledger.clone());
    for piece in 0..4 {
        pool.cache().insert(key(piece), extent(&pool).share(), piece == 0);
    }
    let reader = pool.cache().get(key(1)).unwrap().lend(0..1).next().unwrap();
    pool.cache().get(key(2)).unwrap();
    let new = pool.grant(EXTENT, EXTENT).unwrap();
    let left: Vec<u32> = (0..4).filter(|&piece| pool.cache().contains(key(piece))).collect();
    assert_eq!(left, [0, 1, 2], "3 was used longest ago");
    drop(new);
    let both = pool.grant(2 * EXTENT, EXTENT).unwrap();
    assert!(pool.cache().contains(key(0)) && pool.cache().contains(key(1)) && !pool.cache().contains(key(2)));
    assert!(pool.grant(1, 1).is_none(), "what is kept or read never goes");
    drop(reader);
    assert!(pool.grant(1, 1).is_some());
    drop(both);
    pool.cache().dispose(StoreId(0), PieceIndex(0));
    assert!(pool.grant(4 * EXTENT, EXTENT).is_some());
    assert_eq!(pool.cached_bytes(), 0);
}

#[test]
fn what_is_on_disk_too_takes_its_share_of_memory_and_no_more() {
    let pool = Pool::new(Ledger::new(4 * DISPOSABLE_BYTES_MAX));
    let most = (DISPOSABLE_BYTES_MAX / EXTENT) as u32;
    pool.cache().insert(key(0), extent(&pool).share(), true);
    (1..=most).for_each(|piece| pool.cache().insert(key(piece), extent(&pool).share(), false));
    assert_eq!(pool.cached_bytes(), DISPOSABLE_BYTES_MAX + EXTENT);
    let reader = pool.cache().get(key(2)).unwrap().lend(0..1).next().unwrap();
    pool.cache().dispose(StoreId(0), PieceIndex(0));
    assert!(pool.cache().contains(key(0)) && !pool.cache().contains(key(1)), "the oldest went");
    pool.cache().insert(key(most + 1), extent(&pool).share(), false);
    assert!(pool.cache().contains(key(2)) && !pool.cache().contains(key(3)), "what is read stayed");
    assert_eq!(pool.cached_bytes(), DISPOSABLE_BYTES_MAX);
    drop(reader);
}

#[test]
fn whoever_waits_for_memory_gets_it_when_a_reader_lets_go_of_a_cached_piece() {
    let pool = Pool::new(Ledger::new(EXTENT));
    pool.cache().insert(key(0), extent(&pool).share(), false);
    let reader = pool.cache().get(key(0)).unwrap().lend(0..1).next().unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| pool.wait_grant(EXTENT, EXTENT, || false).is_some());
        std::thread::yield_now();
        drop(reader);
        assert!(waiter.join().unwrap());
    });
}

#[test]
fn a_refused_admission_is_told_of_room() {
    let pool = Pool::new(Ledger::new(EXTENT));
    let (sender, receiver) = std::sync::mpsc::channel();
    pool.on_room(Arc::new(move || sender.send(()).unwrap()));
    let held = extent(&pool).share();
    assert_eq!(pool.admit(EXTENT, EXTENT).unwrap_err(), Full);
    assert!(receiver.try_recv().is_err());
    drop(held);
    assert!(receiver.try_recv().is_ok());
    assert!(pool.admit(EXTENT, EXTENT).is_ok());
}

#[test]
fn memory_that_outlives_its_pool_is_freed() {
    let ledger = Ledger::new(EXTENT);
    let pool = Pool::new(ledger.clone());
    let part = extent(&pool).share().lend(0..10).next().unwrap();
    drop(pool);
    assert_eq!(ledger.used(), EXTENT);
    drop(part);
    assert_eq!(ledger.used(), 0);
}

mod model {
    //! Whatever is done with a pool in whatever order, the ledger holds exactly what is in use, idle or cached.

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Lease(usize),
        Cache { piece: u32, keep: bool },
        Read(u32),
        DropBuffer(usize),
        DropReader(usize),
        Dispose(u32),
        Remove(u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            prop_oneof![Just(EXTENT), Just(16384usize), Just(40_000usize)].prop_map(Step::Lease),
            (0..6u32, any::<bool>()).prop_map(|(piece, keep)| Step::Cache { piece, keep }),
            (0..6u32).prop_map(Step::Read),
            (0..8usize).prop_map(Step::DropBuffer),
            (0..8usize).prop_map(Step::DropReader),
            (0..6u32).prop_map(Step::Dispose),
            (0..6u32).prop_map(Step::Remove),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn every_byte_is_accounted_for(steps in proptest::collection::vec(step(), 1..80)) {
            let ledger = Ledger::new(4 * EXTENT);
            let pool = Pool::new(ledger.clone());
            let (mut buffers, mut readers) = (Vec::new(), Vec::new());
            for step in steps {
                match step {
                    Step::Lease(length) => buffers.extend(pool.grant(length, length).map(Grant::lease)),
                    Step::Cache { piece, keep } => {
                        if let Some(buffer) = buffers.pop() {
                            pool.cache().insert(key(piece), Extent::assemble(buffer.split()), keep);
                        }
                    }
                    Step::Read(piece) => readers.extend(pool.cache().get(key(piece)).into_iter().flat_map(|extent| extent.lend(0..1))),
                    Step::DropBuffer(at) if at < buffers.len() => drop(buffers.swap_remove(at)),
                    Step::DropReader(at) if at < readers.len() => drop(readers.swap_remove(at)),
                    Step::Dispose(piece) => pool.cache().dispose(StoreId(0), PieceIndex(piece)),
                    Step::Remove(piece) => pool.cache().remove_piece(StoreId(0), PieceIndex(piece)),
                    Step::DropBuffer(_) | Step::DropReader(_) => {}
                }
                let leased: usize = buffers.iter().map(|buffer| buffer.len()).sum();
                let least = leased + pool.idle_bytes() + pool.cached_bytes();
                prop_assert!(ledger.used() >= least && ledger.used() <= ledger.limit());
                if readers.is_empty() {
                    prop_assert_eq!(ledger.used(), least);
                }
            }
            drop((buffers, readers));
            pool.cache().remove_store(StoreId(0));
            prop_assert_eq!(ledger.used(), pool.idle_bytes());
        }
    }
}
