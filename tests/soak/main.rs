//! The hard bound: whatever viewers and peers do, the daemon's memory stays within what its setting says, and is given
//! back when they are gone.
//!
//! The daemon is a process of its own and is looked at from outside: the kernel counts its anonymous memory, and its own
//! ledger says what it ever granted. Viewers seek at random and compare every byte. A short run is part of the tests;
//! `cargo xtask soak` runs the long one.

#![expect(clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

mod chance;
mod daemon;
mod film;
mod swarm;
mod viewers;

use std::time::{Duration, Instant};

use daemon::{Daemon, Storage};
use film::Film;
use swarm::Swarm;
use viewers::Viewers;

const MIB: u64 = 1 << 20;
/// What the process may take besides payload: code that was written to, stacks, what is known of peers, the runtime.
const BESIDES: u64 = 48 * MIB;
/// How near to where it began the memory must come again.
const LEFT: u64 = 24 * MIB;
/// It's given back half a minute after its last use, and that is looked at every half minute.
const PATIENCE: Duration = Duration::from_secs(200);
/// Films that are watched at once, by equally many viewers.
const FILMS: usize = 2;

/// One run.
#[derive(Clone, Copy, Debug)]
struct Soak {
    storage: Storage,
    piece: u64,
    /// `STREAM_CACHE_SIZE`.
    memory: u64,
    length: u64,
    peers: usize,
    viewers: usize,
    seeks: usize,
}

impl Soak {
    fn run(self) {
        let films: Vec<Film> = (0..FILMS).map(|nth| Film::new(nth, self.length, self.piece)).collect();
        let swarm = Swarm::start(&films, self.peers);
        let mut daemon = Daemon::start(self.storage, self.memory, &swarm);
        let before = daemon.anonymous_bytes();
        let meter = daemon.meter();
        let urls: Vec<String> = films.iter().map(|film| daemon.stream(film)).collect();
        let begun = Instant::now();
        let viewers = Viewers { count: self.viewers, seeks: self.seeks, length: self.length };
        viewers.watch(&urls);
        let took = begun.elapsed();
        let most = meter.most_bytes();
        let memory = daemon.memory(&films[0]);
        if matches!(self.storage, Storage::Disk) {
            // What is kept is fetched on without viewers, and needs memory meanwhile.
            films.iter().for_each(|film| daemon.wait_complete(film, PATIENCE));
        }
        swarm.rest();
        let after = daemon.wait_below(before + LEFT, PATIENCE);
        println!(
            "{self:?}: {:.0} s, {} MiB before, {} MiB at most, {} MiB after; {memory:?}",
            took.as_secs_f64(),
            before / MIB,
            most / MIB,
            after / MIB,
        );
        assert!(memory.peak <= self.memory, "the ledger granted {} of {} bytes", memory.peak, self.memory);
        assert!(most <= self.memory + BESIDES, "{} MiB of anonymous memory", most / MIB);
        assert!(after <= before + LEFT, "{} MiB are not given back", (after - before) / MIB);
        daemon.end();
    }
}

#[test]
fn memory_stays_within_its_bound_on_every_kind_of_storage() {
    for (storage, piece) in [(Storage::Memory, MIB), (Storage::Disk, 8 * MIB), (Storage::Cache, 4 * MIB)] {
        let (memory, length) = (12 * MIB, 96 * MIB);
        Soak { storage, piece, memory, length, peers: 60, viewers: 4, seeks: 24 }.run();
    }
}

/// What `cargo xtask soak` runs. `AFFLUX_SOAK_SEEKS` changes how long it takes.
fn soak(storage: Storage) {
    let seeks = std::env::var("AFFLUX_SOAK_SEEKS").ok().and_then(|seeks| seeks.parse().ok()).unwrap_or(1000);
    for piece in [MIB, 4 * MIB, 16 * MIB] {
        let (memory, length) = (100 * MIB, 1024 * MIB);
        Soak { storage, piece, memory, length, peers: 200, viewers: 8, seeks }.run();
    }
}

#[test]
#[ignore = "takes minutes; cargo xtask soak runs it"]
fn streams_in_memory_stay_within_their_bound_for_minutes() {
    soak(Storage::Memory);
}

#[test]
#[ignore = "takes minutes; cargo xtask soak runs it"]
fn streams_on_disk_stay_within_their_bound_for_minutes() {
    soak(Storage::Disk);
}

#[test]
#[ignore = "takes minutes; cargo xtask soak runs it"]
fn streams_in_the_disk_cache_stay_within_their_bound_for_minutes() {
    soak(Storage::Cache);
}
