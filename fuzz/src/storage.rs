//! Fuzz functions of the storage room.

use std::sync::{Arc, mpsc};

use afflux_metainfo::{Bitfield, BlockIndex, BlockRef, InfoHash, Layout, PieceIndex};
use afflux_storage::{BlockBuffer, Disk, DiskConfig, Event, Kind, Ledger, Pool, Resume, Store, StoreConfig};

/// Resume files: no panic, and whatever is accepted survives a round trip.
pub fn resume(data: &[u8]) {
    let Ok(resume) = Resume::decode(data) else { return };
    let again = Resume::decode(&resume.encode());
    assert_eq!(again.as_ref(), Ok(&resume));
    assert!(resume.have.count() <= resume.have.length());
}

const PIECES: u32 = 6;
const PIECE_BYTES: u32 = 40_000;
/// Room for three of the pieces, not four.
const LIMIT_BYTES: usize = 150_000;

/// The intake in any order of calls: the ledger never passes its limit, whichever of a block's buffers is
/// filled first counts, only right pieces become readable, and when all is let go nothing stays charged.
pub fn intake(data: &[u8]) {
    let layout =
        Layout::new(PIECE_BYTES.into(), [(vec!["f".to_owned()], (PIECE_BYTES * PIECES).into(), false)]);
    let layout = Arc::new(layout.expect("the layout is a constant"));
    let digest = sha1_smol::Sha1::from([1; PIECE_BYTES as usize]).digest().bytes();
    let disk = Disk::start(DiskConfig::default()).expect("threads can be started");
    let pool = Pool::new(Ledger::new(LIMIT_BYTES));
    let (sender, events) = mpsc::channel();
    let config = StoreConfig {
        info_hash: InfoHash([0; 20]),
        kind: Kind::Memory,
        layout: layout.clone(),
        hashes: (0..PIECES).map(|_| digest).collect(),
        have: Bitfield::new(PIECES),
        unwanted: Vec::new(),
        files: Default::default(),
        read_only: false,
    };
    let notify = Arc::new(move |event| sender.send(event).unwrap_or_default());
    let store = Store::open(config, &disk, &pool, notify).expect("the configuration is a constant");
    let mut held: Vec<(BlockRef, BlockBuffer)> = Vec::new();
    for step in data.as_chunks::<2>().0.iter().take(512) {
        let piece = PieceIndex(u32::from(step[1]) % PIECES);
        let block = layout.block(piece, BlockIndex(u32::from(step[1]) / PIECES % 3));
        play(&store, &mut held, step[0], block);
        let ledger = pool.ledger();
        assert!(ledger.used() <= ledger.limit() && ledger.peak() <= ledger.limit());
    }
    drop(held);
    store.close();
    drop(store);
    for event in events.try_iter() {
        match event {
            Event::Verified { .. } | Event::Failed { .. } => {}
            other => panic!("a store in memory said {other:?}"),
        }
    }
    assert_eq!(pool.ledger().used(), pool.idle_bytes());
}

/// One of the buffers, not only the last: of two for one block either may be first.
fn pick(held: &mut Vec<(BlockRef, BlockBuffer)>, step: u8) -> Option<(BlockRef, BlockBuffer)> {
    let count = held.len();
    (count > 0).then(|| held.swap_remove(usize::from(step / 8) % count))
}

fn play(store: &Store, held: &mut Vec<(BlockRef, BlockBuffer)>, step: u8, block: BlockRef) {
    match step % 8 {
        0 | 1 => drop(store.reserve(block)),
        2 => store.release(block),
        3 => {
            if let Some(buffer) = store.take_buffer(block) {
                assert_eq!(buffer.len(), block.length as usize);
                held.push((block, buffer));
            }
        }
        4 => {
            if let Some((block, buffer)) = pick(held, step) {
                store.put_back(block, buffer);
            }
        }
        5 => {
            if let Some((block, mut buffer)) = pick(held, step) {
                // One step in 32 is a lie, so that pieces fail too.
                buffer.fill(if step / 8 == 0 { 2 } else { 1 });
                store.fill(block, buffer);
            }
        }
        6 => store.discard(block.index),
        _ if (step / 8).is_multiple_of(2) => store.evict(block.index),
        _ => {
            if let Some(parts) = store.try_read_cached(block.index, 0..PIECE_BYTES) {
                assert!(parts.iter().all(|part| part.iter().all(|&byte| byte == 1)));
            }
        }
    }
}
