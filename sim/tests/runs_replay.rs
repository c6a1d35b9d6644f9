//! One seed, one run.

mod world;

use std::time::Duration;

use afflux_sim::scenario::{Group, Manner, Network, Player, Role, Seeks, Stay};
use afflux_sim::{Entry, Log, Outcome, Scenario, run};
use world::{KIB, MIB, leechers, player, scenario, seeds, viewers};

/// Everything that draws lots: faults, losses, churn, random jumps, liars.
fn eventful(network: Network) -> Scenario {
    let mut viewers = viewers(4, 2 * MIB);
    let seeks = Seeks::Every(Duration::from_secs(3));
    viewers.role = Role::Viewer(Player { seeks, ..player() });
    let mut churning = leechers(4, MIB);
    churning.stay = Stay::Churn(Duration::from_secs(10));
    churning.disk.faults = 0.05;
    churning.access.loss = 0.01;
    let liars = Group { manner: Manner::Corrupt, name: "liars".to_owned(), ..seeds(1, MIB) };
    let groups = vec![seeds(2, MIB), viewers, churning, liars];
    let mut scenario = scenario(network, 8 * MIB, groups);
    scenario.limit = Duration::from_secs(30);
    scenario.content.piece_length = 128 * KIB;
    scenario
}

struct Lines(Vec<String>);

impl Log for Lines {
    fn entry(&mut self, entry: &Entry) {
        self.0.push(entry.to_string());
    }
}

fn logged(scenario: &Scenario, seed: u64) -> (Outcome, Vec<String>) {
    let mut lines = Lines(Vec::new());
    let outcome = run(scenario, "deadline", seed, &mut lines, &|| false).expect("no invariant is broken");
    (outcome, lines.0)
}

#[test]
fn the_same_seed_gives_the_same_outcome_and_log_and_another_seed_another() {
    for network in [Network::Fluid, Network::Segment] {
        let scenario = eventful(network);
        let first = logged(&scenario, 1);
        assert!(first == logged(&scenario, 1), "{network:?}");
        let other = logged(&scenario, 2);
        assert_ne!(first.0.log_hash, other.0.log_hash);
        assert!(first.1.len() > 1_000);
    }
}

#[test]
fn a_run_that_is_stopped_says_so_and_tells_what_it_has() {
    let scenario = eventful(Network::Fluid);
    let asked = std::cell::Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        asked.get() > 10
    };
    let outcome = run(&scenario, "rarest", 1, &mut (), &stop).expect("no invariant is broken");
    assert!(outcome.interrupted && outcome.events > 0 && outcome.delivered_bytes > 0);
    assert!(outcome.elapsed < scenario.limit);
}

#[test]
fn a_strategy_that_is_not_there_is_refused_with_what_is() {
    let scenario = eventful(Network::Fluid);
    let error = run(&scenario, "psychic", 1, &mut (), &|| false).expect_err("there is no such thing");
    assert!(error.to_string().contains("deadline"), "{error}");
    let mut named = scenario;
    named.groups[0].strategy = Some("psychic".to_owned());
    assert!(run(&named, "rarest", 1, &mut (), &|| false).is_err());
}
