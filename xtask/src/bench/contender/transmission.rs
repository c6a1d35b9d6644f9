//! Transmission's daemon, by its RPC.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{ASK_EVERY, Contender, Done, Job, PATIENCE, free_port, text, wait_for_port};
use crate::bench::http::{Response, Url};
use crate::bench::install::Programs;
use crate::bench::payload::Seeders;
use crate::bench::process::Process;

/// What `status` says of a torrent that is complete, verified and under way.
const SEEDING: i64 = 6;

pub(super) struct Transmission;

impl Contender for Transmission {
    /// It doesn't dial loopback addresses, but takes who dials it.
    fn download(&self, job: &Job, seeders: &mut Seeders) -> Result<Done> {
        work(job, |port| seeders.dial(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)))
    }

    /// It can't be told that files are complete: it checks them first.
    fn seed(&self, job: &Job, address: SocketAddrV4) -> Result<Process> {
        let (mut process, rpc) = serve(job, address.port())?;
        rpc.add(job)?;
        rpc.wait(&mut process, Duration::from_millis(100))?;
        Ok(process)
    }

    fn check(&self, job: &Job) -> Result<Done> {
        work(job, |_| Ok(()))
    }

    fn program<'a>(&self, _: &'a Programs) -> Option<&'a Path> {
        Some(Path::new("transmission-daemon"))
    }

    fn daemon(&self, job: &Job) -> Result<Process> {
        Ok(serve(job, free_port()?)?.0)
    }
}

fn work(job: &Job, when_added: impl FnOnce(u16) -> Result<()>) -> Result<Done> {
    let port = free_port()?;
    let (mut process, rpc) = serve(job, port)?;
    process.mark();
    rpc.add(job)?;
    when_added(port)?;
    rpc.wait(&mut process, ASK_EVERY)?;
    let spent = process.stop()?;
    Ok(Done { spent, wasted_bytes: None, calls: job.calls()? })
}

struct Rpc {
    url: Url,
    /// Has to be shown with every call.
    session: String,
}

/// The daemon, with nothing in it.
fn serve(job: &Job, peer_port: u16) -> Result<(Process, Rpc)> {
    let host = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
    let settings = json!({
        "dht-enabled": false,
        "encryption": 0,
        "lpd-enabled": false,
        "peer-port": peer_port,
        "pex-enabled": false,
        "port-forwarding-enabled": false,
        "rpc-bind-address": "127.0.0.1",
        "rpc-port": host.port(),
        "utp-enabled": false,
    });
    fs::write(job.turn.folder.join("settings.json"), settings.to_string())?;
    let mut command = job.command(Path::new("transmission-daemon"))?;
    command.args(["--foreground", "--log-error", "--config-dir", text(job.turn.folder)?]);
    let mut process = job.start(command)?;
    wait_for_port(&mut process, host.port())?;
    let url = Url { host, path: "/transmission/rpc".to_owned() };
    let session = Response::header_of_refusal(&url, "X-Transmission-Session-Id")?;
    Ok((process, Rpc { url, session }))
}

impl Rpc {
    fn call(&self, method: &str, arguments: &Value) -> Result<Value> {
        let body = json!({"method": method, "arguments": arguments}).to_string();
        let header = format!("X-Transmission-Session-Id: {}", self.session);
        let answer = Response::post_with(&self.url, &[header], body.as_bytes())?;
        let answer: Value = serde_json::from_slice(&answer).context("its answer")?;
        if answer["result"] != "success" {
            bail!("it answers {}", answer["result"]);
        }
        Ok(answer["arguments"].clone())
    }

    fn add(&self, job: &Job) -> Result<()> {
        let arguments = json!({"filename": text(job.torrent)?, "download-dir": text(job.folder)?});
        self.call("torrent-add", &arguments).map(|_| ())
    }

    /// Until the torrent is complete and verified.
    fn wait(&self, process: &mut Process, every: Duration) -> Result<()> {
        let fields = json!({"fields": ["status"]});
        let is_complete = || {
            let found = self.call("torrent-get", &fields)?;
            Ok(found["torrents"][0]["status"].as_i64() == Some(SEEDING))
        };
        process.until(PATIENCE, every, is_complete)?;
        Ok(())
    }
}
