//! What a command shows while it works: a line that is rewritten on a terminal, lines now and then elsewhere,
//! one JSON object per line for programs.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::config::units::show_bytes;
use crate::engine::Status;

/// Where no terminal rewrites it, a status line is printed this often.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// The output of one command.
#[derive(Debug)]
pub(super) struct Screen {
    json: bool,
    line: Option<ProgressBar>,
    last_plain: Option<Instant>,
}

impl Screen {
    /// For people, or for programs (`--json`).
    pub(super) fn new(json: bool) -> Self {
        let line = (!json && std::io::stderr().is_terminal()).then(|| {
            let line = ProgressBar::new_spinner();
            line.set_style(
                ProgressStyle::with_template("{spinner} {wide_msg}").expect("the template is constant"),
            );
            line
        });
        Self { json, line, last_plain: None }
    }

    /// Whether a program reads it.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Something that stays: a sentence for people or an object for programs.
    pub(super) fn say(&self, sentence: &str, object: impl FnOnce() -> Value) {
        if self.json {
            print_line(&object().to_string());
        } else {
            match &self.line {
                Some(line) => line.suspend(|| print_line(sentence)),
                None => print_line(sentence),
            }
        }
    }

    /// How it goes at the moment.
    pub(super) fn status(&mut self, sentence: impl FnOnce() -> String, object: impl FnOnce() -> Value) {
        if self.json {
            return print_line(&object().to_string());
        }
        if let Some(line) = &self.line {
            line.set_message(sentence());
            line.tick();
            return;
        }
        if self.last_plain.is_none_or(|last| last.elapsed() >= PLAIN_INTERVAL) {
            self.last_plain = Some(Instant::now());
            eprintln!("{}", sentence());
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(line) = &self.line {
            line.finish_and_clear();
        }
    }
}

/// Prints a line on standard output. A reader that hung up (`| head`) is no reason to panic.
fn print_line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// A status line: what it is at, how far, and how its swarm does.
pub(super) fn status_line(status: &Status, state: &str, how_far: &str) -> String {
    let snapshot = &status.snapshot;
    let checked = status.checked.map_or(String::new(), |(done, total)| format!(", piece {done} of {total}"));
    format!(
        "{state}{checked}  {how_far}  down {}/s  up {}/s  peers {} of {}",
        show_bytes(snapshot.download_rate),
        show_bytes(snapshot.upload_rate),
        snapshot.connected,
        snapshot.known
    )
}
