//! From a magnet link to the metadata behind it: a tracker that knows one seeder, and the clients' way of asking both.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::case::{Case, Figures, Row, Unit};
use super::daemon::{Daemon, Plan, free_address, wait_for_port};
use super::http::{Response, Url};
use super::idle::info_hash;
use super::payload::Payload;
use super::process::{Process, command};
use super::subject::Subject;
use super::tracker::Tracker;
use super::work::{Turn, Work, Workshop};

const LIBTORRENT_DRIVER: &str = include_str!("clients/libtorrent_magnet.py");
const WEBTORRENT_DRIVER: &str = include_str!("clients/webtorrent_magnet.mjs");

/// Who takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who seeds: libtorrent, since most of the peers that are met are built on it.
const SEEDER: Subject = Subject::Libtorrent;

/// Not Transmission, which dials nobody on loopback.
const SUBJECTS: [Subject; 5] =
    [Subject::Afflux, Subject::Libtorrent, Subject::Aria2, Subject::Rqbit, Subject::Webtorrent];

/// A torrent with its seeder.
#[derive(Debug)]
pub(crate) struct Magnet {
    link: String,
    _seeder: Daemon,
    _tracker: Tracker,
}

pub(crate) fn work(workshop: &Workshop) -> Result<Box<dyn Work>> {
    let payload = Payload::usual(workshop)?;
    let folder = workshop.disk.path().join("magnet");
    let torrents = folder.join("torrents");
    fs::create_dir_all(&torrents).with_context(|| torrents.display().to_string())?;
    let (torrent, _) = payload.torrent(&torrents, &[])?;
    let plan =
        Plan { torrents: &torrents, count: 1, files: &payload.folder, folder: &folder, connections: 100 };
    let seeder = Daemon::start(SEEDER, &workshop.programs, &plan).context("the seeder")?;
    let SocketAddr::V4(address) = seeder.peers else { bail!("the seeder isn't on 127.0.0.1") };
    let tracker = Tracker::start(&[address]).context("the tracker")?;
    let hash = info_hash(&workshop.programs.afflux, &torrent)?;
    let link = format!("magnet:?xt=urn:btih:{hash}&dn={}&tr={}", Payload::NAME, tracker.url());
    Ok(Box::new(Magnet { link, _seeder: seeder, _tracker: tracker }))
}

impl Work for Magnet {
    fn cases(&self) -> Vec<Case> {
        vec![Case {
            name: "magnet",
            title: "a magnet link with a tracker that knows one seeder, libtorrent, of 1,024 pieces"
                .to_owned(),
            rows: vec![Row::new("metadata", "metadata after adding", Unit::Milliseconds)],
        }]
    }

    fn subjects(&self, _case: &Case) -> Vec<Subject> {
        SUBJECTS.to_vec()
    }

    fn take(&mut self, turn: &Turn) -> Result<Figures> {
        let asking = Asking { turn, link: &self.link };
        let programs = &turn.workshop.programs;
        let took = match turn.subject {
            Subject::Afflux => asking.afflux(),
            Subject::Libtorrent => asking.driver(&programs.python, "driver.py", LIBTORRENT_DRIVER, None),
            Subject::Webtorrent => {
                asking.driver(&programs.node, "driver.mjs", WEBTORRENT_DRIVER, Some(&programs.modules))
            }
            Subject::Aria2 => asking.aria2(),
            Subject::Rqbit => asking.rqbit(),
            _ => bail!("{} isn't asked for metadata", turn.subject.name()),
        }?;
        Ok(Figures::from([("metadata", Some(1000.0 * took.as_secs_f64()))]))
    }
}

/// One client that is asked. Of those that are started for it, the start counts.
struct Asking<'a> {
    turn: &'a Turn<'a>,
    link: &'a str,
}

impl Asking<'_> {
    fn afflux(&self) -> Result<Duration> {
        let mut command = command(&self.turn.workshop.programs.afflux, self.turn.folder);
        command.arg("--json").arg("--data-dir").arg(self.turn.folder.join("state"));
        command.args(["inspect", self.link, "--fetch", "--no-dht", "--allow-local-addresses"]);
        command.args(["--bind", "127.0.0.1", "--peer-port", "0"]);
        let mut process = Process::start(command, self.turn.folder, "afflux")?;
        let (at, ()) = process.hear(PATIENCE, |line| line.contains("\"infoHash\"").then_some(()))?;
        Ok(at - process.marked_at())
    }

    fn driver(&self, program: &Path, file: &str, text: &str, modules: Option<&PathBuf>) -> Result<Duration> {
        let driver = self.turn.folder.join(file);
        fs::write(&driver, text).with_context(|| driver.display().to_string())?;
        let mut command = command(program, self.turn.folder);
        command.arg(&driver).args(modules).arg(self.link).arg(self.turn.folder);
        let mut process = Process::start(command, self.turn.folder, "driver")?;
        process.hear(PATIENCE, |line| (line == "ready").then_some(()))?;
        process.mark();
        process.say("go")?;
        let (at, ()) = process.hear(PATIENCE, |line| (line == "metadata").then_some(()))?;
        Ok(at - process.marked_at())
    }

    /// It ends when it has what it was asked for.
    fn aria2(&self) -> Result<Duration> {
        let mut command = command(Path::new("aria2c"), self.turn.folder);
        command.args(["--no-conf", "--quiet", "--enable-dht=false", "--enable-dht6=false", "--disable-ipv6"]);
        command.args([
            "--bt-enable-lpd=false",
            "--bt-metadata-only=true",
            "--bt-save-metadata=true",
            self.link,
        ]);
        let mut process = Process::start(command, self.turn.folder, "aria2")?;
        Ok(process.end(PATIENCE)?.wall)
    }

    /// Answers when it has the list of files.
    fn rqbit(&self) -> Result<Duration> {
        let host = free_address()?;
        let mut command = command(&self.turn.workshop.programs.rqbit, self.turn.folder);
        command.args(["--http-api-listen-addr", &host.to_string()]);
        command.args(["--disable-dht", "--disable-lsd", "--disable-upnp-port-forward"]);
        command.args(["server", "start", "--disable-persistence"]).arg(self.turn.folder);
        let mut process = Process::start(command, self.turn.folder, "rqbit")?;
        wait_for_port(&mut process, host)?;
        let began = Instant::now();
        let add = Url { host, path: "/torrents?list_only=true".to_owned() };
        Response::post(&add, self.link.as_bytes())?;
        Ok(began.elapsed())
    }
}
