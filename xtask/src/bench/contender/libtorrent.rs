//! libtorrent through its Python binding, driven by a small script.

use std::fs;
use std::net::SocketAddrV4;
use std::path::Path;

use anyhow::{Context, Result};

use super::{Contender, Done, Job, PATIENCE, text};
use crate::bench::install::Programs;
use crate::bench::payload::Seeders;
use crate::bench::process::Process;

const DRIVER: &str = include_str!("../clients/libtorrent_work.py");

/// 2.1, or 2.0.
pub(super) struct Libtorrent {
    pub(super) is_20: bool,
}

impl Contender for Libtorrent {
    fn download(&self, job: &Job, seeders: &mut Seeders) -> Result<Done> {
        let peers: Vec<String> = seeders.addresses.iter().map(ToString::to_string).collect();
        self.work(job, "download", &peers)
    }

    fn seed(&self, job: &Job, address: SocketAddrV4) -> Result<Process> {
        let mut process = self.ready(job, "seed", &[address.to_string()])?;
        process.say("go")?;
        process.hear(PATIENCE, |line| (line == "seeding").then_some(()))?;
        Ok(process)
    }

    fn check(&self, job: &Job) -> Result<Done> {
        self.work(job, "check", &[])
    }

    fn program<'a>(&self, _: &'a Programs) -> Option<&'a Path> {
        None
    }

    fn daemon(&self, job: &Job) -> Result<Process> {
        self.ready(job, "check", &[])
    }
}

impl Libtorrent {
    /// From the moment at which the torrent is added, until the script says that it is done.
    fn work(&self, job: &Job, verb: &str, more: &[String]) -> Result<Done> {
        let mut process = self.ready(job, verb, more)?;
        process.mark();
        process.say("go")?;
        let wasted = |line: &str| line.strip_prefix("done ")?.parse::<u64>().ok();
        let (at, wasted) = process.hear(PATIENCE, wasted)?;
        let wall = at.duration_since(process.marked_at());
        let mut spent = process.end(PATIENCE)?;
        spent.wall = wall;
        Ok(Done { spent, wasted_bytes: (verb == "download").then_some(wasted), calls: job.calls()? })
    }

    fn ready(&self, job: &Job, verb: &str, more: &[String]) -> Result<Process> {
        let driver = job.turn.folder.join("libtorrent_work.py");
        fs::write(&driver, DRIVER).with_context(|| driver.display().to_string())?;
        let programs = &job.turn.workshop.programs;
        let mut command = job.command(if self.is_20 { &programs.python_20 } else { &programs.python })?;
        command.args([text(&driver)?, verb, text(job.torrent)?, text(job.folder)?]).args(more);
        let mut process = job.start(command)?;
        process.hear(PATIENCE, |line| (line == "ready").then_some(()))?;
        Ok(process)
    }
}
