//! `stream`: Afflux and other clients stream the same film over the same slow links.
//!
//! [`scenario`] has the links and the rows of the table, [`course`] what is done on them, [`client`](super::client) how each client is
//! started. A run is one client on one link: a fresh [`swarm`](super::swarm), a fresh folder, figures. Clients take
//! turns, so that whatever else the machine does meets all of them; where little is carried they run at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use super::case::{Figures, show};
use super::client::{Client, Running};
use super::course;
use super::film::Film;
use super::install::{self, Programs};
use super::report::{Report, Run};
use super::scenario::{self, Course, Scenario};
use super::swarm::{Reel, Swarm, info_of};
use super::{Arguments, STREAM, load, seed};
use crate::command::Command;
use crate::house::House;

/// Measures, saves after each run, and prints the table.
pub(crate) fn run(house: &House, arguments: &Arguments) -> Result<()> {
    let mut clients = Client::ALL.to_vec();
    clients.retain(|client| arguments.wants(client.name()));
    let programs = install::build(house)?;
    let missing = install::provide(house, &programs, &clients);
    let mut scenarios = scenario::all(arguments.quick);
    scenarios.retain(|scenario| arguments.wants_link(scenario.case.name));
    if !arguments.is_patient() {
        scenarios.retain(|scenario| scenario.course == Course::Seeks);
    }
    let report = Report {
        name: STREAM,
        cases: scenarios.iter().map(|scenario| Arc::clone(&scenario.case)).collect(),
        subjects: clients.iter().map(|client| client.name()).collect(),
        missing: missing.iter().map(|(client, why)| (client.name(), why.clone())).collect(),
        runs: Vec::new(),
        notes: BTreeSet::new(),
    };
    clients.retain(|client| !missing.contains_key(client));
    let mut bench = Bench {
        folder: house.root.join("target/bench"),
        seed: seed(),
        programs,
        reels: BTreeMap::new(),
        scenarios: scenarios.into_iter().map(Arc::new).collect(),
        clients,
        report,
    };
    bench.measure(arguments.rounds())?;
    println!("\n{}", bench.report.table());
    println!("Also in {}/stream.{{md,json,csv,svg}}", bench.folder.display());
    Ok(())
}

/// Clients that are measured side by side start one after another, so that nobody's start is measured while others boot.
const STAGGER: Duration = Duration::from_secs(10);

struct Bench {
    folder: PathBuf,
    seed: u64,
    programs: Programs,
    /// By length and piece length.
    reels: BTreeMap<(u64, u64), Reel>,
    scenarios: Vec<Arc<Scenario>>,
    /// Those that can be had.
    clients: Vec<Client>,
    report: Report,
}

/// What one run needs to know.
struct Turn<'a> {
    round: u32,
    scenario: &'a Scenario,
    client: Client,
    reel: Reel,
    seed: u64,
}

impl Bench {
    fn measure(&mut self, rounds: u32) -> Result<()> {
        for round in 1..=rounds {
            for nth in 0..self.scenarios.len() {
                self.measure_scenario(round, nth)?;
            }
        }
        Ok(())
    }

    /// All clients on one link, each time another one first.
    fn measure_scenario(&mut self, round: u32, nth: usize) -> Result<()> {
        let scenario = Arc::clone(&self.scenarios[nth]);
        let reel = reel(&mut self.reels, &scenario, self.seed, &self.folder, &self.programs)?;
        let mut clients = self.clients.clone();
        let first = round as usize % clients.len().max(1);
        clients.rotate_left(first);
        let seed = self.seed.wrapping_add(u64::from(round));
        let turn = |client| Turn { round, scenario: &scenario, client, reel: reel.clone(), seed };
        let at_once = if scenario.course.is_light() { clients.len().max(1) } else { 1 };
        for together in clients.chunks(at_once) {
            let turns: Vec<Turn> = together.iter().map(|client| turn(*client)).collect();
            let runs = side_by_side(&turns, &self.folder, &self.programs);
            self.report.runs.extend(runs);
            self.report.save(&self.folder)?;
        }
        Ok(())
    }
}

/// Clients at the same time, each in a swarm of its own.
fn side_by_side(turns: &[Turn], folder: &Path, programs: &Programs) -> Vec<Run> {
    let take = |nth: u32, turn: &Turn| {
        thread::sleep(STAGGER * nth);
        turn.take(folder, programs)
    };
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..).zip(turns).map(|(nth, turn)| scope.spawn(move || take(nth, turn))).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.map(|run| run.unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

impl Turn<'_> {
    fn take(&self, folder: &Path, programs: &Programs) -> Run {
        let started_at = Instant::now();
        let folder = folder.join("runs").join(format!("{}-{}", self.scenario.case.name, self.client.name()));
        let (outcome, status) = match self.try_take(&folder, programs) {
            Ok((figures, status)) => {
                // What failed stays, to be looked at.
                let _ = fs::remove_dir_all(&folder);
                (Ok(figures), status)
            }
            Err(error) => (Err(format!("{error:#}")), None),
        };
        let (round, scenario, client) = (self.round, self.scenario.case.name, self.client);
        let run = Run { round, case: scenario, subject: client.name(), outcome, status, load: load() };
        println!("{}", self.line(&run, started_at));
        run
    }

    fn try_take(&self, folder: &Path, programs: &Programs) -> Result<(Figures, Option<Value>)> {
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let pieces = match self.scenario.course {
            Course::Waiting => self.reel.film.pieces() * 3 / 4,
            _ => self.reel.film.pieces(),
        };
        let swarm = Swarm::start(&self.reel, &self.scenario.seeders, pieces, self.seed, folder)?;
        let running = Running::start(self.client, programs, &swarm.torrent, folder)?;
        let figures = course::run(self.scenario.course, &running, &swarm, self.seed)?;
        Ok((figures, running.last_status()))
    }

    /// How a run went, in one line.
    fn line(&self, run: &Run, started_at: Instant) -> String {
        let seconds = started_at.elapsed().as_secs();
        let told = match &run.outcome {
            Err(why) => format!("failed: {why}"),
            Ok(figures) => {
                let told = self.scenario.case.rows.iter().filter_map(|row| {
                    let figure = figures.get(row.key)?;
                    let figure = figure.map_or_else(|| "never".to_owned(), |it| show(row.unit, it));
                    Some(format!("{} {figure}", row.title))
                });
                told.collect::<Vec<_>>().join("; ")
            }
        };
        let (link, client) = (self.scenario.case.name, self.client.name());
        format!("   {link}, round {}, {client} ({seconds} s, load {:.1}): {told}", self.round, run.load)
    }
}

/// The film of a scenario, made when it is first needed. Its bytes are on disk only while our own client hashes them.
fn reel(
    reels: &mut BTreeMap<(u64, u64), Reel>,
    scenario: &Scenario,
    seed: u64,
    folder: &Path,
    programs: &Programs,
) -> Result<Reel> {
    let key = (scenario.film_bytes, scenario.piece_bytes);
    if let Some(reel) = reels.get(&key) {
        return Ok(reel.clone());
    }
    let film = Film::new(seed, scenario.film_bytes, scenario.piece_bytes);
    let (bytes, torrent) = (folder.join("film.mp4"), folder.join("film.torrent"));
    film.write(&bytes)?;
    let text = |path: &Path| path.to_str().map(str::to_owned).context("the path is not UTF-8");
    let made = Command::new(&text(&programs.afflux)?, folder)
        .args(["create", &text(&bytes)?, "--output", &text(&torrent)?])
        .args(["--piece-length", &scenario.piece_bytes.to_string()])
        .run()
        .and_then(|()| fs::read(&torrent).context("no .torrent was made"));
    let _ = fs::remove_file(&bytes);
    let _ = fs::remove_file(&torrent);
    let info: Arc<[u8]> = info_of(&made?).ok_or_else(|| anyhow!("the .torrent has no info"))?.into();
    let reel = Reel { film: Arc::new(film), info };
    reels.insert(key, reel.clone());
    Ok(reel)
}
