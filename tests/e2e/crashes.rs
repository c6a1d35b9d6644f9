//! A download that is killed at any instant, many times, with and without what a power cut does to a disk: no piece
//! that was verified is lost beyond the last save, and none that wasn't is believed.

use std::fs::{File, OpenOptions};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use afflux_metainfo::torrent::Torrent;
use afflux_metainfo::{Layout, PieceIndex};
use afflux_storage::Resume;

use crate::film::Film;
use crate::harness::afflux::{ALONE, Afflux};
use crate::harness::payload::assert_same;
use crate::harness::process::Process;
use crate::wire::{Manner, Seeder};

const ROUNDS: usize = 12;
/// Blocks on their way at the end of one run that the next asks for again.
const SLACK_BYTES: usize = 512 * 1024;

/// Numbers that nobody can foresee, so that each run of the test kills at other instants.
struct Luck(u64);

impl Luck {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is past 1970");
        eprintln!("luck: {}", now.as_nanos() as u64 | 1);
        Self(now.as_nanos() as u64 | 1)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// A download on disk, seen from outside.
struct Download<'a> {
    film: &'a Film,
    torrent: Torrent,
    folder: PathBuf,
}

impl Download<'_> {
    fn start(&self, seeder: &Seeder) -> Process {
        let peer = seeder.address.to_string();
        let download = Afflux::new(&self.film.scratch, "download").arg("download").arg(&self.film.torrent);
        download.arg("-o").arg(&self.folder).args(["--peer", &peer, "--json"]).args(ALONE).start()
    }

    fn layout(&self) -> &Layout {
        &self.torrent.info.layout
    }

    fn bytes_of(&self, piece: PieceIndex) -> Range<usize> {
        let start = self.layout().piece_offset(piece) as usize;
        start..start + self.layout().length_of(piece) as usize
    }

    fn path(&self, nth: usize) -> PathBuf {
        let file = &self.layout().files()[nth];
        file.path.iter().fold(self.folder.clone(), |path, part| path.join(part))
    }

    /// The pieces that are right as they lie there.
    fn right(&self) -> Vec<PieceIndex> {
        let mut bytes = vec![0; self.film.length()];
        for (nth, file) in self.layout().files().iter().enumerate() {
            let there = std::fs::read(self.path(nth)).unwrap_or_default();
            bytes[file.offset as usize..][..there.len()].copy_from_slice(&there);
        }
        let right = |piece: &PieceIndex| {
            bytes[self.bytes_of(*piece)] == self.film.content.bytes[self.bytes_of(*piece)]
        };
        self.layout().pieces().filter(right).collect()
    }

    fn missing_bytes(&self) -> usize {
        let right: usize = self.right().iter().map(|piece| self.bytes_of(*piece).len()).sum();
        self.film.length() - right
    }

    /// What a power cut may do to all that was not synced when the pieces were saved.
    fn cut_power(&self, luck: &mut Luck) {
        let state = self.film.scratch.path("download.state").join("resume");
        let saved = Resume::load(&state, self.torrent.info.hashes.wire()).expect("never torn");
        let saved = saved.map(|resume| resume.have);
        let is_saved = |piece: u32| saved.as_ref().is_some_and(|have| have.contains(PieceIndex(piece)));
        for (nth, file) in self.layout().files().iter().enumerate() {
            let Ok(on_disk) = OpenOptions::new().write(true).open(self.path(nth)) else { continue };
            let mut safe_end = 0;
            for piece in self.layout().pieces_of(file.range()) {
                let bytes = self.bytes_of(PieceIndex(piece));
                let start = bytes.start.max(file.offset as usize) - file.offset as usize;
                let end = bytes.end.min(file.range().end as usize) - file.offset as usize;
                if is_saved(piece) {
                    safe_end = end;
                } else {
                    damage(&on_disk, start..end, luck);
                }
            }
            if luck.below(3) == 0 {
                let length = safe_end + luck.below(file.length as usize - safe_end + 1);
                on_disk.set_len(length as u64).expect("our own file");
            }
            if safe_end == 0 && luck.below(4) == 0 {
                std::fs::remove_file(self.path(nth)).expect("our own file");
            }
        }
    }
}

fn damage(file: &File, bytes: Range<usize>, luck: &mut Luck) {
    let from = bytes.start + luck.below(bytes.len());
    let there = file.metadata().expect("our own file").len() as usize;
    let length = bytes.end.min(there).saturating_sub(from);
    match luck.below(3) {
        0 => {}
        1 => file.write_all_at(&vec![0; length], from as u64).expect("our own file"),
        _ => file.write_all_at(&vec![luck.below(256) as u8; length], from as u64).expect("our own file"),
    }
}

fn killed_many_times(power_cuts: bool, ip: &str) {
    let film = Film::set(&[900_000, 1_500_000, 10_000, 20_000, 2_500_000]);
    let torrent =
        Torrent::parse(&std::fs::read(&film.torrent).expect("our own torrent")).expect("our own torrent");
    let folder = film.scratch.folder("fetched");
    let download = Download { film: &film, torrent, folder };
    let mut luck = Luck::new();
    let slow = film.seeder(ip, Manner::Honest, 1_000_000);
    for round in 0..ROUNDS {
        let right = download.right();
        let mut process = download.start(&slow);
        std::thread::sleep(Duration::from_millis(30 + luck.below(900) as u64));
        // Some runs end well, and leave pieces under way to be gone on with.
        process.signal(if luck.below(4) == 0 { "TERM" } else { "KILL" });
        process.wait();
        let now = download.right();
        assert!(right.iter().all(|piece| now.contains(piece)), "round {round}: {right:?} became {now:?}");
        if power_cuts {
            download.cut_power(&mut luck);
        }
        eprintln!("round {round}: {} of {} pieces", now.len(), download.layout().piece_count());
    }
    let (missing, given) = (download.missing_bytes(), slow.given_bytes());
    download.start(&slow).succeed();
    let again = slow.given_bytes() - given;
    assert!(again <= missing + SLACK_BYTES, "{missing} bytes were missing, {again} were fetched");
    assert_same(&film.path, &folder_of(&download.folder, &film.path));
}

fn folder_of(folder: &Path, original: &Path) -> PathBuf {
    folder.join(original.file_name().expect("a name"))
}

#[test]
fn kills_at_any_instant_lose_nothing_that_was_written() {
    killed_many_times(false, "127.0.0.22");
}

#[test]
fn power_cuts_lose_no_more_than_what_was_not_saved_and_nothing_wrong_is_believed() {
    killed_many_times(true, "127.0.0.23");
}
