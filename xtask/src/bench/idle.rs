//! What a daemon costs that has nothing to do: without torrents, with many, and with many peers.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::case::{Case, Figures, Row, Unit};
use super::daemon::{DAEMONS, Daemon, Plan};
use super::film::Film;
use super::idle_peers::IdlePeers;
use super::process::{cpu_of, memory_of};
use super::subject::Subject;
use super::work::{Turn, Work, Workshop};
use crate::command::Command;

/// So many torrents, each of one file of four pieces.
const TORRENTS: usize = 1000;
const FILE_BYTES: u64 = 64 * 1024;
const PIECE_BYTES: u64 = 16 * 1024;

const PEERS: u16 = 500;

/// Room for them, and some to spare: libtorrent fills two thirds of it.
const CONNECTIONS: u32 = 1000;

/// What was needed to get ready is given back meanwhile, by those who give it back.
const SETTLE: Duration = Duration::from_secs(5);

const MEASURE: Duration = Duration::from_secs(60);
const MEASURE_QUICK: Duration = Duration::from_secs(10);

/// The names of the cases.
const NOTHING: &str = "idle-nothing";
const MANY: &str = "idle-torrents";
const PEERED: &str = "idle-peers";

/// The torrents of all turns.
#[derive(Debug)]
pub(crate) struct Idle {
    /// None, one and many.
    none: PathBuf,
    one: PathBuf,
    many: PathBuf,
    files: PathBuf,
    /// Of the one.
    info_hash: [u8; 20],
}

pub(crate) fn work(workshop: &Workshop) -> Result<Box<dyn Work>> {
    let folder = workshop.memory.path().join("idle");
    let below = |name: &str| {
        let path = folder.join(name);
        fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        anyhow::Ok(path)
    };
    let (none, one, many, files) = (below("none")?, below("one")?, below("many")?, below("files")?);
    println!("   {TORRENTS} torrents are made");
    for nth in 0..TORRENTS {
        let file = files.join(format!("{nth:04}.bin"));
        Film::new(workshop.seed ^ nth as u64, FILE_BYTES, PIECE_BYTES).write(&file)?;
        create(&workshop.programs.afflux, &file, &many.join(format!("{nth:04}.torrent")))?;
    }
    let torrent = one.join("0000.torrent");
    fs::copy(many.join("0000.torrent"), &torrent)?;
    let info_hash = info_hash(&workshop.programs.afflux, &torrent)?;
    let info_hash = bytes_of(&info_hash).context("an info-hash has 40 digits")?;
    Ok(Box::new(Idle { none, one, many, files, info_hash }))
}

impl Work for Idle {
    fn cases(&self) -> Vec<Case> {
        let case = |name, title: &str, more: Option<Row>| Case {
            name,
            title: title.to_owned(),
            rows: [
                Row::new("anonymous", "anonymous memory", Unit::Mib),
                Row::new("resident", "resident memory", Unit::Mib),
                Row::new("processor", "of a core", Unit::Share),
            ]
            .into_iter()
            .chain(more)
            .collect(),
        };
        vec![
            case(NOTHING, "a daemon with nothing to do, after a minute", None),
            case(MANY, "a daemon with 1,000 complete torrents and no peers, after a minute", None),
            case(
                PEERED,
                "a daemon with one complete torrent and 500 peers that are silent, after a minute",
                Some(Row::new("connected", "peers that it still has", Unit::Count)),
            ),
        ]
    }

    fn subjects(&self, _case: &Case) -> Vec<Subject> {
        DAEMONS.to_vec()
    }

    fn take(&mut self, turn: &Turn) -> Result<Figures> {
        let (torrents, count) = match turn.case.name {
            MANY => (&self.many, TORRENTS),
            PEERED => (&self.one, 1),
            _ => (&self.none, 0),
        };
        let plan =
            Plan { torrents, count, files: &self.files, folder: turn.folder, connections: CONNECTIONS };
        let daemon = Daemon::start(turn.subject, &turn.workshop.programs, &plan)?;
        let peers = match turn.case.name {
            PEERED => Some(IdlePeers::connect(daemon.peers, self.info_hash, PEERS)?),
            _ => None,
        };
        let span = if turn.workshop.is_quick { MEASURE_QUICK } else { MEASURE };
        let mut figures = rest(daemon.process.id(), span);
        if let Some(peers) = peers {
            figures.insert("connected", Some(peers.connected() as f64));
        }
        Ok(figures)
    }
}

/// What a process costs while nothing happens.
fn rest(id: u32, span: Duration) -> Figures {
    thread::sleep(SETTLE);
    let before = cpu_of(id);
    thread::sleep(span);
    let spent = cpu_of(id).saturating_sub(before);
    let memory = memory_of(id);
    let mib = |bytes: u64| Some(bytes as f64 / (1024.0 * 1024.0));
    Figures::from([
        ("anonymous", mib(memory.anon)),
        ("resident", mib(memory.rss)),
        ("processor", Some(spent.as_secs_f64() / span.as_secs_f64())),
    ])
}

fn create(afflux: &Path, file: &Path, torrent: &Path) -> Result<()> {
    let folder = file.parent().context("a file is in a folder")?;
    Command::new(text(afflux)?, folder)
        .args(["create", text(file)?, "--output", text(torrent)?])
        .args(["--piece-length", &PIECE_BYTES.to_string()])
        .output()?;
    Ok(())
}

/// In hex, as Afflux says it.
pub(crate) fn info_hash(afflux: &Path, torrent: &Path) -> Result<String> {
    let folder = torrent.parent().context("a file is in a folder")?;
    let said = Command::new(text(afflux)?, folder).args(["--json", "inspect", text(torrent)?]).output()?;
    let said: serde_json::Value = serde_json::from_str(&said)?;
    said["infoHash"].as_str().map(str::to_owned).context("afflux inspect says no info-hash")
}

fn bytes_of(hex: &str) -> Option<[u8; 20]> {
    let digits: Vec<u8> =
        hex.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    bytes.try_into().ok()
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("the path is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_from_hex() {
        let hash = bytes_of("00ff102030405060708090a0b0c0d0e0f0000034").unwrap();
        assert_eq!((hash[1], hash[2], hash[19]), (255, 16, 0x34));
        assert!(bytes_of("00ff").is_none() && bytes_of("zz").is_none());
    }
}
