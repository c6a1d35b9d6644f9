//! CSV for spreadsheets and plotting programs: a heading, then a line per run or per summary. What there isn't is empty, what
//! never came is `inf`.

use super::hex;
use crate::compare::Comparison;
use crate::stats::Metric;

/// A line per run: scenario, strategy, seed, the nine figures, and the log's hash.
pub fn runs(comparison: &Comparison) -> String {
    let mut text = "scenario,strategy,seed,elapsedSeconds".to_owned();
    for metric in Metric::ALL {
        text.push(',');
        text.push_str(metric.key());
    }
    text.push_str(",logHash\n");
    for row in &comparison.rows {
        for run in row.cells.iter().flat_map(|cell| &cell.runs) {
            let job = run.job;
            text.push_str(&format!("{},{},{},{}", row.scenario, job.strategy, job.seed, run.elapsed_seconds));
            for figure in run.figures {
                text.push_str(&figure.map_or_else(|| ",".to_owned(), |figure| format!(",{figure}")));
            }
            text.push_str(&format!(",{}\n", hex(&run.log_hash)));
        }
    }
    text
}

/// A line per scenario, strategy and metric.
pub fn summaries(comparison: &Comparison) -> String {
    let mut text = "scenario,strategy,metric,runs,median,low,high,confidence,standing\n".to_owned();
    for row in &comparison.rows {
        for cell in &row.cells {
            for metric in Metric::ALL {
                let Some(figure) = cell.figure(metric) else { continue };
                let summary = figure.summary;
                text.push_str(&format!(
                    "{},{},{},{},{},{},{},{},{}\n",
                    row.scenario,
                    cell.strategy,
                    metric.key(),
                    summary.runs,
                    summary.median,
                    summary.low,
                    summary.high,
                    summary.confidence,
                    figure.standing.as_str()
                ));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::tests::{comparison, with_gaps};

    #[test]
    fn every_run_has_a_line_as_wide_as_the_heading() {
        let text = runs(&comparison());
        assert_eq!(text.lines().count(), 1 + 36);
        assert!(text.lines().all(|line| line.split(',').count() == 4 + 9 + 1), "{text}");
        let first = text.lines().nth(1).unwrap();
        assert!(first.starts_with("seeker,sequential,1,60,4.1,,,,,90.1,,,,0707"), "{first}");
    }

    #[test]
    fn every_summary_has_a_line() {
        let text = summaries(&comparison());
        assert_eq!(text.lines().count(), 1 + 3 * 2 + 3);
        assert!(text.contains("\nseeker,rarest,startupSeconds,6,inf,inf,inf,0.96875,behind\n"), "{text}");
    }

    #[test]
    fn a_summary_says_how_many_runs_have_the_figure() {
        let text = summaries(&with_gaps([6, 6, 5]));
        assert!(text.contains("\nseeker,deadline,startupSeconds,5,2.3,2.1,2.5,0.9375,partial\n"), "{text}");
    }
}
