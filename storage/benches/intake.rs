//! The way of a piece through the store without network and disk: reserve, take, fill, hash, verified, evict.
//!
//! The payload is copied in as a socket read would, so a copy of each byte is part of the figure.

use std::sync::{Arc, mpsc};

use afflux_metainfo::{Bitfield, InfoHash, Layout, PieceIndex};
use afflux_storage::{Disk, DiskConfig, Event, Kind, Ledger, Pool, Store, StoreConfig};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Pieces that are under way at once.
const PIECES: u32 = 8;
const LIMIT_BYTES: usize = 128 * 1024 * 1024;

fn store(piece_bytes: u32, piece: &[u8]) -> (Store, mpsc::Receiver<Event>, Arc<Layout>) {
    let total = u64::from(piece_bytes) * u64::from(PIECES);
    let layout =
        Layout::new(u64::from(piece_bytes), [(vec!["film".to_owned()], total, false)]).expect("a layout");
    let layout = Arc::new(layout);
    let digest = sha1_smol::Sha1::from(piece).digest().bytes();
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
    let (sender, events) = mpsc::channel();
    let disk = Disk::start(DiskConfig::default()).expect("threads");
    let pool = Pool::new(Ledger::new(LIMIT_BYTES));
    let notify = Arc::new(move |event| sender.send(event).unwrap_or_default());
    (Store::open(config, &disk, &pool, notify).expect("a store"), events, layout)
}

fn intake(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("8 pieces from reserve to verified");
    for piece_bytes in [256 * 1024, 1024 * 1024, 4 * 1024 * 1024] {
        let payload: Vec<u8> = (0..piece_bytes as usize).map(|n| ((n * 31) >> 3) as u8).collect();
        let (store, events, layout) = store(piece_bytes, &payload);
        group.throughput(Throughput::Bytes(u64::from(piece_bytes) * u64::from(PIECES)));
        group.bench_function(BenchmarkId::from_parameter(format!("{} KiB", piece_bytes / 1024)), |bencher| {
            bencher.iter(|| {
                for piece in layout.pieces() {
                    for block in layout.blocks(piece) {
                        store.reserve(block).expect("room");
                        let mut buffer = store.take_buffer(block).expect("reserved");
                        buffer.copy_from_slice(&payload[block.begin as usize..][..block.length as usize]);
                        store.fill(block, buffer);
                    }
                }
                for _ in 0..PIECES {
                    let Ok(Event::Verified { piece, .. }) = events.recv() else { panic!("not verified") };
                    store.evict(PieceIndex(piece.0));
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, intake);
criterion_main!(benches);
