//! Comparing strategies: which runs that takes, and which strategy did best in what.

use afflux_swarm::StrategyName;

use crate::outcome::Outcome;
use crate::scenario::Scenario;
use crate::stats::{Metric, Summary};

/// Every scenario with every strategy, on the same seeds.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is simulated.
    pub scenarios: Vec<Scenario>,
    /// What is compared.
    pub strategies: Vec<StrategyName>,
    /// How often, from seed 1 on.
    pub seeds: u32,
}

/// One run of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Place of the scenario in the plan.
    pub scenario: usize,
    /// The strategy.
    pub strategy: StrategyName,
    /// What chance is drawn from.
    pub seed: u64,
}

impl Plan {
    /// All runs. Strategies take turns, so that whatever is done when somebody stops it can be compared.
    pub fn jobs(&self) -> Vec<Job> {
        let mut jobs = Vec::new();
        for scenario in 0..self.scenarios.len() {
            for seed in 1..=u64::from(self.seeds) {
                jobs.extend(self.strategies.iter().map(|&strategy| Job { scenario, strategy, seed }));
            }
        }
        jobs
    }
}

/// What a comparison keeps of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Which run.
    pub job: Job,
    /// Its figures, in the order of [`Metric::ALL`].
    pub figures: [Option<f64>; Metric::ALL.len()],
    /// Virtual time that it took, in seconds.
    pub elapsed_seconds: f64,
    /// SHA-1 of its log.
    pub log_hash: [u8; 20],
}

impl Run {
    /// The figures of an outcome.
    pub fn new(job: Job, outcome: &Outcome) -> Self {
        let figures = Metric::ALL.map(|metric| metric.of(outcome));
        let elapsed_seconds = outcome.elapsed.as_secs_f64();
        Self { job, figures, elapsed_seconds, log_hash: outcome.log_hash }
    }
}

/// A plan with the runs that were made of it.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// In the plan's order; scenarios of which no run was made aren't there.
    pub rows: Vec<Row>,
    /// Runs that were planned.
    pub planned: usize,
}

/// A scenario's part.
#[derive(Clone, Debug)]
pub struct Row {
    /// The scenario's name.
    pub scenario: String,
    /// What it asks.
    pub about: String,
    /// In the plan's order.
    pub cells: Vec<Cell>,
}

/// What one strategy did in one scenario.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The strategy.
    pub strategy: StrategyName,
    /// Its runs, in the order of seeds.
    pub runs: Vec<Run>,
    /// Its figures, in the order of [`Metric::ALL`].
    pub figures: [Option<Figure>; Metric::ALL.len()],
}

/// A summary beside those of the other strategies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// Median and interval.
    pub summary: Summary,
    /// Where that puts the strategy.
    pub standing: Standing,
}

/// Where a strategy stands in one figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has the best median.
    Best,
    /// Its interval overlaps that of the best: the two can't be told apart.
    Tied,
    /// It's worse.
    Behind,
    /// Not every run has the figure: those that have none may be the worst, so it isn't compared.
    Partial,
}

impl Standing {
    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Best => "best",
            Self::Tied => "tied",
            Self::Behind => "behind",
            Self::Partial => "partial",
        }
    }

    /// Whether nothing is known to be better.
    pub fn leads(self) -> bool {
        matches!(self, Self::Best | Self::Tied)
    }
}

impl Comparison {
    /// Compares what was run. The runs may come in any order and be incomplete.
    pub fn new(plan: &Plan, mut runs: Vec<Run>) -> Self {
        runs.sort_by_key(|run| run.job.seed);
        let rows = plan.scenarios.iter().enumerate().filter_map(|(index, scenario)| {
            let cells: Vec<Cell> =
                plan.strategies.iter().filter_map(|&strategy| cell(index, strategy, &runs)).collect();
            let row = Row { scenario: scenario.name.clone(), about: scenario.about.clone(), cells };
            (!row.cells.is_empty()).then(|| row.judged())
        });
        Self { rows: rows.collect(), planned: plan.jobs().len() }
    }

    /// Runs that were made.
    pub fn runs(&self) -> usize {
        self.rows.iter().flat_map(|row| &row.cells).map(|cell| cell.runs.len()).sum()
    }
}

impl Row {
    /// Whether any of its strategies has such a figure.
    pub fn has(&self, metric: Metric) -> bool {
        self.cells.iter().any(|cell| cell.figure(metric).is_some())
    }

    /// Whether a figure tells its strategies apart: some lead, and others don't.
    pub fn tells(&self, metric: Metric) -> bool {
        let figures = || self.cells.iter().filter_map(|cell| cell.figure(metric));
        figures().any(|figure| figure.standing.leads()) && figures().any(|figure| !figure.standing.leads())
    }

    /// Puts the standings right.
    fn judged(mut self) -> Self {
        for (index, metric) in Metric::ALL.into_iter().enumerate() {
            let compared = |figure: &Figure| figure.standing != Standing::Partial;
            let figures = self.cells.iter().filter_map(|cell| cell.figures[index]).filter(compared);
            let summaries = figures.map(|figure| figure.summary);
            let Some(best) = summaries.min_by(|a, b| a.compare(b, metric.better())) else { continue };
            let figures = self.cells.iter_mut().filter_map(|cell| cell.figures[index].as_mut());
            for figure in figures.filter(|figure| compared(figure)) {
                figure.standing = match figure.summary {
                    summary if summary.median == best.median => Standing::Best,
                    summary if summary.overlaps(&best) => Standing::Tied,
                    _ => Standing::Behind,
                };
            }
        }
        self
    }
}

impl Cell {
    /// Its figure, if its runs have one.
    pub fn figure(&self, metric: Metric) -> Option<&Figure> {
        let index = Metric::ALL.iter().position(|other| *other == metric)?;
        self.figures[index].as_ref()
    }
}

fn cell(scenario: usize, strategy: StrategyName, runs: &[Run]) -> Option<Cell> {
    let own = |run: &&Run| run.job.scenario == scenario && run.job.strategy == strategy;
    let runs: Vec<Run> = runs.iter().filter(own).cloned().collect();
    let figures = std::array::from_fn(|index| {
        let values: Vec<f64> = runs.iter().filter_map(|run| run.figures[index]).collect();
        let standing = if values.len() < runs.len() { Standing::Partial } else { Standing::Behind };
        Summary::of(&values).map(|summary| Figure { summary, standing })
    });
    (!runs.is_empty()).then_some(Cell { strategy, runs, figures })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::scenario::builtin;

    pub(crate) fn plan() -> Plan {
        let scenarios = ["seeker", "no-viewer"].map(|name| {
            let builtin = builtin::find(name).expect("it is built in");
            let scenario = builtin.scenario().expect("it can be read");
            Scenario { about: format!("What is asked of {name}"), ..scenario }
        });
        let strategies = vec![StrategyName::Sequential, StrategyName::Rarest, StrategyName::Deadline];
        Plan { scenarios: scenarios.into(), strategies, seeds: 6 }
    }

    /// A run with this start-up delay and download time.
    fn run(job: Job, startup: Option<f64>, download: f64) -> Run {
        let mut figures = [None; Metric::ALL.len()];
        figures[Metric::Startup as usize] = startup;
        figures[Metric::Download as usize] = Some(download);
        Run { job, figures, elapsed_seconds: 60.0, log_hash: [7; 20] }
    }

    /// Start-up: sequential 4 s and a bit, rarest never, deadline 2 s and a bit. Download: rarest and deadline tie.
    pub(crate) fn comparison() -> Comparison {
        let plan = plan();
        let runs = plan.jobs().into_iter().map(|job| {
            let wobble = job.seed as f64 / 10.0;
            let (startup, download) = match job.strategy {
                StrategyName::Sequential => (4.0 + wobble, 90.0 + wobble),
                StrategyName::Rarest => (f64::INFINITY, 60.0 + wobble),
                _ => (2.0 + wobble, 60.2 + wobble),
            };
            run(job, (job.scenario == 0).then_some(startup), download)
        });
        Comparison::new(&plan, runs.rev().collect())
    }

    #[test]
    fn a_plan_runs_each_strategy_on_the_same_seeds_by_turns() {
        let jobs = plan().jobs();
        assert_eq!(jobs.len(), 2 * 3 * 6);
        let first: Vec<_> = jobs.iter().take(3).map(|job| (job.scenario, job.seed)).collect();
        assert_eq!(first, [(0, 1); 3]);
        assert_eq!((jobs[3].seed, jobs[18].scenario), (2, 1));
    }

    #[test]
    fn overlapping_intervals_tie_with_the_best() {
        let comparison = comparison();
        let standing = |row: usize, cell: usize, metric| {
            comparison.rows[row].cells[cell].figure(metric).map(|figure| figure.standing)
        };
        use Standing::{Behind, Best, Tied};
        assert_eq!(
            [0, 1, 2].map(|cell| standing(0, cell, Metric::Startup)),
            [Some(Behind), Some(Behind), Some(Best)]
        );
        assert_eq!(
            [0, 1, 2].map(|cell| standing(0, cell, Metric::Download)),
            [Some(Behind), Some(Best), Some(Tied)]
        );
        assert_eq!(standing(1, 0, Metric::Startup), None);
        assert!(!comparison.rows[1].has(Metric::Startup));
    }

    /// Start-up as above, but that strategies have a figure in so many of the six runs only.
    pub(crate) fn with_gaps(there: [u64; 3]) -> Comparison {
        let plan = plan();
        let runs = plan.jobs().into_iter().filter(|job| job.scenario == 0).map(|job| {
            let place = plan.strategies.iter().position(|other| *other == job.strategy).unwrap();
            let startup = (job.seed <= there[place]).then_some(4.0 - place as f64 + job.seed as f64 / 10.0);
            run(job, startup, 90.0)
        });
        Comparison::new(&plan, runs.collect())
    }

    #[test]
    fn a_figure_that_some_runs_lack_is_not_compared() {
        use Standing::{Behind, Best, Partial};
        let standings = |comparison: &Comparison| {
            let figure = |cell: &Cell| cell.figure(Metric::Startup).map(|figure| figure.standing);
            comparison.rows[0].cells.iter().map(figure).collect::<Vec<_>>()
        };
        // The third is the fastest where it has a figure at all.
        let comparison = with_gaps([6, 6, 5]);
        assert_eq!(standings(&comparison), [Some(Behind), Some(Best), Some(Partial)]);
        assert!(comparison.rows[0].tells(Metric::Startup));
        let nothing_to_compare = with_gaps([0, 1, 5]);
        assert_eq!(standings(&nothing_to_compare), [None, Some(Partial), Some(Partial)]);
        assert!(!nothing_to_compare.rows[0].tells(Metric::Startup));
    }

    #[test]
    fn what_was_not_run_is_not_compared() {
        let plan = plan();
        let done: Vec<Run> = plan.jobs().into_iter().take(4).map(|job| run(job, Some(1.0), 9.0)).collect();
        let comparison = Comparison::new(&plan, done);
        assert_eq!((comparison.rows.len(), comparison.runs(), comparison.planned), (1, 4, 36));
        let runs: Vec<usize> = comparison.rows[0].cells.iter().map(|cell| cell.runs.len()).collect();
        assert_eq!(runs, [2, 1, 1]);
        assert!(!comparison.rows[0].tells(Metric::Startup));
    }
}
