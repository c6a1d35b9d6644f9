//! `download`: the same torrent from seeders on this machine, to memory and to disk.

use std::path::Path;

use anyhow::{Context, Result};

use super::case::{Case, Figures, Row, Unit};
use super::contender::{self, Done, Job, PATIENCE};
use super::part;
use super::payload::{Payload, Source};
use super::subject::Subject;
use super::work::{Turn, Work, Workshop};

const MIB: f64 = 1024.0 * 1024.0;

/// Memory that is made ready besides that for the copy: what clients hold themselves.
const WARM_BESIDE_BYTES: u64 = 256 * 1024 * 1024;

/// Where the copy goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Memory,
    Disk,
}

const CASES: [(&str, Source, Place); 6] = [
    ("cheap-memory", Source::Cheap, Place::Memory),
    ("libtorrent-memory", Source::Libtorrents(1), Place::Memory),
    ("libtorrents-memory", Source::Libtorrents(4), Place::Memory),
    ("cheap-disk", Source::Cheap, Place::Disk),
    ("libtorrent-disk", Source::Libtorrents(1), Place::Disk),
    ("libtorrents-disk", Source::Libtorrents(4), Place::Disk),
];

pub(crate) fn work(workshop: &Workshop) -> Result<Box<dyn Work>> {
    Ok(Box::new(Download { payload: Payload::usual(workshop)? }))
}

struct Download {
    payload: Payload,
}

impl Work for Download {
    fn cases(&self) -> Vec<Case> {
        let mib = self.payload.mib();
        let case = |&(name, source, place): &(&'static str, Source, Place)| {
            let from = match source {
                Source::Cheap => "a seeder that costs almost nothing".to_owned(),
                Source::Libtorrents(1) => "one libtorrent".to_owned(),
                Source::Libtorrents(count) => format!("{count} libtorrents"),
            };
            let into = match place {
                Place::Memory => "memory",
                Place::Disk => "disk",
            };
            Case { name, title: format!("{mib} MiB from {from} to {into}, 1 MiB pieces"), rows: rows() }
        };
        CASES.iter().map(case).collect()
    }

    fn subjects(&self, case: &Case) -> Vec<Subject> {
        let floor = if matches!(plan(case), Ok((Source::Cheap, _))) { &[Subject::Floor][..] } else { &[] };
        [floor, &contender::ALL].concat()
    }

    fn counts_calls(&self, case: &Case, subject: Subject) -> bool {
        case.name == CASES[0].0 && subject != Subject::Floor
    }

    fn take(&mut self, turn: &Turn) -> Result<Figures> {
        let (source, place) = plan(turn.case)?;
        let scratch = match place {
            Place::Memory => &turn.workshop.memory,
            Place::Disk => &turn.workshop.disk,
        };
        let copy = scratch.folder("copy")?;
        let warm = || scratch.warm(self.payload.bytes + WARM_BESIDE_BYTES);
        let done = if turn.subject == Subject::Floor {
            warm()?;
            self.floor(turn, copy.path())?
        } else {
            let mut seeders = self.payload.seeders(source, turn)?;
            let (torrent, _tracker) = self.payload.torrent(turn.folder, &seeders.addresses)?;
            let job = Job { turn, torrent: &torrent, folder: copy.path() };
            warm()?;
            contender::of(turn.subject)?.download(&job, &mut seeders)?
        };
        self.payload.compare(&copy.path().join(Payload::NAME))?;
        Ok(figures(&done, self.payload.gib()))
    }
}

impl Download {
    fn floor(&self, turn: &Turn, folder: &Path) -> Result<Done> {
        let (_seeder, _, bare) = self.payload.seeder(turn.folder)?;
        let into = folder.join(Payload::NAME);
        let into = into.to_str().context("the path is not UTF-8")?;
        let mut floor = part::start(&["floor", &bare.to_string(), into], turn.folder)?;
        floor.hear(PATIENCE, |line| (line == "ready").then_some(()))?;
        floor.mark();
        floor.say("go")?;
        Ok(Done { spent: floor.end(PATIENCE)?, wasted_bytes: None, calls: None })
    }
}

fn plan(case: &Case) -> Result<(Source, Place)> {
    let found = CASES.iter().find(|(name, ..)| *name == case.name);
    found.map(|&(_, source, place)| (source, place)).context("no such case")
}

fn rows() -> Vec<Row> {
    vec![
        Row::new("rate", "rate", Unit::MibPerSecond),
        Row::new("cpu", "CPU per GiB", Unit::Seconds),
        Row::new("peak_rss", "peak memory", Unit::Mib),
        Row::new("peak_anon", "peak memory, no file's", Unit::Mib),
        Row::new("calls", "system calls per GiB", Unit::Count),
        Row::new("wasted", "received in vain", Unit::Mib),
    ]
}

/// Of a turn in which calls are counted nothing else is true.
fn figures(done: &Done, gib: f64) -> Figures {
    if let Some(calls) = done.calls {
        return Figures::from([("calls", Some(calls as f64 / gib))]);
    }
    let spent = &done.spent;
    let mut figures = Figures::from([
        ("rate", Some(gib * 1024.0 / spent.wall.as_secs_f64())),
        ("cpu", Some(spent.cpu.as_secs_f64() / gib)),
        ("peak_rss", Some(spent.peak_rss as f64 / MIB)),
        ("peak_anon", Some(spent.peak_anon as f64 / MIB)),
    ]);
    if let Some(wasted) = done.wasted_bytes {
        figures.insert("wasted", Some(wasted as f64 / MIB));
    }
    figures
}
