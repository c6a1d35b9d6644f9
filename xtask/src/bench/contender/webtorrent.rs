//! webtorrent in Node, driven by a small script.

use std::fs;
use std::net::SocketAddrV4;
use std::path::Path;

use anyhow::{Context, Result};

use super::{Contender, Done, Job, PATIENCE, text};
use crate::bench::install::Programs;
use crate::bench::payload::Seeders;
use crate::bench::process::Process;

const DRIVER: &str = include_str!("../clients/webtorrent_work.mjs");

pub(super) struct Webtorrent;

impl Contender for Webtorrent {
    fn download(&self, job: &Job, seeders: &mut Seeders) -> Result<Done> {
        let peers: Vec<String> = seeders.addresses.iter().map(ToString::to_string).collect();
        self.work(job, "download", &peers)
    }

    fn seed(&self, job: &Job, address: SocketAddrV4) -> Result<Process> {
        let mut process = self.ready(job, "seed", &[address.port().to_string()])?;
        process.say("go")?;
        process.hear(PATIENCE, |line| (line == "done").then_some(()))?;
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

impl Webtorrent {
    fn work(&self, job: &Job, verb: &str, more: &[String]) -> Result<Done> {
        let mut process = self.ready(job, verb, more)?;
        process.mark();
        process.say("go")?;
        let (at, ()) = process.hear(PATIENCE, |line| (line == "done").then_some(()))?;
        let wall = at.duration_since(process.marked_at());
        let mut spent = process.end(PATIENCE)?;
        spent.wall = wall;
        Ok(Done { spent, wasted_bytes: None, calls: job.calls()? })
    }

    fn ready(&self, job: &Job, verb: &str, more: &[String]) -> Result<Process> {
        let driver = job.turn.folder.join("webtorrent_work.mjs");
        fs::write(&driver, DRIVER).with_context(|| driver.display().to_string())?;
        let programs = &job.turn.workshop.programs;
        let mut command = job.command(&programs.node)?;
        command.args([text(&driver)?, text(&programs.modules)?, verb, text(job.torrent)?, text(job.folder)?]);
        command.args(more);
        let mut process = job.start(command)?;
        process.hear(PATIENCE, |line| (line == "ready").then_some(()))?;
        Ok(process)
    }
}
