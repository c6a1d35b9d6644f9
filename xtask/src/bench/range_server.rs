//! The range server beside nginx: a complete file, read by 1, 16 and 64 viewers at once.

use std::time::Duration;

use anyhow::{Context, Result};

use super::case::{Case, Figures, Row, Unit};
use super::film::Film;
use super::http_load::{compare, load};
use super::payload::Payload;
use super::process::memory_of;
use super::serving::{Serving, Show};
use super::subject::Subject;
use super::work::{Turn, Work, Workshop};

const MIB: u64 = 1024 * 1024;

/// The cases, and the connections of each.
const CASES: [(&str, u64); 3] = [("http-1", 1), ("http-16", 16), ("http-64", 64)];

/// How long each is read from.
const SPAN: Duration = Duration::from_secs(5);
const SPAN_QUICK: Duration = Duration::from_secs(2);

const SERVERS: [Subject; 5] =
    [Subject::Nginx, Subject::Afflux, Subject::Rqbit, Subject::Webtorrent, Subject::Peerflix];

/// What is served to everybody.
#[derive(Debug)]
pub(crate) struct RangeServer {
    payload: Payload,
    film: Film,
}

pub(crate) fn work(workshop: &Workshop) -> Result<Box<dyn Work>> {
    let payload = Payload::usual(workshop)?;
    let film = Film::new(workshop.seed, payload.bytes, MIB);
    Ok(Box::new(RangeServer { payload, film }))
}

impl Work for RangeServer {
    fn cases(&self) -> Vec<Case> {
        let case = |(name, connections): (&'static str, u64)| Case {
            name,
            title: format!(
                "a complete file of {} MiB in memory, read over HTTP by {connections} at once; nginx with sendfile, \
                 one process, is what there is to reach",
                self.payload.mib()
            ),
            rows: vec![
                Row::new(
                    "mib_per_processor_second",
                    "per second of the server's processor",
                    Unit::MibPerSecond,
                ),
                Row::new("mib_per_second", "in all", Unit::MibPerSecond),
                Row::new("peak_resident", "peak resident memory", Unit::Mib),
            ],
        };
        CASES.into_iter().map(case).collect()
    }

    fn subjects(&self, _case: &Case) -> Vec<Subject> {
        SERVERS.to_vec()
    }

    fn take(&mut self, turn: &Turn) -> Result<Figures> {
        let connections = CASES.iter().find(|case| case.0 == turn.case.name).context("a case of ours")?.1;
        let (torrent, _tracker) = self.payload.torrent(turn.folder, &[])?;
        let show =
            Show { torrent: &torrent, film: &self.payload.folder, is_complete: true, folder: turn.folder };
        let serving = Serving::start(turn.subject, &turn.workshop.programs, &show)?;
        compare(&serving.url, &self.film)?;
        let span = if turn.workshop.is_quick { SPAN_QUICK } else { SPAN };
        let carried =
            load(std::slice::from_ref(&serving.url), serving.process.id(), &self.film, connections, span)?;
        let peak = memory_of(serving.process.id()).peak_rss;
        Ok(Figures::from([
            ("mib_per_processor_second", Some(carried.mib_per_processor_second())),
            ("mib_per_second", Some(carried.mib_per_second())),
            ("peak_resident", Some(peak as f64 / MIB as f64)),
        ]))
    }
}
