//! The program under test.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::Scratch;
use super::namespace::Namespace;
use super::process::Process;

/// Options that keep a run to itself: loopback only, any free peer port, no DHT.
pub(crate) const ALONE: [&str; 5] = ["--bind", "127.0.0.1", "--peer-port", "0", "--no-dht"];

/// One run of `afflux`, to be filled with arguments.
pub(crate) struct Afflux<'a> {
    scratch: &'a Scratch,
    name: String,
    command: Command,
}

impl<'a> Afflux<'a> {
    /// A run that keeps its state in `scratch` under `name`; runs of the same name share it.
    pub(crate) fn new(scratch: &'a Scratch, name: &str) -> Self {
        Self::plain(scratch, name).prepared()
    }

    /// A run without any argument yet: state goes where the platform says.
    pub(crate) fn plain(scratch: &'a Scratch, name: &str) -> Self {
        Self { scratch, name: name.to_owned(), command: Command::new(binary()) }.unset()
    }

    /// The same, in a network namespace.
    pub(crate) fn within(namespace: &Namespace, scratch: &'a Scratch, name: &str) -> Self {
        Self { scratch, name: name.to_owned(), command: namespace.command(binary()) }.unset().prepared()
    }

    /// The same, from a shell that allows only so many open files unless asked for more.
    pub(crate) fn within_files(scratch: &'a Scratch, name: &str, files: u32) -> Self {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("ulimit -S -n {files} && exec \"$0\" \"$@\"")).arg(binary());
        Self { scratch, name: name.to_owned(), command }.unset().prepared()
    }

    /// What the person who runs the tests has set is none of the tests' business.
    fn unset(mut self) -> Self {
        for (variable, _) in std::env::vars_os() {
            let named = variable.to_string_lossy().into_owned();
            let ours = ["WEBTORRENT_", "STREAM_", "AFFLUX_", "MAX_PEERS", "MAX_CONC", "PEER_TIMEOUT"];
            if ours.iter().any(|prefix| named.starts_with(prefix)) {
                self.command.env_remove(&variable);
            }
        }
        self
    }

    fn prepared(mut self) -> Self {
        let state = self.scratch.path(&format!("{}.state", self.name));
        self.command.arg("--data-dir").arg(state).args(["--log", "info,afflux=debug"]);
        self
    }

    pub(crate) fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts it.
    pub(crate) fn start(mut self) -> Process {
        Process::start(self.scratch, &self.name, &mut self.command)
    }

    /// Runs it to a good end and returns the JSON objects it printed.
    pub(crate) fn succeed(self) -> Vec<Value> {
        let mut process = self.arg("--json").start();
        process.succeed();
        process.objects()
    }
}

/// Where the program is.
pub(crate) fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_afflux"))
}

/// Makes a .torrent of `path` with `afflux create`.
pub(crate) fn create(scratch: &Scratch, path: &Path, piece_length: u32, more: &[&str]) -> PathBuf {
    let name = path.file_name().expect("a payload has a name").to_string_lossy().into_owned();
    let torrent = scratch.path(&format!("{name}.torrent"));
    Afflux::new(scratch, "create")
        .arg("create")
        .arg(path)
        .arg("-o")
        .arg(&torrent)
        .args(["--piece-length", &piece_length.to_string()])
        .args(more)
        .succeed();
    torrent
}

/// What `afflux inspect --json` says of `source`.
pub(crate) fn inspect(scratch: &Scratch, source: &Path) -> Value {
    let objects = Afflux::new(scratch, "inspect").arg("inspect").arg(source).succeed();
    objects.into_iter().next_back().expect("inspect prints an object")
}

/// The v1 info-hash of a .torrent, in hex.
pub(crate) fn info_hash(scratch: &Scratch, torrent: &Path) -> String {
    inspect(scratch, torrent)["infoHash"].as_str().expect("a v1 torrent").to_owned()
}
