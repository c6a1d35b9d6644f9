//! Clients, and nginx, that serve a torrent's file over HTTP.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::daemon::{fetch, free_address, wait_for_port};
use super::http::{Response, Url};
use super::install::Programs;
use super::process::{Process, command};
use super::subject::Subject;

const LIBTORRENT_DRIVER: &str = include_str!("clients/libtorrent_stream.py");
const WEBTORRENT_DRIVER: &str = include_str!("clients/webtorrent_stream.mjs");
const PEERFLIX_DRIVER: &str = include_str!("clients/peerflix_stream.mjs");

/// How long one may take to start, and to verify what is there already.
const PATIENCE: Duration = Duration::from_secs(120);

/// Seconds of requests that libtorrent keeps asked of a peer: its default.
const QUEUE_SECONDS: &str = "3";

/// What is to be served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Show<'a> {
    pub(crate) torrent: &'a Path,
    /// Folder of the file: complete, or to be filled.
    pub(crate) film: &'a Path,
    pub(crate) is_complete: bool,
    /// For the client's own state.
    pub(crate) folder: &'a Path,
}

/// A client that serves. Its process is marked when it is told of the torrent.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) process: Process,
    pub(crate) url: Url,
}

impl Serving {
    /// Starts `subject`, and waits until it says where it serves; a complete file is verified by then.
    pub(crate) fn start(subject: Subject, programs: &Programs, show: &Show) -> Result<Self> {
        let starting = Starting { programs, show };
        match subject {
            Subject::Afflux => starting.afflux(),
            Subject::Libtorrent => {
                starting.driver(&programs.python, "driver.py", LIBTORRENT_DRIVER, Path::new(QUEUE_SECONDS))
            }
            Subject::Webtorrent => starting.node(WEBTORRENT_DRIVER),
            Subject::Peerflix => starting.node(PEERFLIX_DRIVER),
            Subject::Rqbit => starting.rqbit(),
            Subject::Nginx => starting.nginx(),
            _ => bail!("{} serves no files over HTTP", subject.name()),
        }
    }
}

struct Starting<'a> {
    programs: &'a Programs,
    show: &'a Show<'a>,
}

impl Starting<'_> {
    /// In memory, as by default; what is complete, from disk.
    fn afflux(&self) -> Result<Serving> {
        let mut command = command(&self.programs.afflux, self.show.folder);
        command.arg("--json").arg("--data-dir").arg(self.show.folder.join("state"));
        command.arg("stream").arg(self.show.torrent).args(["--file", "0", "--no-dht", "--port", "0"]);
        command.args(["--allow-local-addresses", "--bind", "127.0.0.1", "--peer-port", "0"]);
        if self.show.is_complete {
            command.arg("--keep").arg("--output").arg(self.show.film);
        }
        let mut process = Process::start(command, self.show.folder, "afflux")?;
        let (_, url) = process.hear(PATIENCE, |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["event"] == "ready").then(|| line["url"].as_str().map(str::to_owned))?
        })?;
        Ok(Serving { process, url: Url::parse(&url)? })
    }

    fn node(&self, text: &str) -> Result<Serving> {
        self.driver(&self.programs.node, "driver.mjs", text, &self.programs.modules)
    }

    /// A driver: says when it is ready, adds the torrent when it gets a line, says where it serves.
    fn driver(&self, program: &Path, file: &str, text: &str, first_argument: &Path) -> Result<Serving> {
        let driver = self.show.folder.join(file);
        fs::write(&driver, text).with_context(|| driver.display().to_string())?;
        let mut command = command(program, self.show.folder);
        command.arg(&driver).arg(first_argument).arg(self.show.torrent).arg(self.show.film);
        let mut process = Process::start(command, self.show.folder, "driver")?;
        process.hear(PATIENCE, |line| (line == "ready").then_some(()))?;
        process.mark();
        process.say("go")?;
        let (_, url) = process.hear(PATIENCE, |line| line.strip_prefix("url ").map(str::to_owned))?;
        Ok(Serving { process, url: Url::parse(&url)? })
    }

    fn rqbit(&self) -> Result<Serving> {
        let host = free_address()?;
        let url = |path: &str| Url { host, path: path.to_owned() };
        let mut command = command(&self.programs.rqbit, self.show.folder);
        command.args(["--http-api-listen-addr", &host.to_string()]);
        command.args(["--disable-dht", "--disable-lsd", "--disable-upnp-port-forward"]);
        command.args(["server", "start", "--disable-persistence"]).arg(self.show.film);
        let mut process = Process::start(command, self.show.folder, "rqbit")?;
        wait_for_port(&mut process, host)?;
        let torrent = fs::read(self.show.torrent)?;
        process.mark();
        Response::post(&url("/torrents?overwrite=true"), &torrent)?;
        if self.show.is_complete {
            let stats = url("/torrents/0/stats/v1");
            process.until(PATIENCE, Duration::from_millis(100), || {
                let stats: Value = serde_json::from_slice(&fetch(&stats)?)?;
                Ok(stats["finished"] == true && stats["state"] == "live")
            })?;
        }
        Ok(Serving { process, url: url("/torrents/0/stream/0") })
    }

    /// One process, which is enough for what two cores carry beside the readers.
    fn nginx(&self) -> Result<Serving> {
        let host = free_address()?;
        let prefix = self.show.folder;
        let settings = prefix.join("nginx.conf");
        let root = self.show.film.display();
        let text = format!(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log error.log;\n\
             events {{ worker_connections 256; }}\n\
             http {{\n  access_log off;\n  sendfile on;\n  tcp_nopush on;\n  keepalive_requests 1000000;\n  \
             client_body_temp_path body;\n  proxy_temp_path proxy;\n  fastcgi_temp_path fastcgi;\n  \
             uwsgi_temp_path uwsgi;\n  scgi_temp_path scgi;\n  \
             server {{ listen {host}; location / {{ root \"{root}\"; }} }}\n}}\n"
        );
        fs::write(&settings, text).with_context(|| settings.display().to_string())?;
        let mut command = command(Path::new("nginx"), prefix);
        command.arg("-p").arg(prefix).arg("-c").arg(&settings).arg("-e").arg(prefix.join("error.log"));
        let mut process = Process::start(command, prefix, "nginx")?;
        wait_for_port(&mut process, host)?;
        let name = file_in(self.show.film)?;
        Ok(Serving { process, url: Url { host, path: format!("/{name}") } })
    }
}

/// The name of the one file in a folder.
fn file_in(folder: &Path) -> Result<String> {
    let mut files = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let file: PathBuf = files.next().context("there is nothing to serve")??.path();
    let name = file.file_name().and_then(|name| name.to_str()).context("a name that is not UTF-8")?;
    Ok(name.to_owned())
}
