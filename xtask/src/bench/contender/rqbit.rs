//! rqbit: its command line for downloads, its server for all else.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{ASK_EVERY, Contender, Done, Job, PATIENCE, free_port, wait_for_port};
use crate::bench::http::{Response, Url};
use crate::bench::install::Programs;
use crate::bench::payload::Seeders;
use crate::bench::process::Process;

pub(super) struct Rqbit;

impl Contender for Rqbit {
    fn download(&self, job: &Job, seeders: &mut Seeders) -> Result<Done> {
        let peers: Vec<String> = seeders.addresses.iter().map(ToString::to_string).collect();
        let mut command = command(job, &[])?;
        command.arg("--disable-tcp-listen").arg("download").arg("--exit-on-finish").arg("--output-folder");
        command.arg(job.folder).arg("--disable-http-api").args(["--initial-peers", &peers.join(",")]);
        command.arg(job.torrent);
        let spent = job.start(command)?.end(PATIENCE)?;
        Ok(Done { spent, wasted_bytes: None, calls: job.calls()? })
    }

    /// It can't be told that files are complete: it checks them first.
    fn seed(&self, job: &Job, address: SocketAddrV4) -> Result<Process> {
        let (mut process, api) = serve(job, &["--listen-port", &address.port().to_string()])?;
        add(job, &mut process, api, Duration::from_millis(100))?;
        Ok(process)
    }

    fn check(&self, job: &Job) -> Result<Done> {
        let (mut process, api) = serve(job, &["--disable-tcp-listen"])?;
        process.mark();
        add(job, &mut process, api, ASK_EVERY)?;
        Ok(Done { spent: process.stop()?, wasted_bytes: None, calls: None })
    }

    fn program<'a>(&self, programs: &'a Programs) -> Option<&'a Path> {
        Some(&programs.rqbit)
    }

    fn daemon(&self, job: &Job) -> Result<Process> {
        Ok(serve(job, &["--disable-tcp-listen"])?.0)
    }
}

fn command(job: &Job, more: &[&str]) -> Result<Command> {
    let mut command = job.command(&job.turn.workshop.programs.rqbit)?;
    command.args(["-v", "error", "--disable-dht", "--disable-lsd", "--disable-upnp-port-forward"]).args(more);
    Ok(command)
}

/// Its server, with nothing in it, and where it listens.
fn serve(job: &Job, more: &[&str]) -> Result<(Process, SocketAddr)> {
    let api = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
    let mut command = command(job, more)?;
    command.args(["--http-api-listen-addr", &api.to_string()]);
    command.args(["server", "start", "--disable-persistence"]).arg(job.folder);
    let mut process = job.start(command)?;
    wait_for_port(&mut process, api.port())?;
    Ok((process, api))
}

/// Adds the torrent, and waits until it is found complete.
fn add(job: &Job, process: &mut Process, host: SocketAddr, every: Duration) -> Result<()> {
    let url = |path: &str| Url { host, path: path.to_owned() };
    let torrent = fs::read(job.torrent)?;
    Response::post(&url("/torrents?overwrite=true"), &torrent)?;
    let stats = url("/torrents/0/stats/v1");
    let is_complete = || {
        let stats: Value = serde_json::from_slice(&Response::fetch(&stats)?).context("its statistics")?;
        Ok(stats["finished"].as_bool() == Some(true) && stats["state"] == "live")
    };
    process.until(PATIENCE, every, is_complete)?;
    Ok(())
}
