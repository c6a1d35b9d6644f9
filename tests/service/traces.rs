//! What real players asked of a film, asked again while the film arrives: every byte is the film's, every head as RFC 9110 has it.

use std::path::Path;

use serde_json::Value;

use crate::daemon::Options;
use crate::film::{Film, lasting};
use crate::recorded::replay::{Replayed, Tempo, replay};
use crate::recorded::{self as traces, Trace};

/// A seeder slower than any player looks round, so that most of what is asked for isn't there yet.
const SLOW: usize = 3_000_000;
/// As quick as a good line: a player has what it wants in time.
const QUICK: usize = 12_000_000;

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces")
}

fn read(path: &Path) -> Vec<Trace> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    traces::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn what_players_asked_once_they_can_ask_of_a_film_that_is_still_arriving() {
    let files = std::fs::read_dir(folder()).expect("it is in the repository");
    let paths = files.map(|file| file.expect("our own folder").path());
    let mut recorded: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|is| is == "jsonl")).collect();
    recorded.sort();
    assert!(recorded.len() >= 6, "six players have been recorded: {recorded:?}");
    for (nth, path) in recorded.iter().enumerate() {
        for trace in read(path) {
            let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(&trace.file);
            let film =
                Film::named(&trace.file, std::fs::read(sample).expect("the samples are in the project"));
            assert_eq!(
                film.bytes().len() as u64,
                trace.size,
                "{} is another one by now: record again",
                trace.file
            );
            let seeder = film.slow_seeder(&format!("127.0.12.{}", nth + 1), SLOW);
            let daemon = Options::default().peers(&[&seeder]).arg(&["--pace", "false"]).start();
            let url = daemon.viewer("anna").watch(&film);
            let told = replay(&trace, &url, film.bytes(), Tempo::AtOnce);
            let name = format!("{} {}", trace.player, trace.file);
            assert_eq!((told.wrong, &told.faults), (0, &Vec::new()), "{name}");
            assert_eq!(told.requests, trace.requests.len(), "{name}");
            let taken: u64 = trace.requests.iter().map(|request| request.bytes_written).sum();
            assert_eq!(told.received, taken, "{name}: other bytes than the player took");
            daemon.end();
        }
    }
}

#[test]
fn what_is_no_sequence_is_refused_with_its_line() {
    let good = std::fs::read_to_string(folder().join("ffprobe.jsonl")).expect("it is in the repository");
    let good = good.lines().next().expect("a line");
    assert!(traces::parse(good).is_ok());
    let changed = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        format!("{good}\n{}", good.replacen(from, to, 1))
    };
    for bad in [
        changed("\"requests\":[", "\"requests\":[],\"more\":["),
        changed("\"size\":", "\"size\":99999999"),
        changed("\"size\":", "\"length\":"),
        changed("\"method\":\"GET\"", "\"method\":7"),
    ] {
        let error = traces::parse(&bad).expect_err("it is none");
        assert!(error.starts_with("line 2: "), "{error}");
    }
}

/// One line of the table.
fn row(trace: &Trace, told: &Replayed, sent: u64, fetched: usize) -> String {
    let mb = |bytes: u64| format!("{:.2}", bytes as f64 / 1e6);
    let asked = trace.requests.iter().map(|request| request.bytes_written).sum();
    let ratio = fetched as f64 / told.distinct.max(1) as f64;
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {ratio:.2} | {} | {} |",
        trace.player,
        trace.file,
        told.requests,
        mb(asked),
        mb(told.received),
        mb(sent),
        mb(told.distinct),
        mb(fetched as u64),
        told.wrong,
        told.faults.len(),
    )
}

/// `cargo xtask replay FILE`: the sequences of a file in their own time, with the daemon as it comes.
#[test]
#[ignore = "it replays a file that somebody names, for minutes"]
fn the_sequences_of_a_file() {
    let path = std::env::var_os("AFFLUX_TRACES").expect("AFFLUX_TRACES names the file");
    println!(
        "| player | file | requests | MB taken then | MB taken now | MB sent | MB of the file | MB fetched | fetched / of the file | bytes wrong | faults |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    let mut bad = Vec::new();
    for (nth, trace) in read(Path::new(&path)).iter().enumerate() {
        let film = Film::named("film.mkv", lasting(1, trace.size as usize, trace.seconds));
        let seeder = film.slow_seeder(&format!("127.0.13.{}", nth + 1), QUICK);
        let daemon = Options::default().peers(&[&seeder]).start();
        let anna = daemon.viewer("anna");
        let url = anna.watch(&film);
        let told = replay(trace, &url, film.bytes(), Tempo::AsRecorded);
        let status = anna.wait_status(&film, "nobody reads", |status| status["readers"] == 0);
        let sent = status["bytesServed"].as_u64().expect("a number");
        println!("{}", row(trace, &told, sent, seeder.given_bytes()));
        assert_ne!(status["durationSeconds"], Value::Null, "the made-up film is understood");
        told.faults.iter().for_each(|fault| println!("  {fault}"));
        if told.wrong > 0 || !told.faults.is_empty() {
            bad.push(format!("{}, {}", trace.player, trace.file));
        }
        daemon.end();
    }
    assert!(bad.is_empty(), "wrong bytes or heads: {bad:?}");
}
