//! Builds and runs the fuzz targets with libFuzzer, on the stable toolchain.
//!
//! The instrumentation is LLVM's own and needs no nightly compiler; only the sanitizers would, and our code has no
//! `unsafe` for them to look into. What libFuzzer finds on the way is kept in `target/fuzz/corpus`, so that the
//! next run starts from it; what breaks a target lies in `fuzz/artifacts`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::Command;
use crate::house::House;

/// Edge counters, comparisons and a table of code positions: what libFuzzer steers by.
const INSTRUMENTATION: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    --cfg fuzzing";

/// An input that takes longer is a finding: hostile bytes must not buy time.
const INPUT_SECONDS_MAX: u32 = 10;

/// A target that holds more is a finding: hostile bytes must not buy memory.
const MEMORY_MIB_MAX: u32 = 1024;

/// Inputs don't grow beyond this: above the largest message that most decoders take.
const INPUT_BYTES_MAX: u32 = 16 * 1024;

/// Lines of libFuzzer's report that are shown when a target breaks.
const REPORT_LINES: usize = 12;

/// Lines that are shown from a panic on: its place, what it says, and the first frames of ours.
const PANIC_LINES: usize = 24;

/// An error if `fuzz/Cargo.lock` isn't up to date, which would otherwise be told only after everything else.
pub(crate) fn check_lock(house: &House) -> Result<()> {
    let metadata =
        Command::cargo(&house.root.join("fuzz")).args(["metadata", "--format-version", "1", "--locked"]);
    metadata
        .output()
        .context("if fuzz/Cargo.lock isn't up to date: run `cargo metadata` in fuzz/ and commit it")?;
    Ok(())
}

/// Fuzzes one target, or says which there are.
pub(crate) fn one(house: &House, target: Option<&str>, span: Duration) -> Result<()> {
    let targets = targets(house)?;
    let Some(target) = target else {
        println!("{}", targets.join("\n"));
        return Ok(());
    };
    if !targets.iter().any(|name| name == target) {
        bail!("there is no target {target}, but: {}", targets.join(", "));
    }
    let folder = build(house)?;
    run(house, &folder, target, span)
}

/// Fuzzes all targets one after the other, for `span` altogether.
pub(crate) fn all(house: &House, span: Duration) -> Result<()> {
    let targets = targets(house)?;
    let folder = build(house)?;
    let count = u32::try_from(targets.len()).context("there are too many targets")?;
    let each = span.checked_div(count).context("there are no targets")?.max(Duration::from_secs(1));
    targets.iter().try_for_each(|target| run(house, &folder, target, each))
}

/// The targets by name. That this is the list of `fuzz/src/lib.rs` is checked by `tests/corpora.rs`.
fn targets(house: &House) -> Result<Vec<String>> {
    let folder = house.root.join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        names.extend(path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// Builds all targets; the folder in which they are.
fn build(house: &House) -> Result<PathBuf> {
    let host = host(house)?;
    // With --target, the flags don't reach build scripts and macros, which can't be linked with them.
    Command::cargo(&house.root.join("fuzz"))
        .env("RUSTFLAGS", INSTRUMENTATION)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .args([
            "build",
            "--release",
            "--locked",
            "--bins",
            "--target",
            &host,
            "--target-dir",
            "../target/fuzz",
        ])
        .run()
        .context("fuzzing needs a C++ compiler for libFuzzer (Debian: apt-get install g++)")?;
    Ok(house.root.join("target/fuzz").join(host).join("release"))
}

/// The triple of this machine.
fn host(house: &House) -> Result<String> {
    let version = Command::new("rustc", &house.root).arg("-vV").output()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc doesn't say which machine it is for")
}

fn run(house: &House, programs: &Path, target: &str, span: Duration) -> Result<()> {
    let found = house.root.join("target/fuzz/corpus").join(target);
    let broken = house.root.join("fuzz/artifacts").join(target);
    let log = house.root.join("target/fuzz").join(format!("{target}.log"));
    for folder in [&found, &broken] {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let report = File::create(&log).with_context(|| log.display().to_string())?;
    let status = Process::new(programs.join(target))
        .arg(format!("-max_total_time={}", span.as_secs()))
        .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
        .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
        .arg(format!("-max_len={INPUT_BYTES_MAX}"))
        .arg(format!("-artifact_prefix={}/", broken.display()))
        .arg("-print_final_stats=1")
        .arg(&found)
        .arg(house.root.join("fuzz/corpus").join(target))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(report)
        .status()
        .with_context(|| format!("{target} can't be started"))?;
    let said = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    if status.success() {
        println!("   {target}: {} inputs in {} s", inputs(&said), span.as_secs());
        return Ok(());
    }
    bail!(
        "{target} broke. The input is in fuzz/artifacts/{target}/: mend the code, and add the input to \
         fuzz/corpus/{target}/ under a name that says what it is. libFuzzer's report:\n{}",
        excerpt(&said)
    )
}

/// What a report says of its finding: the panic, which stands above a long trace of the stack, and the end, with the input.
fn excerpt(report: &str) -> String {
    let lines: Vec<&str> = report.lines().collect();
    let tail = lines.len().saturating_sub(REPORT_LINES);
    let panic = lines.iter().position(|line| line.contains("panicked at")).unwrap_or(tail).min(tail);
    [&lines[panic..(panic + PANIC_LINES).min(tail)], &lines[tail..]].concat().join("\n")
}

/// How many inputs were tried, by libFuzzer's closing statistics.
fn inputs(report: &str) -> &str {
    let count = report.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    count.map_or("no", str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_inputs_is_read_from_the_report() {
        let report = "Done 12 runs in 1 second(s)\nstat::number_of_executed_units: 12\nstat::x: 3\n";
        assert_eq!(inputs(report), "12");
        assert_eq!(inputs(""), "no");
    }

    #[test]
    fn an_excerpt_has_the_panic_and_the_end() {
        let trace: String = (0..99).map(|frame| format!("frame {frame}\n")).collect();
        let report = format!("INFO\nthread 'main' panicked at a.rs:1:2:\nsaid\n{trace}last\n");
        let excerpt = excerpt(&report);
        let lines: Vec<&str> = excerpt.lines().collect();
        assert_eq!(lines.len(), PANIC_LINES + REPORT_LINES);
        assert_eq!((lines[1], lines.last()), ("said", Some(&"last")));
    }

    #[test]
    fn a_short_report_is_its_own_excerpt() {
        assert_eq!(super::excerpt("a\nb"), "a\nb");
        assert_eq!(super::excerpt(""), "");
    }
}
