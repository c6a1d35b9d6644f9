//! `afflux sim`: swarms simulated in virtual time, to see what a strategy does, and to compare it with others.

mod compare;
mod single;
mod work;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use afflux_sim::Scenario;
use afflux_sim::scenario::{builtin, limits};
use afflux_swarm::StrategyName;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde_json::{Value, json};

use super::Context;
use super::show::Screen;
use crate::config::units;
use crate::failure::Failure;

/// What a shell gives for a program that Ctrl-C ended: 128 and the signal's number.
const INTERRUPTED: u8 = 130;

/// Arguments of `afflux sim`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Try it:                   afflux sim run tight-link\n\
                  Compare two strategies:   afflux sim compare seeker churn --strategies deadline,rarest --out figures\n\
                  Write your own scenario:  afflux sim show seeker > mine.toml; afflux sim run mine.toml\n\n\
                  One scenario, strategy and seed give the same run on any machine, event by event.\n\
                  Exit status: 0 done, 1 a run failed, 2 wrong usage, 130 stopped by Ctrl-C; what was computed until then \
                  is reported.",
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct SimArguments {
    #[command(subcommand)]
    command: SimCommand,
}

#[derive(Debug, clap::Subcommand)]
enum SimCommand {
    /// List the scenarios that are built in, and the strategies
    List,
    /// Print a built-in scenario's file, to start one's own from
    Show {
        /// Name of a built-in scenario
        #[arg(value_name = "NAME")]
        scenario: String,
    },
    /// Simulate a scenario once and show its figures
    Run(RunArguments),
    /// Compare strategies in some scenarios: medians and intervals over several seeds
    Compare(CompareArguments),
    /// Compare strategies in all built-in scenarios
    Table(PlanArguments),
}

/// Arguments of `afflux sim run`.
#[derive(Debug, clap::Args)]
struct RunArguments {
    /// A scenario file, or the name of a built-in scenario (a file of such a name: ./NAME)
    #[arg(value_name = "FILE|NAME")]
    scenario: String,
    /// How pieces are selected, by peers whose group doesn't say
    #[arg(long, value_name = "NAME", default_value = "deadline", value_parser = strategies())]
    strategy: StrategyName,
    /// What chance is drawn from; another seed is another run
    #[arg(
        long,
        value_name = "NUMBER",
        default_value = "1",
        allow_negative_numbers = true,
        value_parser = units::whole("--seed", 0, u64::MAX)
    )]
    seed: u64,
    /// Write every event to this file, a line each
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
}

/// Arguments of `afflux sim compare`.
#[derive(Debug, clap::Args)]
struct CompareArguments {
    /// Scenario files, or names of built-in scenarios (a file of such a name: ./NAME)
    #[arg(value_name = "FILE|NAME", required = true)]
    scenarios: Vec<String>,
    #[command(flatten)]
    plan: PlanArguments,
}

/// What is compared, and where it goes.
#[derive(Debug, clap::Args)]
struct PlanArguments {
    /// Strategies to compare, with commas between them [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = strategies())]
    strategies: Vec<StrategyName>,
    /// Runs of each strategy in each scenario, 1 to 1000; 6 are the fewest that allow 95 % intervals
    #[arg(
        long,
        value_name = "NUMBER",
        default_value = "6",
        allow_negative_numbers = true,
        value_parser = units::count("--seeds", 1, 1000)
    )]
    seeds: u32,
    /// Write comparison.json, runs.csv, summary.csv and a plot per scenario (SVG) into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Runs at the same time, 1 to 256 [default: one per core]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, value_parser = units::count("--threads", 1, 256))]
    threads: Option<u32>,
}

/// Reads a strategy's name; the help shows all with what they do.
fn strategies() -> impl TypedValueParser<Value = StrategyName> {
    PossibleValuesParser::new(
        StrategyName::ALL.map(|strategy| PossibleValue::new(strategy.as_str()).help(strategy.about())),
    )
    .try_map(|name| name.parse::<StrategyName>())
}

/// A scenario, and what it was called on the command line.
#[derive(Debug)]
struct Loaded {
    named: String,
    scenario: Scenario,
}

pub(super) fn run(context: &Context, arguments: SimArguments) -> Result<ExitCode, Failure> {
    let json = context.json;
    match arguments.command {
        SimCommand::List => list(json),
        SimCommand::Show { scenario } => show(json, &scenario),
        SimCommand::Run(arguments) => single::run(json, arguments),
        SimCommand::Compare(arguments) => {
            let scenarios = arguments.scenarios.iter().map(|named| load(named)).collect::<Result<_, _>>()?;
            compare::run(json, scenarios, arguments.plan)
        }
        SimCommand::Table(plan) => compare::run(json, all()?, plan),
    }
}

fn all() -> Result<Vec<Loaded>, Failure> {
    builtin::ALL.iter().map(|builtin| load(builtin.name)).collect()
}

fn list(json: bool) -> Result<ExitCode, Failure> {
    let scenarios = all()?;
    let scenarios = scenarios
        .iter()
        .map(|Loaded { scenario, .. }| ("scenario", scenario.name.as_str(), scenario.about.as_str()));
    let strategies = StrategyName::ALL.map(|strategy| ("strategy", strategy.as_str(), strategy.about()));
    let screen = Screen::new(json);
    let mut kind_before = "";
    for (kind, name, about) in scenarios.chain(strategies) {
        if kind != kind_before && !json {
            let heading = if kind == "scenario" { "Scenarios:" } else { "\nStrategies:" };
            screen.say(heading, || Value::Null);
        }
        kind_before = kind;
        let line = format!("  {name:<14} {about}");
        screen.say(&line, || json!({"event": kind, "name": name, "about": about}));
    }
    Ok(ExitCode::SUCCESS)
}

fn show(json: bool, name: &str) -> Result<ExitCode, Failure> {
    let builtin = builtin::find(name).ok_or_else(|| unknown(name))?;
    let object = || json!({"event": "scenario", "name": builtin.name, "toml": builtin.text});
    Screen::new(json).say(builtin.text.trim_end(), object);
    Ok(ExitCode::SUCCESS)
}

/// The scenario of a built-in's name or in a file.
fn load(named: &str) -> Result<Loaded, Failure> {
    let text = match builtin::find(named) {
        Some(builtin) => builtin.text.to_owned(),
        None => read(named)?,
    };
    let scenario = Scenario::parse(&text).map_err(|error| {
        Failure::usage(format!("the scenario can't be used\n{}", error.render(named).trim_end()))
    })?;
    Ok(Loaded { named: named.to_owned(), scenario })
}

fn read(named: &str) -> Result<String, Failure> {
    let path = Path::new(named);
    let unreadable = |error: std::io::Error| Failure::usage(format!("{named} can't be read: {error}"));
    if !path.exists() {
        return Err(unknown(named));
    }
    let mut bytes = Vec::new();
    // One byte more than is allowed, so that the reader sees that it is too long.
    let most = limits::TEXT_BYTES_MAX as u64 + 1;
    File::open(path).map_err(unreadable)?.take(most).read_to_end(&mut bytes).map_err(unreadable)?;
    String::from_utf8(bytes)
        .map_err(|_| Failure::usage(format!("{named} is no text: scenarios are TOML in UTF-8")))
}

/// A run that failed, and below it what went wrong with a file besides.
fn both(run: Failure, file: Option<Failure>) -> Failure {
    match file {
        Some(file) => Failure::work(format!("{run}\n{file}")),
        None => run,
    }
}

fn unknown(named: &str) -> Failure {
    let meant = builtin::closest(named).map_or_else(String::new, |name| format!("; did you mean {name}?"));
    let names: Vec<&str> = builtin::ALL.iter().map(|builtin| builtin.name).collect();
    Failure::usage(format!(
        "{named:?} is neither a file nor a built-in scenario{meant}\nbuilt in are {}",
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(named: &str) -> String {
        load(named).expect_err("it can't be used").to_string()
    }

    #[test]
    fn scenarios_are_found_by_name_from_anywhere() {
        assert_eq!(load("tight-link").unwrap().scenario.name, "tight-link");
        assert_eq!(all().unwrap().len(), builtin::ALL.len());
    }

    #[test]
    fn a_file_that_fails_does_not_hide_what_a_run_broke() {
        let run = || Failure::work("seed 7 broke");
        let file = Failure::work("a.log can't be written");
        assert_eq!(both(run(), Some(file)).to_string(), "seed 7 broke\na.log can't be written");
        assert_eq!(both(run(), None).to_string(), "seed 7 broke");
    }

    #[test]
    fn a_name_that_is_close_is_proposed() {
        let sentence = refused("tightlink");
        assert!(
            sentence.contains("did you mean tight-link?") && sentence.contains("flash-crowd"),
            "{sentence}"
        );
    }

    #[test]
    fn a_mistake_in_a_file_is_shown_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        std::fs::write(&path, "limit = \"15 mins\"\n").unwrap();
        let sentence = refused(path.to_str().unwrap());
        assert!(sentence.contains("mine.toml:1:9: limit is \"15 mins\""), "{sentence}");
        assert!(sentence.contains("did you mean \"15 min\"?"), "{sentence}");
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("noise");
        std::fs::write(&path, [0xff; 8]).unwrap();
        assert!(refused(path.to_str().unwrap()).contains("is no text"));
        assert!(refused(folder.path().to_str().unwrap()).contains("can't be read"));
        std::fs::write(&path, vec![b'#'; limits::TEXT_BYTES_MAX * 2]).unwrap();
        assert!(refused(path.to_str().unwrap()).contains("bytes"));
    }
}
