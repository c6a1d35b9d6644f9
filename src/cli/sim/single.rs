//! `afflux sim run`: one run, its figures, and its events in a file.

use std::fs::{File, Metadata};
use std::io::{BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use afflux_sim::report::{json, text};
use afflux_sim::scenario::builtin;
use afflux_sim::{Entry, Log, Outcome};

use super::work::{Stop, simulate};
use super::{INTERRUPTED, Loaded, RunArguments, both, load};
use crate::cli::show::Screen;
use crate::failure::Failure;

/// How often the progress is shown, and from when on: most runs are over before.
const TICK: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn run(json: bool, arguments: RunArguments) -> Result<ExitCode, Failure> {
    let loaded = load(&arguments.scenario)?;
    if let Some(events) = &arguments.events {
        refuse_own_file(&loaded.named, events)?;
    }
    let stop = Stop::at_signal()?;
    let reached_ms = AtomicU64::new(0);
    let mut events = Events::create(arguments.events.as_deref(), &reached_ms)?;
    let done = watched(json, &loaded, &arguments, &mut events, &stop);
    // Whatever was written before a run broke is what one wants to see then.
    let unwritten = events.finish();
    let outcome = match done {
        Ok(outcome) => outcome,
        Err(broken) => return Err(both(broken, unwritten)),
    };
    Screen::new(json).say(text::run(&outcome).trim_end(), || json::outcome(&outcome));
    if outcome.interrupted {
        eprintln!(
            "afflux: interrupted; the figures are of the {} s simulated until then",
            outcome.elapsed.as_secs()
        );
    }
    match unwritten {
        Some(unwritten) => Err(unwritten),
        None if outcome.interrupted => Ok(ExitCode::from(INTERRUPTED)),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// Events would take the place of the scenario that they are of. A link to it is the same file.
fn refuse_own_file(scenario: &str, events: &Path) -> Result<(), Failure> {
    if builtin::find(scenario).is_some() {
        return Ok(());
    }
    let file = |path: &Path| {
        let file = std::fs::metadata(path).ok().filter(Metadata::is_file)?;
        Some((file.dev(), file.ino()))
    };
    match file(events) {
        Some(same) if file(Path::new(scenario)) == Some(same) => Err(Failure::usage(format!(
            "--events {} is the scenario itself, which would be overwritten: another file is allowed",
            events.display()
        ))),
        _ => Ok(()),
    }
}

/// The run, on a thread of its own, while this one shows how far it is.
fn watched(
    json: bool,
    loaded: &Loaded,
    arguments: &RunArguments,
    events: &mut Events<'_>,
    stop: &Stop,
) -> Result<Outcome, Failure> {
    let reached_ms = events.reached_ms;
    std::thread::scope(|scope| {
        let run = scope
            .spawn(|| simulate(loaded, arguments.strategy, arguments.seed, events, &|| stop.is_raised()));
        let mut screen = Screen::new(json);
        let (started, limit) = (Instant::now(), loaded.scenario.limit.as_secs());
        while !run.is_finished() {
            std::thread::sleep(TICK);
            let reached = reached_ms.load(Ordering::Relaxed) / 1000;
            if !json && started.elapsed() >= PATIENCE {
                screen.status(
                    || format!("{}: {reached} of at most {limit} s", loaded.scenario.name),
                    Default::default,
                );
            }
        }
        drop(screen);
        run.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Takes down every event, and how far in virtual time the run is.
struct Events<'a> {
    file: Option<(PathBuf, BufWriter<File>)>,
    /// The first thing that went wrong with the file.
    failed: Option<Failure>,
    reached_ms: &'a AtomicU64,
}

impl<'a> Events<'a> {
    fn create(path: Option<&Path>, reached_ms: &'a AtomicU64) -> Result<Self, Failure> {
        let create = |path: &Path| {
            let file = File::create(path).map_err(|error| unwritable(path, &error))?;
            Ok((path.to_owned(), BufWriter::new(file)))
        };
        Ok(Self { file: path.map(create).transpose()?, failed: None, reached_ms })
    }

    /// What went wrong with the file.
    fn finish(mut self) -> Option<Failure> {
        if let Some((path, file)) = &mut self.file
            && let Err(error) = file.flush()
        {
            return Some(unwritable(path, &error));
        }
        self.failed
    }
}

impl Log for Events<'_> {
    fn entry(&mut self, entry: &Entry) {
        self.reached_ms.store(entry.at.as_millis() as u64, Ordering::Relaxed);
        if let Some((path, file)) = &mut self.file
            && let Err(error) = writeln!(file, "{entry}")
        {
            self.failed = Some(unwritable(path, &error));
            self.file = None;
        }
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::work(format!("{} can't be written: {error}", path.display()))
}
