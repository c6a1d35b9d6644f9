//! Disks that are full, read-only or gone, and folders where other things lie than a torrent's files: a clear sentence,
//! nothing overwritten, nothing lost.

use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bad_input::{WORK, assert_refused, run};
use crate::film::Film;
use crate::harness::afflux::{ALONE, Afflux};
use crate::harness::http;
use crate::harness::payload::assert_same;
use crate::harness::process::{Process, tool};
use crate::harness::{Scratch, wait_for};
use crate::wire::{Manner, Seeder};

const FAST: usize = 4_000_000;

/// A small file system of its own, for tests of full and read-only disks. Needs root.
struct Mount {
    path: PathBuf,
}

impl Mount {
    fn new(scratch: &Scratch, options: &str) -> Self {
        let path = scratch.folder("mount");
        let mounted = Self { path };
        mounted.run(&["-t", "tmpfs", "-o", options, "tmpfs"]);
        mounted
    }

    fn run(&self, arguments: &[&str]) {
        let status = Command::new(tool("mount", "mount")).args(arguments).arg(&self.path).status();
        assert!(status.is_ok_and(|status| status.success()), "mounting needs root");
    }

    fn text(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

#[test]
fn a_full_disk_ends_the_download_and_loses_nothing() {
    let film = Film::mkv();
    let disk = Mount::new(&film.scratch, "size=2m");
    let seeder = film.seeder("127.0.0.31", Manner::Honest, 4_000_000);
    let (torrent, folder, peer) = (film.torrent.to_string_lossy(), disk.text(), seeder.address.to_string());
    let arguments = [&["download", &torrent, "-o", &folder, "--peer", &peer], &ALONE[..]].concat();
    assert_refused(run(&film.scratch, arguments.iter().copied()), WORK, &["full"]);
    let before = seeder.given_bytes();
    disk.run(&["-o", "remount,size=16m"]);
    run(&film.scratch, arguments.iter().copied()).succeed();
    let name = film.path.file_name().expect("a name");
    assert_same(&film.path, &disk.path.join(name));
    let again = seeder.given_bytes() - before;
    assert!(again < film.length() * 8 / 10, "{again} of {} bytes were fetched again", film.length());
}

#[test]
fn folders_that_cannot_be_written_are_named() {
    let film = Film::mp4();
    let disk = Mount::new(&film.scratch, "size=1m,ro");
    let seeder = film.seeder("127.0.0.32", Manner::Honest, 4_000_000);
    let (torrent, folder, peer) = (film.torrent.to_string_lossy(), disk.text(), seeder.address.to_string());
    let download = [&["download", &torrent, "-o", &folder, "--peer", &peer], &ALONE[..]].concat();
    assert_refused(run(&film.scratch, download), WORK, &[&folder]);
    let keep =
        [&["stream", &torrent, "--keep", "-o", &folder, "--port", "0", "--peer", &peer], &ALONE[..]].concat();
    assert_refused(run(&film.scratch, keep), WORK, &[&folder]);
    let made = disk.path.join("made.torrent").to_string_lossy().into_owned();
    let create = ["create", &torrent, "-o", &made];
    assert_refused(run(&film.scratch, create), WORK, &[&made]);
    let state =
        [&["download", &torrent, "--data-dir", &folder, "--peer", &peer, "-o", "/tmp"], &ALONE[..]].concat();
    assert_refused(run(&film.scratch, state), WORK, &[&folder]);
}

/// A download of a film to a folder of its own; runs share their state.
struct Download<'a> {
    film: &'a Film,
    folder: PathBuf,
}

impl<'a> Download<'a> {
    fn new(film: &'a Film) -> Self {
        Self { film, folder: film.scratch.folder("fetched") }
    }

    fn start(&self, seeder: &Seeder, more: &[&str]) -> Process {
        let peer = seeder.address.to_string();
        let download = Afflux::new(&self.film.scratch, "download").arg("download").arg(&self.film.torrent);
        download.arg("-o").arg(&self.folder).args(["--peer", &peer]).args(ALONE).args(more).start()
    }

    fn file(&self) -> PathBuf {
        self.folder.join(self.film.path.file_name().expect("a name"))
    }

    fn state(&self) -> PathBuf {
        self.film.scratch.path("download.state").join("resume")
    }

    fn resume_file(&self) -> PathBuf {
        let found = std::fs::read_dir(self.state()).expect("state is kept").find_map(|file| {
            let path = file.expect("our own folder").path();
            path.extension().is_some_and(|extension| extension == "resume").then_some(path)
        });
        found.expect("a resume file")
    }
}

/// As [`assert_refused`], for a run whose log goes to standard error too.
fn assert_fails(mut download: Process, words: &[&str]) {
    let code = download.wait().code();
    let said = download.stderr();
    assert_eq!(code, Some(WORK), "{said}");
    let sentence = said.lines().rfind(|line| line.starts_with("afflux: ")).expect("a sentence");
    for word in words {
        assert!(sentence.contains(word), "{word:?} isn't in {sentence:?}");
    }
}

#[test]
fn somebody_elses_files_are_not_overwritten_unless_that_is_wished() {
    let film = Film::noise(1_000_000);
    let seeder = film.seeder("127.0.0.33", Manner::Honest, FAST);
    let download = Download::new(&film);
    let name = download.file().display().to_string();
    for length in [1_200_000, 1_000_000, 400_000] {
        let theirs = vec![7; length];
        std::fs::write(download.file(), &theirs).expect("our own folder");
        assert_fails(download.start(&seeder, &[]), &[&name, "--overwrite"]);
        // Nor the second time.
        assert_fails(download.start(&seeder, &[]), &[&name, "--overwrite"]);
        assert!(std::fs::read(download.file()).expect("it stays") == theirs, "it was changed");
    }
    download.start(&seeder, &["--overwrite"]).succeed();
    assert_same(&film.path, &download.file());
}

#[test]
fn what_another_client_left_is_gone_on_with() {
    let film = Film::noise(1_000_000);
    let seeder = film.seeder("127.0.0.34", Manner::Honest, FAST);
    let download = Download::new(&film);
    let mut half = film.content.bytes.clone();
    half[500_000..].fill(0);
    std::fs::write(download.file(), &half).expect("our own folder");
    download.start(&seeder, &[]).succeed();
    assert_same(&film.path, &download.file());
    assert!(seeder.given_bytes() < 600_000, "{} bytes were fetched", seeder.given_bytes());
}

#[test]
fn damaged_and_foreign_resume_files_cost_a_check_and_are_set_aside() {
    let film = Film::noise(1_000_000);
    let other = Film::noise(1_100_000);
    let seeder = film.seeder("127.0.0.35", Manner::Honest, FAST);
    let (download, foreign) = (Download::new(&film), Download::new(&other));
    download.start(&seeder, &[]).succeed();
    foreign.start(&other.seeder("127.0.0.36", Manner::Honest, FAST), &[]).succeed();
    let given = seeder.given_bytes();
    let good = std::fs::read(download.resume_file()).expect("our own file");
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 4;
    let of_another = std::fs::read(foreign.resume_file()).expect("our own file");
    for bytes in [&b""[..], b"d4:bodyde4:sha10:e", &good[..good.len() / 2], &flipped, &of_another] {
        std::fs::write(download.resume_file(), bytes).expect("our own file");
        let mut again = download.start(&seeder, &[]);
        again.succeed();
        assert!(again.stderr().contains("set aside"), "{}", again.stderr());
        let aside = download.resume_file().with_extension("resume.unusable");
        assert!(std::fs::read(aside).expect("it's kept") == bytes);
        assert_same(&film.path, &download.file());
    }
    assert_eq!(seeder.given_bytes(), given, "nothing is fetched again");
}

#[test]
fn a_folder_that_vanishes_stops_the_download_and_is_named() {
    let film = Film::noise(2_000_000);
    let slow = film.seeder("127.0.0.37", Manner::Honest, 500_000);
    let download = Download::new(&film);
    let process = download.start(&slow, &[]);
    wait_for("some of it is there", || download.file().exists().then_some(()));
    std::fs::remove_dir_all(&download.folder).expect("our own folder");
    assert_fails(process, &[&download.folder.display().to_string()]);
    assert!(!download.folder.exists(), "it was made anew");
}

#[test]
fn planted_links_and_folders_are_named_and_not_followed() {
    let film = Film::set(&[300_000, 300_000]);
    let seeder = film.seeder("127.0.0.38", Manner::Honest, FAST);
    let download = Download::new(&film);
    let precious = film.scratch.folder("precious");
    std::fs::write(precious.join("0.bin"), "mine").expect("our own folder");
    let name = |path: &Path| path.display().to_string();

    symlink(&precious, download.file()).expect("our own folder");
    assert_fails(download.start(&seeder, &[]), &[&name(&download.file()), "symbolic link"]);
    std::fs::remove_file(download.file()).expect("our own link");

    std::fs::create_dir(download.file()).expect("our own folder");
    let first = download.file().join("0.bin");
    symlink(precious.join("0.bin"), &first).expect("our own folder");
    assert_fails(download.start(&seeder, &[]), &[&name(&first), "symbolic link"]);
    std::fs::remove_file(&first).expect("our own link");

    std::fs::create_dir(&first).expect("our own folder");
    assert_fails(download.start(&seeder, &[]), &[&name(&first), "in the way"]);
    std::fs::remove_dir(&first).expect("our own folder");

    download.start(&seeder, &[]).succeed();
    assert_same(&film.path, &download.file());
    assert_eq!(std::fs::read(precious.join("0.bin")).expect("it stays"), b"mine");
    assert_eq!(std::fs::read_dir(&precious).expect("it stays").count(), 1, "something was put there");
}

#[test]
fn a_log_that_no_terminal_shows_has_no_colours() {
    let film = Film::noise(100_000);
    let seeder = film.seeder("127.0.0.42", Manner::Honest, FAST);
    let download = Download::new(&film);
    symlink("nowhere", download.file()).expect("our own folder");
    let mut failing = download.start(&seeder, &[]);
    failing.wait();
    let log = failing.stderr();
    assert!(log.contains("WARN"), "nothing was logged: {log}");
    assert!(!log.contains('\u{1b}'), "{log}");
}

#[test]
fn two_runs_with_one_data_folder_are_kept_apart() {
    let film = Film::noise(2_000_000);
    let slow = film.seeder("127.0.0.39", Manner::Honest, 700_000);
    let download = Download::new(&film);
    let mut first = download.start(&slow, &[]);
    wait_for("some of it is there", || download.file().exists().then_some(()));
    let elsewhere = Download { film: &film, folder: film.scratch.folder("elsewhere") };
    assert_fails(elsewhere.start(&slow, &[]), &["another afflux", "--data-dir"]);
    assert_fails(download.start(&slow, &[]), &["another afflux", "--data-dir"]);
    first.succeed();
    assert_same(&film.path, &download.file());
}

#[test]
fn only_wanted_files_are_made_and_take_their_space_at_once_if_wished() {
    let film = Film::set(&[300_000, 500_000, 300_000]);
    let seeder = film.seeder("127.0.0.41", Manner::Honest, FAST);
    let download = Download::new(&film);
    let names = || {
        let listing = std::fs::read_dir(download.file()).expect("our own folder");
        let mut names: Vec<_> = listing.map(|file| file.expect("our own folder").file_name()).collect();
        names.sort();
        names
    };
    download.start(&seeder, &["--files", "0,2", "--first", "2", "--preallocate", "full"]).succeed();
    assert_eq!(names(), ["0.bin", "2.bin"]);
    for name in names() {
        let (ours, theirs) = (download.file().join(&name), film.path.join(&name));
        assert!(
            std::fs::read(ours).expect("it's there") == std::fs::read(theirs).expect("our own"),
            "{name:?}"
        );
    }
    let given = seeder.given_bytes();
    download.start(&seeder, &[]).succeed();
    assert_same(&film.path, &download.file());
    assert_eq!(
        std::fs::read_dir(&download.folder).expect("our own folder").count(),
        1,
        "the part file is gone"
    );
    let again = seeder.given_bytes() - given;
    assert!(
        again <= 500_000,
        "{again} bytes of a file of 500,000 were fetched, which share pieces with others"
    );
}

#[test]
fn a_stream_is_read_on_while_the_disk_is_full_and_goes_on_when_it_is_not() {
    let film = Film::noise(12_000_000);
    let disk = Mount::new(&film.scratch, "size=5m");
    let seeder = film.seeder("127.0.0.40", Manner::Honest, FAST);
    let (folder, peer) = (disk.text(), seeder.address.to_string());
    let stream = film.stream(&[peer], &["--keep", "-o", &folder, "--stream-cache-size", "4M"]);
    let (url, length) = (stream.url.clone(), film.length());
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::with_capacity(length);
        http::get(&url, None).body.take(length as u64).read_to_end(&mut bytes).map(|_| bytes)
    });
    let error = || stream.process.objects().iter().rev().find_map(|object| object.get("error").cloned());
    let said = wait_for("the disk is full", error);
    assert!(said.as_str().expect("a sentence").contains("full"), "{said}");
    // What is there is read on.
    let written = std::fs::read(disk.path.join("noise.mkv")).expect("the film");
    let there = written
        .chunks(32 * 1024)
        .position(|piece| film.content.bytes.chunks(32 * 1024).any(|ours| ours == piece));
    let start = there.expect("some piece is on disk") as u64 * 32 * 1024;
    let media = http::get(&stream.url, Some((start, start + 999)));
    assert!(media.bytes() == film.content.bytes[start as usize..start as usize + 1000]);

    disk.run(&["-o", "remount,size=32m"]);
    let read = reader.join().expect("it ends").expect("the body is held open");
    assert!(read == film.content.bytes, "the stream differs");
    wait_for("all of it is there", || (stream.progress() >= 1.0).then_some(()));
    stream.end();
    assert_same(&film.path, &disk.path.join("noise.mkv"));
}
