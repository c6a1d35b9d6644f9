//! Other people's clients: how each is told to seed or to fetch one torrent, and nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::namespace::{FAR, Namespace};
use super::process::{Process, tool};
use super::{Scratch, free_port, repository, wait_for};

/// The driver of libtorrent with `arguments`.
pub(crate) fn libtorrent(arguments: &[&str]) -> Command {
    let python = repository("target/venv/bin/python");
    assert!(
        python.is_file(),
        "libtorrent is missing: python3 -m venv target/venv && target/venv/bin/pip install libtorrent==2.1.1"
    );
    let mut command = Command::new(python);
    command.arg("-Wignore").arg(repository("tests/interop/peers/lt.py")).args(arguments);
    command
}

/// A libtorrent session on loopback.
pub(crate) struct Libtorrent {
    pub(crate) process: Process,
    pub(crate) address: String,
}

impl Libtorrent {
    /// Seeds or fetches: `--torrent F` or `--magnet M`, `--save DIR` and more in `arguments`.
    pub(crate) fn session(scratch: &Scratch, name: &str, arguments: &[&str]) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = libtorrent(&["session", "--listen", &address]);
        let mut process = Process::start(scratch, name, command.args(arguments));
        process.event("listening");
        Self { process, address }
    }

    /// Seeds the payload of `torrent` that is in `save`.
    pub(crate) fn seed(scratch: &Scratch, torrent: &Path, save: &Path, more: &[&str]) -> Self {
        let (torrent, save) = (torrent.to_string_lossy(), save.to_string_lossy());
        let mut arguments = vec!["--torrent", &torrent, "--save", &save];
        arguments.extend(more);
        let mut session = Self::session(scratch, "libtorrent-seed", &arguments);
        session.process.event("seeding");
        session
    }
}

/// What libtorrent reads in a .torrent.
pub(crate) fn libtorrent_info(torrent: &Path) -> Value {
    one_object(&mut libtorrent(&["info", &torrent.to_string_lossy()]))
}

/// Makes a v1 .torrent with libtorrent.
pub(crate) fn libtorrent_create(path: &Path, torrent: &Path, piece_length: u32) -> Value {
    let length = piece_length.to_string();
    let (path, torrent) = (path.to_string_lossy(), torrent.to_string_lossy());
    one_object(&mut libtorrent(&["create", &path, &torrent, "--piece-length", &length]))
}

fn one_object(command: &mut Command) -> Value {
    let output = command.output().expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("the driver prints JSON")
}

/// aria2 on loopback, seeding or fetching the payload of `torrent` in `folder`. It asks no tracker and no DHT.
pub(crate) fn aria2(scratch: &Scratch, torrent: &Path, folder: &Path, port: u16) -> Process {
    let mut command = Command::new(tool("aria2c", "aria2"));
    command
        .args(["--no-conf=true", "--interface=127.0.0.1", "--enable-dht=false", "--enable-dht6=false"])
        .args([
            "--bt-enable-lpd=false",
            "--enable-peer-exchange=false",
            "--seed-ratio=0.0",
            "--file-allocation=none",
        ])
        .args([
            "--check-integrity=true",
            "--allow-overwrite=true",
            "--summary-interval=1",
            "--console-log-level=notice",
        ])
        .arg(format!("--listen-port={port}"))
        .arg(format!("--dir={}", folder.display()))
        .arg(torrent);
    let process = Process::start(scratch, "aria2", &mut command);
    // It listens once it has looked at the files; a peer that dials too early tries again much later.
    wait_for("aria2 listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    process
}

/// Transmission at the far end of a cable.
pub(crate) struct Transmission<'a> {
    far: &'a Namespace,
    _daemon: Process,
}

impl<'a> Transmission<'a> {
    /// Its peer address.
    pub(crate) fn address() -> String {
        format!("{FAR}:51413")
    }

    /// Starts the daemon, which saves to and seeds from `folder`.
    pub(crate) fn start(scratch: &Scratch, far: &'a Namespace, folder: &Path) -> Self {
        let config = scratch.folder("transmission");
        let settings = serde_json::json!({
            "bind-address-ipv4": FAR, "peer-port": 51413, "download-dir": folder,
            "dht-enabled": false, "lpd-enabled": false, "pex-enabled": false, "utp-enabled": false,
            "port-forwarding-enabled": false, "incomplete-dir-enabled": false, "rename-partial-files": false,
            "rpc-enabled": true, "rpc-bind-address": "127.0.0.1", "rpc-authentication-required": false,
            "encryption": 0, "preallocation": 0, "umask": 0,
        });
        std::fs::write(config.join("settings.json"), settings.to_string()).expect("our own folder");
        let daemon = tool("transmission-daemon", "transmission-daemon");
        let mut command = far.command(daemon);
        let daemon = Process::start(scratch, "transmission", command.args(["-f", "-g"]).arg(&config));
        let started = Self { far, _daemon: daemon };
        wait_for("Transmission's remote control answers", || started.remote(&["-l"]));
        started
    }

    /// Adds a .torrent or magnet.
    pub(crate) fn add(&self, source: &str) {
        let answer = self.remote(&["-a", source]);
        assert!(
            answer.as_ref().is_some_and(|text| text.contains("success")),
            "{source} is refused: {answer:?}"
        );
    }

    /// Waits until its only torrent is complete.
    pub(crate) fn complete(&self) {
        wait_for("Transmission has everything", || {
            self.remote(&["-t", "1", "-i"]).filter(|text| text.contains("Percent Done: 100%"))
        });
    }

    fn remote(&self, arguments: &[&str]) -> Option<String> {
        let remote = tool("transmission-remote", "transmission-cli");
        let output = self.far.command(remote).arg("127.0.0.1:9091").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// opentracker on loopback, TCP and UDP on one port.
pub(crate) struct Opentracker {
    _process: Process,
    pub(crate) port: u16,
}

impl Opentracker {
    /// Starts it for the torrents with these info-hashes: Debian builds it to know no others.
    pub(crate) fn start(scratch: &Scratch, hashes: &[&str]) -> Self {
        let root: PathBuf = scratch.folder("opentracker");
        std::fs::write(root.join("whitelist.txt"), hashes.join("\n") + "\n").expect("our own folder");
        let port = free_port();
        let text = port.to_string();
        let mut command = Command::new(tool("opentracker", "opentracker"));
        command.args(["-i", "127.0.0.1", "-p", &text, "-P", &text, "-w", "whitelist.txt", "-d"]).arg(&root);
        let process = Process::start(scratch, "opentracker", &mut command);
        wait_for("opentracker listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        Self { _process: process, port }
    }
}
