//! aria2: its command line.

use std::net::SocketAddrV4;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{Contender, Done, Job, PATIENCE, free_port, wait_for_port};
use crate::bench::install::Programs;
use crate::bench::payload::Seeders;
use crate::bench::process::Process;

pub(super) struct Aria2;

impl Contender for Aria2 {
    /// It takes peers from the tracker only.
    fn download(&self, job: &Job, _seeders: &mut Seeders) -> Result<Done> {
        let mut command = command(job, free_port()?)?;
        // Else it fills the file with zeros first.
        command.args(["--file-allocation=none", "--seed-time=0"]);
        finish(job, command)
    }

    fn seed(&self, job: &Job, address: SocketAddrV4) -> Result<Process> {
        let mut command = command(job, address.port())?;
        command.args(["--bt-seed-unverified=true", "--seed-ratio=0.0", "--check-integrity=false"]);
        job.start(command)
    }

    fn check(&self, job: &Job) -> Result<Done> {
        let mut command = command(job, free_port()?)?;
        command.args(["--check-integrity=true", "--hash-check-only=true", "--seed-time=0"]);
        finish(job, command)
    }

    fn program<'a>(&self, _: &'a Programs) -> Option<&'a Path> {
        Some(Path::new("aria2c"))
    }

    fn daemon(&self, job: &Job) -> Result<Process> {
        let port = free_port()?;
        let mut command = job.command(Path::new("aria2c"))?;
        command.args(["--no-conf=true", "--quiet=true", "--enable-dht=false", "--bt-enable-lpd=false"]);
        command.arg("--enable-rpc=true").arg(format!("--rpc-listen-port={port}"));
        let mut process = job.start(command)?;
        wait_for_port(&mut process, port)?;
        Ok(process)
    }
}

fn command(job: &Job, port: u16) -> Result<Command> {
    let mut command = job.command(Path::new("aria2c"))?;
    command.args(["--no-conf=true", "--console-log-level=notice", "--show-console-readout=false"]);
    command.args(["--enable-dht=false", "--bt-enable-lpd=false"]);
    command.arg(format!("--listen-port={port}")).arg(format!("--dir={}", job.folder.display()));
    // A second run finds the file and no control file beside it.
    command.arg("--allow-overwrite=true").arg(job.torrent);
    Ok(command)
}

/// It says that all is there, and then takes a moment to tell the tracker.
fn finish(job: &Job, command: Command) -> Result<Done> {
    let mut process = job.start(command)?;
    let is_done = |line: &str| {
        ["complete", "Verification finished", "Seeding is over"].iter().any(|it| line.contains(it))
    };
    let (at, ()) = process.hear(PATIENCE, |line| is_done(line).then_some(()))?;
    let wall = at.duration_since(process.marked_at());
    let mut spent = process.end(PATIENCE)?;
    spent.wall = wall;
    Ok(Done { spent, wasted_bytes: None, calls: job.calls()? })
}
