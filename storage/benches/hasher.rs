//! SHA-1 at the pace of arriving blocks: the piece hasher's implementation beside the plain one.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sha1::Digest;

const BLOCK_BYTES: usize = 16 * 1024;
const PIECE_BYTES: usize = 1024 * 1024;

fn hasher(criterion: &mut Criterion) {
    let piece: Vec<u8> = (0..PIECE_BYTES).map(|n| ((n * 31) >> 3) as u8).collect();
    let mut group = criterion.benchmark_group("sha1 of 1 MiB in 16 KiB blocks");
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
}

criterion_group!(benches, hasher);
criterion_main!(benches);
