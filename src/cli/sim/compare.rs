//! `afflux sim compare` and `table`: many runs on all cores, and what comes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use afflux_sim::compare::{Comparison, Job, Plan, Run};
use afflux_sim::report::{csv, json, svg, text};
use afflux_swarm::StrategyName;

use super::work::{Stop, simulate};
use super::{INTERRUPTED, Loaded, PlanArguments, both};
use crate::cli::show::Screen;
use crate::failure::Failure;

/// Results on their way to the one who shows them: small, and taken at once.
const RESULTS_MAX: usize = 64;
/// How often the progress is shown, and from when on.
const TICK: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn run(json: bool, loaded: Vec<Loaded>, arguments: PlanArguments) -> Result<ExitCode, Failure> {
    refuse_equal_names(&loaded)?;
    let plan = Plan {
        scenarios: loaded.iter().map(|loaded| loaded.scenario.clone()).collect(),
        strategies: chosen(&arguments.strategies),
        seeds: arguments.seeds,
    };
    if let Some(folder) = &arguments.out {
        std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
    }
    let threads = arguments.threads.map_or_else(
        || std::thread::available_parallelism().map_or(1, usize::from),
        |threads| threads as usize,
    );
    let stop = Stop::at_signal()?;
    let mut show = Show::new(json, &plan);
    let (runs, failed) = make(&loaded, &plan.jobs(), threads, &stop, &mut show);
    drop(show);
    let comparison = Comparison::new(&plan, runs);
    let (made, planned) = (comparison.runs(), comparison.planned);
    // A report of nothing would take the place of an earlier one.
    let unwritten = if made == 0 { None } else { report(json, &comparison, arguments.out.as_deref()).err() };
    let interrupted = failed.is_none() && stop.is_raised();
    if made == 0 || interrupted {
        let end = if interrupted { "interrupted" } else { "stopped" };
        let report = if made == 0 { "no report is written" } else { "the figures are of those" };
        eprintln!("afflux: {end} after {made} of {planned} runs; {report}");
    }
    match (failed, unwritten) {
        (Some(failed), unwritten) => Err(both(failed, unwritten)),
        (None, Some(unwritten)) => Err(unwritten),
        (None, None) if interrupted => Ok(ExitCode::from(INTERRUPTED)),
        (None, None) => Ok(ExitCode::SUCCESS),
    }
}

/// Rows and files go by the scenarios' names.
fn refuse_equal_names(loaded: &[Loaded]) -> Result<(), Failure> {
    let mut names = BTreeSet::new();
    match loaded.iter().find(|loaded| !names.insert(&loaded.scenario.name)) {
        Some(Loaded { named, scenario }) => {
            let name = &scenario.name;
            Err(Failure::usage(format!(
                "{named}: the name {name:?} is taken by another scenario of this comparison"
            )))
        }
        None => Ok(()),
    }
}

/// The strategies in the order in which they were given, each once; all if none was.
fn chosen(given: &[StrategyName]) -> Vec<StrategyName> {
    let mut chosen = Vec::new();
    for &strategy in if given.is_empty() { &StrategyName::ALL[..] } else { given } {
        if !chosen.contains(&strategy) {
            chosen.push(strategy);
        }
    }
    chosen
}

/// Makes the runs. The first that fails ends it; what was made until then is kept.
fn make(
    loaded: &[Loaded],
    jobs: &[Job],
    threads: usize,
    stop: &Stop,
    show: &mut Show<'_>,
) -> (Vec<Run>, Option<Failure>) {
    let (next, halted) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (sender, receiver) = sync_channel(RESULTS_MAX);
    let stopped = || stop.is_raised() || halted.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(jobs.len()) {
            let sender = sender.clone();
            scope.spawn(|| work(loaded, jobs, &next, &stopped, sender));
        }
        drop(sender);
        gather(&receiver, &halted, show)
    })
}

/// A thread's part: runs, one after another, until none is left.
fn work(
    loaded: &[Loaded],
    jobs: &[Job],
    next: &AtomicUsize,
    stopped: &dyn Fn() -> bool,
    results: SyncSender<(usize, Result<Run, Failure>)>,
) {
    while !stopped() {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(&job) = jobs.get(index) else { return };
        let result = match simulate(&loaded[job.scenario], job.strategy, job.seed, &mut (), stopped) {
            // Its figures are of a part of what the others simulated.
            Ok(outcome) if outcome.interrupted => return,
            Ok(outcome) => Ok(Run::new(job, &outcome)),
            Err(failure) => Err(failure),
        };
        if results.send((index, result)).is_err() {
            return;
        }
    }
}

/// Takes the results until all threads have ended.
fn gather(
    results: &Receiver<(usize, Result<Run, Failure>)>,
    halted: &AtomicBool,
    show: &mut Show<'_>,
) -> (Vec<Run>, Option<Failure>) {
    let (mut runs, mut failed) = (Vec::new(), None);
    loop {
        match results.recv_timeout(TICK) {
            Ok((index, Ok(run))) => {
                show.done(index, &run);
                runs.push(run);
            }
            Ok((_, Err(failure))) => {
                halted.store(true, Ordering::Relaxed);
                failed.get_or_insert(failure);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return (runs, failed),
        }
        show.progress(runs.len());
    }
}

/// Shows how far it is to a person, and each run, in the plan's order, to a program.
struct Show<'a> {
    json: bool,
    screen: Screen,
    plan: &'a Plan,
    planned: usize,
    started: Instant,
    /// Runs whose turn hasn't come.
    early: BTreeMap<usize, Run>,
    turn: usize,
}

impl<'a> Show<'a> {
    fn new(json: bool, plan: &'a Plan) -> Self {
        let planned = plan.jobs().len();
        let (screen, started) = (Screen::new(json), Instant::now());
        Self { json, screen, plan, planned, started, early: BTreeMap::new(), turn: 0 }
    }

    fn done(&mut self, index: usize, run: &Run) {
        if !self.json {
            return;
        }
        self.early.insert(index, run.clone());
        while let Some(run) = self.early.remove(&self.turn) {
            self.say(&run);
            self.turn += 1;
        }
    }

    fn say(&self, run: &Run) {
        let scenario = &self.plan.scenarios[run.job.scenario].name;
        self.screen.say("", || json::run(scenario, run));
    }

    fn progress(&mut self, done: usize) {
        if self.json || self.started.elapsed() < PATIENCE {
            return;
        }
        let (planned, spent) = (self.planned, self.started.elapsed().as_secs_f64());
        let sentence = || {
            let left = match done {
                0 => String::new(),
                _ => format!(", about {:.0} s left", spent / done as f64 * (planned - done) as f64),
            };
            format!("{done} of {planned} runs{left}")
        };
        self.screen.status(sentence, Default::default);
    }
}

impl Drop for Show<'_> {
    /// Runs behind one that was interrupted are still told.
    fn drop(&mut self) {
        for run in self.early.values() {
            self.say(run);
        }
    }
}

fn report(json: bool, comparison: &Comparison, folder: Option<&Path>) -> Result<(), Failure> {
    let screen = Screen::new(json);
    screen.say(text::comparison(comparison).trim_end(), || json::comparison(comparison));
    let Some(folder) = folder else { return Ok(()) };
    let write = |name: &str, content: String| {
        let path = folder.join(name);
        std::fs::write(&path, content).map_err(|error| unwritable(&path, &error))
    };
    write("comparison.json", format!("{:#}\n", json::comparison(comparison)))?;
    write("runs.csv", csv::runs(comparison))?;
    write("summary.csv", csv::summaries(comparison))?;
    for row in &comparison.rows {
        write(&format!("{}.svg", row.scenario), svg::row(row))?;
    }
    if !json {
        let plots = comparison.rows.len();
        eprintln!("{}: comparison.json, runs.csv, summary.csv and {plots} plots (SVG)", folder.display());
    }
    Ok(())
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::work(format!("{} can't be written: {error}", path.display()))
}
