//! A program below limits that it can't raise, in a process group of its own that ends with whoever asked.
//!
//! The limits are set by a shell, which then becomes the program: between `fork` and `exec` there is no place for code of ours without
//! `unsafe`, and a program that is limited after its start has begun without. Every system that we run on has `sh` and `nice`. A
//! limit that can't be set is a program that isn't started.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::limits::{ANSWER_BYTES_MAX, COMPLAINT_BYTES_MAX, CPU_SECONDS_MAX, FILES_MAX, MEMORY_KIB_MAX};

/// No core files, no files at all, so many open ones, so many seconds, so much memory; then the rest of the arguments, behind
/// everything else that runs.
const CONFINE: &str = "ulimit -c 0 && ulimit -f 0 && ulimit -n \"$1\" && ulimit -t \"$2\" && { test \"$3\" = 0 || ulimit -v \"$3\"; } || exit 125
    shift 3
    exec nice -n 10 \"$@\"";

/// The shell's end when a limit can't be set.
const UNCONFINED: i32 = 125;

/// A program that is to be run.
#[derive(Debug)]
pub(super) struct Confined {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    /// How long it may run.
    pub(super) time_max: Duration,
}

/// Why a program didn't end well.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unwell {
    /// It doesn't start, or not below its limits.
    NotStarted(String),
    /// It ran too long.
    TimedOut,
    /// It said too much.
    TooLong,
    /// Something ended it: mostly a limit.
    Killed,
    /// It ended by itself, with this complaint.
    Failed(String),
}

impl Confined {
    /// Runs it to its end, and gives what it said on standard output. Dropping this ends it, with all that it started.
    pub(super) async fn run(&self) -> Result<Vec<u8>, Unwell> {
        let mut group = Group(self.command().spawn().map_err(|error| Unwell::NotStarted(error.to_string()))?);
        match timeout(self.time_max, group.answer()).await {
            Ok(answer) => answer,
            Err(_) => Err(Unwell::TimedOut),
        }
    }

    fn command(&self) -> Command {
        // macOS has no limit of address space that could be set, and goes without.
        let memory = if cfg!(target_os = "macos") { 0 } else { MEMORY_KIB_MAX };
        let limits = [FILES_MAX, CPU_SECONDS_MAX, memory].map(|limit| limit.to_string());
        let mut command = Command::new("/bin/sh");
        command.args(["-c", CONFINE, "sh"]).args(limits).arg(&self.program).args(&self.arguments);
        // Variables name proxies, among others; the shell finds `nice` by this one.
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.current_dir("/").process_group(0).kill_on_drop(true);
        command
    }
}

/// A program under way.
struct Group(Child);

impl Group {
    async fn answer(&mut self) -> Result<Vec<u8>, Unwell> {
        let (stdout, stderr) = (self.0.stdout.take(), self.0.stderr.take());
        // Read side by side, or the one that isn't read would hold up the program.
        let (answer, complaint) = tokio::try_join!(whole(stdout), beginning(stderr))?;
        let status = self.0.wait().await.map_err(|error| Unwell::NotStarted(error.to_string()))?;
        judge(status, answer, complaint)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Once it was waited for, its number may be another's.
        let id = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(leader) = id {
            // What is gone already needn't be killed.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

fn judge(status: ExitStatus, answer: Vec<u8>, complaint: String) -> Result<Vec<u8>, Unwell> {
    match status.code() {
        Some(0) => Ok(answer),
        Some(UNCONFINED) => Err(Unwell::NotStarted(format!("its limits can't be set: {complaint}"))),
        // A shell's words for a program that isn't there, or isn't one.
        Some(126 | 127) => Err(Unwell::NotStarted(complaint)),
        Some(_) => Err(Unwell::Failed(complaint)),
        None => Err(Unwell::Killed),
    }
}

/// All that is said, if it isn't too much.
async fn whole(stream: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, Unwell> {
    let Some(stream) = stream else { return Ok(Vec::new()) };
    let mut bytes = Vec::new();
    let read = stream.take(ANSWER_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).await;
    match read {
        Ok(count) if count <= ANSWER_BYTES_MAX => Ok(bytes),
        Ok(_) => Err(Unwell::TooLong),
        Err(error) => Err(Unwell::Failed(error.to_string())),
    }
}

/// How it begins; the rest is read and forgotten.
async fn beginning(stream: Option<impl AsyncRead + Unpin>) -> Result<String, Unwell> {
    let Some(mut stream) = stream else { return Ok(String::new()) };
    let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        let room = COMPLAINT_BYTES_MAX - kept.len();
        kept.extend_from_slice(&buffer[..count.min(room)]);
    }
    Ok(String::from_utf8_lossy(&kept).trim().to_owned())
}
