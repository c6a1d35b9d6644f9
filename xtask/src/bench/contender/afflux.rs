//! Afflux: its command line, as anybody uses it.

use std::net::SocketAddrV4;
use std::process::Command;

use anyhow::Result;
use serde_json::Value;

use super::{Contender, Done, Job, PATIENCE};
use crate::bench::process::Process;

pub(super) struct Afflux;

impl Contender for Afflux {
    fn download(&self, job: &Job, peers: &[SocketAddrV4]) -> Result<Done> {
        let mut command = command(job, "download")?;
        command.arg(job.torrent).arg("--output").arg(job.folder).args(["--no-dht", "--peer-port", "0"]);
        for peer in peers {
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
