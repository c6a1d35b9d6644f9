//! `seed`: the same torrent is given to leechers on this machine; what counts is what it costs who seeds.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::case::{Case, Figures, Row, Unit};
use super::contender::{self, Job, PATIENCE};
use super::part;
use super::payload::{Payload, Seeders};
use super::process::Process;
use super::subject::Subject;
use super::work::{Turn, Work, Workshop};

const MIB: f64 = 1024.0 * 1024.0;

/// Who downloads, and how many of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Leechers {
    /// They throw away what they get.
    Sinks(u8),
    Libtorrent,
}

const CASES: [(&str, &str, Leechers); 3] = [
    ("to-1", "one leecher that throws it away", Leechers::Sinks(1)),
    ("to-4", "four leechers that throw it away", Leechers::Sinks(4)),
    ("to-libtorrent", "one libtorrent, which writes to memory", Leechers::Libtorrent),
];

pub(crate) fn work(workshop: &Workshop) -> Result<Box<dyn Work>> {
    Ok(Box::new(Seed { payload: Payload::usual(workshop)? }))
}

struct Seed {
    payload: Payload,
}

impl Work for Seed {
    fn cases(&self) -> Vec<Case> {
        let mib = self.payload.mib();
        let case = |&(name, to, _): &(&'static str, &str, Leechers)| Case {
            name,
            title: format!("{mib} MiB from memory to {to}, 1 MiB pieces"),
            rows: vec![
                Row::new("rate", "rate to each", Unit::MibPerSecond),
                Row::new("cpu", "CPU per GiB sent", Unit::Seconds),
                Row::new("peak_rss", "peak memory", Unit::Mib),
                Row::new("peak_anon", "peak memory, no file's", Unit::Mib),
                Row::new("calls", "system calls per GiB sent", Unit::Count),
            ],
        };
        CASES.iter().map(case).collect()
    }

    fn subjects(&self, _case: &Case) -> Vec<Subject> {
        contender::ALL.to_vec()
    }

    fn counts_calls(&self, case: &Case, _subject: Subject) -> bool {
        case.name == CASES[0].0
    }

    fn take(&mut self, turn: &Turn) -> Result<Figures> {
        let case = CASES.iter().find(|(name, ..)| *name == turn.case.name);
        let &(.., leechers) = case.context("no such case")?;
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, contender::free_port()?);
        let (torrent, _tracker) = self.payload.torrent(turn.folder, &[])?;
        let job = Job { turn, torrent: &torrent, folder: &self.payload.folder };
        let mut seeder = contender::of(turn.subject)?.seed(&job, address)?;
        let (wall, sent, count) = match leechers {
            Leechers::Sinks(count) => {
                let (wall, sent) = self.sink(turn, &mut seeder, address, count)?;
                (wall, sent, count)
            }
            Leechers::Libtorrent => (self.libtorrent(turn, &mut seeder, address)?, self.payload.bytes, 1),
        };
        let spent = seeder.stop()?;
        let mib = sent as f64 / MIB;
        let gib = mib / 1024.0;
        if let Some(calls) = job.calls()? {
            return Ok(Figures::from([("calls", Some(calls as f64 / gib))]));
        }
        Ok(Figures::from([
            ("rate", Some(mib / f64::from(count) / wall.as_secs_f64())),
            ("cpu", Some(spent.cpu.as_secs_f64() / gib)),
            ("peak_rss", Some(spent.peak_rss as f64 / MIB)),
            ("peak_anon", Some(spent.peak_anon as f64 / MIB)),
        ]))
    }
}

impl Seed {
    /// From the moment at which all are unchoked until the last has everything, or enough; how much that is.
    fn sink(
        &self,
        turn: &Turn,
        seeder: &mut Process,
        address: SocketAddrV4,
        count: u8,
    ) -> Result<(Duration, u64)> {
        let (address, hash) = (address.to_string(), self.payload.info_hash());
        let words = [
            &address,
            &hash,
            &self.payload.bytes.to_string(),
            &self.payload.piece_bytes.to_string(),
            &count.to_string(),
        ];
        let mut sink = part::start(&[&["sink"][..], &words.map(String::as_str)].concat(), turn.folder)?;
        sink.hear(PATIENCE, |line| (line == "ready").then_some(()))?;
        seeder.mark();
        let since = Instant::now();
        sink.say("go")?;
        let bytes = |line: &str| line.strip_prefix("done ")?.parse::<u64>().ok();
        let (until, sent) = sink.hear_while(PATIENCE, || seeder.look(), bytes)?;
        Ok((until - since, sent))
    }

    fn libtorrent(&self, turn: &Turn, seeder: &mut Process, address: SocketAddrV4) -> Result<Duration> {
        let turn = Turn { subject: Subject::Libtorrent, counts_calls: false, ..*turn };
        let copy = turn.workshop.memory.folder("copy")?;
        let (torrent, _tracker) = self.payload.torrent(turn.folder, &[])?;
        let job = Job { turn: &turn, torrent: &torrent, folder: copy.path() };
        turn.workshop.memory.warm(self.payload.bytes)?;
        contender::wait_for_port(seeder, address.port())?;
        seeder.mark();
        let done = contender::of(Subject::Libtorrent)?.download(&job, &mut Seeders::at(address))?;
        self.payload.compare(&copy.path().join(Payload::NAME))?;
        Ok(done.spent.wall)
    }
}
