//! The one gate: what every change has to pass, in the order in which a mistake is told soonest.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::command::Command;
use crate::house::House;
use crate::{boundaries, fuzz, terms, tools};

/// How much to run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Extent {
    /// All there is.
    Everything,
    /// What needs nothing but Rust and a C compiler.
    RustOnly,
}

/// All targets together: long enough to notice a decoder that has lost a check, not a search for deep bugs.
const FUZZ_SPAN: Duration = Duration::from_secs(120);

/// The feature of the root package that builds the tests with real clients.
const INTEROP: &str = "interop";

/// The tests of the root package that need real clients and players.
const INTEROP_TESTS: [&str; 2] = ["interop", "e2e"];

struct Step {
    name: &'static str,
    /// What to do when it fails.
    advice: &'static str,
    extent: Extent,
    run: fn(&House, &mut Tally) -> Result<()>,
}

const STEPS: [Step; 10] = [
    Step {
        name: "tools for the tests with real clients",
        advice: "run it as root once, or `cargo xtask test --quick` to do without them",
        extent: Extent::Everything,
        run: |house, _| tools::provide_all(house),
    },
    Step {
        name: "format",
        advice: "run `cargo fmt --all`",
        extent: Extent::RustOnly,
        run: |house, _| Command::cargo(&house.root).args(["fmt", "--all", "--check"]).run(),
    },
    Step {
        name: "boundaries between the crates",
        advice: "the reasons are in ARCHITECTURE.md, the rules in xtask/src/boundaries.rs",
        extent: Extent::RustOnly,
        run: |house, _| fuzz::check_lock(house).and_then(|()| boundaries::check(house)),
    },
    Step {
        name: "lints",
        advice: "mend what clippy says",
        extent: Extent::RustOnly,
        run: |house, _| lints(house),
    },
    Step {
        name: "documentation",
        advice: "mend what rustdoc says",
        extent: Extent::RustOnly,
        run: |house, _| documentation(house),
    },
    Step {
        name: "tests that need only Rust",
        advice: "run the failed test alone: `cargo test -p PACKAGE NAME`",
        extent: Extent::RustOnly,
        run: |house, tally| tests(house, tally),
    },
    Step {
        name: "the demo plays by itself",
        advice: "look at what it says: `cargo run -- demo --check`",
        extent: Extent::RustOnly,
        run: |house, _| Command::cargo(&house.root).args(["run", "--locked", "--", "demo", "--check"]).run(),
    },
    Step {
        name: "licences, sources and banned crates",
        advice: "choose another dependency, or change deny.toml and say why there",
        extent: Extent::Everything,
        run: |house, _| terms::check(house),
    },
    Step {
        name: "fuzzing, two minutes in all",
        advice: "run the target alone: `cargo xtask fuzz TARGET`",
        extent: Extent::Everything,
        run: |house, _| fuzz::all(house, FUZZ_SPAN),
    },
    Step {
        name: "real clients and players",
        advice: "run the failed test alone: `cargo test --release --features interop --test interop NAME`",
        extent: Extent::Everything,
        run: |house, tally| interop(house, tally),
    },
];

/// Runs the steps and stops at the first that fails.
pub(crate) fn run(house: &House, extent: Extent) -> Result<()> {
    let steps: Vec<&Step> =
        STEPS.iter().filter(|step| extent == Extent::Everything || step.extent == Extent::RustOnly).collect();
    let started = Instant::now();
    let mut tally = Tally::default();
    for (index, step) in steps.iter().enumerate() {
        let number = index + 1;
        println!("== {number}/{} {}", steps.len(), step.name);
        let step_started = Instant::now();
        let result = (step.run)(house, &mut tally);
        let seconds = step_started.elapsed().as_secs_f64();
        if let Err(error) = result {
            println!("== {number}/{} {}: FAILED after {seconds:.1} s", steps.len(), step.name);
            tally.close();
            bail!("{}: {error:#}\n  What to do: {}", step.name, step.advice);
        }
        println!("== {number}/{} {}: {seconds:.1} s\n", steps.len(), step.name);
    }
    println!("All {} steps passed in {} s", steps.len(), started.elapsed().as_secs());
    tally.close();
    Ok(())
}

/// Whether the root package has the feature for real clients; the last step fails where it hasn't.
fn has_interop(house: &House) -> bool {
    house.package("afflux").is_some_and(|package| package.features.contains(INTEROP))
}

fn lints(house: &House) -> Result<()> {
    let mut command =
        Command::cargo(&house.root).args(["clippy", "--locked", "--workspace", "--all-targets"]);
    if has_interop(house) {
        command = command.args(["--features", "afflux/interop"]);
    }
    command.args(["--", "-D", "warnings"]).run()
}

fn documentation(house: &House) -> Result<()> {
    Command::cargo(&house.root)
        .env("RUSTDOCFLAGS", "-D warnings")
        .args(["doc", "--locked", "--workspace", "--no-deps"])
        .run()
}

fn tests(house: &House, tally: &mut Tally) -> Result<()> {
    let command = Command::cargo(&house.root).args(["test", "--locked", "--workspace", "--no-fail-fast"]);
    tally.watch(command)
}

fn interop(house: &House, tally: &mut Tally) -> Result<()> {
    let package = house.package("afflux").context("the workspace has no package afflux")?;
    for test in INTEROP_TESTS {
        if !package.tests.iter().any(|name| name == test) {
            bail!("the test target `{test}` is missing from Cargo.toml");
        }
    }
    let command = Command::cargo(&house.root)
        .args([
            "test",
            "--locked",
            "--release",
            "--no-fail-fast",
            "--package",
            "afflux",
            "--features",
            INTEROP,
        ])
        .args(INTEROP_TESTS.iter().flat_map(|test| ["--test", *test]));
    tally.watch(command)
}

/// The tests that were run, added up over all test programs.
#[derive(Debug, Default, Eq, PartialEq)]
struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
    /// Names of those that failed.
    failures: Vec<String>,
}

impl Tally {
    /// Runs a `cargo test` and counts.
    fn watch(&mut self, command: Command) -> Result<()> {
        let failed_before = self.failures.len();
        let succeeded = command.watch(|line| self.count(line))?;
        match &self.failures[failed_before..] {
            _ if succeeded => Ok(()),
            [] => bail!("cargo test failed: see above"),
            failures => bail!("failed: {}", failures.join(", ")),
        }
    }

    /// Reads one line of what a test program prints.
    fn count(&mut self, line: &str) {
        if let Some(test) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.failures.push(test.to_owned());
        }
        let Some(result) = line.strip_prefix("test result: ") else { return };
        for part in result.split([';', '.']) {
            let mut words = part.split_whitespace();
            let (Some(count), Some(what), None) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            let Ok(count) = count.parse::<u64>() else { continue };
            match what {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.ignored += count,
                _ => {}
            }
        }
    }

    /// The closing line.
    fn close(&self) {
        let ignored = if self.ignored == 0 { String::new() } else { format!(", {} ignored", self.ignored) };
        println!("{} passed, {} failed{ignored}", self.passed, self.failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_test_programs_are_added_up() {
        let mut tally = Tally::default();
        for line in [
            "test a::b ... ok",
            "test a::c ... FAILED",
            "test result: FAILED. 3 passed; 1 failed; 2 ignored; 0 measured; 5 filtered out; finished in 0.10s",
            "test result: ok. 10 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s",
        ] {
            tally.count(line);
        }
        let failures = vec!["a::c".to_owned()];
        assert_eq!(tally, Tally { passed: 13, failed: 1, ignored: 2, failures });
    }
}
