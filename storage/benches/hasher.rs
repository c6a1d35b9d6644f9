//! SHA-1 at the pace of arriving blocks: one piece and several side by side, beside the crates.

use afflux_storage::hasher::{Hasher, LANES, Lane, update_lanes};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sha1::Digest;

const BLOCK_BYTES: usize = 16 * 1024;
const PIECE_BYTES: usize = 256 * 1024;

fn hasher(criterion: &mut Criterion) {
    let piece: Vec<u8> = (0..PIECE_BYTES).map(|n| ((n * 31) >> 3) as u8).collect();
    let mut group = criterion.benchmark_group("sha1 of 256 KiB in 16 KiB blocks");
    group.throughput(Throughput::Bytes(PIECE_BYTES as u64));
    group.bench_function("sha1", |bencher| {
        bencher.iter(|| {
            let mut hash = sha1::Sha1::new();
            piece.chunks(BLOCK_BYTES).for_each(|block| hash.update(block));
            hash.finalize()
        });
    });
    group.bench_function("sha1_smol", |bencher| {
        bencher.iter(|| {
            let mut hash = sha1_smol::Sha1::new();
            piece.chunks(BLOCK_BYTES).for_each(|block| hash.update(block));
            hash.digest()
        });
    });
    group.finish();
    let mut group = criterion.benchmark_group("lanes of 256 KiB in 16 KiB blocks");
    for count in 1..=LANES {
        let pieces = vec![piece.clone(); count];
        group.throughput(Throughput::Bytes((count * PIECE_BYTES) as u64));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| {
                let mut hashers = vec![Hasher::new(); count];
                let lanes = hashers.iter_mut().zip(&pieces);
                let lanes = lanes.map(|(hasher, piece)| Lane::new(hasher, piece.chunks(BLOCK_BYTES)));
                update_lanes(&mut lanes.collect::<Vec<_>>());
                hashers
            });
        });
    }
    group.finish();
}

criterion_group!(benches, hasher);
criterion_main!(benches);
