//! What came out: a table for people, JSON and CSV for programs, a picture.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::chart;
use super::client::Client;
use super::course::{Figures, median};
use super::scenario::{Row, Scenario, Unit};

/// One client on one link, once.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) round: u32,
    pub(crate) scenario: &'static str,
    pub(crate) client: Client,
    /// Its figures, or why there are none.
    pub(crate) outcome: Result<Figures, String>,
    /// What the client itself said last.
    pub(crate) status: Option<Value>,
    /// The machine's load average over the last minute, at the end.
    pub(crate) load: f64,
}

/// All runs so far.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) scenarios: Vec<Arc<Scenario>>,
    pub(crate) clients: Vec<Client>,
    /// Clients that can't be had, and why.
    pub(crate) missing: BTreeMap<Client, String>,
    pub(crate) runs: Vec<Run>,
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
    /// Writes `stream.md`, `.json`, `.csv` and `.svg` into `folder`.
    pub(crate) fn save(&self, folder: &Path) -> Result<()> {
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| path.display().to_string())
        };
        write("stream.md", self.table())?;
        write("stream.json", format!("{:#}\n", self.json()))?;
        write("stream.csv", self.csv())?;
        write("stream.svg", chart::draw(self))
    }

    /// The figures of one cell; nothing if the client was never measured there.
    pub(crate) fn cell(&self, scenario: &Scenario, row: &Row, client: Client) -> Option<Cell> {
        let figures: Vec<Option<f64>> = self
            .runs_of(scenario, client)
            .filter_map(|run| run.outcome.as_ref().ok())
            .filter_map(|figures| figures.get(row.key).copied())
            .collect();
        let known = || figures.iter().copied().flatten();
        (!figures.is_empty()).then(|| Cell {
            median: median(&figures),
            least: known().reduce(f64::min),
            most: if figures.contains(&None) { None } else { known().reduce(f64::max) },
            count: figures.len(),
            failed: self.runs_of(scenario, client).filter(|run| run.outcome.is_err()).count(),
        })
    }

    /// Markdown.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        for scenario in &self.scenarios {
            let rounds =
                self.clients.iter().map(|client| self.runs_of(scenario, *client).count()).max().unwrap_or(0);
            let _ = writeln!(text, "### `{}`: {}, rounds: {rounds}\n", scenario.name, scenario.title);
            let names: Vec<&str> = self.clients.iter().map(|client| client.name()).collect();
            let _ = writeln!(text, "| | the link's limit | {} |", names.join(" | "));
            let _ = writeln!(text, "|---|---|{}", "---|".repeat(names.len()));
            for row in &scenario.rows {
                let cells: Vec<String> =
                    self.clients.iter().map(|client| self.show(scenario, row, *client)).collect();
                let limit = row.limit.map_or_else(String::new, |limit| show(row.unit, limit));
                let _ = writeln!(text, "| {} | {limit} | {} |", row.title, cells.join(" | "));
            }
            text.push('\n');
        }
        for (client, why) in &self.missing {
            let _ = writeln!(text, "- {} is missing: {why}", client.name());
        }
        for run in &self.runs {
            if let Err(why) = &run.outcome {
                let _ = writeln!(
                    text,
                    "- {} on {}, round {}, failed: {why}",
                    run.client.name(),
                    run.scenario,
                    run.round
                );
            }
        }
        text
    }

    fn show(&self, scenario: &Scenario, row: &Row, client: Client) -> String {
        let Some(cell) = self.cell(scenario, row, client) else {
            let is_missing = self.missing.contains_key(&client);
            let has_failed = self.runs_of(scenario, client).next().is_some();
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

    fn runs_of(&self, scenario: &Scenario, client: Client) -> impl Iterator<Item = &Run> {
        let name = scenario.name;
        self.runs.iter().filter(move |run| run.scenario == name && run.client == client)
    }

    fn json(&self) -> Value {
        let runs: Vec<Value> = self
            .runs
            .iter()
            .map(|run| {
                json!({
                    "round": run.round,
                    "link": run.scenario,
                    "client": run.client.name(),
                    "figures": run.outcome.as_ref().ok(),
                    "failed": run.outcome.as_ref().err(),
                    "lastStatus": run.status,
                    "load": run.load,
                })
            })
            .collect();
        let limits: BTreeMap<&str, BTreeMap<&str, Option<f64>>> = self
            .scenarios
            .iter()
            .map(|scenario| (scenario.name, scenario.rows.iter().map(|row| (row.key, row.limit)).collect()))
            .collect();
        let missing: BTreeMap<&str, &str> =
            self.missing.iter().map(|(client, why)| (client.name(), why.as_str())).collect();
        json!({"runs": runs, "limits": limits, "missing": missing})
    }

    /// A line for each figure; nothing in the last column where it never came.
    fn csv(&self) -> String {
        let mut text = "link,client,round,figure,value\n".to_owned();
        for run in &self.runs {
            for (key, value) in run.outcome.iter().flatten() {
                let value = value.map_or_else(String::new, |value| value.to_string());
                let _ = writeln!(text, "{},{},{},{key},{value}", run.scenario, run.client.name(), run.round);
            }
        }
        text
    }
}

/// A figure with its unit.
pub(crate) fn show(unit: Unit, figure: f64) -> String {
    match unit {
        Unit::Seconds => format!("{figure:.2} s"),
        Unit::Count => format!("{figure:.0}"),
        Unit::Share => format!("{:.1} %", 100.0 * figure),
        Unit::MibPerSecond => format!("{figure:.2} MiB/s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::scenario;

    fn report() -> Report {
        let run = |round, client, outcome| Run {
            round,
            scenario: "waiting",
            client,
            outcome,
            status: None,
            load: 0.0,
        };
        let figures = |rate| Ok(Figures::from([("rate_alone", rate)]));
        Report {
            scenarios: scenario::all(true)
                .into_iter()
                .filter(|scenario| scenario.name == "waiting")
                .map(Arc::new)
                .collect(),
            clients: vec![Client::Afflux, Client::Libtorrent, Client::Rqbit, Client::Peerflix],
            missing: BTreeMap::from([(Client::Peerflix, "npm is missing".to_owned())]),
            runs: vec![
                run(1, Client::Afflux, figures(Some(1.25))),
                run(1, Client::Libtorrent, figures(None)),
                run(1, Client::Rqbit, Err("it broke off".to_owned())),
                run(2, Client::Afflux, figures(Some(1.5))),
                run(2, Client::Libtorrent, figures(Some(1.0))),
                run(3, Client::Libtorrent, Err("it broke off".to_owned())),
            ],
        }
    }

    #[test]
    fn the_table_says_what_is_missing_and_what_failed() {
        let table = report().table();
        let row = "| one reader alone | 1.50 MiB/s | 1.38 MiB/s (1.25 MiB/s–1.50 MiB/s) \
                   | never (1.00 MiB/s–never), 1 of 3 failed | failed | missing |";
        assert!(table.contains(row), "{table}");
        assert!(table.contains("- peerflix is missing: npm is missing"), "{table}");
        assert!(table.contains("- rqbit on waiting, round 1, failed: it broke off"), "{table}");
    }

    #[test]
    fn what_never_came_has_no_value() {
        let csv = report().csv();
        assert!(csv.contains("waiting,libtorrent,1,rate_alone,\nwaiting,afflux,2,rate_alone,1.5\n"), "{csv}");
    }
}
