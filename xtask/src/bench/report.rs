//! What came out: a table for people, JSON and CSV for programs, a picture.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::case::{Case, Figures, Row, median, show};
use super::chart;

/// One subject in one case, once.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) round: u32,
    pub(crate) case: &'static str,
    pub(crate) subject: &'static str,
    /// Its figures, or why there are none.
    pub(crate) outcome: Result<Figures, String>,
    /// What the subject itself said last.
    pub(crate) status: Option<Value>,
    /// The machine's load average over the last minute, at the end.
    pub(crate) load: f64,
}

/// All runs so far.
#[derive(Debug)]
pub(crate) struct Report {
    /// Its name, and that of its files.
    pub(crate) name: &'static str,
    pub(crate) cases: Vec<Arc<Case>>,
    /// Names of those that are measured, in the order of the columns.
    pub(crate) subjects: Vec<&'static str>,
    /// Subjects that can't be had, and why.
    pub(crate) missing: BTreeMap<&'static str, String>,
    pub(crate) runs: Vec<Run>,
    /// What else is to be known of the figures.
    pub(crate) notes: BTreeSet<String>,
}

/// The median over the rounds, and between what it lay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cell {
    pub(crate) median: Option<f64>,
    least: Option<f64>,
    most: Option<f64>,
    count: usize,
    /// Runs that gave no figures at all, which the median leaves out.
    failed: usize,
}

impl Report {
    /// Writes `NAME.md`, `.json`, `.csv` and `.svg` into `folder`.
    pub(crate) fn save(&self, folder: &Path) -> Result<()> {
        let write = |ending: &str, text: String| {
            let path = folder.join(format!("{}.{ending}", self.name));
            fs::write(&path, text).with_context(|| path.display().to_string())
        };
        write("md", self.table())?;
        write("json", format!("{:#}\n", self.json()))?;
        write("csv", self.csv())?;
        write("svg", chart::draw(self))
    }

    /// The figures of one cell; nothing if the subject was never measured there.
    pub(crate) fn cell(&self, case: &Case, row: &Row, subject: &str) -> Option<Cell> {
        let figures: Vec<Option<f64>> = self
            .runs_of(case, subject)
            .filter_map(|run| run.outcome.as_ref().ok())
            .filter_map(|figures| figures.get(row.key).copied())
            .collect();
        let known = || figures.iter().copied().flatten();
        (!figures.is_empty()).then(|| Cell {
            median: median(&figures),
            least: known().reduce(f64::min),
            most: if figures.contains(&None) { None } else { known().reduce(f64::max) },
            count: figures.len(),
            failed: self.runs_of(case, subject).filter(|run| run.outcome.is_err()).count(),
        })
    }

    /// Markdown.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        for case in &self.cases {
            self.write_case(&mut text, case);
        }
        for (subject, why) in &self.missing {
            let _ = writeln!(text, "- {subject} is missing: {why}");
        }
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        for run in &self.runs {
            if let Err(why) = &run.outcome {
                let _ =
                    writeln!(text, "- {} on {}, round {}, failed: {why}", run.subject, run.case, run.round);
            }
        }
        text
    }

    /// Columns are those that were measured in this case, or should have been.
    fn write_case(&self, text: &mut String, case: &Case) {
        let subjects: Vec<&str> = self
            .subjects
            .iter()
            .copied()
            .filter(|subject| {
                self.missing.contains_key(subject) || self.runs_of(case, subject).next().is_some()
            })
            .collect();
        let rounds = subjects.iter().map(|subject| self.rounds_of(case, subject)).max().unwrap_or(0);
        let _ = writeln!(text, "### `{}`: {}, rounds: {rounds}\n", case.name, case.title);
        let has_limits = case.rows.iter().any(|row| row.limit.is_some());
        let limit = |text: &str| if has_limits { format!(" {text} |") } else { String::new() };
        let _ = writeln!(text, "| |{} {} |", limit("the link's limit"), subjects.join(" | "));
        let _ =
            writeln!(text, "|---|{}{}", if has_limits { "---|" } else { "" }, "---|".repeat(subjects.len()));
        for row in &case.rows {
            let cells: Vec<String> = subjects.iter().map(|subject| self.show(case, row, subject)).collect();
            let told = row.limit.map_or_else(String::new, |limit| show(row.unit, limit));
            let _ = writeln!(text, "| {} |{} {} |", row.title, limit(&told), cells.join(" | "));
        }
        text.push('\n');
    }

    fn show(&self, case: &Case, row: &Row, subject: &str) -> String {
        let Some(cell) = self.cell(case, row, subject) else {
            let is_missing = self.missing.contains_key(subject);
            let mut runs = self.runs_of(case, subject).peekable();
            let has_failed = runs.peek().is_some() && runs.all(|run| run.outcome.is_err());
            return if is_missing {
                "missing"
            } else if has_failed {
                "failed"
            } else {
                ""
            }
            .to_owned();
        };
        let one = |figure: Option<f64>| figure.map_or_else(|| "never".to_owned(), |it| show(row.unit, it));
        let mut text = one(cell.median);
        if cell.count > 1 {
            let _ = write!(text, " ({}–{})", one(cell.least), one(cell.most));
        }
        if cell.failed > 0 {
            let _ = write!(text, ", {} of {} failed", cell.failed, cell.count + cell.failed);
        }
        text
    }

    fn runs_of<'a>(&'a self, case: &Case, subject: &'a str) -> impl Iterator<Item = &'a Run> {
        let name = case.name;
        self.runs.iter().filter(move |run| run.case == name && run.subject == subject)
    }

    /// How often it was measured: round 0 only counts.
    fn rounds_of(&self, case: &Case, subject: &str) -> usize {
        self.runs_of(case, subject).filter(|run| run.round > 0).count()
    }

    fn json(&self) -> Value {
        let runs: Vec<Value> = self
            .runs
            .iter()
            .map(|run| {
                json!({
                    "round": run.round,
                    "case": run.case,
                    "subject": run.subject,
                    "figures": run.outcome.as_ref().ok(),
                    "failed": run.outcome.as_ref().err(),
                    "lastStatus": run.status,
                    "load": run.load,
                })
            })
            .collect();
        let limits: BTreeMap<&str, BTreeMap<&str, Option<f64>>> = self
            .cases
            .iter()
            .map(|case| (case.name, case.rows.iter().map(|row| (row.key, row.limit)).collect()))
            .collect();
        json!({"runs": runs, "limits": limits, "missing": self.missing})
    }

    /// A line for each figure; nothing in the last column where it never came.
    fn csv(&self) -> String {
        let mut text = "case,subject,round,figure,value\n".to_owned();
        for run in &self.runs {
            for (key, value) in run.outcome.iter().flatten() {
                let value = value.map_or_else(String::new, |value| value.to_string());
                let _ = writeln!(text, "{},{},{},{key},{value}", run.case, run.subject, run.round);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::scenario;

    fn report() -> Report {
        let run = |round, subject, outcome| Run {
            round,
            case: "waiting",
            subject,
            outcome,
            status: None,
            load: 0.0,
        };
        let figures = |rate| Ok(Figures::from([("rate_alone", rate)]));
        Report {
            name: "stream",
            cases: scenario::all(true)
                .into_iter()
                .map(|scenario| scenario.case)
                .filter(|case| case.name == "waiting")
                .collect(),
            subjects: vec!["afflux", "libtorrent", "rqbit", "peerflix"],
            missing: BTreeMap::from([("peerflix", "npm is missing".to_owned())]),
            runs: vec![
                run(1, "afflux", figures(Some(1.25))),
                run(1, "libtorrent", figures(None)),
                run(1, "rqbit", Err("it broke off".to_owned())),
                run(2, "afflux", figures(Some(1.5))),
                run(2, "libtorrent", figures(Some(1.0))),
                run(3, "libtorrent", Err("it broke off".to_owned())),
            ],
            notes: BTreeSet::from(["rqbit is slow".to_owned()]),
        }
    }

    #[test]
    fn the_table_says_what_is_missing_and_what_failed() {
        let table = report().table();
        let row = "| one reader alone | 1.50 MiB/s | 1.38 MiB/s (1.25 MiB/s–1.50 MiB/s) \
                   | never (1.00 MiB/s–never), 1 of 3 failed | failed | missing |";
        assert!(table.contains(row), "{table}");
        assert!(table.contains("- peerflix is missing: npm is missing"), "{table}");
        assert!(table.contains("- rqbit is slow"), "{table}");
        assert!(table.contains("- rqbit on waiting, round 1, failed: it broke off"), "{table}");
    }

    #[test]
    fn what_never_came_has_no_value() {
        let csv = report().csv();
        assert!(csv.contains("waiting,libtorrent,1,rate_alone,\nwaiting,afflux,2,rate_alone,1.5\n"), "{csv}");
    }
}
