//! Child processes: each in a group of its own that is killed when the test lets go of it, with what it said kept in
//! files and shown when the test fails.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

use serde_json::Value;

use super::{Scratch, wait_for};

/// Of what a process said, this much is shown when its test fails.
const SHOWN_LINES: usize = 60;

/// A running program.
pub(crate) struct Process {
    name: String,
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Process {
    /// Starts `command`; its output goes to files in `scratch` named after `name`.
    pub(crate) fn start(scratch: &Scratch, name: &str, command: &mut Command) -> Self {
        let (out, err) = (scratch.path(&format!("{name}.out")), scratch.path(&format!("{name}.err")));
        let open = |path: &PathBuf| File::create(path).expect("a log file in our own folder");
        let child = command
            .stdin(Stdio::piped())
            .stdout(open(&out))
            .stderr(open(&err))
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{:?} can't be started: {error}", command.get_program()));
        Self { name: name.to_owned(), child, out, err }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said on standard output so far.
    pub(crate) fn stdout(&self) -> String {
        read(&self.out)
    }

    /// What it has said on standard error so far.
    pub(crate) fn stderr(&self) -> String {
        read(&self.err)
    }

    /// Its standard input, for programs that are steered by it.
    pub(crate) fn stdin(&mut self) -> &mut ChildStdin {
        self.child.stdin.as_mut().expect("standard input is a pipe")
    }

    /// The JSON objects it has printed so far; a line half written isn't one yet.
    pub(crate) fn objects(&self) -> Vec<Value> {
        self.stdout().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for the first JSON object whose `event` is `event`. A process that ends without it has failed.
    pub(crate) fn event(&mut self, event: &str) -> Value {
        let name = self.name.clone();
        wait_for(&format!("{name} says {event:?}"), || {
            let ended = self.ended();
            let found = self.objects().into_iter().find(|object| object["event"] == event);
            assert!(found.is_some() || ended.is_none(), "{name} ended ({ended:?}) without {event:?}");
            found
        })
    }

    /// Waits for a line on standard error that contains `text`.
    pub(crate) fn logged(&mut self, text: &str) -> String {
        wait_for(&format!("{} logs {text:?}", self.name), || {
            self.stderr().lines().find(|line| line.contains(text)).map(str::to_owned)
        })
    }

    /// Waits until it has said `text` on standard output.
    pub(crate) fn said(&mut self, text: &str) {
        let name = self.name.clone();
        wait_for(&format!("{name} says {text:?}"), || self.stdout().contains(text).then_some(()));
    }

    /// Its exit status, if it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the child is ours")
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let name = self.name.clone();
        wait_for(&format!("{name} ends"), || self.ended())
    }

    /// Waits for its end, which must be a good one.
    pub(crate) fn succeed(&mut self) {
        let status = self.wait();
        assert!(status.success(), "{} ended with {status}: {}", self.name, self.stderr());
    }

    /// Sends a signal (`TERM`, `KILL`, …) to the whole group.
    pub(crate) fn signal(&self, signal: &str) {
        let target = format!("-{}", self.child.id());
        let sent = Command::new("kill").args(["-s", signal, "--", &target]).stderr(Stdio::null()).status();
        sent.expect("kill is part of every system");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal("KILL");
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            for (stream, text) in [("stdout", self.stdout()), ("stderr", self.stderr())] {
                let lines: Vec<&str> = text.lines().collect();
                let tail = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
                eprintln!("--- {} {stream}, the last of {} lines", self.name, lines.len());
                tail.iter().for_each(|line| eprintln!("{line}"));
            }
        }
    }
}

fn read(path: &PathBuf) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

/// The path of a program that a test needs; without it the test fails by its name.
pub(crate) fn tool(name: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = folders.map(|folder: PathBuf| folder.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{name} is missing: apt install {package} (cargo xtask test does it)"))
}
