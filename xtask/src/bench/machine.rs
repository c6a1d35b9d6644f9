//! What the machine itself can do, with nobody's torrent client: loopback, SHA-1, memory.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::case::{Case, Figures, Row, Unit};
use super::daemon::free_address;
use super::process::{Process, command};
use super::subject::Subject;
use super::work::{Turn, Work, Workshop};
use crate::command::Command;

const MIB: usize = 1024 * 1024;

/// More than any cache holds.
const COPIED_BYTES: usize = 256 * MIB;
const COPIES: u32 = 8;

/// Written in runs of a piece, into a fresh file, whose pages have to be had.
const WRITTEN_BYTES: usize = 1024 * MIB;
const WRITTEN_AT_ONCE: usize = MIB;

/// A block of the wire: what is hashed at once.
const HASHED_AT_ONCE: &str = "16384";

pub(crate) fn work(_workshop: &Workshop) -> Result<Box<dyn Work>> {
    Ok(Box::new(Machine))
}

#[derive(Debug)]
struct Machine;

impl Work for Machine {
    fn cases(&self) -> Vec<Case> {
        vec![Case {
            name: "machine",
            title: "the machine's limits".to_owned(),
            rows: vec![
                Row::new("loopback", "one stream over loopback", Unit::MibPerSecond),
                Row::new("sha1_one", "SHA-1 in updates of 16 KiB, one core", Unit::MibPerSecond),
                Row::new("sha1_all", "SHA-1, all cores", Unit::MibPerSecond),
                Row::new("copy", "memory copied", Unit::MibPerSecond),
                Row::new("write", "a fresh file in memory written", Unit::MibPerSecond),
            ],
        }]
    }

    fn subjects(&self, _case: &Case) -> Vec<Subject> {
        vec![Subject::Iperf3, Subject::Openssl, Subject::Memory]
    }

    fn take(&mut self, turn: &Turn) -> Result<Figures> {
        match turn.subject {
            Subject::Iperf3 => Ok(Figures::from([("loopback", Some(loopback(turn)?))])),
            Subject::Openssl => {
                let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
                let all = ["-multi", &cores.to_string()];
                let (one, all) = (sha1(turn.folder, &[])?, sha1(turn.folder, &all)?);
                Ok(Figures::from([("sha1_one", Some(one)), ("sha1_all", Some(all))]))
            }
            Subject::Memory => {
                let written = write(turn.workshop.memory.path())?;
                Ok(Figures::from([("copy", Some(copy())), ("write", Some(written))]))
            }
            _ => bail!("{} is no limit of the machine", turn.subject.name()),
        }
    }
}

fn loopback(turn: &Turn) -> Result<f64> {
    let host = free_address()?;
    let port = host.port().to_string();
    let mut server = command(Path::new("iperf3"), turn.folder);
    server.args(["--server", "--one-off", "--forceflush", "--bind", "127.0.0.1", "--port", &port]);
    let mut server = Process::start(server, turn.folder, "iperf3")?;
    // To try the port would be the one test that it is there for.
    server.hear(Duration::from_secs(10), |line| line.contains("listening").then_some(()))?;
    let told = Command::new("iperf3", turn.folder)
        .args(["--client", "127.0.0.1", "--port", &port, "--time", "2", "--json"])
        .output()?;
    let told: Value = serde_json::from_str(&told).context("iperf3 says no JSON")?;
    let bits = told["end"]["sum_received"]["bits_per_second"].as_f64().context("iperf3 says no rate")?;
    Ok(bits / 8.0 / MIB as f64)
}

fn sha1(folder: &Path, more: &[&str]) -> Result<f64> {
    let told = Command::new("openssl", folder)
        .args(["speed", "-seconds", "1", "-bytes", HASHED_AT_ONCE])
        .args(more.iter().copied())
        .args(["-evp", "sha1"])
        .output()?;
    openssl_rate(&told).with_context(|| format!("openssl says no rate: {told}"))
}

/// The last figure of the last line, in thousands of bytes per second; in MiB per second.
fn openssl_rate(told: &str) -> Option<f64> {
    let figure = told.lines().last()?.split_whitespace().last()?.strip_suffix('k')?;
    Some(figure.parse::<f64>().ok()? * 1000.0 / MIB as f64)
}

fn copy() -> f64 {
    let from = vec![1u8; COPIED_BYTES];
    let mut to = vec![2u8; COPIED_BYTES];
    let began = Instant::now();
    for _ in 0..COPIES {
        black_box(&mut to).copy_from_slice(black_box(&from));
    }
    f64::from(COPIES) * (COPIED_BYTES / MIB) as f64 / began.elapsed().as_secs_f64()
}

fn write(folder: &Path) -> Result<f64> {
    let path = folder.join("written");
    let run = vec![1u8; WRITTEN_AT_ONCE];
    let mut file = File::create(&path).with_context(|| path.display().to_string())?;
    let began = Instant::now();
    let written = (0..WRITTEN_BYTES / WRITTEN_AT_ONCE).try_for_each(|_| file.write_all(&run));
    let took = began.elapsed();
    fs::remove_file(&path)?;
    written.with_context(|| path.display().to_string())?;
    Ok((WRITTEN_BYTES / MIB) as f64 / took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_the_last_figure() {
        let told = "version: 3\nThe 'numbers' are in 1000s of bytes per second processed.\n\
                    type          16384 bytes\nsha1            1741232.34k\n";
        assert!((openssl_rate(told).unwrap() - 1660.57).abs() < 0.01);
        assert_eq!(openssl_rate("nothing"), None);
    }
}
