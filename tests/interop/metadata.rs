//! What a torrent says: metadata asked of and given to other clients (BEP 9), .torrents that all read alike.

use std::path::PathBuf;

use serde_json::Value;

use crate::harness::afflux::{ALONE, Afflux, create, info_hash, inspect};
use crate::harness::clients::{Libtorrent, Transmission, libtorrent_create, libtorrent_info};
use crate::harness::namespace::{NEAR, Namespace};
use crate::harness::process::{Process, tool};
use crate::harness::{Scratch, free_port, payload, wait_for};

/// A folder of 20 files with enough pieces for metadata of several blocks (BEP 9: 16 KiB each).
struct Share {
    scratch: Scratch,
    shared: PathBuf,
    fetched: PathBuf,
    torrent: PathBuf,
    magnet: String,
}

impl Share {
    fn new() -> Self {
        let scratch = Scratch::new();
        let (shared, fetched) = (scratch.folder("shared"), scratch.folder("fetched"));
        let payload = payload::twenty(&shared, "much metadata", 23, 5_000_000);
        let torrent = create(&scratch, &payload, 16 * 1024, &[]);
        let magnet = format!("magnet:?xt=urn:btih:{}", info_hash(&scratch, &torrent));
        Self { scratch, shared, fetched, torrent, magnet }
    }

    fn assert_fetched(&self) {
        payload::assert_same(&self.shared, &self.fetched);
    }
}

#[test]
fn libtorrent_gives_metadata() {
    let share = Share::new();
    let seeder = Libtorrent::seed(&share.scratch, &share.torrent, &share.shared, &[]);
    let said = Afflux::new(&share.scratch, "inspect")
        .args(["inspect", "--fetch", &share.magnet, "--peer", &seeder.address])
        .args(ALONE)
        .succeed();
    let (fetched, local) = (said.last().expect("an object"), inspect(&share.scratch, &share.torrent));
    for key in ["infoHash", "name", "files", "pieceLength", "pieceCount", "totalSize"] {
        assert_eq!(fetched[key], local[key], "{key}");
    }
    Afflux::new(&share.scratch, "download")
        .args(["download", &share.magnet, "--peer", &seeder.address, "-o"])
        .arg(&share.fetched)
        .args(ALONE)
        .succeed();
    share.assert_fetched();
}

#[test]
fn libtorrent_gets_metadata() {
    let share = Share::new();
    let port = free_port().to_string();
    let seed =
        Afflux::new(&share.scratch, "seed").arg("seed").arg(&share.torrent).arg("-o").arg(&share.shared);
    let _seed = seed.args(["--bind", "127.0.0.1", "--no-dht", "--peer-port", &port]).start();
    let (peer, save) = (format!("127.0.0.1:{port}"), share.fetched.to_string_lossy());
    let arguments = ["--magnet", &share.magnet, "--save", &save, "--peer", &peer];
    let mut session = Libtorrent::session(&share.scratch, "libtorrent-fetch", &arguments);
    assert_eq!(session.process.event("metadata")["name"], "much metadata");
    session.process.event("seeding");
    share.assert_fetched();
}

#[test]
fn transmission_gives_metadata() {
    let share = Share::new();
    let (near, far) = Namespace::pair(&share.scratch);
    let transmission = Transmission::start(&share.scratch, &far, &share.shared);
    transmission.add(&share.torrent.to_string_lossy());
    transmission.complete();
    Afflux::within(&near, &share.scratch, "download")
        .args([
            "download",
            &share.magnet,
            "--bind",
            NEAR,
            "--no-dht",
            "--peer",
            &Transmission::address(),
            "-o",
        ])
        .arg(&share.fetched)
        .succeed();
    share.assert_fetched();
}

#[test]
fn transmission_gets_metadata() {
    let share = Share::new();
    let (near, far) = Namespace::pair(&share.scratch);
    let transmission = Transmission::start(&share.scratch, &far, &share.fetched);
    transmission.add(&share.magnet);
    let seed = Afflux::within(&near, &share.scratch, "seed").arg("seed").arg(&share.torrent);
    let _seed = seed
        .arg("-o")
        .arg(&share.shared)
        .args(["--bind", NEAR, "--no-dht", "--peer", &Transmission::address()])
        .start();
    transmission.complete();
    payload::make_empty_files(&share.shared, &share.fetched);
    share.assert_fetched();
}

/// What both sides say of a .torrent, in the same words.
fn summary(info: &Value) -> Vec<Value> {
    let files = info["files"].as_array().expect("a list").iter();
    let keys = ["infoHash", "name", "pieceLength", "pieceCount", "totalSize", "private", "trackers"];
    keys.iter()
        .map(|key| info[key].clone())
        .chain(files.flat_map(|file| [file["path"].clone(), file["size"].clone()]))
        .collect()
}

#[test]
fn afflux_and_libtorrent_make_and_read_torrents_alike() {
    let scratch = Scratch::new();
    let shared = scratch.folder("shared");
    for (payload, piece_length) in [
        (payload::single(&shared, "ein Film (2026).mkv", 3, 1_234_567), 16 * 1024),
        (payload::twenty(&shared, "zwanzig", 5, 900_000), 256 * 1024),
        (payload::single(&shared, "tiny", 5, 1), 4 * 1024 * 1024),
    ] {
        let ours = create(
            &scratch,
            &payload,
            piece_length,
            &["--tracker", "http://tracker.example/announce", "--private"],
        );
        assert_eq!(summary(&inspect(&scratch, &ours)), summary(&libtorrent_info(&ours)));
        let theirs = scratch.path("theirs.torrent");
        let made = libtorrent_create(&payload, &theirs, piece_length);
        assert_eq!(made["infoHash"], info_hash(&scratch, &theirs));
        assert_eq!(summary(&inspect(&scratch, &theirs)), summary(&libtorrent_info(&theirs)));
        let plain = create(&scratch, &payload, piece_length, &[]);
        if payload.is_file() {
            assert_eq!(made["infoHash"], info_hash(&scratch, &plain), "no choice is left for a single file");
        }
        let check = |torrent| {
            Afflux::new(&scratch, "check").arg("check").arg(torrent).arg("-o").arg(&shared).succeed()
        };
        for torrent in [&ours, &theirs, &plain] {
            assert_eq!(check(torrent).last().expect("an object")["badPieces"], serde_json::json!([]));
        }
    }
}

#[test]
fn check_and_libtorrent_find_the_same_pieces_bad() {
    let scratch = Scratch::new();
    let shared = scratch.folder("shared");
    let file = payload::single(&shared, "flawed", 9, 600_000);
    let torrent = create(&scratch, &file, 16 * 1024, &[]);
    let mut bytes = std::fs::read(&file).expect("our own file");
    bytes[100_000] ^= 1;
    bytes[599_999] ^= 1;
    std::fs::write(&file, bytes).expect("our own file");
    let check =
        Afflux::new(&scratch, "check").arg("check").arg(&torrent).arg("-o").arg(&shared).arg("--json");
    let mut check = check.start();
    assert_eq!(check.wait().code(), Some(1));
    assert_eq!(check.objects().last().expect("an object")["badPieces"], serde_json::json!([6, 36]));
    let (torrent, save) = (torrent.to_string_lossy(), shared.to_string_lossy());
    let arguments = ["--torrent", &torrent, "--save", &save];
    let mut session = Libtorrent::session(&scratch, "libtorrent", &arguments);
    // 35 of 37 pieces, the last one short.
    let right = (600_000.0 - 16_384.0 - (600_000.0 - 36.0 * 16_384.0)) / 600_000.0;
    session.process.logged(&format!("downloading progress={right:.3}"));
}

#[test]
fn aria2_reads_torrents_of_afflux() {
    let scratch = Scratch::new();
    let payload = payload::twenty(&scratch.folder("shared"), "zwanzig", 5, 100_000);
    let torrent = create(&scratch, &payload, 16 * 1024, &[]);
    let mut command = std::process::Command::new(tool("aria2c", "aria2"));
    let mut show = Process::start(&scratch, "aria2-show", command.arg("--show-files").arg(&torrent));
    show.succeed();
    let hash = info_hash(&scratch, &torrent);
    wait_for("aria2 shows the info-hash", || show.stdout().contains(&hash).then_some(()));
    assert!(show.stdout().contains("zwanzig/deeper/and deeper/file 06.bin"), "{}", show.stdout());
}
