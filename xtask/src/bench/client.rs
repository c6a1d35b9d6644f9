//! The clients side by side: how each is started, given a torrent, and asked where it serves the film.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use super::http::{Response, Url};
use super::install::Programs;
use super::process;

/// The rivals' drivers, written beside each run so that what was measured can be seen.
const LIBTORRENT_DRIVER: &str = include_str!("clients/libtorrent_stream.py");
const WEBTORRENT_DRIVER: &str = include_str!("clients/webtorrent_stream.mjs");
const PEERFLIX_DRIVER: &str = include_str!("clients/peerflix_stream.mjs");

/// What the status lines of a client are put into.
type Status = Arc<Mutex<Option<Value>>>;

/// How long a client may take to start, or to say where it serves.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which client.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Client {
    /// Ours, as it is: in memory.
    Afflux,
    /// Ours, with libtorrent's published rules, on disk as libtorrent is.
    AffluxLtDeadline,
    /// libtorrent's defaults, which those rules are about.
    Libtorrent,
    /// libtorrent with the shortest queues that it knows: at its quickest.
    LibtorrentShortQueues,
    Peerflix,
    Webtorrent,
    Rqbit,
}

impl Client {
    pub(crate) const ALL: [Self; 7] = [
        Self::Afflux,
        Self::AffluxLtDeadline,
        Self::Libtorrent,
        Self::LibtorrentShortQueues,
        Self::Peerflix,
        Self::Webtorrent,
        Self::Rqbit,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Afflux => "afflux",
            Self::AffluxLtDeadline => "afflux-lt-deadline",
            Self::Libtorrent => "libtorrent",
            Self::LibtorrentShortQueues => "libtorrent-short-queues",
            Self::Peerflix => "peerflix",
            Self::Webtorrent => "webtorrent",
            Self::Rqbit => "rqbit",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|client| client.name() == name)
    }
}

/// A client that serves the film. Ends when dropped, at once and without goodbyes.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    /// A driver ends when this closes.
    _stdin: Option<ChildStdin>,
    pub(crate) url: Url,
    /// When it was told of the torrent.
    pub(crate) added_at: Instant,
    last_status: Status,
}

impl Running {
    /// Starts `client` and adds `torrent`; what it keeps is put into `folder`.
    pub(crate) fn start(client: Client, programs: &Programs, torrent: &Path, folder: &Path) -> Result<Self> {
        let starting = Starting { programs, torrent, folder };
        match client {
            Client::Afflux => starting.afflux(&["--memory"]),
            Client::AffluxLtDeadline => {
                starting.afflux(&["--keep", "--output", path_text(folder)?, "--strategy", "lt-deadline"])
            }
            Client::Libtorrent => starting.libtorrent("3"),
            Client::LibtorrentShortQueues => starting.libtorrent("1"),
            Client::Peerflix => starting.node(PEERFLIX_DRIVER),
            Client::Webtorrent => starting.node(WEBTORRENT_DRIVER),
            Client::Rqbit => starting.rqbit(),
        }
        .with_context(|| format!("{} (see {})", client.name(), folder.display()))
    }

    /// The last status line of a client that prints JSON: ours.
    pub(crate) fn last_status(&self) -> Option<Value> {
        self.last_status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Starting<'a> {
    programs: &'a Programs,
    torrent: &'a Path,
    folder: &'a Path,
}

impl Starting<'_> {
    fn afflux(&self, more: &[&str]) -> Result<Running> {
        let mut command = process::command(&self.programs.afflux, self.folder);
        command.arg("--json").arg("--data-dir").arg(self.folder.join("state"));
        command.arg("stream").arg(self.torrent).args(["--file", "0", "--no-dht"]);
        command.args(["--allow-local-addresses", "--peer-port", "0", "--port", "0"]).args(more);
        let added_at = Instant::now();
        let (mut child, said, last_status) = self.spawn(command)?;
        let url = first(&said, &mut child, |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["event"] == "ready").then(|| line["url"].as_str().map(str::to_owned))?
        })?;
        let stdin = child.stdin.take();
        Ok(Running { child, _stdin: stdin, url: Url::parse(&url)?, added_at, last_status })
    }

    fn libtorrent(&self, queue_seconds: &str) -> Result<Running> {
        self.driver(&self.programs.python, "driver.py", LIBTORRENT_DRIVER, queue_seconds)
    }

    fn node(&self, text: &str) -> Result<Running> {
        self.driver(&self.programs.node, "driver.mjs", text, path_text(&self.programs.modules)?)
    }

    /// A driver: says when it is ready, adds the torrent when it gets a line, says where it serves.
    fn driver(&self, program: &Path, file: &str, text: &str, first_argument: &str) -> Result<Running> {
        let driver = self.folder.join(file);
        fs::write(&driver, text).with_context(|| driver.display().to_string())?;
        let film = self.folder.join("film");
        fs::create_dir(&film).with_context(|| film.display().to_string())?;
        let mut command = process::command(program, self.folder);
        command.arg(&driver).arg(first_argument).arg(self.torrent).arg(film);
        let (mut child, said, last_status) = self.spawn(command)?;
        first(&said, &mut child, |line| (line == "ready").then(String::new))?;
        let mut stdin = child.stdin.take().context("the driver has no standard input")?;
        let added_at = Instant::now();
        stdin.write_all(b"go\n")?;
        let url = first(&said, &mut child, |line| line.strip_prefix("url ").map(str::to_owned))?;
        Ok(Running { child, _stdin: Some(stdin), url: Url::parse(&url)?, added_at, last_status })
    }

    fn rqbit(&self) -> Result<Running> {
        let host = free_address()?;
        let mut command = process::command(&self.programs.rqbit, self.folder);
        command.args(["--http-api-listen-addr", &host.to_string()]);
        command.args(["--disable-dht", "--disable-lsd", "--disable-upnp-port-forward"]);
        command.args(["server", "start", "--disable-persistence"]).arg(self.folder.join("film"));
        let (child, _, last_status) = self.spawn(command)?;
        let mut running = Running {
            child,
            _stdin: None,
            url: Url { host, path: "/torrents/0/stream/0".to_owned() },
            added_at: Instant::now(),
            last_status,
        };
        wait_for_port(host, &mut running.child)?;
        let torrent = fs::read(self.torrent)?;
        running.added_at = Instant::now();
        Response::post(&Url { host, path: "/torrents?overwrite=true".to_owned() }, &torrent)?;
        Ok(running)
    }

    fn spawn(&self, mut command: Command) -> Result<(Child, Receiver<String>, Status)> {
        let log = self.folder.join("stderr.log");
        let log = File::create(&log).with_context(|| log.display().to_string())?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().context("it can't be started")?;
        let stdout = child.stdout.take().context("it has no standard output")?;
        let (said, lines) = mpsc::channel();
        let last_status = Status::default();
        let last = Arc::clone(&last_status);
        thread::spawn(move || listen(BufReader::new(stdout), &said, &last));
        Ok((child, lines, last_status))
    }
}

/// Reads on until the client ends, so that it never waits for us.
fn listen(stdout: impl BufRead, said: &Sender<String>, last: &Mutex<Option<Value>>) {
    for line in stdout.lines().map_while(Result::ok) {
        if let Ok(value) = serde_json::from_str::<Value>(&line)
            && value["event"] == "status"
        {
            *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        } else {
            // Nobody listens any more once the URL is known.
            let _ = said.send(line);
        }
    }
}

/// The first line that says what is wanted.
fn first(
    said: &Receiver<String>,
    child: &mut Child,
    wanted: impl Fn(&str) -> Option<String>,
) -> Result<String> {
    let give_up = Instant::now() + PATIENCE;
    let found = loop {
        match said.recv_timeout(give_up.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                if let Some(found) = wanted(&line) {
                    break Ok(found);
                }
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                break Err(anyhow!("it didn't get ready within {} s", PATIENCE.as_secs()));
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break Err(anyhow!("it ended before it was ready")),
        }
    };
    if found.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    found
}

/// A free port on loopback.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn wait_for_port(host: SocketAddr, child: &mut Child) -> Result<()> {
    let give_up = Instant::now() + PATIENCE;
    while Instant::now() < give_up {
        if TcpStream::connect(host).is_ok() {
            return Ok(());
        }
        if let Some(status) = child.try_wait()? {
            bail!("it ended ({status}) before it was ready");
        }
        thread::sleep(Duration::from_millis(20));
    }
    bail!("it didn't listen within {} s", PATIENCE.as_secs())
}

pub(crate) fn path_text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}
