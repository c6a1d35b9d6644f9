//! A measured process: started, listened to, its processor time and memory read from outside, and surely ended.
//!
//! An ended process keeps its processor time until it is reaped; its memory is known by looking again and again.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::vitals::tree;
pub(crate) use super::vitals::{cpu_of, memory_of};
use crate::tools;

/// How often memory is looked at while something is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How long a process that is asked to end may take before it is killed.
const GOODBYE: Duration = Duration::from_secs(10);

/// What a process cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Spent {
    /// Since the mark.
    pub(crate) wall: Duration,
    /// User and system, since the mark.
    pub(crate) cpu: Duration,
    /// The most that was resident, in bytes: files that are mapped count.
    pub(crate) peak_rss: u64,
    /// The most that was resident and no file's.
    pub(crate) peak_anon: u64,
}

/// `program`, which the kernel ends with the thread that starts it: with the runner, however that ends. Settings for other
/// uses of the clients are taken from its environment.
pub(crate) fn command(program: &Path, folder: &Path) -> Command {
    prefixed(&bound_to_us(), program, folder)
}

/// The same, with its system calls counted into `calls`: slow, so for nothing that is timed.
pub(crate) fn counted(program: &Path, folder: &Path, calls: &Path) -> Result<Command> {
    if !tools::is_on_path("strace") {
        bail!("strace is missing (Debian: apt-get install strace)");
    }
    let calls = calls.to_str().context("the path is not UTF-8")?;
    let bound = bound_to_us();
    let strace = ["strace", "-f", "-c", "-o", calls];
    Ok(prefixed(&[&bound[..], &strace, &bound].concat(), program, folder))
}

/// How many calls strace counted.
pub(crate) fn calls_in(summary: &Path) -> Result<u64> {
    let text = fs::read_to_string(summary).with_context(|| summary.display().to_string())?;
    let total = text.lines().rev().find(|line| line.ends_with(" total")).context("strace counted nothing")?;
    total.split_whitespace().nth(3).and_then(|calls| calls.parse().ok()).context("strace's sum can't be read")
}

fn bound_to_us() -> Vec<&'static str> {
    if tools::is_on_path("setpriv") { vec!["setpriv", "--pdeathsig", "KILL"] } else { Vec::new() }
}

fn prefixed(prefix: &[&str], program: &Path, folder: &Path) -> Command {
    let mut command = match prefix {
        [] => Command::new(program),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
    };
    for (name, _) in std::env::vars().filter(|(name, _)| is_setting(name)) {
        command.env_remove(name);
    }
    command.current_dir(folder);
    command
}

/// Settings of the clients that are taken from the environment.
fn is_setting(name: &str) -> bool {
    ["AFFLUX_", "RQBIT_", "STREAM_", "WEBTORRENT_"].iter().any(|start| name.starts_with(start))
        || ["MAX_PEERS", "TORRENT_TIMEOUT", "PEER_TIMEOUT", "ANNOUNCE_TIMEOUT"].contains(&name)
}

/// A running process. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    /// What it prints, and when.
    lines: Receiver<(Instant, String)>,
    marked_at: Instant,
    marked_cpu: Duration,
    /// When it was seen to have ended.
    ended_at: Option<Instant>,
    looked_at: Instant,
    peak_rss: u64,
    peak_anon: u64,
}

impl Process {
    /// Starts it; what it says on standard error goes to `NAME.log` in `folder`.
    pub(crate) fn start(mut command: Command, folder: &Path, name: &str) -> Result<Self> {
        let log: PathBuf = folder.join(format!("{name}.log"));
        let log = File::create(&log).with_context(|| log.display().to_string())?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let marked_at = Instant::now();
        let mut child = command.spawn().with_context(|| format!("{name} can't be started"))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("it has no standard output")?;
        let (said, lines) = mpsc::channel();
        thread::spawn(move || {
            // Reads on until the process ends, so that it never waits for us.
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                let _ = said.send((Instant::now(), String::from_utf8_lossy(&line).into_owned()));
            }
        });
        Ok(Self {
            child,
            stdin,
            lines,
            marked_at,
            marked_cpu: Duration::ZERO,
            ended_at: None,
            looked_at: marked_at,
            peak_rss: 0,
            peak_anon: 0,
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// From here on it is measured: what it did to get ready doesn't count.
    pub(crate) fn mark(&mut self) {
        self.marked_at = Instant::now();
        self.marked_cpu = cpu_of(self.id());
    }

    /// What it cost from the mark until now, or until it ended.
    pub(crate) fn spent(&mut self) -> Spent {
        self.look();
        let until = self.ended_at.unwrap_or_else(Instant::now);
        Spent {
            wall: until.saturating_duration_since(self.marked_at),
            cpu: cpu_of(self.id()).saturating_sub(self.marked_cpu),
            peak_rss: self.peak_rss,
            peak_anon: self.peak_anon,
        }
    }

    /// Since the mark.
    pub(crate) fn marked_at(&self) -> Instant {
        self.marked_at
    }

    /// Gives it a line.
    pub(crate) fn say(&mut self, line: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().context("it has no standard input")?;
        writeln!(stdin, "{line}").context("it doesn't listen any more")
    }

    /// Waits for a line that `wanted` makes something of, and says when it came.
    pub(crate) fn hear<T>(
        &mut self,
        patience: Duration,
        wanted: impl FnMut(&str) -> Option<T>,
    ) -> Result<(Instant, T)> {
        self.hear_while(patience, || {}, wanted)
    }

    /// The same, and something is done all along.
    pub(crate) fn hear_while<T>(
        &mut self,
        patience: Duration,
        mut meanwhile: impl FnMut(),
        mut wanted: impl FnMut(&str) -> Option<T>,
    ) -> Result<(Instant, T)> {
        let give_up = Instant::now() + patience;
        loop {
            self.look();
            meanwhile();
            match self.lines.recv_timeout(LOOK_EVERY) {
                Ok((at, line)) => {
                    if let Some(found) = wanted(&line) {
                        return Ok((at, found));
                    }
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() < give_up => {}
                Err(RecvTimeoutError::Timeout) => bail!("it took longer than {} s", patience.as_secs()),
                Err(RecvTimeoutError::Disconnected) => bail!("it ended before it was done"),
            }
        }
    }

    /// Asks `is_done` each `every` until it is.
    pub(crate) fn until(
        &mut self,
        patience: Duration,
        every: Duration,
        mut is_done: impl FnMut() -> Result<bool>,
    ) -> Result<Instant> {
        let give_up = Instant::now() + patience;
        while !is_done()? {
            if self.has_ended()?.is_some() {
                bail!("it ended before it was done");
            }
            if Instant::now() >= give_up {
                bail!("it took longer than {} s", patience.as_secs());
            }
            self.look();
            thread::sleep(every);
        }
        Ok(Instant::now())
    }

    /// Waits until it ends by itself, well. What it printed meanwhile can be heard afterwards.
    pub(crate) fn end(&mut self, patience: Duration) -> Result<Spent> {
        // A driver ends when this closes.
        self.stdin = None;
        let give_up = Instant::now() + patience;
        loop {
            if let Some(code) = self.has_ended()? {
                if code != 0 {
                    bail!("it failed (exit status {code})");
                }
                return Ok(self.spent());
            }
            if Instant::now() >= give_up {
                bail!("it took longer than {} s", patience.as_secs());
            }
            self.look();
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Asks it to end, and kills it if it doesn't. What it cost until it was asked.
    pub(crate) fn stop(&mut self) -> Result<Spent> {
        let spent = self.spent();
        self.stdin = None;
        signal(self.subject_id(), Signal::TERM);
        let give_up = Instant::now() + GOODBYE;
        while self.has_ended()?.is_none() && Instant::now() < give_up {
            thread::sleep(LOOK_EVERY);
        }
        Ok(spent)
    }

    /// Under strace it is the traced one that has to go.
    fn subject_id(&self) -> u32 {
        let id = self.id();
        let is_strace = fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name == "strace\n");
        if is_strace { tree(id).get(1).copied().unwrap_or(id) } else { id }
    }

    /// Its exit status, once it ended. It isn't reaped, so that its figures stay.
    fn has_ended(&mut self) -> Result<Option<i32>> {
        let pid = pid(self.id()).context("a process has an id")?;
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let Some(status) = waitid(WaitId::Pid(pid), options)? else { return Ok(None) };
        self.ended_at.get_or_insert_with(Instant::now);
        Ok(Some(status.exit_status().unwrap_or(-1)))
    }

    /// Looks at its memory, unless it was just looked at.
    pub(crate) fn look(&mut self) {
        if self.looked_at.elapsed() < LOOK_EVERY {
            return;
        }
        self.looked_at = Instant::now();
        let memory = memory_of(self.id());
        self.peak_rss = self.peak_rss.max(memory.peak_rss);
        self.peak_anon = self.peak_anon.max(memory.anon);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        for id in tree(self.id()) {
            if id != self.id() {
                signal(id, Signal::KILL);
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pid(id: u32) -> Option<Pid> {
    Pid::from_raw(id as i32)
}

fn signal(id: u32, signal: Signal) {
    if let Some(pid) = pid(id) {
        let _ = kill_process(pid, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        let folder = std::env::temp_dir();
        let mut command = command(Path::new("sh"), &folder);
        command.args(["-c", script]).env("LC_ALL", "C");
        let name = format!("afflux-xtask-{}-{}", std::process::id(), script.len());
        let process = Process::start(command, &folder, &name).unwrap();
        let _ = fs::remove_file(folder.join(format!("{name}.log")));
        process
    }

    #[test]
    fn the_time_of_an_ended_process_is_known() {
        let mut process = shell("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done");
        let spent = process.end(Duration::from_secs(60)).unwrap();
        assert!(spent.cpu > Duration::ZERO && spent.wall >= spent.cpu / 2, "{spent:?}");
        assert!(spent.peak_rss > 0 && spent.peak_anon > 0, "{spent:?}");
    }

    #[test]
    fn what_was_before_the_mark_does_not_count() {
        let mut process =
            shell("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo ready; read go; exit 0");
        process.hear(Duration::from_secs(60), |line| (line == "ready").then_some(())).unwrap();
        let before = process.spent().cpu;
        process.mark();
        process.say("go").unwrap();
        let spent = process.end(Duration::from_secs(60)).unwrap();
        assert!(spent.cpu < before, "{spent:?} {before:?}");
    }

    #[test]
    fn a_failure_is_told() {
        assert!(
            shell("exit 3").end(Duration::from_secs(60)).unwrap_err().to_string().contains("exit status 3")
        );
        assert!(shell("exit 0").hear(Duration::from_secs(60), |_| Some(())).is_err());
    }

    #[test]
    fn who_is_asked_to_end_ends() {
        let mut process = shell("echo ready; read never");
        process.hear(Duration::from_secs(60), |line| (line == "ready").then_some(())).unwrap();
        process.stop().unwrap();
        assert!(process.has_ended().unwrap().is_some());
    }
}
