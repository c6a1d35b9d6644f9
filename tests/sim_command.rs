//! `afflux sim` as a user meets it: the program itself, its output, its exit status.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A seed and a viewer, a minute of film.
const SMALL: &str = r#"
name = "small"
about = "A seed and a viewer"
network = "fluid"
limit = "5 min"
[content]
length = "8 MiB"
piece-length = "256 KiB"
media-rate = "1 Mbit/s"
[[group]]
name = "seed"
role = "seed"
up = "2 Mbit/s"
down = "2 Mbit/s"
[[group]]
name = "viewer"
role = "viewer"
up = "2 Mbit/s"
down = "20 Mbit/s"
"#;

fn afflux(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_afflux"));
    command.current_dir(folder).env("AFFLUX_DATA_DIR", folder).stdin(Stdio::null()).arg("sim");
    command
}

/// A folder with the small scenario.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("small.toml"), SMALL).expect("the scenario can be written");
    folder
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    afflux(folder).args(arguments).output().expect("the program starts")
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_run_shows_its_figures_and_repeats_event_by_event() {
    let folder = folder();
    let once = |events: &str| {
        let output = run(folder.path(), &["run", "small.toml", "--seed", "7", "--events", events]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output.stderr));
        (said(&output.stdout), std::fs::read(folder.path().join(events)).expect("the events are written"))
    };
    let (shown, events) = once("a.log");
    assert!(shown.starts_with("small with deadline, seed 7:") && shown.contains("start-up"), "{shown}");
    assert!(said(&events).lines().any(|line| line.ends_with(" 1 join")), "{}", said(&events));
    assert_eq!(once("b.log"), (shown, events));
}

#[test]
fn a_comparison_is_written_as_json_csv_and_plots() {
    let folder = folder();
    let output = run(
        folder.path(),
        &["compare", "small.toml", "--strategies", "rarest,deadline", "--seeds", "2", "--out", "figures"],
    );
    assert_eq!(output.status.code(), Some(0), "{}", said(&output.stderr));
    assert!(said(&output.stdout).contains("Medians of 2 runs each"), "{}", said(&output.stdout));
    let read = |name: &str| {
        std::fs::read_to_string(folder.path().join("figures").join(name))
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let comparison: Value = serde_json::from_str(&read("comparison.json")).expect("it is JSON");
    assert_eq!(comparison["scenarios"][0]["strategies"][1]["name"], "deadline");
    assert_eq!(read("runs.csv").lines().count(), 1 + 4);
    assert!(read("summary.csv").contains("small,rarest,startupSeconds,2,"));
    assert!(read("small.svg").starts_with("<svg"));
}

#[test]
fn as_many_threads_as_one_likes_give_the_same_lines() {
    let folder = folder();
    let lines = |threads: &str| {
        let arguments = ["--json", "compare", "small.toml", "--seeds", "2", "--threads", threads];
        said(&run(folder.path(), &arguments).stdout)
    };
    let alone = lines("1");
    assert!(alone.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{alone}");
    assert_eq!(lines("3"), alone);
}

#[test]
fn wrong_usage_says_what_is_allowed_and_exits_with_2() {
    let folder = folder();
    std::fs::write(folder.path().join("wrong.toml"), SMALL.replace("5 min", "5 mins"))
        .expect("it can be written");
    for (arguments, allowed) in [
        (&["run", "wrong.toml"][..], "wrong.toml:5:9: limit is \"5 mins\""),
        (&["run", "nowhere.toml"], "tight-link"),
        (&["run", "small.toml", "--strategy", "fastest"], "lt-deadline"),
        (&["run", "small.toml", "--seed", "-1"], "from 0 to 18446744073709551615"),
        (&["table", "--seeds", "many"], "from 1 to 1000"),
        (&["table", "--seeds", "0"], "from 1 to 1000"),
        (&["table", "--seeds", "1001"], "from 1 to 1000"),
        (&["table", "--threads", "0"], "from 1 to 256"),
        (&["compare"], "<FILE|NAME>"),
        (&["compare", "small.toml", "./small.toml"], "is taken"),
    ] {
        let output = run(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(said(&output.stderr).contains(allowed), "{arguments:?}: {}", said(&output.stderr));
    }
}

#[test]
fn events_do_not_take_the_place_of_their_scenario() {
    let folder = folder();
    let own = folder.path().join("small.toml");
    std::os::unix::fs::symlink(&own, folder.path().join("link")).expect("a link can be made");
    std::fs::hard_link(&own, folder.path().join("twin")).expect("a link can be made");
    std::fs::create_dir(folder.path().join("sub")).expect("a folder can be made");
    for events in
        ["small.toml", "sub/../small.toml", own.to_str().expect("its path is UTF-8"), "link", "twin"]
    {
        for scenario in ["small.toml", "link"] {
            let output = run(folder.path(), &["run", scenario, "--events", events]);
            let sentence = said(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{scenario} {events}: {sentence}");
            assert!(sentence.contains(&format!("--events {events} is the scenario itself")), "{sentence}");
        }
    }
    assert_eq!(std::fs::read_to_string(own).expect("it is there"), SMALL);
    let other = run(folder.path(), &["run", "small.toml", "--events", "other.toml"]);
    assert_eq!(other.status.code(), Some(0), "{}", said(&other.stderr));
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_s_figures_are_shown_though_its_events_cannot_be_written() {
    let folder = folder();
    let output = run(folder.path(), &["run", "small.toml", "--events", "/dev/full"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output.stderr));
    assert!(said(&output.stderr).contains("/dev/full can't be written"), "{}", said(&output.stderr));
    let untroubled = run(folder.path(), &["run", "small.toml"]);
    assert_eq!(said(&output.stdout), said(&untroubled.stdout));
}

/// So many peers that no debug build and no other is done with a run before it is interrupted.
fn large() -> String {
    SMALL
        .replace("\"small\"", "\"large\"")
        .replace("5 min", "48 h")
        .replace("8 MiB", "16 GiB")
        .replace("256 KiB", "1 MiB")
        .replace("name = \"viewer\"", "name = \"viewer\"\ncount = 2000")
}

#[test]
fn ctrl_c_before_the_first_run_has_ended_leaves_earlier_reports_alone() {
    let folder = folder();
    std::fs::write(folder.path().join("large.toml"), large()).expect("the scenario can be written");
    let figures = folder.path().join("figures");
    std::fs::create_dir(&figures).expect("a folder can be made");
    std::fs::write(figures.join("runs.csv"), "earlier").expect("a report can be written");
    let mut child = afflux(folder.path())
        .args(["compare", "large.toml", "--seeds", "3", "--threads", "1", "--out", "figures"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
    assert!(lines.next().is_some_and(|line| line.starts_with("0 of 24 runs")));
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupted.is_ok_and(|status| status.success()));
    let last = lines.last().unwrap_or_default();
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{last}");
    assert_eq!(last, "afflux: interrupted after 0 of 24 runs; no report is written");
    assert_eq!(said(&output.stdout), "");
    let names = std::fs::read_dir(&figures).expect("it is there").map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["runs.csv"]);
    assert_eq!(std::fs::read_to_string(figures.join("runs.csv")).expect("it is there"), "earlier");
}

#[test]
fn ctrl_c_keeps_and_reports_what_is_computed() {
    let folder = folder();
    let mut child = afflux(folder.path())
        .args(["--json", "table", "--seeds", "1000", "--out", "figures"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
    assert!(lines.next().is_some_and(|line| line.contains("\"event\":\"run\"")));
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupted.is_ok_and(|status| status.success()));
    let last = lines.last().expect("the comparison is told");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{}", said(&output.stderr));
    assert!(said(&output.stderr).contains("interrupted after"), "{}", said(&output.stderr));
    let comparison: Value = serde_json::from_str(&last).expect("it is JSON");
    assert_eq!(comparison["event"], "comparison");
    let (runs, planned) = (comparison["runs"].as_u64(), comparison["planned"].as_u64());
    assert!(runs >= Some(1) && runs < planned, "{runs:?} of {planned:?}");
    assert!(folder.path().join("figures/comparison.json").is_file());
}
