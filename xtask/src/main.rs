//! The project's chores: the gate that every change passes, fuzzing, the sample media.
//!
//! `cargo xtask --help` says what there is. No test is in here: the tests are where the code is, and `gate`
//! says in which order what is run.

mod bench;
mod boundaries;
mod command;
mod fuzz;
mod gate;
mod house;
mod terms;
mod tools;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::Command;
use crate::house::House;

const HELP: &str = "\
The chores of Afflux.

Usage: cargo xtask COMMAND

Commands:
  test                          everything a change has to pass: style, documentation, boundaries, licences,
                                tests, the demo, two minutes of fuzzing, real clients and players.
                                On Debian it installs what it needs, if run as root
  test --quick                  only what needs nothing but Rust and a C compiler
  fuzz TARGET [--seconds N]     fuzzes one target (60 s); without TARGET says which there are
  samples                       makes the sample media again (needs ffmpeg)
  bench [WORK...]               measures Afflux beside other clients, which it installs into target/bench (on Debian, as
                                root, also with apt-get); each table is printed, and saved there as md, json, csv and
                                svg after every run, so that Ctrl-C keeps what is done. Without WORK all of these, but
                                of `stream` only the links that take minutes:
{works}
                                stream: films over slow links (hours)
                                --rounds N (7), --only afflux,libtorrent,..., --quick (a quarter of the bytes, shorter
                                films), --case NAME,... (the tables of a work), --link NAME,... (of `stream`)
  replay FILE                   asks a daemon what players asked, in their own time, for each sequence in a file of JSON lines
                                (`tests/traces/mod.rs` has its form), and prints what that came to
  soak [--seeks N]              watches films for minutes on every kind of storage, with pieces of 1, 4 and 16 MiB, eight
                                viewers that seek N times (1000) and 200 peers, and fails if the memory passes its bound
  tools                         installs what the tests with real clients need, and does nothing else

Exit status: 0 done, 1 something failed, 2 wrong usage.";

/// How long `fuzz` goes on unless told.
const FUZZ_SECONDS: u64 = 60;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["--help" | "-h" | "help"] => {
            println!("{}", help());
            Ok(())
        }
        ["test"] => House::find().and_then(|house| gate::run(&house, gate::Extent::Everything)),
        ["test", "--quick"] => House::find().and_then(|house| gate::run(&house, gate::Extent::RustOnly)),
        ["fuzz", ref rest @ ..] => match fuzz_arguments(rest) {
            Ok((target, span)) => House::find().and_then(|house| fuzz::one(&house, target, span)),
            Err(error) => return usage(&format!("{error:#}")),
        },
        ["bench", ref rest @ ..] => match bench::Arguments::parse(rest) {
            Ok(arguments) => House::find().and_then(|house| bench::run(&house, &arguments)),
            Err(error) => return usage(&format!("{error:#}")),
        },
        [bench::PART, ref words @ ..] => bench::run_part(words),
        ["replay", file] => House::find().and_then(|house| replay(&house, file)),
        ["soak"] => House::find().and_then(|house| soak(&house, "1000")),
        ["soak", "--seeks", seeks] if seeks.parse::<u32>().is_ok() => {
            House::find().and_then(|house| soak(&house, seeks))
        }
        ["samples"] => House::find().and_then(|house| samples(&house)),
        ["tools"] => House::find().and_then(|house| tools::provide_all(&house)),
        [] => return usage("a command is missing"),
        _ => return usage(&format!("`{}` is no command", arguments.join(" "))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn usage(what: &str) -> ExitCode {
    eprintln!("xtask: {what}\n\n{}", help());
    ExitCode::from(2)
}

fn help() -> String {
    let works: Vec<String> =
        bench::WORKS.iter().map(|work| format!("{:32}{}: {}", "", work.name, work.about)).collect();
    HELP.replace("{works}", &works.join("\n"))
}

/// The target (none: list them) and how long to fuzz it.
fn fuzz_arguments<'a>(arguments: &[&'a str]) -> Result<(Option<&'a str>, Duration)> {
    let (target, seconds) = match *arguments {
        [] => (None, FUZZ_SECONDS),
        [target] if !target.starts_with('-') => (Some(target), FUZZ_SECONDS),
        [target, "--seconds", seconds] if !target.starts_with('-') => {
            let seconds: u64 = seconds.parse().context("--seconds takes a whole number")?;
            (Some(target), seconds)
        }
        _ => bail!("fuzz takes a target and --seconds N"),
    };
    if seconds == 0 {
        bail!("--seconds 0 would fuzz forever");
    }
    Ok((target, Duration::from_secs(seconds)))
}

/// The long run of the root package's test of the hard bound, with the program as it is shipped.
fn soak(house: &House, seeks: &str) -> Result<()> {
    Command::cargo(&house.root)
        .args(["test", "--release", "--package", "afflux", "--test", "soak", "--"])
        .args(["--ignored", "--nocapture", "--test-threads=1"])
        .env("AFFLUX_SOAK_SEEKS", seeks)
        .run()
}

/// The root package's test that replays a file of requests, which goes with none of its own.
fn replay(house: &House, file: &str) -> Result<()> {
    let path = std::path::absolute(file).with_context(|| file.to_owned())?;
    if !path.is_file() {
        bail!("{} is no file", path.display());
    }
    let path = path.to_str().context("the path isn't UTF-8")?;
    Command::cargo(&house.root)
        .args(["test", "--package", "afflux", "--test", "service", "--"])
        .args(["--ignored", "--nocapture", "--exact", "traces::the_sequences_of_a_file"])
        .env("AFFLUX_TRACES", path)
        .run()
}

fn samples(house: &House) -> Result<()> {
    if !tools::is_on_path("ffmpeg") {
        bail!("ffmpeg is missing: install it (Debian: apt-get install ffmpeg)");
    }
    Command::new("sh", &house.root).arg("samples/make.sh").run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuzzing_takes_a_target_and_a_time() {
        assert_eq!(fuzz_arguments(&[]).unwrap(), (None, Duration::from_secs(60)));
        assert_eq!(fuzz_arguments(&["krpc"]).unwrap(), (Some("krpc"), Duration::from_secs(60)));
        assert_eq!(
            fuzz_arguments(&["krpc", "--seconds", "5"]).unwrap(),
            (Some("krpc"), Duration::from_secs(5))
        );
    }

    #[test]
    fn wrong_fuzz_arguments_are_refused() {
        for wrong in [
            &["--seconds"][..],
            &["krpc", "--seconds"],
            &["krpc", "--seconds", "x"],
            &["krpc", "--seconds", "0"],
            &["krpc", "magnet"],
        ] {
            assert!(fuzz_arguments(wrong).is_err(), "{wrong:?}");
        }
    }
}
