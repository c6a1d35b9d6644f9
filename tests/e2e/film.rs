//! The sample media in a swarm of hand-written seeders, and `afflux stream` on it.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use crate::harness::afflux::{Afflux, create, info_hash};
use crate::harness::payload::single;
use crate::harness::process::Process;
use crate::harness::{Scratch, free_port, repository};
use crate::wire::{Content, Manner, Seeder};

/// Small enough that a few seconds of the film are several pieces.
const PIECE_LENGTH: u32 = 32 * 1024;
/// How long both samples play.
pub(crate) const SECONDS: f64 = 72.0;

/// A moment and its bytes lie as far apart as this part of the film at most: the samples have a steady rate.
const AROUND: f64 = 0.015;

/// A film and its torrent.
pub(crate) struct Film {
    pub(crate) scratch: Scratch,
    pub(crate) content: Arc<Content>,
    pub(crate) torrent: PathBuf,
    /// The original.
    pub(crate) path: PathBuf,
}

impl Film {
    pub(crate) fn mp4() -> Self {
        Self::of("samples/Afflux Test Card (2026) 360p.mp4")
    }

    pub(crate) fn mkv() -> Self {
        Self::of("samples/Afflux Clock (2026) 360p.mkv")
    }

    fn of(sample: &str) -> Self {
        Self::at(Scratch::new(), repository(sample))
    }

    /// Bytes that no player could show, under the name of a film.
    pub(crate) fn noise(length: usize) -> Self {
        let scratch = Scratch::new();
        let path = single(&scratch.folder("shared"), "noise.mkv", 41, length);
        Self::at(scratch, path)
    }

    /// A folder of files of noise, so long each, in this order.
    pub(crate) fn set(lengths: &[usize]) -> Self {
        let scratch = Scratch::new();
        let folder = scratch.folder("shared").join("set");
        std::fs::create_dir_all(&folder).expect("our own folder");
        for (nth, length) in lengths.iter().enumerate() {
            single(&folder, &format!("{nth}.bin"), nth as u64 + 1, *length);
        }
        Self::at(scratch, folder)
    }

    fn at(scratch: Scratch, path: PathBuf) -> Self {
        let torrent = create(&scratch, &path, PIECE_LENGTH, &[]);
        let mut files: Vec<PathBuf> = match std::fs::read_dir(&path) {
            Ok(folder) => folder.map(|file| file.expect("our own folder").path()).collect(),
            Err(_) => vec![path.clone()],
        };
        files.sort();
        let read = |file: &PathBuf| std::fs::read(file).expect("the samples are in the repository");
        let bytes: Vec<u8> = files.iter().flat_map(read).collect();
        let content = Content::new(&info_hash(&scratch, &torrent), PIECE_LENGTH as usize, bytes);
        Self { scratch, content, torrent, path }
    }

    pub(crate) fn length(&self) -> usize {
        self.content.bytes.len()
    }

    /// A seeder of it on its own address of loopback.
    pub(crate) fn seeder(&self, ip: &str, manner: Manner, bytes_per_second: usize) -> Seeder {
        Seeder::start(ip, &self.content, manner, bytes_per_second)
    }

    /// Two seeders that send it, together, about twice as fast as it plays.
    pub(crate) fn two_slow_seeders(&self) -> [Seeder; 2] {
        ["127.0.0.2", "127.0.0.3"].map(|ip| self.seeder(ip, Manner::Honest, 55_000))
    }

    /// `afflux stream` from these peers, ready to be read.
    pub(crate) fn stream(&self, peers: &[String], more: &[&str]) -> Stream {
        let peer_port = free_port();
        let peers = peers.iter().flat_map(|peer| ["--peer", peer]);
        let mut process = Afflux::new(&self.scratch, "stream")
            .arg("stream")
            .arg(&self.torrent)
            .args(["--port", "0", "--json"])
            .args(["--bind", "127.0.0.1", "--no-dht", "--peer-port", &peer_port.to_string()])
            .args(peers)
            .args(more)
            .start();
        let url = process.event("ready")["url"].as_str().expect("a URL").to_owned();
        Stream { process, url, peer_port }
    }

    /// A moment of the film, in seconds, within `part` of its length, of which and around which no seeder has given
    /// away anything: what is kept on disk is fetched in any order where no reader waits.
    pub(crate) fn missing_moment(&self, part: Range<f64>, seeders: &[Seeder]) -> f64 {
        let at = |fraction: f64| (self.length() as f64 * fraction) as usize;
        let missing = |fraction: &f64| {
            let around = at(fraction - AROUND)..at(fraction + AROUND);
            seeders.iter().all(|seeder| !seeder.has_given(around.start, around.end))
        };
        let steps = (1..).map(|step| part.start + 0.005 * f64::from(step));
        let found = steps.take_while(|fraction| part.contains(fraction)).find(missing);
        SECONDS
            * found.unwrap_or_else(|| {
                let given: Vec<usize> = seeders.iter().map(Seeder::given_bytes).collect();
                panic!("everything in {part:?} is there already: {given:?} bytes were sent")
            })
    }
}

/// A running `afflux stream`.
pub(crate) struct Stream {
    pub(crate) process: Process,
    pub(crate) url: String,
    /// Where it listens for peers.
    pub(crate) peer_port: u16,
}

impl Stream {
    /// The last status line.
    pub(crate) fn progress(&self) -> f64 {
        let objects = self.process.objects();
        let last = objects.iter().rev().find(|object| object["event"] == "status");
        last.and_then(|status| status["progress"].as_f64()).unwrap_or(0.0)
    }

    /// Ends it as a person does; it must end well.
    pub(crate) fn end(mut self) {
        self.process.signal("TERM");
        self.process.succeed();
    }
}

/// The addresses of seeders.
pub(crate) fn addresses(seeders: &[Seeder]) -> Vec<String> {
    seeders.iter().map(|seeder| seeder.address.to_string()).collect()
}
