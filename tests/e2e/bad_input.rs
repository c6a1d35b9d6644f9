//! What people get wrong and what machines run out of: one sentence on standard error that says what is wrong, the
//! right exit status (2 for usage, 1 for work that failed), and nothing lost that was stored.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use crate::film::Film;
use crate::harness::afflux::{ALONE, Afflux, create};
use crate::harness::payload::single;
use crate::harness::process::Process;
use crate::harness::{Scratch, free_port};
use crate::wire::Manner;

const USAGE: i32 = 2;
pub(crate) const WORK: i32 = 1;

/// A magnet that nobody shares.
const LOST: &str = "magnet:?xt=urn:btih:00112233445566778899aabbccddeeff00112233";

/// Runs `afflux` with `arguments` as a person would, its state in `scratch`.
pub(crate) fn run<'a>(scratch: &Scratch, arguments: impl IntoIterator<Item = &'a str>) -> Process {
    let state = scratch.path("state").to_string_lossy().into_owned();
    Afflux::plain(scratch, "mistake").env("AFFLUX_DATA_DIR", &state).args(arguments).start()
}

/// Asserts that a run fails with `status` and one sentence that has all of `words` in it.
pub(crate) fn assert_refused(mut process: Process, status: i32, words: &[&str]) {
    let code = process.wait().code();
    let said = process.stderr();
    assert_eq!(code, Some(status), "{said}");
    // clap's own refusals add how to get help; ours are one line. Status lines may come before.
    let ours: Vec<&str> = said.lines().filter(|line| line.starts_with("afflux: ")).collect();
    if ours.is_empty() {
        assert!(said.starts_with("error: ") && status == USAGE, "no sentence: {said}");
    } else {
        assert!(ours.len() == 1 && said.trim_end().ends_with(ours[0]), "more than a sentence: {said}");
    }
    for word in words {
        assert!(said.contains(word), "{word:?} isn't in {said:?}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn more_torrents_than_the_shell_allows_files_are_seeded() {
    let scratch = Scratch::new();
    let shared = scratch.folder("shared");
    let torrents: Vec<PathBuf> = (0..80)
        .map(|nth| create(&scratch, &single(&shared, &format!("{nth}.bin"), nth, 20_000), 16 * 1024, &[]))
        .collect();
    let seed = Afflux::within_files(&scratch, "seed", 64).arg("seed").args(&torrents).arg("-o").arg(&shared);
    let mut seed = seed.args(ALONE).arg("--json").start();
    seed.said("\"seeding\":80");
}

#[test]
fn wrong_words_are_refused_as_wrong_usage() {
    let scratch = Scratch::new();
    let out = scratch.folder("out").to_string_lossy().into_owned();
    let file = single(&scratch.folder("shared"), "film.mkv", 1, 100_000);
    let torrent = create(&scratch, &file, 16 * 1024, &[]).to_string_lossy().into_owned();
    let file = file.to_string_lossy().into_owned();
    let made = scratch.path("made.torrent").to_string_lossy().into_owned();
    let table: &[(&[&str], &[&str])] = &[
        (&["download", "no such thing", "-o", &out], &["no such thing", "magnet"]),
        (&["download", "missing.torrent", "-o", &out], &["missing.torrent", "does not exist"]),
        (&["download", "magnet:?dn=nothing", "-o", &out], &["magnet"]),
        (&["download", "00112233445566778899aabbccddeeff0011223", "-o", &out], &["00112233"]),
        (&["download", &out, "-o", &out], &["folder"]),
        (&["download"], &["SOURCE"]),
        (&["watch", LOST], &["watch"]),
        (&["download", LOST, "--quick"], &["--quick"]),
        (&["download", LOST, "--no-pex"], &["--no-pex"]),
        (&["download", LOST, "--encryption", "require"], &["--encryption"]),
        (&["download", LOST, "--proxy", "socks5://127.0.0.1:1"], &["--proxy"]),
        (&["download", LOST, "--peer", "nowhere"], &["--peer", "nowhere"]),
        (&["download", LOST, "--tracker", "gopher://old"], &["gopher"]),
        (&["download", LOST, "--download-limit", "fast"], &["fast"]),
        (&["download", LOST, "--strategy", "luck"], &["luck", "rarest"]),
        (&["download", LOST, "--peer-port", "70000"], &["70000"]),
        (&["download", LOST, "--peer-timeout", "0"], &["PEER_TIMEOUT", "0"]),
        (&["download", &torrent, "-o", &out, "--files", "7", "--no-dht", "--peer-port", "0"], &["--files"]),
        (
            &["stream", &torrent, "--file", "7", "--port", "0", "--no-dht", "--peer-port", "0"],
            &["--file", "film.mkv"],
        ),
        (&["stream", LOST, "--listen", "0.0.0.0:0"], &["loopback"]),
        (&["serve", "--auth-required", "false", "--listen", "0.0.0.0:0"], &["--insecure", "127.0.0.1"]),
        (&["serve", "--auth-required", "false", "--strategy", "rarest"], &["--strategy"]),
        (&["serve", "--tls-cert", &file], &["--tls-key"]),
        (&["seed", &torrent, "--strategy", "rarest"], &["--strategy"]),
        (&["inspect", LOST, "--fetch", "--strategy", "rarest"], &["--strategy"]),
        (&["seed", "nothing here"], &["nothing here"]),
        (&["create", &file, "-o", &made, "--piece-length", "20000"], &["20000", "power of two"]),
        (&["create", &file, "-o", &made, "--format", "v2"], &["v2"]),
        (&["check", LOST, "-o", &out], &[".torrent"]),
        (&["inspect", "http://example.com/a.torrent"], &["--fetch"]),
        (&["inspect", LOST, "--log", "loud,=,"], &["--log"]),
        (&["inspect", LOST, "--config", "none.toml"], &["none.toml"]),
    ];
    for (arguments, words) in table {
        eprintln!("afflux {arguments:?}");
        assert_refused(run(&scratch, arguments.iter().copied()), USAGE, words);
    }
    assert!(!Path::new(&made).exists());
}

#[test]
fn a_variable_that_makes_no_sense_is_named_with_what_is_allowed() {
    let scratch = Scratch::new();
    for (name, value) in [
        ("STREAM_CACHE_SIZE", "lots"),
        ("STREAM_CACHE_SIZE", "-1"),
        ("STREAM_TIMEOUT", "soon"),
        ("STREAM_BUFFER_SIZE", "1e6"),
        ("STREAM_PORT", "http"),
        ("WEBTORRENT_MAX_CONNS", "0"),
        ("WEBTORRENT_DHT_PORT", "99999"),
        ("WEBTORRENT_DOWNLOAD_LIMIT", "1 MB/s"),
        ("WEBTORRENT_UPLOAD_LIMIT", ""),
        ("TORRENT_TIMEOUT", "1m"),
        ("PEER_TIMEOUT", "0"),
        ("ANNOUNCE_TIMEOUT", "never"),
        ("MAX_PEERS", "many"),
    ] {
        let stream = Afflux::plain(&scratch, "variable").env(name, value).args(["stream", LOST]).start();
        assert_refused(stream, USAGE, &[name, value]);
    }
}

#[test]
fn files_that_are_no_torrents_are_refused() {
    let scratch = Scratch::new();
    let out = scratch.folder("out").to_string_lossy().into_owned();
    let v2_only =
        b"d4:infod9:file treed1:ad0:d6:lengthi5e11:pieces root32:01234567890123456789012345678901eee\
        12:meta versioni2e4:name1:a12:piece lengthi16384eee";
    let bad: &[(&str, &[u8])] = &[
        ("empty.torrent", b""),
        ("text.torrent", b"Not Found"),
        ("deep.torrent", &[b'l'; 5000]),
        ("no-info.torrent", b"d8:announce3:urle"),
        ("trailing.torrent", b"deX"),
        ("no-pieces.torrent", b"d4:infod6:lengthi5e4:name1:a12:piece lengthi16384e6:pieces0:ee"),
        ("v2.torrent", v2_only),
    ];
    for (name, bytes) in bad {
        let path = scratch.path(name);
        std::fs::write(&path, bytes).expect("our own folder");
        let path = path.to_string_lossy().into_owned();
        eprintln!("{name}");
        let arguments =
            ["download", &path, "-o", &out, "--bind", "127.0.0.1", "--peer-port", "0", "--no-dht"];
        assert_refused(run(&scratch, arguments), WORK, &[]);
    }
    assert_eq!(std::fs::read_dir(&out).expect("our own folder").count(), 0, "something was written");
}

#[test]
fn ports_in_use_are_named() {
    let film = Film::mp4();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let torrent = film.torrent.to_string_lossy().into_owned();
    let http = ["stream", &torrent, "--port", &port, "--bind", "127.0.0.1", "--no-dht", "--peer-port", "0"];
    assert_refused(run(&film.scratch, http), WORK, &[&port, "--port"]);
    let peers = ["stream", &torrent, "--port", "0", "--bind", "127.0.0.1", "--no-dht", "--peer-port", &port];
    assert_refused(run(&film.scratch, peers), WORK, &[&port, "--peer-port"]);
    let elsewhere =
        ["stream", &torrent, "--port", "0", "--bind", "203.0.113.7", "--no-dht", "--peer-port", "0"];
    assert_refused(run(&film.scratch, elsewhere), WORK, &["203.0.113.7"]);
}

#[test]
fn what_cannot_be_found_ends_in_time_and_says_so() {
    let scratch = Scratch::new();
    let out = scratch.folder("out").to_string_lossy().into_owned();
    let nobody = format!("127.0.0.1:{}", free_port());
    let tracker = format!("http://{nobody}/announce");
    let soon = ["--torrent-timeout", "2000", "-o", &out];
    let download = |more: &[&str]| {
        let arguments = [&["download", LOST], &soon[..], &ALONE[..], more].concat();
        run(&scratch, arguments)
    };
    assert_refused(download(&[]), WORK, &["metadata", "2 s"]);
    assert_refused(download(&["--peer", &nobody]), WORK, &["metadata"]);
    assert_refused(download(&["--tracker", &tracker, "--allow-local-addresses"]), WORK, &["metadata"]);
    let url = format!("http://{nobody}/film.torrent");
    let fetch = |more: &[&str]| run(&scratch, [&["download", &url, "-o", &out], &ALONE[..], more].concat());
    assert_refused(fetch(&[]), WORK, &["--allow-local-addresses"]);
    assert_refused(fetch(&["--allow-local-addresses"]), WORK, &["can't be fetched"]);
}

#[test]
fn a_dead_tracker_does_not_stop_a_download() {
    let film = Film::mp4();
    let seeder = film.seeder("127.0.0.30", Manner::Honest, 4_000_000);
    let (tracker, peer) = (format!("http://127.0.0.1:{}/announce", free_port()), seeder.address.to_string());
    let download = Afflux::new(&film.scratch, "download").arg("download").arg(&film.torrent).arg("-o");
    let download = download.arg(film.scratch.folder("fetched")).args(ALONE);
    download.args(["--peer", &peer, "--tracker", &tracker, "--allow-local-addresses"]).succeed();
}

#[test]
fn check_names_what_is_missing_with_status_one() {
    let scratch = Scratch::new();
    let shared = scratch.folder("shared");
    let file = single(&shared, "film.mkv", 1, 100_000);
    let torrent = create(&scratch, &file, 16 * 1024, &[]).to_string_lossy().into_owned();
    std::fs::write(&file, b"short").expect("our own file");
    let folder = shared.to_string_lossy().into_owned();
    let mut check = run(&scratch, ["check", &torrent, "-o", &folder]);
    assert_eq!(check.wait().code(), Some(WORK));
    assert!(check.stdout().contains("7 of 7 pieces"), "{}", check.stdout());
    assert_refused(run(&scratch, ["check", &torrent, "-o", "/no/such/folder"]), WORK, &["/no/such/folder"]);
}
