//! Tables for a terminal.

use super::{hex, show};
use crate::compare::{Cell, Comparison, Figure, Row, Standing};
use crate::outcome::Outcome;
use crate::stats::{CONFIDENCE, Metric, RUNS_FOR_CONFIDENCE, Summary};
use crate::table::Table;

/// Stands behind the best figures of a column.
const MARK: &str = "*";

/// A comparison: for each scenario a table of what viewers see, and one of how the swarm does.
pub fn comparison(comparison: &Comparison) -> String {
    let mut text = String::new();
    for row in &comparison.rows {
        text.push_str(&format!("{}: {}\n", row.scenario, row.about));
        for metrics in [&Metric::ALL[..Metric::OF_VIEWERS], &Metric::ALL[Metric::OF_VIEWERS..]] {
            text.push_str(&block(row, metrics));
        }
        text.push('\n');
    }
    text.push_str(&legend(comparison));
    text
}

/// One table: strategies by those of the figures that anybody has.
fn block(row: &Row, metrics: &[Metric]) -> String {
    let metrics: Vec<Metric> = metrics.iter().copied().filter(|metric| row.has(*metric)).collect();
    if metrics.is_empty() {
        return String::new();
    }
    let heading = |metric: &Metric| {
        let title = format!("{} {}", metric.title(), metric.unit());
        [String::new(), title.trim_end().to_owned()]
    };
    let mut table = Table::new(std::iter::once(String::new()).chain(metrics.iter().flat_map(heading)));
    for cell in &row.cells {
        let figures = metrics.iter().flat_map(|metric| figure(row, cell, *metric));
        table.row(std::iter::once(format!("  {}", cell.strategy)).chain(figures));
    }
    table.render()
}

/// The median with its mark, and the interval unless it has no width: `2.50*`, `2.31–2.74`. Where some runs lack the
/// figure, how many have it stands between the two: `3.00`, `(2 of 3) 2.00–4.00`.
fn figure(row: &Row, cell: &Cell, metric: Metric) -> [String; 2] {
    let Some(figure) = cell.figure(metric) else { return ["- ".to_owned(), String::new()] };
    let Summary { median, low, high, .. } = figure.summary;
    let mark = if row.tells(metric) && figure.standing.leads() { MARK } else { " " };
    let interval = if low == high { String::new() } else { format!("{}–{}", show(low), show(high)) };
    let interval = match figure.standing {
        Standing::Partial => format!("{} {interval}", count(figure, cell)).trim_end().to_owned(),
        _ => interval,
    };
    [format!("{}{mark}", show(median)), interval]
}

/// How many of a strategy's runs have a figure.
fn count(figure: &Figure, cell: &Cell) -> String {
    format!("({} of {})", figure.summary.runs, cell.runs.len())
}

/// What the figures are, and how sure.
fn legend(comparison: &Comparison) -> String {
    let cells = || comparison.rows.iter().flat_map(|row| &row.cells);
    let fewest = cells().map(|cell| cell.runs.len()).min().unwrap_or(0);
    let most = cells().map(|cell| cell.runs.len()).max().unwrap_or(0);
    let runs = if fewest == most { format!("{most} runs") } else { format!("{fewest} to {most} runs") };
    let mut text = format!("Medians of {runs} each");
    let sure = Summary::of(&vec![0.0; fewest]).map_or(0.0, |summary| summary.confidence);
    match fewest {
        0 | 1 => text.push_str(", without intervals: those take several seeds.\n"),
        _ => text.push_str(&format!(
            ", with intervals that contain the true median in {} % of cases.\n",
            show(100.0 * sure)
        )),
    }
    if (2..RUNS_FOR_CONFIDENCE).contains(&fewest) {
        text.push_str(&format!("{} % take at least {RUNS_FOR_CONFIDENCE} seeds.\n", 100.0 * CONFIDENCE));
    }
    if comparison.rows.iter().any(|row| Metric::ALL.iter().any(|metric| row.tells(*metric))) {
        text.push_str(&format!("{MARK} best, or not to be told from the best: the intervals overlap.\n"));
    }
    let partial = |figure: &&Figure| figure.standing == Standing::Partial;
    let example = cells().find_map(|cell| {
        let figure = cell.figures.iter().flatten().find(partial)?;
        Some(count(figure, cell))
    });
    if let Some(example) = example {
        text.push_str(&format!("{example} so many of the runs have the figure: it isn't compared.\n"));
    }
    if comparison.runs() < comparison.planned {
        text.push_str(&format!("{} of {} runs were made.\n", comparison.runs(), comparison.planned));
    }
    text
}

/// One run: its figures, and what each group did.
pub fn run(outcome: &Outcome) -> String {
    let mut text = format!(
        "{} with {}, seed {}: {} s simulated{}\n",
        outcome.scenario,
        outcome.strategy,
        outcome.seed,
        show(outcome.elapsed.as_secs_f64()),
        if outcome.interrupted { ", then interrupted" } else { "" }
    );
    for metric in Metric::ALL {
        if let Some(value) = metric.of(outcome) {
            let line = format!("  {:<12}{:>8} {}", metric.title(), show(value), metric.unit());
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    text.push_str(&groups(outcome));
    text.push_str(&format!("{} events, log {}\n", outcome.events, hex(&outcome.log_hash)));
    text
}

fn groups(outcome: &Outcome) -> String {
    const MIB: f64 = (1 << 20) as f64;
    let mut names: Vec<&str> = Vec::new();
    for peer in &outcome.peers {
        if !names.contains(&peer.group.as_str()) {
            names.push(&peer.group);
        }
    }
    let mut table = Table::new([
        "group",
        "peers",
        "complete",
        "started",
        "stalls",
        "received MiB",
        "twice MiB",
        "sent MiB",
    ]);
    for name in names {
        let peers = || outcome.peers.iter().filter(|peer| peer.group == name);
        let mib = |bytes: u64| format!("{:.1}", bytes as f64 / MIB);
        let viewers = peers().filter(|peer| peer.viewer).count();
        let of_viewers = |figure: String| if viewers == 0 { "-".to_owned() } else { figure };
        table.row([
            name.to_owned(),
            peers().count().to_string(),
            peers().filter(|peer| peer.download.is_some()).count().to_string(),
            of_viewers(peers().filter(|peer| peer.startup.is_some()).count().to_string()),
            of_viewers(peers().map(|peer| u64::from(peer.stalls)).sum::<u64>().to_string()),
            mib(peers().map(|peer| peer.received_bytes).sum()),
            mib(peers().map(|peer| peer.duplicate_bytes).sum()),
            mib(peers().map(|peer| peer.sent_bytes).sum()),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::tests::{comparison as example, with_gaps};

    #[test]
    fn a_comparison_shows_medians_intervals_and_the_best() {
        let text = comparison(&example());
        let expected = "\
seeker: What is asked of seeker
                      start-up s
  sequential   4.35    4.10–4.60
  rarest      never
  deadline     2.35*   2.10–2.60
                     download s
  sequential  90.3    90.1–90.6
  rarest      60.3*   60.1–60.6
  deadline    60.5*   60.3–60.8

no-viewer: What is asked of no-viewer
                     download s
  sequential  90.3    90.1–90.6
  rarest      60.3*   60.1–60.6
  deadline    60.5*   60.3–60.8

Medians of 6 runs each, with intervals that contain the true median in 96.9 % of cases.
* best, or not to be told from the best: the intervals overlap.
";
        assert_eq!(text, expected, "{text}");
    }

    #[test]
    fn a_figure_that_some_runs_lack_says_how_many_have_it_and_is_not_marked() {
        let text = comparison(&with_gaps([6, 6, 5]));
        let expected = "\
seeker: What is asked of seeker
                             start-up s
  sequential  4.35            4.10–4.60
  rarest      3.35*           3.10–3.60
  deadline    2.30   (5 of 6) 2.10–2.50
                     download s
  sequential  90.0
  rarest      90.0
  deadline    90.0

Medians of 6 runs each, with intervals that contain the true median in 96.9 % of cases.
* best, or not to be told from the best: the intervals overlap.
(5 of 6) so many of the runs have the figure: it isn't compared.
18 of 36 runs were made.
";
        assert_eq!(text, expected, "{text}");
    }

    #[test]
    fn a_run_shows_its_figures_and_groups() {
        let text = run(&Outcome {
            scenario: "seeker".to_owned(),
            strategy: "rarest".to_owned(),
            seed: 3,
            ..Outcome::default()
        });
        assert!(text.starts_with("seeker with rarest, seed 3: 0 s simulated\n"), "{text}");
        assert!(text.ends_with("log 0000000000000000000000000000000000000000\n"), "{text}");
    }
}
