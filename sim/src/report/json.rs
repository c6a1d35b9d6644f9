//! JSON for programs. Figures that never came are `"never"`, those that a run doesn't have are left out.

use serde_json::{Map, Value, json};

use super::hex;
use crate::compare::{Cell, Comparison, Row, Run};
use crate::outcome::{Outcome, PeerOutcome};
use crate::stats::Metric;

/// A whole comparison.
pub fn comparison(comparison: &Comparison) -> Value {
    json!({
        "event": "comparison",
        "runs": comparison.runs(),
        "planned": comparison.planned,
        "scenarios": comparison.rows.iter().map(row).collect::<Vec<_>>(),
    })
}

fn row(row: &Row) -> Value {
    json!({
        "name": row.scenario,
        "about": row.about,
        "strategies": row.cells.iter().map(cell).collect::<Vec<_>>(),
    })
}

fn cell(cell: &Cell) -> Value {
    let mut metrics = Map::new();
    for metric in Metric::ALL {
        let Some(figure) = cell.figure(metric) else { continue };
        let summary = figure.summary;
        let value = json!({
            "median": number(summary.median),
            "low": number(summary.low),
            "high": number(summary.high),
            "runs": summary.runs,
            "confidence": number(summary.confidence),
            "standing": figure.standing.as_str(),
        });
        metrics.insert(metric.key().to_owned(), value);
    }
    json!({
        "name": cell.strategy.as_str(),
        "seeds": cell.runs.iter().map(|run| run.job.seed).collect::<Vec<_>>(),
        "metrics": metrics,
    })
}

/// One run of a comparison.
pub fn run(scenario: &str, run: &Run) -> Value {
    json!({
        "event": "run",
        "scenario": scenario,
        "strategy": run.job.strategy.as_str(),
        "seed": run.job.seed,
        "elapsedSeconds": number(run.elapsed_seconds),
        "logHash": hex(&run.log_hash),
        "metrics": metrics(&run.figures),
    })
}

/// One run with everything that is known of it.
pub fn outcome(outcome: &Outcome) -> Value {
    json!({
        "event": "run",
        "scenario": outcome.scenario,
        "strategy": outcome.strategy,
        "seed": outcome.seed,
        "elapsedSeconds": number(outcome.elapsed.as_secs_f64()),
        "interrupted": outcome.interrupted,
        "logHash": hex(&outcome.log_hash),
        "events": outcome.events,
        "sentBytes": outcome.sent_bytes,
        "cameBytes": outcome.came_bytes,
        "deliveredBytes": outcome.delivered_bytes,
        "duplicateBytes": outcome.duplicate_bytes,
        "uplinkBytes": outcome.uplink_bytes,
        "metrics": metrics(&Metric::ALL.map(|metric| metric.of(outcome))),
        "peers": outcome.peers.iter().map(peer).collect::<Vec<_>>(),
    })
}

fn metrics(figures: &[Option<f64>]) -> Map<String, Value> {
    let there = Metric::ALL.iter().zip(figures).filter_map(|(metric, figure)| Some((metric, (*figure)?)));
    there.map(|(metric, figure)| (metric.key().to_owned(), number(figure))).collect()
}

fn peer(peer: &PeerOutcome) -> Value {
    let seconds = |time: std::time::Duration| time.as_secs_f64();
    let seeks = |resumed| -> Vec<f64> {
        peer.seeks.iter().filter(|seek| seek.resumed == resumed).map(|seek| seconds(seek.waited)).collect()
    };
    json!({
        "group": peer.group,
        "counted": peer.counted,
        "viewer": peer.viewer,
        "arrivedSeconds": seconds(peer.arrived),
        "leftSeconds": peer.left.map(seconds),
        "downloadSeconds": peer.download.map(seconds),
        "startupSeconds": peer.startup.map(seconds),
        "stalls": peer.stalls,
        "stalledSeconds": seconds(peer.stalled),
        "seekSeconds": seeks(true),
        "openSeekSeconds": seeks(false),
        "piecesOnTime": peer.on_time.0,
        "piecesNeeded": peer.on_time.1,
        "receivedBytes": peer.received_bytes,
        "duplicateBytes": peer.duplicate_bytes,
        "sentBytes": peer.sent_bytes,
    })
}

/// JSON has no infinity.
fn number(value: f64) -> Value {
    if value == f64::INFINITY { json!("never") } else { json!(value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::tests::{comparison as example, with_gaps};

    #[test]
    fn a_comparison_has_a_summary_per_scenario_strategy_and_metric() {
        let value = comparison(&example());
        assert_eq!((&value["runs"], &value["planned"]), (&json!(36), &json!(36)));
        let deadline = &value["scenarios"][0]["strategies"][2];
        assert_eq!(deadline["name"], "deadline");
        assert_eq!(deadline["seeds"], json!([1, 2, 3, 4, 5, 6]));
        let startup = &deadline["metrics"]["startupSeconds"];
        assert_eq!((&startup["low"], &startup["standing"]), (&json!(2.1), &json!("best")));
        assert_eq!(startup["confidence"], 0.96875);
        assert_eq!(value["scenarios"][0]["strategies"][1]["metrics"]["startupSeconds"]["median"], "never");
        assert_eq!(value["scenarios"][1]["strategies"][0]["metrics"].as_object().map(Map::len), Some(1));
    }

    #[test]
    fn a_summary_says_how_many_runs_have_the_figure() {
        let value = comparison(&with_gaps([6, 6, 5]));
        let deadline = &value["scenarios"][0]["strategies"][2];
        assert_eq!(deadline["seeds"].as_array().map(Vec::len), Some(6));
        let startup = &deadline["metrics"]["startupSeconds"];
        assert_eq!((&startup["runs"], &startup["standing"]), (&json!(5), &json!("partial")));
    }

    #[test]
    fn an_outcome_has_every_peer() {
        let outcome = Outcome { peers: vec![PeerOutcome::default(); 3], ..Outcome::default() };
        let value = super::outcome(&outcome);
        assert_eq!(value["peers"].as_array().map(Vec::len), Some(3));
        assert_eq!(value["peers"][0]["leftSeconds"], Value::Null);
    }
}
