//! What reading bencode costs: large `info` dictionaries, small DHT packets, whole .torrents.

use std::hint::black_box;

use afflux_metainfo::bencode::{Document, Writer};
use afflux_metainfo::{Torrent, limits};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const PIECE_LENGTH: usize = 64 * 1024;

/// An `info` dictionary of so many files in folders of a hundred, with so many pieces.
fn info(files: usize, pieces: usize) -> Vec<u8> {
    let total = pieces * PIECE_LENGTH;
    let mut writer = Writer::new();
    writer.dict(|info| {
        info.bytes("files").list(|list| {
            for n in 0..files {
                let length = if n == 0 { total - total / files * (files - 1) } else { total / files };
                list.dict(|file| {
                    file.bytes("length").int(length as i64).bytes("path").list(|path| {
                        path.bytes(format!("Season {:02}", n / 100)).bytes(format!("Episode {n:05}.mkv"));
                    });
                });
            }
        });
        info.bytes("name").bytes("A series of many films");
        info.bytes("piece length").int(PIECE_LENGTH as i64);
        info.bytes("pieces").bytes(vec![0xa5; pieces * 20]);
    });
    writer.finish()
}

fn torrent(info: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.dict(|outer| {
        outer.bytes("announce").bytes("http://tracker.example/announce").bytes("info").raw(info);
    });
    writer.finish()
}

/// A `get_peers` query, as BEP 5 shows it.
const QUERY: &[u8] =
    b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t2:aa1:y1:qe";

fn bencode(criterion: &mut Criterion) {
    let large = info(2000, 10_000);
    let mut group = criterion.benchmark_group("scan");
    group.throughput(Throughput::Bytes(large.len() as u64));
    group.bench_function("info of 2,000 files", |bencher| {
        bencher.iter(|| Document::parse(black_box(&large), &limits::METADATA).is_ok());
    });
    group.throughput(Throughput::Bytes(QUERY.len() as u64));
    group.bench_function("get_peers query", |bencher| {
        bencher.iter(|| {
            let document = Document::parse(black_box(QUERY), &limits::METADATA).ok()?;
            document.root().as_dict()?.get(b"a")?.as_dict()?.get_bytes(b"info_hash").map(<[u8]>::len)
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group("torrent");
    group.sample_size(20);
    for (files, pieces) in [(1, 1000), (2000, 10_000), (10_000, 1_000_000)] {
        let file = torrent(&info(files, pieces));
        group.throughput(Throughput::Bytes(file.len() as u64));
        group.bench_function(format!("{files} files, {pieces} pieces"), |bencher| {
            bencher.iter(|| {
                Torrent::parse(black_box(&file)).is_ok_and(|torrent| torrent.info.warnings.is_empty())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bencode);
criterion_main!(benches);
