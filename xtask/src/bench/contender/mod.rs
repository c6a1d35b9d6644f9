//! The clients, each with what it can be asked to do: one file per client.
//!
//! They run with their defaults, but for what would leave this machine (DHT, local discovery, port mapping) and for uTP and
//! encryption, which not all of them have. Peers are told to those that can be told; the others ask the tracker that the
//! .torrent names, or is dialled.

mod afflux;
mod aria2;
mod libtorrent;
mod qbittorrent;
mod rqbit;
mod transmission;
mod webtorrent;

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::install::Programs;
use super::payload::Seeders;
use super::process::{self, Process, Spent};
use super::subject::Subject;
use super::work::Turn;

/// Who takes longer than this has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// How often a client is asked how far it is that doesn't say so by itself.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// A torrent, and what belongs to it.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    pub(crate) turn: &'a Turn<'a>,
    pub(crate) torrent: &'a Path,
    /// Where its file is, or is to be.
    pub(crate) folder: &'a Path,
}

/// What a finished job cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub(crate) spent: Spent,
    /// Bytes received in vain, of those that tell.
    pub(crate) wasted_bytes: Option<u64>,
    /// System calls, in turns in which they are counted.
    pub(crate) calls: Option<u64>,
}

/// A client.
pub(crate) trait Contender {
    /// Downloads from `seeders`, from a fresh start until all is verified.
    fn download(&self, job: &Job, seeders: &mut Seeders) -> Result<Done>;

    /// Seeds at `address` what is complete, without checking it where that can be had. It may take a moment until it listens.
    fn seed(&self, job: &Job, address: SocketAddrV4) -> Result<Process>;

    /// Verifies what is complete, knowing nothing of it.
    fn check(&self, job: &Job) -> Result<Done>;

    /// Its program, if it is one.
    fn program<'a>(&self, programs: &'a Programs) -> Option<&'a Path>;

    /// Starts it as a daemon with nothing in it, and waits until it listens for orders.
    fn daemon(&self, job: &Job) -> Result<Process>;
}

/// Those that download, seed and verify.
pub(crate) const ALL: [Subject; 8] = [
    Subject::Afflux,
    Subject::Libtorrent,
    Subject::Libtorrent20,
    Subject::Aria2,
    Subject::Rqbit,
    Subject::Qbittorrent,
    Subject::Transmission,
    Subject::Webtorrent,
];

pub(crate) fn of(subject: Subject) -> Result<&'static dyn Contender> {
    Ok(match subject {
        Subject::Afflux => &afflux::Afflux,
        Subject::Libtorrent => &libtorrent::Libtorrent { is_20: false },
        Subject::Libtorrent20 => &libtorrent::Libtorrent { is_20: true },
        Subject::Aria2 => &aria2::Aria2,
        Subject::Rqbit => &rqbit::Rqbit,
        Subject::Qbittorrent => &qbittorrent::Qbittorrent,
        Subject::Transmission => &transmission::Transmission,
        Subject::Webtorrent => &webtorrent::Webtorrent,
        _ => bail!("{} is no client", subject.name()),
    })
}

impl Job<'_> {
    /// `program`, its calls counted if that is what this turn is for.
    fn command(&self, program: &Path) -> Result<Command> {
        if self.turn.counts_calls {
            process::counted(program, self.turn.folder, &self.calls_path())
        } else {
            Ok(process::command(program, self.turn.folder))
        }
    }

    fn start(&self, command: Command) -> Result<Process> {
        Process::start(command, self.turn.folder, self.turn.subject.name())
    }

    /// How many calls were counted, once the process has ended.
    pub(crate) fn calls(&self) -> Result<Option<u64>> {
        self.turn.counts_calls.then(|| process::calls_in(&self.calls_path())).transpose()
    }

    fn calls_path(&self) -> PathBuf {
        self.turn.folder.join("calls")
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Waits until somebody listens on a port of loopback.
pub(crate) fn wait_for_port(process: &mut Process, port: u16) -> Result<()> {
    let is_there = || Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
    process.until(PATIENCE, Duration::from_millis(1), is_there).map(|_| ())
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}
