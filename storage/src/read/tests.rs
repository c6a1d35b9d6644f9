use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use afflux_metainfo::{Bitfield, InfoHash, Layout};

use super::*;
use crate::{Disk, DiskConfig, Kind, Ledger, Pool, Store, StoreConfig};

const PIECE: u32 = 2 * EXTENT_BYTES;
/// A hung test ends in a failure instead; nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(60);

fn content() -> Vec<u8> {
    (0..2 * PIECE).map(|at| (at / 251) as u8).collect()
}

/// A store that trusts a file of two pieces, and one read thread. Reading needs no hashes.
fn open(folder: &Path, limit_bytes: usize) -> Arc<Torrent> {
    std::fs::write(folder.join("film"), content()).unwrap();
    let layout =
        Layout::new(u64::from(PIECE), [(vec!["film".to_owned()], u64::from(2 * PIECE), false)]).unwrap();
    let mut have = Bitfield::new(2);
    (0..2).for_each(|piece| _ = have.insert(PieceIndex(piece)));
    let config = StoreConfig {
        info_hash: InfoHash([7; 20]),
        kind: Kind::Disk { dir: folder.to_path_buf() },
        layout: Arc::new(layout),
        hashes: Arc::from([[0; 20]; 2]),
        have,
        unwanted: Vec::new(),
        files: Default::default(),
        read_only: true,
    };
    let disk = Disk::start(DiskConfig { read_threads: 1, ..Default::default() }).unwrap();
    let store = Store::open(config, &disk, &Pool::new(Ledger::new(limit_bytes)), Arc::new(|_| {})).unwrap();
    store.0.clone()
}

type Answers = mpsc::Receiver<Result<Vec<u8>, ReadError>>;

fn job(torrent: &Arc<Torrent>, piece: u32, range: Range<u32>) -> (ReadJob, Answers) {
    let (sender, answers) = mpsc::channel();
    let reply: ReadReply = Box::new(move |outcome| {
        sender.send(outcome.map(|parts| parts.concat())).unwrap();
    });
    (ReadJob { torrent: torrent.clone(), piece: PieceIndex(piece), range, reply }, answers)
}

#[test]
fn readers_that_miss_the_same_extent_cause_one_read() {
    let folder = tempfile::tempdir().unwrap();
    let torrent = open(folder.path(), 1 << 22);
    let (first, firsts) = job(&torrent, 0, 0..100);
    let (first, claim) = UnderWay::claim(&torrent, (PieceIndex(0), 0), first).unwrap();

    let (second, seconds) = job(&torrent, 0, 5000..5100);
    torrent.disk.queue_read(second).map_err(drop).unwrap();
    // The only read thread isn't held up by a job that waits for another one's read.
    let (other, others) = job(&torrent, 1, 0..100);
    torrent.disk.queue_read(other).map_err(drop).unwrap();
    assert!(others.recv_timeout(PATIENCE).unwrap().is_ok());
    assert!(seconds.try_recv().is_err(), "it's answered when the extent is there");

    first.answer();
    assert_eq!(firsts.recv_timeout(PATIENCE).unwrap().unwrap(), content()[..100]);
    std::fs::write(folder.path().join("film"), vec![0; 2 * PIECE as usize]).unwrap();
    drop(claim);
    assert_eq!(seconds.recv_timeout(PATIENCE).unwrap().unwrap(), content()[5000..5100], "read a second time");
    assert!(lock(&torrent.under_way.0).is_empty());
}

#[test]
fn what_the_kernel_has_in_memory_needs_no_thread() {
    // Not all systems can tell; Linux can, wherever its temporary files are.
    if !cfg!(target_os = "linux") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let torrent = open(folder.path(), 1 << 22);
    let range = EXTENT_BYTES - 10..EXTENT_BYTES + 10;
    assert!(torrent.read_hot(PieceIndex(0), &range).is_none(), "the file isn't open yet");
    let (first, firsts) = job(&torrent, 1, 0..1);
    first.run();
    firsts.recv_timeout(PATIENCE).unwrap().unwrap();
    let parts = torrent.read_hot(PieceIndex(0), &range).expect("it was just written");
    assert_eq!(parts.concat(), content()[range.start as usize..range.end as usize]);
    assert!(torrent.read_cached(PieceIndex(0), &range).is_some(), "what was read is cached");
}

#[test]
fn a_hot_read_takes_no_memory_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let torrent = open(folder.path(), EXTENT_BYTES as usize);
    let (first, firsts) = job(&torrent, 0, 0..1);
    first.run();
    firsts.recv_timeout(PATIENCE).unwrap().unwrap();
    let held = torrent.read_cached(PieceIndex(0), &(0..1)).unwrap();
    assert!(torrent.read_hot(PieceIndex(1), &(0..1)).is_none());
    drop(held);
    assert_eq!(torrent.read_hot(PieceIndex(1), &(0..1)).is_some(), cfg!(target_os = "linux"));
}

#[test]
fn a_file_cut_short_is_not_hot_and_its_loss_is_told_by_the_read() {
    let folder = tempfile::tempdir().unwrap();
    let torrent = open(folder.path(), 1 << 22);
    let (first, firsts) = job(&torrent, 0, 0..1);
    first.run();
    firsts.recv_timeout(PATIENCE).unwrap().unwrap();
    std::fs::OpenOptions::new().write(true).open(folder.path().join("film")).unwrap().set_len(1000).unwrap();
    assert!(torrent.read_hot(PieceIndex(1), &(0..1)).is_none());
    let (late, lates) = job(&torrent, 1, 0..1);
    late.run();
    assert!(matches!(lates.recv_timeout(PATIENCE).unwrap(), Err(ReadError::Disk(error)) if error.is_loss()));
    assert!(torrent.readable(PieceIndex(1), &(0..1)).is_err(), "it is lost");
}

#[test]
fn files_are_lent_where_pieces_lie_on_disk_and_in_memory() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let torrent = open(folder.path(), 1 << 22);
    let length = u64::from(2 * PIECE);
    assert!(torrent.lend_file(0..length).is_none(), "the file isn't open yet");
    let (first, firsts) = job(&torrent, 0, 0..1);
    first.run();
    firsts.recv_timeout(PATIENCE).unwrap().unwrap();

    let loan = torrent.lend_file(1000..length).expect("it was just written");
    assert_eq!((loan.offset(), loan.len()), (1000, length - 1000));
    lock(&torrent.progress).written.remove(PieceIndex(1));
    let loan = torrent.lend_file(1000..length).unwrap();
    assert_eq!(loan.len(), u64::from(PIECE) - 1000, "the second piece isn't known to be good");
    assert!(torrent.lend_file(u64::from(PIECE)..length).is_none());
    lock(&torrent.progress).closed = true;
    assert!(torrent.lend_file(0..length).is_none());
}

#[test]
fn a_file_cut_short_is_lent_only_as_far_as_it_goes() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let torrent = open(folder.path(), 1 << 22);
    let left = u64::from(PIECE) + 5000;
    std::fs::OpenOptions::new().write(true).open(folder.path().join("film")).unwrap().set_len(left).unwrap();
    let (first, firsts) = job(&torrent, 0, 0..1);
    first.run();
    firsts.recv_timeout(PATIENCE).unwrap().unwrap();
    let loan = torrent.lend_file(0..u64::from(2 * PIECE)).unwrap();
    assert!(loan.len() <= left, "{loan:?}");
    assert!(torrent.lend_file(left..u64::from(2 * PIECE)).is_none());
}
