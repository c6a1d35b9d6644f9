//! Torrents as large as they come: 4 TiB in a million pieces and ten thousand files. What is asserted is memory; how long
//! it takes is measured elsewhere.

use std::path::PathBuf;

use afflux_metainfo::create::Builder;

use crate::harness::Scratch;
use crate::harness::afflux::{ALONE, Afflux};
use crate::harness::process::Process;
use crate::harness::wait_for;

const PIECES: u64 = 1_000_000;
const PIECE_LENGTH: u64 = 4 << 20;
const FILES: u64 = 10_000;
/// The info dictionary is 20 MiB, most of it hashes: it is held as it came, as hashes, and for a moment as resume data.
/// Then there are some 20 bytes per piece. The rest is the program.
const MEMORY_KIB_MAX: u64 = 160 * 1024;

fn giant(scratch: &Scratch) -> PathBuf {
    let row = |nth: u64| (vec![format!("d{}", nth % 100), format!("f{nth}")], PIECES * PIECE_LENGTH / FILES);
    let builder = Builder::folder("giant", (0..FILES).map(row), PIECE_LENGTH as u32).expect("it is allowed");
    let hashes: Vec<[u8; 20]> = (0..PIECES).map(|piece| [piece as u8; 20]).collect();
    let path = scratch.path("giant.torrent");
    std::fs::write(&path, builder.build(&hashes).expect("a torrent")).expect("our own folder");
    path
}

/// Most memory that the process had resident so far.
fn peak_kib(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn a_giant_is_opened_twice_within_its_memory() {
    let scratch = Scratch::new();
    let torrent = giant(&scratch);
    for run in ["for the first time", "with resume data"] {
        let download = Afflux::new(&scratch, "download").arg("download").arg(&torrent).arg("--json");
        let mut process = download.arg("-o").arg(scratch.folder("fetched")).args(ALONE).start();
        wait_for("it downloads", || {
            process.objects().iter().any(|object| object["state"] == "downloading").then_some(())
        });
        let peak = peak_kib(&process);
        assert!(peak <= MEMORY_KIB_MAX, "{run}: {peak} KiB");
        eprintln!("{run}: {peak} KiB");
        process.signal("TERM");
        process.succeed();
        assert_eq!(std::fs::read_dir(scratch.path("fetched")).expect("our own folder").count(), 0, "{run}");
    }
}
