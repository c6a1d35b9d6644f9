//! What happens when the disk lets us down: full, cut short, in the way, too many files.

use std::process::Command;

use crate::common::{Bench, Sample, verified, written};
use afflux_metainfo::{Bitfield, BlockIndex, FileIndex, PieceIndex};
use afflux_storage::{Event, Kind, ReadError, StoreConfig, disk};
use tempfile::TempDir;

const MIB: usize = 1 << 20;

fn kind(folder: &TempDir) -> Kind {
    Kind::Disk { dir: folder.path().to_path_buf() }
}

/// Runs one of the `#[ignore]`d tests here in a process of its own, started by a shell after `setup`.
fn in_child(setup: &str, test: &str) {
    let program = std::env::current_exe().unwrap();
    let script = format!("{setup}; exec \"$0\" --exact faults::{test} --ignored --test-threads=1");
    let output = Command::new("sh").arg("-c").arg(script).arg(program).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// 64 KiB per file is all that the system lets a process write: as real as a full disk, and needs no privilege.
#[test]
fn a_disk_that_takes_no_more_stops_writing_and_nothing_else() {
    in_child("trap '' XFSZ; ulimit -f 128", "child_that_can_only_write_small_files");
}

#[test]
#[ignore = "run by a_disk_that_takes_no_more_stops_writing_and_nothing_else under a file size limit"]
fn child_that_can_only_write_small_files() {
    let folder = tempfile::tempdir().unwrap();
    let sample = Sample::new(32 * 1024, &[("small", 64 * 1024), ("large", 128 * 1024)]);
    let bench = Bench::new(sample, kind(&folder), MIB);
    for piece in [0, 1] {
        bench.download(piece);
        bench.wait_for(&written(piece));
    }
    bench.download(2);
    assert_eq!(bench.event(), verified(2));
    let reason = disk::Error::TooLarge { path: folder.path().join("large") };
    assert_eq!(bench.event(), Event::Stopped(reason.clone()));
    assert_eq!(bench.store.stopped(), Some(reason));
    bench.download(3);
    assert_eq!(bench.event(), verified(3), "no second Stopped, and no Written");
    for piece in 0..4 {
        assert_eq!(bench.read_piece(piece).unwrap(), bench.sample.piece(piece), "reading goes on");
    }
    assert_eq!(bench.store.snapshot().unwrap().have.count(), 2, "only what is on disk is remembered");
    bench.store.retry();
    assert!(matches!(bench.event(), Event::Stopped(_)), "still full");
    bench.store.close();
    assert_eq!(std::fs::read(folder.path().join("small")).unwrap(), bench.sample.content[..64 * 1024]);
}

#[test]
fn writing_goes_on_when_the_cause_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(Sample::new(32 * 1024, &[("film", 128 * 1024)]), kind(&folder), MIB);
    std::fs::create_dir(folder.path().join("film")).unwrap();
    bench.download(1);
    assert_eq!(bench.event(), verified(1));
    let reason = disk::Error::InTheWay { path: folder.path().join("film") };
    assert_eq!(bench.event(), Event::Stopped(reason));
    bench.download(2);
    assert_eq!(bench.event(), verified(2));
    std::fs::remove_dir(folder.path().join("film")).unwrap();
    bench.store.retry();
    // Piece 2 may still be on its way to the write thread, and then comes before piece 1.
    let mut waited_for = vec![written(1), written(2)];
    while !waited_for.is_empty() {
        let event = bench.event();
        waited_for.retain(|expected| *expected != event);
    }
    assert_eq!(bench.store.snapshot().unwrap().have.count(), 2);
}

#[test]
fn a_store_that_is_closed_while_it_tries_again_has_written_everything() {
    const PIECES: u32 = 64;
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let sample = Sample::new(16 * 1024, &[("film", u64::from(PIECES) * 16 * 1024)]);
        let bench = Bench::new(sample, kind(&folder), 4 * MIB);
        std::fs::create_dir(folder.path().join("film")).unwrap();
        for piece in 0..PIECES {
            bench.download(piece);
        }
        let mut verdicts = 0;
        while verdicts < PIECES || bench.store.stopped().is_none() {
            verdicts += u32::from(matches!(bench.event(), Event::Verified { .. }));
        }
        std::fs::remove_dir(folder.path().join("film")).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| bench.store.retry());
            while !matches!(bench.event(), Event::Written { .. }) {}
            bench.store.close();
        });
        assert!(std::fs::read(folder.path().join("film")).unwrap() == bench.sample.content);
    }
}

#[test]
fn a_stopped_torrent_gives_its_memory_to_others_and_says_what_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(Sample::new(32 * 1024, &[("film", 256 * 1024)]), kind(&folder), 64 * 1024);
    std::fs::create_dir(folder.path().join("film")).unwrap();
    bench.download(0);
    bench.wait_for(&verified(0));
    let Event::Stopped(reason) = bench.event() else { panic!("not stopped") };
    bench.download(1);
    bench.wait_for(&verified(1));
    let first = bench.sample.layout.block(PieceIndex(2), BlockIndex(0));
    while bench.store.reserve(first).is_err() {
        // The write thread is about to find that it may not write piece 1.
        std::thread::yield_now();
    }
    std::fs::remove_dir(folder.path().join("film")).unwrap();
    bench.store.retry();
    assert_eq!(bench.event(), Event::Lost { piece: PieceIndex(0), error: reason });
    assert_eq!(bench.event(), written(1));
    assert_eq!(bench.read(0, 0..1), Err(ReadError::NotHave));
    assert_eq!(bench.read_piece(1).unwrap(), bench.sample.piece(1));
}

#[test]
fn a_file_cut_short_under_us_loses_its_piece_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let sample = Sample::new(32 * 1024, &[("film", 128 * 1024)]);
    sample.write_to(folder.path());
    let config = StoreConfig { have: Bitfield::full(4), ..sample.config(kind(&folder)) };
    let bench = Bench::with(sample, config, MIB).unwrap();
    std::fs::File::options().write(true).open(folder.path().join("film")).unwrap().set_len(70_000).unwrap();
    let error = disk::Error::Truncated { path: folder.path().join("film") };
    assert_eq!(bench.read_piece(2), Err(ReadError::Disk(error.clone())));
    assert_eq!(bench.event(), Event::Lost { piece: PieceIndex(2), error: error.clone() });
    assert_eq!(bench.event(), Event::Lost { piece: PieceIndex(3), error }, "it went with the same cut");
    assert!(!bench.store.have(PieceIndex(2)));
    assert_eq!(bench.read_piece(2), Err(ReadError::NotHave));
    assert_eq!(bench.read_piece(1).unwrap(), bench.sample.piece(1));
    bench.download(2);
    bench.wait_for(&written(2));
    assert_eq!(bench.read_piece(2).unwrap(), bench.sample.piece(2));
}

#[test]
fn a_deleted_file_loses_its_pieces() {
    let folder = tempfile::tempdir().unwrap();
    let sample = Sample::new(32 * 1024, &[("sub/film", 64 * 1024)]);
    sample.write_to(folder.path());
    let config = StoreConfig { have: Bitfield::full(2), ..sample.config(kind(&folder)) };
    let bench = Bench::with(sample, config, MIB).unwrap();
    std::fs::remove_dir_all(folder.path().join("sub")).unwrap();
    let error = disk::Error::Missing { path: folder.path().join("sub") };
    assert_eq!(bench.read_piece(1), Err(ReadError::Disk(error.clone())));
    assert_eq!(bench.event(), Event::Lost { piece: PieceIndex(1), error: error.clone() });
    assert_eq!(bench.event(), Event::Lost { piece: PieceIndex(0), error });
}

#[test]
fn a_file_deleted_during_a_download_stops_it_and_is_never_served_as_zeros() {
    let folder = tempfile::tempdir().unwrap();
    // Little memory, so that pieces have to come from the file.
    let bench = Bench::new(Sample::new(32 * 1024, &[("film", 128 * 1024)]), kind(&folder), 64 * 1024);
    for piece in [0, 1] {
        bench.download(piece);
        bench.wait_for(&written(piece));
    }
    std::fs::remove_file(folder.path().join("film")).unwrap();
    bench.download(2);
    let error = disk::Error::Missing { path: folder.path().join("film") };
    bench.wait_for(&Event::Stopped(error.clone()));
    for piece in [0, 1] {
        assert_eq!(bench.event(), Event::Lost { piece: PieceIndex(piece), error: error.clone() });
        assert_eq!(bench.read_piece(piece), Err(ReadError::NotHave));
    }
    bench.store.retry();
    bench.wait_for(&written(2));
    for piece in [3, 1, 0] {
        bench.download(piece);
        bench.wait_for(&written(piece));
    }
    assert_eq!(bench.sample.read_from(folder.path()), bench.sample.content);
}

#[test]
fn a_file_where_the_download_folder_belongs_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("downloads");
    std::fs::write(&dir, b"").unwrap();
    let sample = Sample::new(32 * 1024, &[("film", 1000)]);
    for read_only in [false, true] {
        let config = StoreConfig { read_only, ..sample.config(Kind::Disk { dir: dir.clone() }) };
        let outcome = Bench::with(Sample::new(32 * 1024, &[("film", 1000)]), config, MIB);
        assert_eq!(outcome.err(), Some(disk::Error::InTheWay { path: dir.clone() }));
    }
    let below = Kind::Disk { dir: dir.join("below") };
    let outcome = Bench::with(Sample::new(32 * 1024, &[("film", 1000)]), sample.config(below), MIB);
    assert!(matches!(outcome.err(), Some(disk::Error::InTheWay { .. })));
}

#[test]
fn a_vanished_folder_stops_writing_and_is_not_made_again() {
    let (folder, keep) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let dir = keep.path().join("downloads");
    let bench =
        Bench::new(Sample::new(32 * 1024, &[("film", 64 * 1024)]), Kind::Disk { dir: dir.clone() }, MIB);
    drop(folder);
    std::fs::remove_dir(&dir).unwrap();
    bench.download(0);
    bench.wait_for(&Event::Stopped(disk::Error::Missing { path: dir.clone() }));
    assert!(!dir.exists());
}

#[test]
fn a_planted_symlink_stops_writing_and_its_target_is_untouched() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::os::unix::fs::symlink(outside.path(), folder.path().join("sub")).unwrap();
    let bench = Bench::new(Sample::new(32 * 1024, &[("sub/film", 64 * 1024)]), kind(&folder), MIB);
    bench.download(0);
    bench.wait_for(&Event::Stopped(disk::Error::Symlink { path: folder.path().join("sub") }));
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn five_thousand_files_are_served_through_sixty_four_handles() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..5000).map(|number| format!("d{}/f{number}", number % 10)).collect();
    let rows: Vec<(&str, u64)> = names.iter().map(|name| (&name[..], 100)).collect();
    let bench = Bench::new(Sample::new(16 * 1024, &rows), kind(&folder), MIB);
    bench.download_all();
    assert_eq!(bench.disk.open_files(), 64);
    bench.store.close();
    assert_eq!(bench.disk.open_files(), 0);
    assert_eq!(bench.sample.read_from(folder.path()), bench.sample.content);
}

#[test]
fn a_file_that_is_changed_underneath_is_checked_and_only_what_is_wrong_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let sample = Sample::new(32 * 1024, &[("film", 128 * 1024), ("other", 64 * 1024)]);
    let bench = Bench::new(sample, kind(&folder), MIB);
    bench.download_all();
    bench.disk_only();
    std::thread::sleep(std::time::Duration::from_millis(20));
    let file = std::fs::File::options().write(true).open(folder.path().join("film")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"edited", 40_000).unwrap();
    let changed = disk::Error::Changed { path: folder.path().join("film") };
    assert!(bench.read_piece(5).unwrap() == bench.sample.piece(5), "another file is as it was");
    assert_eq!(bench.read_piece(0), Err(ReadError::Disk(changed.clone())));
    for piece in 0..4 {
        bench.wait_for(&Event::Lost { piece: PieceIndex(piece), error: changed.clone() });
    }
    let mut have = Bitfield::full(6);
    have.remove(PieceIndex(1));
    bench.wait_for(&Event::CheckFinished { have });
    assert!(bench.read_piece(0).unwrap() == bench.sample.piece(0));
    bench.download(1);
    bench.wait_for(&crate::common::written(1));
    assert_eq!(bench.sample.read_from(folder.path()), bench.sample.content);
}

#[test]
fn files_that_are_not_wanted_are_not_created() {
    let folder = tempfile::tempdir().unwrap();
    let sample = Sample::new(32 * 1024, &[("a", 64 * 1024), ("b", 64 * 1024), ("c", 0)]);
    let unwanted = vec![FileIndex(1), FileIndex(2)];
    let config = StoreConfig { unwanted, ..sample.config(kind(&folder)) };
    let bench = Bench::with(sample, config, MIB).unwrap();
    bench.download(0);
    bench.download(1);
    bench.store.close();
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["a"]);
}

#[test]
fn a_file_that_is_wanted_in_the_next_run_gets_what_was_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    let sample = || Sample::new(32 * 1024, &[("a", 40_000), ("b", 64 * 1024)]);
    let config = StoreConfig { unwanted: vec![FileIndex(1)], ..sample().config(kind(&folder)) };
    let bench = Bench::with(sample(), config, MIB).unwrap();
    bench.download(0);
    bench.download(1);
    bench.store.close();
    assert!(!folder.path().join("b").exists());
    let have = bench.store.snapshot().unwrap().have;
    let bench = Bench::with(sample(), StoreConfig { have, ..sample().config(kind(&folder)) }, MIB).unwrap();
    assert!(bench.read_piece(1).unwrap() == bench.sample.piece(1));
    bench.download(2);
    bench.download(3);
    bench.store.close();
    assert_eq!(bench.sample.read_from(folder.path()), bench.sample.content);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "the part file is gone");
}
