//! One run: what can go wrong with it, and the way in.

use std::time::Duration;

use afflux_metainfo::Layout;
use afflux_swarm::StrategyName;
use thiserror::Error;

use crate::log::Log;
use crate::outcome::Outcome;
use crate::scenario::Scenario;
use crate::world::World;

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
    let strategies = strategies(scenario, strategy)?;
    let content = &scenario.content;
    let file = (vec!["film.mkv".to_owned()], content.length, false);
    let layout = Layout::new(content.piece_length, [file])
        .map_err(|error| RunError::Impossible { scenario: scenario.name.clone(), why: error.to_string() })?;
    let outcome = World::new(scenario, strategies, layout, seed, log).run(stop);
    match outcome {
        Ok(outcome) => Ok(Outcome { strategy: strategy.to_owned(), ..outcome }),
        Err((at, broken)) => Err(RunError::Invariant {
            scenario: scenario.name.clone(),
            strategy: strategy.to_owned(),
            seed,
            at: at.elapsed(),
            broken: broken.to_string(),
        }),
    }
}

/// The strategy of each group's peers.
fn strategies(scenario: &Scenario, compared: &str) -> Result<Vec<StrategyName>, RunError> {
    let named = |name: &str| {
        name.parse::<StrategyName>().map_err(|_| RunError::UnknownStrategy {
            name: name.to_owned(),
            known: StrategyName::ALL.map(StrategyName::as_str).join(", "),
        })
    };
    // Checked even where every group has its own.
    named(compared)?;
    scenario.groups.iter().map(|group| named(group.strategy.as_deref().unwrap_or(compared))).collect()
}
