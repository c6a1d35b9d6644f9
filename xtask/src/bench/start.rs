//! `start`: how long a program takes to say its version, and a daemon until it listens for orders.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::case::{Case, Figures, Row, Unit, median};
use super::contender::{self, Job};
use super::process::memory_of;
use super::subject::Subject;
use super::work::{Turn, Work, Workshop};

const MIB: f64 = 1024.0 * 1024.0;

/// Starts of which the median is taken in each round: they are short.
const VERSIONS: usize = 21;

/// The clients that are programs; the others are libraries.
const PROGRAMS: [Subject; 5] =
    [Subject::Afflux, Subject::Aria2, Subject::Rqbit, Subject::Qbittorrent, Subject::Transmission];

pub(crate) fn work(_workshop: &Workshop) -> Result<Box<dyn Work>> {
    Ok(Box::new(Start))
}

struct Start;

impl Work for Start {
    fn cases(&self) -> Vec<Case> {
        let case = |name, title: &str, rows| Case { name, title: title.to_owned(), rows };
        vec![
            case(
                "version",
                "`--version`",
                vec![Row::new("version", "until it has ended", Unit::Milliseconds)],
            ),
            case(
                "daemon",
                "a daemon with nothing in it",
                vec![
                    Row::new("listening", "until it listens", Unit::Milliseconds),
                    Row::new("rss", "memory then", Unit::Mib),
                    Row::new("anon", "memory then, no file's", Unit::Mib),
                ],
            ),
        ]
    }

    fn subjects(&self, _case: &Case) -> Vec<Subject> {
        PROGRAMS.to_vec()
    }

    fn take(&mut self, turn: &Turn) -> Result<Figures> {
        if turn.case.name == "version" { version(turn) } else { daemon(turn) }
    }
}

fn version(turn: &Turn) -> Result<Figures> {
    let program =
        contender::of(turn.subject)?.program(&turn.workshop.programs).context("it is no program")?;
    let mut milliseconds = Vec::new();
    for _ in 0..VERSIONS {
        let mut command = Command::new(program);
        command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let since = Instant::now();
        let status = command.status()?;
        milliseconds.push(Some(since.elapsed().as_secs_f64() * 1000.0));
        if !status.success() {
            bail!("`--version` failed ({status})");
        }
    }
    Ok(Figures::from([("version", median(&milliseconds))]))
}

fn daemon(turn: &Turn) -> Result<Figures> {
    let job = Job { turn, torrent: turn.folder, folder: turn.folder };
    let mut daemon = contender::of(turn.subject)?.daemon(&job)?;
    let listening = daemon.marked_at().elapsed().as_secs_f64() * 1000.0;
    let memory = memory_of(daemon.id());
    daemon.stop()?;
    Ok(Figures::from([
        ("listening", Some(listening)),
        ("rss", Some(memory.rss as f64 / MIB)),
        ("anon", Some(memory.anon as f64 / MIB)),
    ]))
}
