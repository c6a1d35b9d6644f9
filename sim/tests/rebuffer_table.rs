//! The rebuffer table: what every strategy does in small variants of the built-in scenarios, as snapshots in git.
//!
//! A change of the picker is seen in the diff of `snapshots/`, and has to be looked at there. After that,
//! `INSTA_UPDATE=always cargo test -p afflux-sim --test rebuffer_table` takes it over. Three seeds make no
//! statistics: for those there is `afflux sim table`.

use afflux_sim::compare::{Comparison, Job, Plan, Run};
use afflux_sim::report::text;
use afflux_sim::scenario::{Arrival, Player, Role, Scenario, Seeks, Stay, builtin};
use afflux_swarm::StrategyName;

/// Films are cut to one part in so many, and so are the times in which peers come, jump and go.
const PART: u32 = 5;
/// More peers of a group don't come.
const PEERS: u32 = 8;
const SEEDS: u32 = 3;

/// A variant that a debug build simulates in a moment. Rates stay what they are.
fn small(mut scenario: Scenario) -> Scenario {
    scenario.limit /= PART;
    scenario.content.length /= u64::from(PART);
    for group in &mut scenario.groups {
        group.count = group.count.min(PEERS);
        group.arrival = match group.arrival {
            Arrival::At(time) => Arrival::At(time / PART),
            Arrival::Spread(time) => Arrival::Spread(time / PART),
            Arrival::Poisson { rate } => Arrival::Poisson { rate: rate * f64::from(PART) },
        };
        group.stay = match group.stay {
            Stay::Always => Stay::Always,
            Stay::AfterDone(time) => Stay::AfterDone(time / PART),
            Stay::For(time) => Stay::For(time / PART),
            Stay::Churn(mean) => Stay::Churn(mean / PART),
        };
        if let Role::Viewer(Player { seeks, .. }) = &mut group.role {
            match seeks {
                Seeks::None => {}
                Seeks::Every(time) => *time /= PART,
                Seeks::At(places) => places.iter_mut().for_each(|(time, _)| *time /= PART),
            }
        }
    }
    scenario
}

fn table(name: &str) -> String {
    let builtin = builtin::find(name).expect("it is built in");
    let scenario = small(builtin.scenario().expect("it can be read"));
    let plan = Plan { scenarios: vec![scenario], strategies: StrategyName::ALL.to_vec(), seeds: SEEDS };
    let run = |job| {
        let Job { strategy, seed, .. } = job;
        let outcome = afflux_sim::run(&plan.scenarios[0], strategy.as_str(), seed, &mut (), &|| false);
        Run::new(job, &outcome.unwrap_or_else(|error| panic!("{error}")))
    };
    let runs = plan.jobs().into_iter().map(run).collect();
    text::comparison(&Comparison::new(&plan, runs))
}

macro_rules! snapshots {
    ($($test:ident: $name:literal),+ $(,)?) => {
        $(
            #[test]
            fn $test() {
                insta::assert_snapshot!($name, table($name));
            }
        )+

        #[test]
        fn every_builtin_scenario_has_its_snapshot() {
            let names: Vec<&str> = builtin::ALL.iter().map(|builtin| builtin.name).collect();
            assert_eq!(names, [$($name),+]);
        }
    };
}

snapshots! {
    flash_crowd: "flash-crowd",
    poisson: "poisson",
    scarce_seed: "scarce-seed",
    free_riders: "free-riders",
    seeker: "seeker",
    odd_peers: "odd-peers",
    tight_link: "tight-link",
    churn: "churn",
    lossy: "lossy",
    three_viewers: "three-viewers",
    no_viewer: "no-viewer",
}
