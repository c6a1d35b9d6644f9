//! Afflux: its command line, as anybody uses it.

use std::net::SocketAddrV4;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde_json::Value;

use super::{Contender, Done, Job, PATIENCE, free_port, wait_for_port};
use crate::bench::install::Programs;
use crate::bench::payload::Seeders;
use crate::bench::process::Process;

pub(super) struct Afflux;

impl Contender for Afflux {
    fn download(&self, job: &Job, seeders: &mut Seeders) -> Result<Done> {
        let mut command = command(job, "download")?;
        command.arg(job.torrent).arg("--output").arg(job.folder).args(["--no-dht", "--peer-port", "0"]);
        for peer in &seeders.addresses {
            command.args(["--peer", &peer.to_string()]);
        }
        let mut process = job.start(command)?;
        let (at, complete) = process.hear(PATIENCE, event("complete"))?;
        let wall = at.duration_since(process.marked_at());
        let mut spent = process.end(PATIENCE)?;
        spent.wall = wall;
        Ok(Done { spent, wasted_bytes: complete["wastedBytes"].as_u64(), calls: job.calls()? })
    }

    fn seed(&self, job: &Job, address: SocketAddrV4) -> Result<Process> {
        let mut command = command(job, "seed")?;
        command.arg(job.torrent).arg("--output").arg(job.folder).arg("--no-dht");
        command.args(["--bind", &address.ip().to_string(), "--peer-port", &address.port().to_string()]);
        let mut process = job.start(command)?;
        process.hear(PATIENCE, event("seeding"))?;
        Ok(process)
    }

    fn check(&self, job: &Job) -> Result<Done> {
        let mut command = command(job, "check")?;
        command.arg(job.torrent).arg("--output").arg(job.folder);
        let spent = job.start(command)?.end(PATIENCE)?;
        Ok(Done { spent, wasted_bytes: None, calls: job.calls()? })
    }

    fn program<'a>(&self, programs: &'a Programs) -> Option<&'a Path> {
        Some(&programs.afflux)
    }

    fn daemon(&self, job: &Job) -> Result<Process> {
        let port = free_port()?;
        let mut command = command(job, "serve")?;
        command.args(["--port", &port.to_string(), "--no-dht", "--peer-port", "0"]);
        // The same work as the others: those have no accounts.
        command.env("STREAM_AUTH_REQUIRED", "false");
        let mut process = job.start(command)?;
        wait_for_port(&mut process, port)?;
        Ok(process)
    }
}

fn command(job: &Job, verb: &str) -> Result<Command> {
    let mut command = job.command(&job.turn.workshop.programs.afflux)?;
    command.arg("--json").arg("--data-dir").arg(job.turn.folder.join("state")).arg(verb);
    Ok(command)
}

/// The line of this event.
fn event(name: &'static str) -> impl FnMut(&str) -> Option<Value> {
    move |line| serde_json::from_str(line).ok().filter(|line: &Value| line["event"] == name)
}
