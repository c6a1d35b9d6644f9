//! Extents from lease to recycling, and the cache giving way.

use afflux_metainfo::PieceIndex;

use super::*;
use crate::cache::{Key, StoreId};
use crate::limits::EXTENT_BYTES;

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
    let joined = ExtentBuffer::join(blocks).unwrap();
    assert_eq!((joined.as_ptr() as usize, joined.len()), (start, EXTENT));
    assert!(joined.chunks(16384).enumerate().all(|(number, block)| block == [number as u8; 16384]));
}

#[test]
fn blocks_of_two_extents_or_with_one_missing_do_not_join() {
    let pool = Pool::new(Ledger::new(2 * EXTENT));
    let (mut first, mut second) = (extent(&pool).split(), extent(&pool).split());
    std::mem::swap(&mut first[3], &mut second[3]);
    assert!(ExtentBuffer::join(first).is_none());
    second.remove(3);
    assert!(ExtentBuffer::join(second).is_none());
    let mut short = extent(&pool).split();
    short.pop();
    assert!(ExtentBuffer::join(short).is_none());
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
    let part = shared.clone().lend(5..9);
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
    let joined = ExtentBuffer::join(extent(&pool).split()).unwrap();
    let address = joined.as_ptr() as usize;
    drop(joined.share());
    assert_eq!((pool.idle_bytes(), ledger.used()), (EXTENT, EXTENT));
    let again = extent(&pool);
    assert_eq!((again.as_ptr() as usize, pool.idle_bytes(), ledger.used()), (address, 0, EXTENT));
    // Split and shared once more: whatever bookkeeping the halves have, the memory comes back whole.
    drop(ExtentBuffer::join(again.split()).unwrap().share());
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
    let reader = pool.cache().get(key(1)).unwrap().lend(0..1);
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
fn whoever_waits_for_memory_gets_it_when_a_reader_lets_go_of_a_cached_piece() {
    let pool = Pool::new(Ledger::new(EXTENT));
    pool.cache().insert(key(0), extent(&pool).share(), false);
    let reader = pool.cache().get(key(0)).unwrap().lend(0..1);
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
    let part = extent(&pool).share().lend(0..10);
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
                            let whole = ExtentBuffer::join(buffer.split()).unwrap();
                            pool.cache().insert(key(piece), whole.share(), keep);
                        }
                    }
                    Step::Read(piece) => readers.extend(pool.cache().get(key(piece)).map(|e| e.lend(0..1))),
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
