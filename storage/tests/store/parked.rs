//! Pieces under way outlive a stop.

use afflux_metainfo::{BlockRef, PieceIndex};
use afflux_storage::resume::Partial;
use afflux_storage::{Event, Kind, Resume, StoreConfig};

use crate::common::{Bench, Sample, verified, written};

const MIB: usize = 1 << 20;

fn sample() -> Sample {
    Sample::new(512 * 1024, &[("film", 700_000), ("other", 500_000)])
}

fn blocks(sample: &Sample, piece: u32) -> Vec<BlockRef> {
    sample.layout.blocks(PieceIndex(piece)).collect()
}

fn bring(bench: &Bench, blocks: impl IntoIterator<Item = BlockRef>) {
    for block in blocks {
        bench.reserve(block);
        bench.bring(block, bench.sample.block(block));
    }
}

fn kind(folder: &tempfile::TempDir) -> Kind {
    Kind::Disk { dir: folder.path().join("downloads") }
}

/// Brings every second block of two pieces, stops, and gives what is remembered.
fn half_done(folder: &tempfile::TempDir) -> Resume {
    let bench = Bench::new(sample(), kind(folder), 4 * MIB);
    for piece in [0, 1] {
        bring(&bench, blocks(&bench.sample, piece).into_iter().step_by(2));
    }
    bench.store.close();
    bench.store.snapshot().unwrap()
}

fn opened(folder: &tempfile::TempDir) -> Bench {
    Bench::with(sample(), StoreConfig { ..sample().config(kind(folder)) }, 4 * MIB).unwrap()
}

#[test]
fn what_came_of_pieces_under_way_is_kept_and_read_back_when_the_rest_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let saved = half_done(&folder);
    let even: Vec<u32> = (0..32).step_by(2).collect();
    let partial = |piece| Partial { piece: PieceIndex(piece), blocks: even.clone() };
    assert_eq!(saved.partial, [partial(0), partial(1)]);
    assert_eq!(Resume::decode(&saved.encode()).as_ref(), Ok(&saved));

    let bench = opened(&folder);
    let trusted = saved.trust(&bench.sample.layout, &folder.path().join("downloads"), 1).unwrap();
    assert_eq!(trusted.partial, saved.partial);
    assert!(trusted.partial.iter().all(|partial| bench.store.resume(partial)));
    assert_eq!(bench.pool.ledger().used(), 0, "what is on disk costs no memory");
    for piece in [1, 0] {
        bring(&bench, blocks(&bench.sample, piece).into_iter().skip(1).step_by(2));
        bench.wait_for(&verified(piece));
        bench.wait_for(&written(piece));
        assert!(bench.read_piece(piece).unwrap() == bench.sample.piece(piece));
    }
    assert_eq!(bench.store.spills().read_back_bytes, 2 * 16 * 16 * 1024);
}

#[test]
fn a_piece_that_was_stopped_twice_is_kept_twice() {
    let folder = tempfile::tempdir().unwrap();
    let saved = half_done(&folder);
    let bench = opened(&folder);
    assert!(bench.store.resume(&saved.partial[0]));
    bring(&bench, blocks(&bench.sample, 0).into_iter().skip(1).take(1));
    bench.store.close();
    let again = bench.store.snapshot().unwrap();
    assert_eq!(again.partial.len(), 1, "what isn't gone on with is forgotten");
    assert_eq!(again.partial[0].blocks[..4], [0, 1, 2, 4]);
}

#[test]
fn what_was_changed_on_disk_meanwhile_fails_with_its_piece() {
    let folder = tempfile::tempdir().unwrap();
    let saved = half_done(&folder);
    let file = std::fs::File::options().write(true).open(folder.path().join("downloads/film")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0xff; 100], 5).unwrap();
    let bench = opened(&folder);
    assert!(
        saved.trust(&bench.sample.layout, &folder.path().join("downloads"), 1).unwrap().partial.is_empty()
    );
    // Even if nobody had noticed.
    assert!(bench.store.resume(&saved.partial[0]));
    bring(&bench, blocks(&bench.sample, 0).into_iter().skip(1).step_by(2));
    assert!(matches!(bench.event(), Event::Failed { piece: PieceIndex(0), .. }));
    bench.download(0);
    bench.wait_for(&verified(0));
}

#[test]
fn what_is_gone_from_the_disk_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let saved = half_done(&folder);
    std::fs::remove_file(folder.path().join("downloads/film")).unwrap();
    let bench = opened(&folder);
    assert!(bench.store.resume(&saved.partial[0]));
    bring(&bench, blocks(&bench.sample, 0).into_iter().skip(1).step_by(2));
    bench.wait_for(&Event::Unstored { piece: PieceIndex(0) });
}

#[test]
fn what_cannot_be_is_not_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let bench = opened(&folder);
    let resume = |piece, blocks: &[u32]| {
        bench.store.resume(&Partial { piece: PieceIndex(piece), blocks: blocks.to_vec() })
    };
    assert!(!resume(9, &[0]) && !resume(0, &[32]) && !resume(0, &[]));
    assert!(!resume(0, &(0..32).collect::<Vec<_>>()), "all of it, but never hashed");
    assert!(resume(0, &[0]) && !resume(0, &[1]), "once");
    bench.download(1);
    bench.wait_for(&verified(1));
    assert!(!resume(1, &[0]), "it's there");
}
