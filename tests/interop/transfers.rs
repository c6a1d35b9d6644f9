//! Whole torrents, both ways, byte by byte: single files and folders of 20, pieces of 16 KiB, 256 KiB and 4 MiB, made
//! by Afflux and by libtorrent.

use std::path::{Path, PathBuf};

use crate::harness::afflux::{ALONE, Afflux, create};
use crate::harness::clients::{Libtorrent, Transmission, aria2, libtorrent, libtorrent_create};
use crate::harness::namespace::{NEAR, Namespace};
use crate::harness::process::Process;
use crate::harness::{Scratch, free_port, payload};

const KIB: u32 = 1024;
const MIB: u32 = 1024 * KIB;

/// Something to share and the folder to fetch it to.
struct Share {
    scratch: Scratch,
    /// The folder that the payload is in.
    shared: PathBuf,
    payload: PathBuf,
    torrent: PathBuf,
    fetched: PathBuf,
}

impl Share {
    /// A file of a few pieces and a rest.
    fn single(piece_length: u32, length: usize) -> Self {
        Self::new(piece_length, |folder| payload::single(folder, "one odd file.bin", 7, length))
    }

    fn twenty(piece_length: u32, scale: usize) -> Self {
        Self::new(piece_length, |folder| payload::twenty(folder, "twenty files", 11, scale))
    }

    fn new(piece_length: u32, make: impl FnOnce(&Path) -> PathBuf) -> Self {
        let scratch = Scratch::new();
        let (shared, fetched) = (scratch.folder("shared"), scratch.folder("fetched"));
        let payload = make(&shared);
        let torrent = create(&scratch, &payload, piece_length, &[]);
        Self { scratch, shared, payload, torrent, fetched }
    }

    /// Takes a .torrent that libtorrent makes instead.
    fn by_libtorrent(mut self, piece_length: u32) -> Self {
        self.torrent = self.scratch.path("by-libtorrent.torrent");
        libtorrent_create(&self.payload, &self.torrent, piece_length);
        self
    }

    fn assert_fetched(&self) {
        payload::assert_same(&self.shared, &self.fetched);
    }

    fn sent_by_libtorrent(&self) {
        let seeder = Libtorrent::seed(&self.scratch, &self.torrent, &self.shared, &[]);
        self.download(&seeder.address);
    }

    fn download(&self, peer: &str) {
        let download = Afflux::new(&self.scratch, "download").arg("download").arg(&self.torrent);
        download.arg("-o").arg(&self.fetched).args(["--peer", peer]).args(ALONE).succeed();
        self.assert_fetched();
    }

    /// `afflux seed` with everything verified.
    fn seed(&self, more: &[&str]) -> Process {
        let seed = Afflux::new(&self.scratch, "seed").arg("seed").arg(&self.torrent);
        let seed =
            seed.arg("-o").arg(&self.shared).args(["--bind", "127.0.0.1", "--no-dht", "--json"]).args(more);
        let mut process = seed.start();
        process.event("seeding");
        process
    }

    fn fetched_by_libtorrent(&self) {
        let port = free_port().to_string();
        let _seed = self.seed(&["--peer-port", &port]);
        let (torrent, save) = (self.torrent.to_string_lossy(), self.fetched.to_string_lossy());
        let peer = format!("127.0.0.1:{port}");
        let arguments = ["--torrent", &torrent, "--save", &save, "--peer", &peer];
        Libtorrent::session(&self.scratch, "libtorrent-fetch", &arguments).process.event("seeding");
        self.assert_fetched();
    }

    fn sent_by_aria2(&self) {
        let port = free_port();
        let _aria2 = aria2(&self.scratch, &self.torrent, &self.shared, port);
        self.download(&format!("127.0.0.1:{port}"));
    }

    fn fetched_by_aria2(&self) {
        let port = free_port();
        let mut aria2 = aria2(&self.scratch, &self.torrent, &self.fetched, port);
        let _seed = self.seed(&["--peer-port", "0", "--peer", &format!("127.0.0.1:{port}")]);
        aria2.said("SEED(");
        // Its control file goes when it ends.
        aria2.signal("TERM");
        aria2.wait();
        self.assert_fetched();
    }

    fn sent_by_transmission(&self) {
        let (near, far) = Namespace::pair(&self.scratch);
        let transmission = Transmission::start(&self.scratch, &far, &self.shared);
        transmission.add(&self.torrent.to_string_lossy());
        transmission.complete();
        let download = Afflux::within(&near, &self.scratch, "download").arg("download").arg(&self.torrent);
        let peer = Transmission::address();
        download.arg("-o").arg(&self.fetched).args(["--bind", NEAR, "--no-dht", "--peer", &peer]).succeed();
        self.assert_fetched();
    }

    fn fetched_by_transmission(&self) {
        let (near, far) = Namespace::pair(&self.scratch);
        let transmission = Transmission::start(&self.scratch, &far, &self.fetched);
        transmission.add(&self.torrent.to_string_lossy());
        let seed = Afflux::within(&near, &self.scratch, "seed").arg("seed").arg(&self.torrent);
        let peer = Transmission::address();
        let seed =
            seed.arg("-o").arg(&self.shared).args(["--bind", NEAR, "--no-dht", "--peer", &peer, "--json"]);
        let _seed = seed.start();
        transmission.complete();
        payload::make_empty_files(&self.shared, &self.fetched);
        self.assert_fetched();
    }
}

#[test]
fn libtorrent_sends_a_single_file_in_small_pieces() {
    Share::single(16 * KIB, 3_000_017).sent_by_libtorrent();
}

#[test]
fn libtorrent_sends_twenty_files() {
    Share::twenty(256 * KIB, 4_000_000).by_libtorrent(256 * KIB).sent_by_libtorrent();
}

#[test]
fn libtorrent_sends_a_single_file_in_large_pieces() {
    Share::single(4 * MIB, 21_000_001).sent_by_libtorrent();
}

#[test]
fn ipv6_carries_both_ways() {
    let share = Share::single(256 * KIB, 2_000_003);
    let address = format!("[::1]:{}", free_port());
    let port = free_port().to_string();
    let seed =
        Afflux::new(&share.scratch, "seed").arg("seed").arg(&share.torrent).arg("-o").arg(&share.shared);
    let _seed = seed.args(["--bind", "::1", "--no-dht", "--peer-port", &port]).start();
    let (torrent, save) = (share.torrent.to_string_lossy(), share.fetched.to_string_lossy());
    let peer = format!("[::1]:{port}");
    let mut command = libtorrent(&["session", "--listen", &address, "--torrent", &torrent]);
    let command = command.args(["--save", &save, "--peer", &peer]);
    let mut session = Process::start(&share.scratch, "libtorrent", command);
    session.event("seeding");
    share.assert_fetched();
    let again = share.scratch.folder("again");
    let download =
        Afflux::new(&share.scratch, "download").arg("download").arg(&share.torrent).arg("-o").arg(&again);
    download.args(["--bind", "::1", "--no-dht", "--peer-port", "0", "--peer", &address]).succeed();
    payload::assert_same(&share.shared, &again);
}

#[test]
fn libtorrent_fetches_a_single_file_in_large_pieces() {
    Share::single(4 * MIB, 21_000_001).by_libtorrent(4 * MIB).fetched_by_libtorrent();
}

#[test]
fn libtorrent_fetches_twenty_files_in_small_pieces() {
    Share::twenty(16 * KIB, 700_000).fetched_by_libtorrent();
}

#[test]
fn libtorrent_fetches_a_single_file() {
    Share::single(256 * KIB, 5_000_003).fetched_by_libtorrent();
}

#[test]
fn aria2_sends_twenty_files_in_small_pieces() {
    Share::twenty(16 * KIB, 700_000).sent_by_aria2();
}

#[test]
fn aria2_sends_a_single_file_in_large_pieces() {
    Share::single(4 * MIB, 13_000_001).sent_by_aria2();
}

#[test]
fn aria2_fetches_a_single_file() {
    Share::single(256 * KIB, 5_000_003).fetched_by_aria2();
}

#[test]
fn aria2_fetches_twenty_files_in_large_pieces() {
    Share::twenty(4 * MIB, 4_000_000).fetched_by_aria2();
}

#[test]
fn transmission_sends_twenty_files() {
    Share::twenty(256 * KIB, 2_000_000).sent_by_transmission();
}

#[test]
fn transmission_sends_a_single_file_in_small_pieces() {
    Share::single(16 * KIB, 3_000_017).by_libtorrent(16 * KIB).sent_by_transmission();
}

#[test]
fn transmission_fetches_a_single_file_in_large_pieces() {
    Share::single(4 * MIB, 13_000_001).fetched_by_transmission();
}

#[test]
fn transmission_fetches_twenty_files_in_small_pieces() {
    Share::twenty(16 * KIB, 700_000).fetched_by_transmission();
}

/// One command, two torrents: each is fetched from the same port.
#[test]
fn one_seed_serves_several_torrents() {
    let scratch = Scratch::new();
    let (shared, fetched) = (scratch.folder("shared"), scratch.folder("fetched"));
    let payloads = [("one.bin", 300_001), ("other.bin", 200_003)]
        .map(|(name, length)| payload::single(&shared, name, 3, length));
    let torrents = payloads.map(|payload| create(&scratch, &payload, 16 * KIB, &[]));
    let port = free_port().to_string();
    let seed = Afflux::new(&scratch, "seed").arg("seed").args(&torrents).arg("-o").arg(&shared);
    let mut seed = seed.args(["--bind", "127.0.0.1", "--no-dht", "--peer-port", &port, "--json"]).start();
    seed.said("\"seeding\":2");
    for torrent in &torrents {
        let download = Afflux::new(&scratch, "download").arg("download").arg(torrent).arg("-o").arg(&fetched);
        download.args(["--peer", &format!("127.0.0.1:{port}")]).args(ALONE).succeed();
    }
    payload::assert_same(&shared, &fetched);
}
