//! `recheck`: a complete file is verified by somebody who knows nothing of it yet. It is in the page cache.

use anyhow::{Result, bail};

use super::case::{Case, Figures, Row, Unit};
use super::contender::{self, Job};
use super::payload::Payload;
use super::subject::Subject;
use super::work::{Turn, Work, Workshop};
use crate::command::Command;

const MIB: f64 = 1024.0 * 1024.0;

pub(crate) fn work(workshop: &Workshop) -> Result<Box<dyn Work>> {
    Ok(Box::new(Recheck { payload: Payload::usual(workshop)? }))
}

struct Recheck {
    payload: Payload,
}

impl Work for Recheck {
    fn cases(&self) -> Vec<Case> {
        vec![Case {
            name: "recheck",
            title: format!("{} MiB in memory verified, 1 MiB pieces", self.payload.mib()),
            rows: vec![
                Row::new("rate", "rate", Unit::MibPerSecond),
                Row::new("cpu", "CPU per GiB", Unit::Seconds),
                Row::new("peak_rss", "peak memory", Unit::Mib),
                Row::new("peak_anon", "peak memory, no file's", Unit::Mib),
            ],
        }]
    }

    fn subjects(&self, _case: &Case) -> Vec<Subject> {
        [&[Subject::Openssl][..], &contender::ALL].concat()
    }

    fn take(&mut self, turn: &Turn) -> Result<Figures> {
        if turn.subject == Subject::Openssl {
            return openssl(turn);
        }
        let (torrent, _tracker) = self.payload.torrent(turn.folder, &[])?;
        let job = Job { turn, torrent: &torrent, folder: &self.payload.folder };
        let spent = contender::of(turn.subject)?.check(&job)?.spent;
        Ok(Figures::from([
            ("rate", Some(self.payload.mib() / spent.wall.as_secs_f64())),
            ("cpu", Some(spent.cpu.as_secs_f64() / self.payload.gib())),
            ("peak_rss", Some(spent.peak_rss as f64 / MIB)),
            ("peak_anon", Some(spent.peak_anon as f64 / MIB)),
        ]))
    }
}

/// What all processors hash together, with nothing read.
fn openssl(turn: &Turn) -> Result<Figures> {
    let processors = std::thread::available_parallelism()?.to_string();
    let said = Command::new("openssl", turn.folder)
        .args(["speed", "-mr", "-seconds", "2", "-bytes", "16384", "-multi", &processors, "-evp", "sha1"])
        .output()?;
    // "+F:22:sha1:BYTES PER SECOND"
    let rate = said
        .lines()
        .filter(|line| line.starts_with("+F"))
        .filter_map(|line| line.rsplit(':').next()?.parse::<f64>().ok())
        .next();
    let Some(rate) = rate else { bail!("openssl says no rate: {said}") };
    Ok(Figures::from([("rate", Some(rate / MIB))]))
}
