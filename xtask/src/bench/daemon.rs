//! Clients as daemons with complete torrents, that wait for whoever dials them. They look for nobody themselves.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::http::{Response, Url};
use super::install::Programs;
use super::process::{Process, command};
use super::subject::Subject;
use crate::command::Command;

const LIBTORRENT_DRIVER: &str = include_str!("clients/libtorrent_daemon.py");
const WEBTORRENT_DRIVER: &str = include_str!("clients/webtorrent_daemon.mjs");

/// How long a daemon may take to start, and to verify its torrents. Transmission 3 takes 0.1 s for each, however small.
const PATIENCE: Duration = Duration::from_secs(300);

/// Between two looks at how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What a daemon gets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan<'a> {
    /// Folder of the .torrent files, and how many there are.
    pub(crate) torrents: &'a Path,
    pub(crate) count: usize,
    /// Folder of their payload.
    pub(crate) files: &'a Path,
    /// For its own state.
    pub(crate) folder: &'a Path,
    /// Peers that it has to have room for.
    pub(crate) connections: u32,
}

/// A running daemon, all of whose torrents are verified.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) process: Process,
    /// Where it takes peers.
    pub(crate) peers: SocketAddr,
}

/// Who can be one.
pub(crate) const DAEMONS: [Subject; 6] = [
    Subject::Afflux,
    Subject::Libtorrent,
    Subject::Aria2,
    Subject::Rqbit,
    Subject::Transmission,
    Subject::Webtorrent,
];

impl Daemon {
    /// Starts `subject`, and waits until it seeds everything.
    pub(crate) fn start(subject: Subject, programs: &Programs, plan: &Plan) -> Result<Self> {
        let starting = Starting { programs, plan, peers: free_address()? };
        let process = match subject {
            Subject::Afflux => starting.afflux(),
            Subject::Libtorrent => starting.driver(&programs.python, "driver.py", LIBTORRENT_DRIVER, None),
            Subject::Webtorrent => {
                starting.driver(&programs.node, "driver.mjs", WEBTORRENT_DRIVER, Some(&programs.modules))
            }
            Subject::Rqbit => starting.rqbit(),
            Subject::Aria2 => starting.aria2(),
            Subject::Transmission => starting.transmission(),
            _ => bail!("{} is started as no daemon", subject.name()),
        }?;
        Ok(Self { process, peers: starting.peers })
    }
}

struct Starting<'a> {
    programs: &'a Programs,
    plan: &'a Plan<'a>,
    peers: SocketAddr,
}

impl Starting<'_> {
    fn afflux(&self) -> Result<Process> {
        let mut command = command(&self.programs.afflux, self.plan.folder);
        command.arg("--json").arg("--data-dir").arg(self.plan.folder.join("state"));
        if self.plan.count == 0 {
            command.args(["serve", "--auth-required", "false", "--port", "0"]);
        } else {
            command.arg("seed").args(self.torrents()?).arg("--output").arg(self.plan.files);
        }
        let room = self.plan.connections.to_string();
        command.args(["--no-dht", "--bind", "127.0.0.1", "--peer-port", &self.peers.port().to_string()]);
        command.args(["--max-conns", &room, "--max-peers", &room]);
        let mut process = Process::start(command, self.plan.folder, "afflux")?;
        process.hear(PATIENCE, |line| is_ready(line, self.plan.count).then_some(()))?;
        Ok(process)
    }

    /// A driver says "ready" when everything is verified.
    fn driver(&self, program: &Path, file: &str, text: &str, modules: Option<&PathBuf>) -> Result<Process> {
        let driver = self.plan.folder.join(file);
        fs::write(&driver, text).with_context(|| driver.display().to_string())?;
        let mut command = command(program, self.plan.folder);
        command.arg(&driver).args(modules);
        command.args([self.peers.port().to_string(), self.plan.connections.to_string()]);
        command.arg(self.plan.torrents).arg(self.plan.files);
        let mut process = Process::start(command, self.plan.folder, "driver")?;
        process.hear(PATIENCE, |line| (line == "ready").then_some(()))?;
        Ok(process)
    }

    fn rqbit(&self) -> Result<Process> {
        let host = free_address()?;
        let mut command = command(&self.programs.rqbit, self.plan.folder);
        command.args(["--http-api-listen-addr", &host.to_string()]);
        command.args(["--listen-ip", "127.0.0.1", "--listen-port", &self.peers.port().to_string()]);
        // As by default it hangs up on who is silent for ten seconds, which every peer may be.
        command.args([
            "--peer-limit",
            &self.plan.connections.to_string(),
            "--peer-read-write-timeout",
            "200s",
        ]);
        command.args(["--disable-dht", "--disable-lsd", "--disable-upnp-port-forward", "--disable-trackers"]);
        command.args(["server", "start", "--disable-persistence"]).arg(self.plan.files);
        let mut process = Process::start(command, self.plan.folder, "rqbit")?;
        wait_for_port(&mut process, host)?;
        for torrent in self.torrents()? {
            Response::post(&Url { host, path: "/torrents?overwrite=true".to_owned() }, &fs::read(torrent)?)?;
        }
        let list = Url { host, path: "/torrents?with_stats=true".to_owned() };
        self.wait(&mut process, || {
            let answer: Value = serde_json::from_slice(&fetch(&list)?)?;
            let is_done = |one: &Value| one["stats"]["finished"] == true && one["stats"]["state"] == "live";
            Ok(count(&answer["torrents"], is_done))
        })?;
        Ok(process)
    }

    fn aria2(&self) -> Result<Process> {
        let host = free_address()?;
        let mut command = command(Path::new("aria2c"), self.plan.folder);
        command.args(["--no-conf", "--quiet", "--enable-rpc", &format!("--rpc-listen-port={}", host.port())]);
        command.arg(format!("--listen-port={}", self.peers.port()));
        command.args([
            "--enable-dht=false",
            "--enable-dht6=false",
            "--bt-enable-lpd=false",
            "--disable-ipv6",
        ]);
        command.arg(format!("--bt-max-peers={}", self.plan.connections));
        command.arg(format!("--max-concurrent-downloads={}", self.plan.count.max(1)));
        command.args(["--seed-ratio=0.0", "--check-integrity=true"]).arg("--dir").arg(self.plan.files);
        command.args(self.torrents()?);
        let mut process = Process::start(command, self.plan.folder, "aria2")?;
        wait_for_port(&mut process, host)?;
        let rpc = Url { host, path: "/jsonrpc".to_owned() };
        let question =
            json!({"jsonrpc": "2.0", "id": "1", "method": "aria2.tellActive", "params": [["seeder"]]});
        self.wait(&mut process, || {
            let answer: Value =
                serde_json::from_slice(&Response::post(&rpc, question.to_string().as_bytes())?)?;
            Ok(count(&answer["result"], |one| one["seeder"] == "true"))
        })?;
        Ok(process)
    }

    fn transmission(&self) -> Result<Process> {
        let host = free_address()?;
        let room = self.plan.connections;
        // Copies: it renames what it has taken.
        let watched = self.plan.folder.join("watched");
        fs::create_dir_all(&watched).with_context(|| watched.display().to_string())?;
        for torrent in self.torrents()? {
            let name = torrent.file_name().context("a file has a name")?;
            fs::copy(&torrent, watched.join(name))?;
        }
        let settings = json!({
            "bind-address-ipv4": "127.0.0.1", "peer-port": self.peers.port(), "port-forwarding-enabled": false,
            "dht-enabled": false, "lpd-enabled": false, "pex-enabled": false, "utp-enabled": false,
            "peer-limit-global": room, "peer-limit-per-torrent": room, "upload-slots-per-torrent": 8,
            "rpc-bind-address": "127.0.0.1", "rpc-port": host.port(), "download-dir": self.plan.files,
            "watch-dir-enabled": true, "watch-dir": watched,
        });
        let state = self.plan.folder.join("state");
        fs::create_dir_all(&state)?;
        fs::write(state.join("settings.json"), settings.to_string())?;
        let mut command = command(Path::new("transmission-daemon"), self.plan.folder);
        command.args(["--foreground", "--log-error", "--config-dir"]).arg(&state);
        let mut process = Process::start(command, self.plan.folder, "transmission")?;
        wait_for_port(&mut process, host)?;
        self.wait(&mut process, || {
            let list = Command::new("transmission-remote", self.plan.folder)
                .args([host.to_string().as_str(), "--list"])
                .output()?;
            // Without peers, one that seeds is idle.
            let is_done =
                |line: &&str| line.contains("100%") && (line.contains("Idle") || line.contains("Seeding"));
            Ok(list.lines().filter(is_done).count())
        })?;
        Ok(process)
    }

    fn torrents(&self) -> Result<Vec<PathBuf>> {
        let folder = self.plan.torrents;
        let files = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
        Ok(files.map(|file| file.map(|file| file.path())).collect::<Result<_, _>>()?)
    }

    /// Looks again and again until as many are seeding as there are.
    fn wait(&self, process: &mut Process, mut seeding: impl FnMut() -> Result<usize>) -> Result<()> {
        if self.plan.count > 0 {
            process.until(PATIENCE, LOOK_EVERY, || Ok(seeding()? >= self.plan.count))?;
        }
        Ok(())
    }
}

/// Whether a line of Afflux says that so many torrents are seeding; without any, that it listens.
fn is_ready(line: &str, count: usize) -> bool {
    let Ok(line) = serde_json::from_str::<Value>(line) else { return false };
    match (count, line["event"].as_str()) {
        (0, Some("listening")) => true,
        (1, Some("status")) => line["state"] == "seeding",
        (2.., Some("status")) => line["seeding"] == count,
        _ => false,
    }
}

fn count(list: &Value, is_done: impl Fn(&Value) -> bool) -> usize {
    list.as_array().map_or(0, |list| list.iter().filter(|one| is_done(one)).count())
}

/// All of what a GET is answered with.
pub(crate) fn fetch(url: &Url) -> Result<Vec<u8>> {
    let mut response = Response::open(url, 0)?;
    let (mut answer, mut part) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        match response.read(&mut part, Duration::from_secs(30))?.context("no answer")? {
            0 => return Ok(answer),
            count => answer.extend_from_slice(&part[..count]),
        }
    }
}

pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

pub(crate) fn wait_for_port(process: &mut Process, host: SocketAddr) -> Result<()> {
    process.until(PATIENCE, Duration::from_millis(5), || Ok(TcpStream::connect(host).is_ok()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn afflux_is_ready_when_all_of_its_torrents_are() {
        assert!(is_ready(r#"{"event":"listening","url":"http://127.0.0.1:1"}"#, 0));
        assert!(is_ready(r#"{"event":"status","state":"seeding"}"#, 1));
        assert!(is_ready(r#"{"event":"status","seeding":5}"#, 5));
        for (line, count) in [
            (r#"{"event":"status","state":"checking"}"#, 1),
            (r#"{"event":"status","seeding":4}"#, 5),
            (r#"{"event":"seeding"}"#, 1),
            ("no JSON", 0),
        ] {
            assert!(!is_ready(line, count), "{line}");
        }
    }
}
