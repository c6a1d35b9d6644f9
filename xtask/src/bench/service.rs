//! The streaming service under load, with accounts: sessions of many users, and questions about them; nginx beside it with the
//! same file, and with an answer of the same length.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::case::{Case, Figures, Row, Unit};
use super::daemon::free_address;
use super::film::Film;
use super::http::{Response, Url};
use super::http_load::{compare, load};
use super::payload::Payload;
use super::process::{Process, command, cpu_of, memory_of};
use super::serving::{Serving, Show};
use super::subject::Subject;
use super::viewers::{ask_on, watch};
use super::work::{Turn, Work, Workshop};
use crate::command::Command;

const MIB: u64 = 1024 * 1024;

/// The cases.
const SESSIONS: &str = "serve-sessions";
const OPEN: &str = "serve-64";
const REQUESTS: &str = "serve-requests";

/// Viewers at once, each a user with a session of their own, at the rate of a good 1080p film.
const VIEWERS: u64 = 200;
const VIEWERS_QUICK: u64 = 50;
const VIEWER_RATE: u64 = MIB;

/// Readers that take what comes.
const READERS: u64 = 64;

/// Connections that ask, one question after the other.
const ASKERS: u64 = 16;

const SPAN: Duration = Duration::from_secs(20);
const SPAN_QUICK: Duration = Duration::from_secs(5);

/// How long the daemon may take to start or to verify the file.
const PATIENCE: Duration = Duration::from_secs(60);

/// The file that everybody watches.
#[derive(Debug)]
pub(crate) struct Service {
    payload: Payload,
    film: Film,
    viewers: u64,
}

pub(crate) fn work(workshop: &Workshop) -> Result<Box<dyn Work>> {
    let payload = Payload::usual(workshop)?;
    let film = Film::new(workshop.seed, payload.bytes, MIB);
    let viewers = if workshop.is_quick { VIEWERS_QUICK } else { VIEWERS };
    Ok(Box::new(Service { payload, film, viewers }))
}

impl Work for Service {
    fn cases(&self) -> Vec<Case> {
        let resident = Row::new("peak_resident", "peak resident memory", Unit::Mib);
        vec![
            Case {
                name: SESSIONS,
                title: format!(
                    "{} users watch a file at 1 MiB/s each, all by a session of their own; nginx with as many readers",
                    self.viewers
                ),
                rows: vec![
                    Row::new("held", "sessions that kept 99 % of their rate", Unit::Count),
                    Row::new("per_session", "KiB that a session adds", Unit::Count),
                    Row::new("processor", "of a core", Unit::Share),
                    resident.clone(),
                ],
            },
            Case {
                name: OPEN,
                title: format!("{READERS} users' sessions read as fast as they come, nothing paced"),
                rows: vec![
                    Row::new(
                        "mib_per_processor_second",
                        "per second of the server's processor",
                        Unit::MibPerSecond,
                    ),
                    Row::new("mib_per_second", "in all", Unit::MibPerSecond),
                    resident.clone(),
                ],
            },
            Case {
                name: REQUESTS,
                title: format!(
                    "{ASKERS} connections ask for the status of a stream, with a token each time; nginx answers with a file of \
                     the same length"
                ),
                rows: vec![
                    Row::new("per_second", "requests per second", Unit::Count),
                    Row::new(
                        "per_processor_second",
                        "requests per second of the server's processor",
                        Unit::Count,
                    ),
                    resident,
                ],
            },
        ]
    }

    fn subjects(&self, _case: &Case) -> Vec<Subject> {
        vec![Subject::Nginx, Subject::Afflux]
    }

    fn take(&mut self, turn: &Turn) -> Result<Figures> {
        let span = if turn.workshop.is_quick { SPAN_QUICK } else { SPAN };
        match turn.case.name {
            SESSIONS => self.sessions(turn, span),
            OPEN => self.open(turn, span),
            _ => self.requests(turn, span),
        }
    }
}

impl Service {
    fn sessions(&self, turn: &Turn, span: Duration) -> Result<Figures> {
        let server = self.server(turn, self.viewers, &[])?;
        let id = server.process.id();
        let before = memory_of(id).anon;
        let urls = server.urls(self.viewers)?;
        let (cpu, began) = (cpu_of(id), Instant::now());
        let rates = watch(&urls, self.film.length, VIEWER_RATE, span)?;
        let spent = cpu_of(id).saturating_sub(cpu).as_secs_f64() / began.elapsed().as_secs_f64();
        let memory = memory_of(id);
        let held = rates.iter().filter(|&&rate| rate >= 0.99 * VIEWER_RATE as f64).count();
        let added = memory.anon.saturating_sub(before) as f64 / (1024 * self.viewers) as f64;
        Ok(Figures::from([
            ("held", Some(held as f64)),
            ("per_session", Some(added)),
            ("processor", Some(spent)),
            ("peak_resident", Some(memory.peak_rss as f64 / MIB as f64)),
        ]))
    }

    fn open(&self, turn: &Turn, span: Duration) -> Result<Figures> {
        let server = self.server(turn, READERS, &["--pace", "false"])?;
        let id = server.process.id();
        let urls = server.urls(READERS)?;
        compare(&urls[0], &self.film)?;
        let carried = load(&urls, id, &self.film, READERS, span)?;
        Ok(Figures::from([
            ("mib_per_processor_second", Some(carried.mib_per_processor_second())),
            ("mib_per_second", Some(carried.mib_per_second())),
            ("peak_resident", Some(memory_of(id).peak_rss as f64 / MIB as f64)),
        ]))
    }

    fn requests(&self, turn: &Turn, span: Duration) -> Result<Figures> {
        let server = self.server(turn, ASKERS, &[])?;
        let id = server.process.id();
        let questions = server.questions(ASKERS)?;
        let (cpu, began) = (cpu_of(id), Instant::now());
        let count = ask_on(&questions, span)? as f64;
        let spent = cpu_of(id).saturating_sub(cpu).as_secs_f64().max(0.01);
        Ok(Figures::from([
            ("per_second", Some(count / began.elapsed().as_secs_f64())),
            ("per_processor_second", Some(count / spent)),
            ("peak_resident", Some(memory_of(id).peak_rss as f64 / MIB as f64)),
        ]))
    }

    fn server(&self, turn: &Turn, users: u64, more: &[&str]) -> Result<Server> {
        match turn.subject {
            Subject::Afflux => self.afflux(turn, users, more),
            Subject::Nginx => self.nginx(turn),
            _ => bail!("{} has no accounts", turn.subject.name()),
        }
    }

    fn nginx(&self, turn: &Turn) -> Result<Server> {
        let show = Show {
            torrent: Path::new(""),
            film: &self.payload.folder,
            is_complete: true,
            folder: turn.folder,
        };
        let Serving { process, url } = Serving::start(Subject::Nginx, &turn.workshop.programs, &show)?;
        Ok(Server { process, base: url, users: Vec::new(), hash: String::new() })
    }

    /// The daemon as a household has it, with the file complete on its disk.
    fn afflux(&self, turn: &Turn, users: u64, more: &[&str]) -> Result<Server> {
        let hash = self.payload.info_hash();
        // Beside the payload, where a second name costs nothing; links of the other kind aren't followed.
        let streams = turn.workshop.memory.path().join("streams");
        let folder = streams.join(&hash);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        fs::hard_link(&self.payload.file, folder.join(Payload::NAME))?;
        let host = free_address()?;
        let (program, state) = (&turn.workshop.programs.afflux, turn.folder.join("state"));
        let mut daemon = command(program, turn.folder);
        daemon.arg("--json").arg("--data-dir").arg(&state).arg("serve").args(["--listen", &host.to_string()]);
        daemon.args(["--storage", "disk", "--download-dir"]).arg(&streams);
        daemon.args(["--no-dht", "--bind", "127.0.0.1", "--peer-port", "0"]);
        // Nobody is refused: what is measured is the work, not the limits.
        daemon
            .args(["--stream-rate-limit", "100000", "--max-http-conns", "4096", "--max-streams", "0"])
            .args(more);
        let mut process = Process::start(daemon, turn.folder, "afflux")?;
        process.hear(PATIENCE, |line| line.contains("\"listening\"").then_some(()))?;
        let (torrent, _tracker) = self.payload.torrent(turn.folder, &[])?;
        let torrent = fs::read(torrent)?;
        let base = Url { host, path: "/".to_owned() };
        let mut server = Server { process, base, users: Vec::new(), hash };
        for nth in 0..users {
            let user = format!("user{nth}");
            let token = token(program, turn.folder, &state, &user)?;
            server.users.push(format!("Authorization: Bearer {token}"));
        }
        for user in &server.users {
            let kind = "Content-Type: application/x-bittorrent".to_owned();
            let url = server.at("/api/torrents/parse");
            Response::post_with(&url, &[user.clone(), kind], &torrent)?;
        }
        Ok(server)
    }
}

/// A server, and who may ask it.
struct Server {
    process: Process,
    /// Of nginx: the file.
    base: Url,
    /// Header lines with a token each; none with nginx, which knows nobody.
    users: Vec<String>,
    hash: String,
}

impl Server {
    fn at(&self, path: &str) -> Url {
        Url { host: self.base.host, path: path.to_owned() }
    }

    /// Where each of so many viewers gets the file.
    fn urls(&self, count: u64) -> Result<Vec<Url>> {
        if self.users.is_empty() {
            return Ok(vec![self.base.clone(); count as usize]);
        }
        let session = self.at(&format!("/api/stream/{}?file=0", self.hash));
        let json = "Accept: application/json".to_owned();
        let url = |user: &String| {
            let answer = Response::fetch_with(&session, &[user.clone(), json.clone()])?;
            let answer: Value = serde_json::from_slice(&answer)?;
            let path = answer["url"].as_str().with_context(|| format!("no session: {answer}"))?;
            // The daemon says whole URLs.
            if path.starts_with('/') { Ok(self.at(path)) } else { Url::parse(path) }
        };
        self.users.iter().map(url).collect()
    }

    /// What so many askers ask, each of a stream of its own.
    fn questions(&self, count: u64) -> Result<Vec<(Url, String)>> {
        if self.users.is_empty() {
            // A status is so long.
            return Ok(vec![(self.base.clone(), "Range: bytes=0-499".to_owned()); count as usize]);
        }
        self.urls(count)?;
        let status = self.at(&format!("/api/stream/{}/status", self.hash));
        Ok(self.users.iter().map(|user| (status.clone(), user.clone())).collect())
    }
}

fn token(program: &Path, folder: &Path, state: &Path, user: &str) -> Result<String> {
    let text = |path: &Path| path.to_str().map(str::to_owned).context("the path is not UTF-8");
    let said = Command::new(&text(program)?, folder)
        .args(["--data-dir", &text(state)?, "token", "--user", user])
        .output()?;
    Ok(said.trim().to_owned())
}
