//! qBittorrent without windows, by its web API.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{ASK_EVERY, Contender, Done, Job, PATIENCE, free_port, text, wait_for_port};
use crate::bench::http::{Response, Url};
use crate::bench::install::Programs;
use crate::bench::payload::Seeders;
use crate::bench::process::Process;

/// Between the parts of a form; in no .torrent.
const BOUNDARY: &str = "afflux-xtask-boundary";

pub(super) struct Qbittorrent;

impl Contender for Qbittorrent {
    /// It asks the tracker.
    fn download(&self, job: &Job, _seeders: &mut Seeders) -> Result<Done> {
        let (mut process, api) = serve(job, free_port()?)?;
        process.mark();
        api.add(job, false)?;
        api.wait(&mut process, ASK_EVERY)?;
        let spent = process.stop()?;
        Ok(Done { spent, wasted_bytes: None, calls: job.calls()? })
    }

    fn seed(&self, job: &Job, address: SocketAddrV4) -> Result<Process> {
        let (mut process, api) = serve(job, address.port())?;
        api.add(job, true)?;
        api.wait(&mut process, Duration::from_millis(100))?;
        Ok(process)
    }

    fn check(&self, job: &Job) -> Result<Done> {
        let (mut process, api) = serve(job, free_port()?)?;
        process.mark();
        api.add(job, false)?;
        api.wait(&mut process, ASK_EVERY)?;
        Ok(Done { spent: process.stop()?, wasted_bytes: None, calls: job.calls()? })
    }

    fn program<'a>(&self, _: &'a Programs) -> Option<&'a Path> {
        Some(Path::new("qbittorrent-nox"))
    }

    fn daemon(&self, job: &Job) -> Result<Process> {
        Ok(serve(job, free_port()?)?.0)
    }
}

/// Its web API.
struct Api {
    host: SocketAddr,
}

/// The daemon, with nothing in it.
fn serve(job: &Job, peer_port: u16) -> Result<(Process, Api)> {
    let host = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
    let config = job.turn.folder.join("qBittorrent/config");
    fs::create_dir_all(&config).with_context(|| config.display().to_string())?;
    let settings = format!(
        "[LegalNotice]\nAccepted=true\n\
         [Preferences]\nWebUI\\LocalHostAuth=false\nWebUI\\Address=127.0.0.1\nWebUI\\Port={}\n\
         [BitTorrent]\nSession\\Port={peer_port}\nSession\\DHTEnabled=false\nSession\\LSDEnabled=false\n\
         Session\\PeXEnabled=false\nSession\\BTProtocol=TCP\nSession\\Encryption=2\n\
         Session\\QueueingSystemEnabled=false\nSession\\RefreshInterval=100\n\
         [Network]\nPortForwardingEnabled=false\n",
        host.port()
    );
    fs::write(config.join("qBittorrent.conf"), settings)?;
    let mut command = job.command(Path::new("qbittorrent-nox"))?;
    command.arg(format!("--profile={}", text(job.turn.folder)?));
    let mut process = job.start(command)?;
    wait_for_port(&mut process, host.port())?;
    Ok((process, Api { host }))
}

impl Api {
    fn url(&self, path: &str) -> Url {
        Url { host: self.host, path: format!("/api/v2/torrents/{path}") }
    }

    fn add(&self, job: &Job, is_trusted: bool) -> Result<()> {
        let mut form = Vec::new();
        let fields =
            [("savepath", text(job.folder)?), ("skip_checking", if is_trusted { "true" } else { "false" })];
        for (name, value) in fields {
            form.extend_from_slice(
                format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
                    .as_bytes(),
            );
        }
        form.extend_from_slice(
            format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"torrents\"; filename=\"payload.torrent\"\r\n\
                 Content-Type: application/x-bittorrent\r\n\r\n"
            )
            .as_bytes(),
        );
        form.extend_from_slice(&fs::read(job.torrent)?);
        form.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
        let kind = format!("Content-Type: multipart/form-data; boundary={BOUNDARY}");
        Response::post_with(&self.url("add"), &[kind], &form)?;
        Ok(())
    }

    /// Until the torrent is complete and verified.
    fn wait(&self, process: &mut Process, every: Duration) -> Result<()> {
        let url = self.url("info");
        let is_complete = || {
            let torrents: Value = serde_json::from_slice(&Response::fetch(&url)?).context("its list")?;
            let state = torrents[0]["state"].as_str().unwrap_or_default();
            Ok(["uploading", "stalledUP", "forcedUP", "queuedUP"].contains(&state))
        };
        process.until(PATIENCE, every, is_complete)?;
        Ok(())
    }
}
