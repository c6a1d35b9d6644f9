//! The file that is shared, checked or served, with its .torrent.

use std::fs::{self, File};
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use sha1::{Digest, Sha1};

use super::contender::{self, Job};
use super::film::Film;
use super::part;
use super::process::Process;
use super::subject::Subject;
use super::swarm::{info_of, torrent_bytes};
use super::tracker::Tracker;
use super::work::{Turn, Workshop};
use crate::command::Command;

const MIB: u64 = 1024 * 1024;

/// The port of libtorrent seeders, each on a host of its own.
const SEEDER_PORT: u16 = 46_881;

/// How much is compared at once.
const COMPARED_BYTES: usize = 1024 * 1024;

/// A complete file, and the info dictionary of its torrent.
#[derive(Debug)]
pub(crate) struct Payload {
    /// The folder that holds nothing but the file.
    pub(crate) folder: PathBuf,
    pub(crate) file: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) piece_bytes: u64,
    info: Arc<[u8]>,
}

/// Who seeds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Source {
    Cheap,
    Libtorrents(u8),
}

/// Running seeders; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct Seeders {
    pub(crate) addresses: Vec<SocketAddrV4>,
    processes: Vec<Process>,
    info_hash: String,
}

impl Seeders {
    /// One that runs anyway, and dials nobody.
    pub(crate) fn at(address: SocketAddrV4) -> Self {
        Self { addresses: vec![address], processes: Vec::new(), info_hash: String::new() }
    }

    /// Has all of them dial a client that doesn't dial them.
    pub(crate) fn dial(&mut self, address: SocketAddrV4) -> Result<()> {
        for process in &mut self.processes {
            process.say(&format!("{address} {}", self.info_hash))?;
        }
        Ok(())
    }
}

impl Payload {
    pub(crate) const NAME: &str = "payload.bin";

    /// The usual one: a GiB in pieces of 1 MiB, a quarter of that for a look. In memory, so that reading it costs others
    /// nothing.
    pub(crate) fn usual(workshop: &Workshop) -> Result<Self> {
        let bytes = if workshop.is_quick { 256 * MIB } else { 1024 * MIB };
        Self::make(workshop, &workshop.memory.path().join("source"), bytes, MIB)
    }

    /// Bytes that look random. `bytes` is a multiple of `piece_bytes`.
    pub(crate) fn make(workshop: &Workshop, folder: &Path, bytes: u64, piece_bytes: u64) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let file = folder.join(Self::NAME);
        Film::new(workshop.seed, bytes, piece_bytes).write(&file)?;
        let torrent = workshop.disk.path().join("payload.torrent");
        let text = |path: &Path| path.to_str().map(str::to_owned).context("the path is not UTF-8");
        Command::new(&text(&workshop.programs.afflux)?, folder)
            .args(["create", &text(&file)?, "--output", &text(&torrent)?])
            .args(["--piece-length", &piece_bytes.to_string()])
            .run()?;
        let made = fs::read(&torrent).context("no .torrent was made")?;
        let _ = fs::remove_file(&torrent);
        let info = info_of(&made).ok_or_else(|| anyhow!("the .torrent has no info"))?.into();
        Ok(Self { folder: folder.to_owned(), file, bytes, piece_bytes, info })
    }

    pub(crate) fn gib(&self) -> f64 {
        self.bytes as f64 / (1024 * MIB) as f64
    }

    pub(crate) fn mib(&self) -> f64 {
        self.bytes as f64 / MIB as f64
    }

    /// Puts a .torrent into `folder` whose tracker, which is to be kept, tells of `peers`.
    pub(crate) fn torrent(&self, folder: &Path, peers: &[SocketAddrV4]) -> Result<(PathBuf, Tracker)> {
        let tracker = Tracker::start(peers).context("the tracker")?;
        let torrent = folder.join("payload.torrent");
        fs::write(&torrent, torrent_bytes(&tracker.url(), &self.info))
            .with_context(|| torrent.display().to_string())?;
        Ok((torrent, tracker))
    }

    /// Hexadecimal.
    pub(crate) fn info_hash(&self) -> String {
        Sha1::digest(&self.info).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Seeders of all of it in processes of their own.
    pub(crate) fn seeders(&self, source: Source, turn: &Turn) -> Result<Seeders> {
        let mut seeders =
            Seeders { addresses: Vec::new(), processes: Vec::new(), info_hash: self.info_hash() };
        match source {
            Source::Cheap => {
                let (seeder, peer, _) = self.seeder(turn.folder)?;
                seeders.processes.push(seeder);
                seeders.addresses.push(peer);
            }
            Source::Libtorrents(count) => {
                let (torrent, _tracker) = self.torrent(turn.folder, &[])?;
                // Never those that are counted.
                let turn = Turn { subject: Subject::Libtorrent, counts_calls: false, ..*turn };
                let job = Job { turn: &turn, torrent: &torrent, folder: &self.folder };
                for nth in 0..count {
                    let address = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 2 + nth), SEEDER_PORT);
                    let seeder =
                        contender::of(Subject::Libtorrent)?.seed(&job, address).context("a seeder")?;
                    seeders.processes.push(seeder);
                    seeders.addresses.push(address);
                }
            }
        }
        Ok(seeders)
    }

    /// A seeder that costs almost nothing: its address for peers, and the one at which it sends the bare file.
    pub(crate) fn seeder(&self, folder: &Path) -> Result<(Process, SocketAddrV4, SocketAddr)> {
        let file = self.file.to_str().context("the path is not UTF-8")?;
        let mut seeder = part::start(&["cheap-seeder", file, &self.piece_bytes.to_string()], folder)?;
        let [peer, bare] = part::addresses(&mut seeder)?;
        let SocketAddr::V4(peer) = peer else { bail!("it listens on IPv6") };
        Ok((seeder, peer, bare))
    }

    /// Fails unless `copy` has the same bytes.
    pub(crate) fn compare(&self, copy: &Path) -> Result<()> {
        let open = |path: &Path| File::open(path).with_context(|| path.display().to_string());
        let (mut original, mut copied) = (open(&self.file)?, open(copy)?);
        let length = copied.metadata()?.len();
        if length != self.bytes {
            bail!("{} has {length} bytes instead of {}", copy.display(), self.bytes);
        }
        let (mut right, mut got) = (vec![0; COMPARED_BYTES], vec![0; COMPARED_BYTES]);
        let mut place = 0;
        while place < self.bytes {
            let count = (self.bytes - place).min(COMPARED_BYTES as u64) as usize;
            original.read_exact(&mut right[..count])?;
            copied.read_exact(&mut got[..count])?;
            if right[..count] != got[..count] {
                bail!("{} has wrong bytes in the MiB at {place}", copy.display());
            }
            place += count as u64;
        }
        Ok(())
    }
}
