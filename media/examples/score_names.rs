//! Scores the parser of release names on a file with a JSON object a line: `name`, and what is asserted of it.
//!
//! `score_names FILE` prints the share that is right for each field, for rows with every core field right, and the time for a
//! name; `--misses FIELD` lists the rows that differ. A missing key asserts nothing, `null` and `[]` assert that there is
//! nothing; keys under `disputed` aren't scored; `path` marks names with their folders.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::{env, fs, hint};

use afflux_media::release::{self, Release};
use serde_json::{Value, json};

/// The fields that make a film or an episode findable.
const CORE: [&str; 5] = ["title", "year", "resolution", "season", "episode"];

const FIELDS: [&str; 16] = [
    "title",
    "year",
    "resolution",
    "season",
    "episode",
    "absolute_episode",
    "date",
    "group",
    "language",
    "language_includes",
    "source",
    "source_family",
    "codec",
    "audio",
    "hdr",
    "container",
];

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let Some(path) = arguments.next() else {
        eprintln!("usage: score_names FILE [--misses FIELD|core]");
        return ExitCode::FAILURE;
    };
    let misses = (arguments.next().as_deref() == Some("--misses")).then(|| arguments.next()).flatten();
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("{path}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let rows: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
    match rows {
        Ok(rows) => {
            score(&rows, misses.as_deref());
            time(&rows);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{path}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn name(row: &Value) -> &str {
    row["name"].as_str().unwrap_or_default()
}

fn parse(row: &Value) -> Release {
    if row["path"] == true { release::parse_path(name(row)) } else { release::parse(name(row)) }
}

/// Right and asserted.
#[derive(Default)]
struct Share(u32, u32);

impl Share {
    fn add(&mut self, is_right: bool) {
        self.0 += u32::from(is_right);
        self.1 += 1;
    }
}

fn score(rows: &[Value], misses: Option<&str>) {
    let mut shares: BTreeMap<&str, Share> = BTreeMap::new();
    for row in rows {
        let release = parse(row);
        let is_asserted = |field: &str| row.get(field).is_some() && row["disputed"].get(field).is_none();
        for field in FIELDS.into_iter().filter(|field| is_asserted(field)) {
            let is_right = is_right(field, &row[field], &release);
            shares.entry(field).or_default().add(is_right);
            if misses == Some(field) && !is_right {
                println!("{}\n    {field}: {} instead of {}", name(row), said(field, &release), row[field]);
            }
        }
        let wrong = |field: &&str| is_asserted(field) && !is_right(field, &row[*field], &release);
        let is_scored = CORE.iter().any(|field| is_asserted(field));
        let is_core = !CORE.into_iter().any(|field| wrong(&field));
        if is_scored && row["path"] != true {
            shares.entry("core").or_default().add(is_core);
            if row["weak"] != true {
                shares.entry("core, strong").or_default().add(is_core);
            }
        }
        if misses == Some("core") && is_scored && !is_core {
            let wrong = CORE.into_iter().filter(wrong);
            let wrong =
                wrong.map(|field| format!("{field}: {} instead of {}", said(field, &release), row[field]));
            println!("{}\n    {}", name(row), wrong.collect::<Vec<_>>().join(", "));
        }
    }
    for (field, Share(right, all)) in shares {
        println!("{field:20} {:.3} ({right} of {all})", f64::from(right) / f64::from(all));
    }
}

/// What we say of a field, in the words of the file.
fn said(field: &str, release: &Release) -> Value {
    match field {
        "title" => json!(release.title),
        "year" => json!(release.year),
        "resolution" => json!(release.resolution.map(|resolution| resolution.as_str())),
        "season" => json!(release.seasons),
        "episode" => json!(release.episodes),
        "absolute_episode" => json!(release.absolute_episodes),
        "date" => json!(release.date.map(|date| date.to_string())),
        "group" => json!(release.group),
        "language" | "language_includes" => {
            json!(release.languages.iter().map(|language| language.alpha2()).collect::<Vec<_>>())
        }
        "source" => json!(release.source.map(|source| source.as_str())),
        "source_family" => json!(release.source.map(|source| source.family().as_str())),
        "codec" => json!(release.video_codec.map(|codec| codec.as_str())),
        "audio" => json!(release.audio.iter().map(|audio| audio.as_str()).collect::<Vec<_>>()),
        "hdr" => json!(release.hdr.iter().map(|hdr| hdr.as_str()).collect::<Vec<_>>()),
        _ => json!(release.container),
    }
}

fn is_right(field: &str, asserted: &Value, release: &Release) -> bool {
    let said = said(field, release);
    match (asserted, &said) {
        (Value::String(asserted), Value::String(said)) => fold(asserted) == fold(said),
        (Value::Null, Value::Array(said)) => said.is_empty(),
        (Value::Array(asserted), Value::Array(said)) if field == "language_includes" => {
            asserted.iter().all(|one| said.contains(one))
        }
        (Value::Array(asserted), Value::Array(said)) => {
            let sorted = |values: &[Value]| {
                let mut values: Vec<String> = values.iter().map(Value::to_string).collect();
                values.sort();
                values
            };
            sorted(asserted) == sorted(said)
        }
        (asserted, Value::Array(said)) => said.as_slice() == std::slice::from_ref(asserted),
        (asserted, said) => asserted == said,
    }
}

fn fold(text: &str) -> String {
    text.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The clock is forbidden in the crate, not to those who measure it.
#[expect(clippy::disallowed_methods, reason = "it measures")]
fn time(rows: &[Value]) {
    const ROUNDS: u32 = 20;
    let begin = std::time::Instant::now();
    for _ in 0..ROUNDS {
        for row in rows {
            hint::black_box(release::parse(hint::black_box(name(row))));
        }
    }
    let names = f64::from(ROUNDS) * rows.len().max(1) as f64;
    println!("{:.1} us a name", begin.elapsed().as_secs_f64() * 1e6 / names);
}
