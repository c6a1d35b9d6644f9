//! Torrents on disk: writing, reading back, checks, resume, memory giving way.

use std::sync::mpsc;

use crate::common::{Bench, Sample, verified, written};
use afflux_metainfo::{Bitfield, BlockIndex, PieceIndex};
use afflux_storage::{Event, Full, Kind, Pool, ReadError, Resume, Store, StoreConfig, hash_files};
use tempfile::TempDir;

const MIB: usize = 1 << 20;

fn sample() -> Sample {
    Sample::new(
        300 * 1024,
        &[("a/first", 500 * 1024), ("a/empty", 0), ("second", 3), ("b/c/third", 700 * 1024)],
    )
}

fn kind(folder: &TempDir) -> Kind {
    Kind::Disk { dir: folder.path().join("downloads") }
}

fn bench(folder: &TempDir) -> Bench {
    Bench::new(sample(), kind(folder), 4 * MIB)
}

/// A store on complete files.
fn seeding(folder: &TempDir, sample: Sample, limit_bytes: usize) -> Bench {
    sample.write_to(&folder.path().join("downloads"));
    let have = Bitfield::full(sample.layout.piece_count());
    let config = StoreConfig { have, read_only: true, ..sample.config(kind(folder)) };
    Bench::with(sample, config, limit_bytes).unwrap()
}

#[test]
fn what_is_downloaded_is_on_disk_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(&folder);
    bench.download_all();
    bench.store.close();
    assert_eq!(bench.sample.read_from(&folder.path().join("downloads")), bench.sample.content);
}

#[test]
fn a_piece_is_readable_when_it_is_verified_and_in_the_snapshot_when_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(&folder);
    bench.download(2);
    assert_eq!(bench.event(), verified(2));
    assert_eq!(bench.read_piece(2).unwrap(), bench.sample.piece(2));
    assert_eq!(bench.event(), written(2));
    let snapshot = bench.store.snapshot().unwrap();
    assert!(!snapshot.clean);
    assert_eq!(snapshot.have.iter().collect::<Vec<_>>(), [PieceIndex(2)]);
    bench.store.close();
    assert!(bench.store.snapshot().unwrap().clean);
}

#[test]
fn reads_come_from_disk_when_memory_had_to_go() {
    let folder = tempfile::tempdir().unwrap();
    // Room for two pieces of the five.
    let bench = Bench::new(sample(), kind(&folder), 600 * 1024);
    bench.download_all();
    for piece in [0, 3, 1, 4, 2, 0] {
        assert_eq!(bench.read_piece(piece).unwrap(), bench.sample.piece(piece));
    }
    assert!(bench.store.try_read_cached(PieceIndex(0), 0..10).is_some(), "what was read is cached");
    assert!(bench.pool.ledger().peak() <= bench.pool.ledger().limit());
}

#[test]
fn a_read_waits_for_memory_and_gets_it_when_another_reader_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let bench = seeding(&folder, sample(), 300 * 1024);
    let held = bench.read_parts(0, 0..300 * 1024).unwrap();
    let (sender, receiver) = mpsc::channel();
    bench.store.read(PieceIndex(1), 0..10, Box::new(move |outcome| sender.send(outcome).unwrap()));
    assert!(receiver.try_recv().is_err(), "there is no memory yet");
    assert!(bench.store.try_read_cached(PieceIndex(0), 0..10).is_some(), "what is there is served meanwhile");
    drop(held);
    assert_eq!(receiver.recv().unwrap().unwrap().concat(), bench.sample.piece(1)[..10]);
}

#[test]
fn a_reader_that_waits_for_memory_comes_before_new_pieces() {
    let folder = tempfile::tempdir().unwrap();
    let bench = seeding(&folder, sample(), 600 * 1024);
    let other = sample();
    let (sender, receiver) = mpsc::channel();
    let notify = std::sync::Arc::new(|_| {});
    let store = Store::open(other.config(Kind::Memory), &bench.disk, &bench.pool, notify).unwrap();
    let (room, rooms) = mpsc::channel();
    bench.pool.on_room(std::sync::Arc::new(move || room.send(()).unwrap_or_default()));
    let first = |piece| other.layout.block(PieceIndex(piece), BlockIndex(0));
    store.reserve(first(0)).unwrap();
    store.reserve(first(1)).unwrap();
    assert_eq!(store.reserve(first(2)), Err(Full));
    bench.store.read(PieceIndex(0), 0..300 * 1024, Box::new(move |outcome| sender.send(outcome).unwrap()));
    store.discard(PieceIndex(0));
    // Whether the read had begun to wait by then or not: what came back was told of, and the reader has its bytes.
    let parts = receiver.recv().unwrap().unwrap();
    assert_eq!(parts.concat(), bench.sample.piece(0));
    rooms.recv().unwrap();
    assert_eq!(store.reserve(first(2)), Err(Full), "the reader holds what came back");
    drop(parts);
    rooms.recv().unwrap();
    assert!(store.reserve(first(2)).is_ok());
}

#[test]
fn closing_ends_reads_that_wait_for_memory() {
    let folder = tempfile::tempdir().unwrap();
    let bench = seeding(&folder, sample(), 300 * 1024);
    let held = bench.read_parts(0, 0..300 * 1024).unwrap();
    let (sender, receiver) = mpsc::channel();
    bench.store.read(PieceIndex(1), 0..10, Box::new(move |outcome| sender.send(outcome).unwrap()));
    bench.store.close();
    assert_eq!(receiver.recv().unwrap(), Err(ReadError::Closed));
    drop(held);
}

#[test]
fn a_read_that_can_never_fit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bench = seeding(&folder, sample(), 200 * 1024);
    assert_eq!(bench.read(0, 0..10), Err(ReadError::Range));
}

#[test]
fn a_read_only_store_takes_no_blocks_and_makes_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let sample = sample();
    let missing = StoreConfig { read_only: true, ..sample.config(kind(&folder)) };
    assert!(Bench::with(sample, missing, MIB).is_err());
    let bench = seeding(&folder, self::sample(), MIB);
    let block = bench.sample.layout.block(PieceIndex(0), BlockIndex(0));
    assert!(bench.store.reserve(block).is_ok());
    assert!(bench.store.take_buffer(block).is_none());
}

#[test]
fn a_check_finds_what_is_right_and_what_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let bench = seeding(&folder, sample(), MIB);
    let path = folder.path().join("downloads/b/c/third");
    let mut third = std::fs::read(&path).unwrap();
    let last = third.len() - 1;
    third[last] ^= 1;
    std::fs::write(path, third).unwrap();
    bench.store.check(bench.sample.layout.pieces());
    let (mut outcomes, count) = (Vec::new(), bench.sample.layout.piece_count());
    loop {
        match bench.event() {
            Event::Checked { piece, ok, done, total } => {
                assert!(done <= total && total == count);
                outcomes.push((piece.0, ok));
            }
            Event::CheckFinished { have } => {
                assert_eq!(have.count(), count - 1);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    outcomes.sort_unstable();
    let expected: Vec<(u32, bool)> = (0..count).map(|piece| (piece, piece + 1 < count)).collect();
    assert_eq!(outcomes, expected);
    assert_eq!(bench.read(count - 1, 0..1), Err(ReadError::NotHave));
}

#[test]
fn a_check_of_an_empty_folder_finds_nothing_and_creates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(&folder);
    bench.store.check(bench.sample.layout.pieces());
    bench.wait_for(&Event::CheckFinished { have: Bitfield::new(bench.sample.layout.piece_count()) });
    assert_eq!(std::fs::read_dir(folder.path().join("downloads")).unwrap().count(), 0);
}

#[test]
fn a_cancelled_check_still_ends() {
    let folder = tempfile::tempdir().unwrap();
    let bench = seeding(&folder, sample(), MIB);
    let check =
        bench.store.check(bench.sample.layout.pieces().collect::<Vec<_>>().into_iter().cycle().take(100_000));
    check.cancel();
    bench.wait_for(&Event::CheckFinished { have: Bitfield::full(bench.sample.layout.piece_count()) });
}

#[test]
fn a_check_of_no_pieces_ends_too() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(&folder);
    bench.store.check([]);
    assert!(matches!(bench.event(), Event::CheckFinished { .. }));
}

#[test]
fn after_a_stop_nothing_is_checked_and_after_a_change_only_that_file() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let root = folder.path().join("downloads");
    let bench = bench(&folder);
    bench.download_all();
    bench.store.sync().unwrap();
    bench.store.close();
    let mut saved = bench.store.snapshot().unwrap();
    saved.extra = b"le".to_vec();
    saved.save(&state).unwrap();

    let loaded = Resume::load(&state, saved.info_hash).unwrap().unwrap();
    assert_eq!(loaded, saved);
    let trusted = loaded.trust(&bench.sample.layout, &root, 1).unwrap();
    assert!(trusted.have.is_full() && trusted.recheck.is_empty());
    std::fs::write(root.join("second"), b"xyz").unwrap();
    std::fs::File::options()
        .write(true)
        .open(root.join("second"))
        .unwrap()
        .set_modified(std::time::UNIX_EPOCH)
        .unwrap();
    let trusted = loaded.trust(&bench.sample.layout, &root, 1).unwrap();
    assert_eq!(trusted.recheck.iter().collect::<Vec<_>>(), [PieceIndex(1)], "the piece of the 3 bytes");

    let have = trusted.have.clone();
    let bench = Bench::with(sample(), StoreConfig { have, ..sample().config(kind(&folder)) }, MIB).unwrap();
    bench.store.check(trusted.recheck.iter());
    assert!(matches!(bench.event(), Event::Checked { piece: PieceIndex(1), ok: false, done: 1, total: 1 }));
    bench.wait_for(&Event::CheckFinished { have: trusted.have });
    bench.download(1);
    bench.wait_for(&written(1));
    assert_eq!(bench.sample.read_from(&root), bench.sample.content);
}

#[test]
fn a_download_far_larger_than_the_bound_never_passes_it() {
    let folder = tempfile::tempdir().unwrap();
    let sample = Sample::new(512 * 1024, &[("film", 12 * MIB as u64)]);
    let bench = Bench::new(sample, kind(&folder), MIB);
    let (room, rooms) = mpsc::channel();
    bench.pool.on_room(std::sync::Arc::new(move || room.send(()).unwrap_or_default()));
    let mut refusals = 0;
    for piece in bench.sample.layout.pieces() {
        let first = bench.sample.layout.block(piece, BlockIndex(0));
        while bench.store.reserve(first) == Err(Full) {
            refusals += 1;
            rooms.recv().unwrap();
        }
        bench.download(piece.0);
    }
    bench.wait_for_all(bench.sample.layout.pieces().map(|piece| written(piece.0)));
    bench.store.close();
    assert!(bench.pool.ledger().peak() <= MIB, "after {refusals} refusals: {:?}", bench.pool);
    assert_eq!(bench.sample.read_from(&folder.path().join("downloads")), bench.sample.content);
}

#[test]
fn two_torrents_share_one_pool_and_the_idle_one_gives_way() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(&folder);
    bench.download_all();
    let other = sample();
    let (sender, events) = mpsc::channel();
    let notify = std::sync::Arc::new(move |event| sender.send(event).unwrap_or_default());
    let pool: &Pool = &bench.pool;
    let store = Store::open(other.config(Kind::Memory), &bench.disk, pool, notify).unwrap();
    for block in other.layout.blocks(PieceIndex(0)) {
        store.reserve(block).unwrap();
        let mut buffer = store.take_buffer(block).unwrap();
        buffer.copy_from_slice(other.block(block));
        assert!(store.fill(block, buffer).is_some());
    }
    assert_eq!(events.recv().unwrap(), verified(0));
    store.evict(PieceIndex(0));
    assert!(bench.store.have(PieceIndex(0)), "the same piece of another torrent is another piece");
    assert_eq!(bench.read_piece(0).unwrap(), bench.sample.piece(0));
}

#[test]
fn pieces_of_files_are_hashed_for_a_new_torrent() {
    let folder = tempfile::tempdir().unwrap();
    let sample = sample();
    sample.write_to(folder.path());
    let seen = std::sync::Mutex::new(Vec::new());
    let progress = |done, total| seen.lock().unwrap().push((done, total));
    let hashes = hash_files(&sample.layout, folder.path(), 2, &progress).unwrap();
    assert_eq!(hashes, *sample.hashes);
    let mut seen = seen.into_inner().unwrap();
    seen.sort_unstable();
    let total = sample.layout.piece_count();
    assert_eq!(seen, (1..=total).map(|done| (done, total)).collect::<Vec<_>>());
    std::fs::remove_file(folder.path().join("second")).unwrap();
    assert!(hash_files(&sample.layout, folder.path(), 2, &|_, _| {}).unwrap_err().is_loss());
}
