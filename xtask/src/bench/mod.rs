//! The side-by-side benchmark: Afflux and other clients stream the same film over the same slow links.
//!
//! [`scenario`] has the links and the rows of the table, [`course`] what is done on them, [`client`] how each client is
//! started. A run is one client on one link: a fresh [`swarm`], a fresh folder, figures. Clients take turns, so that
//! whatever else the machine does meets all of them; where little is carried they run at the same time.

mod chart;
mod client;
mod course;
mod film;
mod http;
mod install;
mod player;
mod report;
mod scenario;
mod seeder;
mod swarm;
mod tracker;

use std::collections::BTreeMap;
use std::fs;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use self::client::{Client, Programs, Running};
use self::course::Figures;
use self::film::Film;
use self::report::{Report, Run};
use self::scenario::{Course, Scenario};
use self::swarm::{Reel, Swarm, info_of};
use crate::command::Command;
use crate::house::House;

/// What is asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Arguments {
    rounds: u32,
    /// Names of clients; none: all.
    only: Vec<Client>,
    /// Names of links; none: all.
    links: Vec<String>,
    quick: bool,
}

impl Arguments {
    /// Reads what follows `bench`.
    pub(crate) fn parse(words: &[&str]) -> Result<Self> {
        let ["stream", words @ ..] = words else { bail!("bench takes what to measure: `stream`") };
        let mut parsed = Self { rounds: 5, only: Vec::new(), links: Vec::new(), quick: false };
        let mut words = words.iter();
        while let Some(&word) = words.next() {
            let mut value = || words.next().copied().with_context(|| format!("{word} needs a value"));
            match word {
                "--quick" => parsed.quick = true,
                "--rounds" => {
                    parsed.rounds = value()?
                        .parse()
                        .ok()
                        .filter(|rounds| (1..=100).contains(rounds))
                        .context("--rounds takes a number from 1 to 100")?;
                }
                "--only" => parsed.only = value()?.split(',').map(client_named).collect::<Result<_>>()?,
                "--link" => parsed.links = value()?.split(',').map(link_named).collect::<Result<_>>()?,
                _ => bail!("`{word}` is no option of bench stream"),
            }
        }
        Ok(parsed)
    }
}

fn client_named(name: &str) -> Result<Client> {
    Client::named(name).with_context(|| {
        let known: Vec<&str> = Client::ALL.iter().map(|client| client.name()).collect();
        format!("--only {name}: allowed are {}", known.join(", "))
    })
}

fn link_named(name: &str) -> Result<String> {
    let known = scenario::all(true);
    if known.iter().any(|scenario| scenario.name == name) {
        return Ok(name.to_owned());
    }
    let known: Vec<&str> = known.iter().map(|scenario| scenario.name).collect();
    bail!("--link {name}: allowed are {}", known.join(", "))
}

/// Measures, saves after each run, and prints the table.
pub(crate) fn run(house: &House, arguments: &Arguments) -> Result<()> {
    let clients = if arguments.only.is_empty() { Client::ALL.to_vec() } else { arguments.only.clone() };
    let (programs, missing) = install::provide(house, &clients)?;
    let scenarios = scenario::all(arguments.quick)
        .into_iter()
        .filter(|scenario| {
            arguments.links.is_empty() || arguments.links.iter().any(|name| name == scenario.name)
        })
        .map(Arc::new)
        .collect();
    let mut bench = Bench {
        folder: house.root.join("target/bench"),
        seed: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64),
        programs,
        reels: BTreeMap::new(),
        report: Report { scenarios, clients, missing, runs: Vec::new() },
    };
    bench.measure(arguments.rounds)?;
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
            for nth in 0..self.report.scenarios.len() {
                self.measure_scenario(round, nth)?;
            }
        }
        Ok(())
    }

    /// All clients on one link, each time another one first.
    fn measure_scenario(&mut self, round: u32, nth: usize) -> Result<()> {
        let scenario = Arc::clone(&self.report.scenarios[nth]);
        let reel = reel(&mut self.reels, &scenario, self.seed, &self.folder, &self.programs)?;
        let mut clients = self.report.clients.clone();
        clients.rotate_left(round as usize % self.report.clients.len());
        clients.retain(|client| !self.report.missing.contains_key(client));
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
        let folder = folder.join("runs").join(format!("{}-{}", self.scenario.name, self.client.name()));
        let (outcome, status) = match self.try_take(&folder, programs) {
            Ok((figures, status)) => {
                // What failed stays, to be looked at.
                let _ = fs::remove_dir_all(&folder);
                (Ok(figures), status)
            }
            Err(error) => (Err(format!("{error:#}")), None),
        };
        let (round, scenario, client) = (self.round, self.scenario.name, self.client);
        let run = Run { round, scenario, client, outcome, status, load: load() };
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
                let told = self.scenario.rows.iter().filter_map(|row| {
                    let figure = figures.get(row.key)?;
                    let figure = figure.map_or_else(|| "never".to_owned(), |it| report::show(row.unit, it));
                    Some(format!("{} {figure}", row.title))
                });
                told.collect::<Vec<_>>().join("; ")
            }
        };
        let (link, client) = (self.scenario.name, self.client.name());
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

/// The load average over a minute.
fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_say_what_to_measure() {
        let all = Arguments { rounds: 5, only: Vec::new(), links: Vec::new(), quick: false };
        assert_eq!(Arguments::parse(&["stream"]).unwrap(), all);
        let some = Arguments {
            rounds: 2,
            only: vec![Client::Rqbit, Client::Afflux],
            links: vec!["tight".to_owned()],
            quick: true,
        };
        let words = ["stream", "--only", "rqbit,afflux", "--rounds", "2", "--quick", "--link", "tight"];
        assert_eq!(Arguments::parse(&words).unwrap(), some);
    }

    #[test]
    fn wrong_arguments_are_told_what_is_allowed() {
        for (wrong, told) in [
            (&["--rounds"][..], "needs a value"),
            (&["--rounds", "0"], "from 1 to 100"),
            (&["--only", "utorrent"], "allowed are afflux,"),
            (&["--link", "loose"], "allowed are fast,"),
            (&["--fast"], "no option"),
        ] {
            let error = Arguments::parse(&[&["stream"], wrong].concat()).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
        assert!(Arguments::parse(&[]).is_err() && Arguments::parse(&["seed"]).is_err());
    }
}
