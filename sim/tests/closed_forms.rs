//! The simulator beside theory (`closed_forms`): how far they agree, and why not farther.
//!
//! Theory knows neither choking nor round trips nor blocks, and takes it that whoever has something to give finds a
//! taker at once. Margins are of one debug run's size: crowds of tens and tens of megabytes.

mod world;

use std::time::Duration;

use afflux_sim::closed_forms::{Law, Population, distribution_time_min, startup_of, transfer_time};
use afflux_sim::log::{Entry, Log, What};
use afflux_sim::scenario::{Access, Arrival, Group, Network, Stay};
use afflux_sim::{Outcome, Scenario, run};
use world::{KIB, MIB, leechers, scenario, seeds};

/// When each peer had each piece.
#[derive(Default)]
struct Verified(Vec<Vec<(Duration, u32)>>);

impl Log for Verified {
    fn entry(&mut self, entry: &Entry) {
        if let What::Verified { piece } = entry.what {
            let peer = entry.peer as usize;
            if self.0.len() <= peer {
                self.0.resize_with(peer + 1, Vec::new);
            }
            self.0[peer].push((entry.at, piece));
        }
    }
}

fn lines(mut group: Group, up: u64, down: u64) -> Group {
    group.access = Access { up, down, ..group.access };
    group
}

/// Leechers that come at random, and stay so long as seeds.
fn crowd(count: u32, per_second: f64, up: u64, down: u64, seeding: Duration) -> Group {
    let crowd = lines(leechers(count, up), up, down);
    Group { arrival: Arrival::Poisson { rate: per_second }, stay: Stay::AfterDone(seeding), ..crowd }
}

fn outcome(scenario: &Scenario, strategy: &str, seed: u64, log: &mut dyn Log) -> Outcome {
    run(scenario, strategy, seed, log, &|| false).expect("no invariant is broken")
}

fn downloads(outcome: &Outcome) -> Vec<f64> {
    outcome.peers.iter().filter_map(|peer| peer.download).map(|took| took.as_secs_f64()).collect()
}

fn mean(figures: &[f64]) -> f64 {
    figures.iter().sum::<f64>() / figures.len() as f64
}

#[test]
fn a_pair_takes_what_its_slower_line_takes_within_a_hundredth() {
    for (up, down) in [(MIB, 10 * MIB), (10 * MIB, MIB), (256 * KIB, MIB)] {
        let groups = vec![lines(seeds(1, up), up, up), lines(leechers(1, down), down, down)];
        let theory = transfer_time(32 * MIB, up, down, Duration::from_millis(40)).as_secs_f64();
        for strategy in ["rarest", "sequential", "lt-deadline", "deadline"] {
            let outcome = outcome(&scenario(Network::Fluid, 32 * MIB, groups.clone()), strategy, 1, &mut ());
            let took = downloads(&outcome)[0];
            assert!(
                (theory..theory * 1.01).contains(&took),
                "{strategy}: {took} s where theory says {theory} s"
            );
        }
    }
}

/// The bound can't be beaten. It takes that the seed never sends a byte twice while others wait for the first, and that
/// nobody's line is idle at the start, when nobody has anything, nor at the end, when the last pieces come.
#[test]
fn nobody_distributes_sooner_than_the_bound() {
    for (seed, up, down) in [(2 * MIB, MIB, 8 * MIB), (512 * KIB, MIB, 8 * MIB), (8 * MIB, 4 * MIB, MIB)] {
        let groups = vec![lines(seeds(1, seed), seed, seed), lines(leechers(10, up), up, down)];
        let bound = distribution_time_min(128 * MIB, seed, &[(up, down); 10]).as_secs_f64();
        let outcome = outcome(&scenario(Network::Fluid, 128 * MIB, groups), "rarest", 1, &mut ());
        let took = downloads(&outcome).into_iter().fold(0.0, f64::max);
        assert!((bound..bound * 1.3).contains(&took), "{took} s where {bound} s is the least");
    }
}

/// Rarest first keeps all lines busy, as theory takes it. In order doesn't: only those who came before have what one needs,
/// and what the newcomers could send nobody wants. The papers call it sluggish for the same reason.
#[test]
fn a_steady_crowd_takes_what_the_balance_says_but_not_in_order() {
    let seeding = Duration::from_secs(10);
    let (up, down, always_up) = (256 * KIB, 2 * MIB, 256 * KIB);
    let population = Population { length: 32 * MIB, up, down, arrivals: 0.1, seeding, always_up };
    let theory = population.download_time().as_secs_f64();
    let simulated = |strategy: &str| {
        let groups = vec![seeds(1, always_up), crowd(120, 0.1, up, down, seeding)];
        let outcome = outcome(&scenario(Network::Fluid, 32 * MIB, groups), strategy, 1, &mut ());
        // The first find nobody, and the last are left to themselves.
        mean(&downloads(&outcome)[20..100])
    };
    let (rarest, in_order) = (simulated("rarest"), simulated("sequential"));
    assert!((rarest / theory - 1.0).abs() < 0.15, "{rarest} s where theory says {theory} s");
    assert!(in_order > rarest * 1.1, "in order {in_order} s, rarest first {rarest} s");
}

const LAWS: [(&str, Law); 4] = [
    ("sequential", Law::InOrder),
    ("zipf", Law::Zipf { theta: 1.25 }),
    ("portion", Law::Portion { p: 0.5 }),
    ("rarest", Law::Rarest),
];

/// Start-up as a part of the download time, of a film that plays for as long as `playing` downloads.
#[derive(Debug)]
struct Startup {
    playing: f64,
    /// In the simulator, on average.
    simulated: f64,
    /// The mean of what single runs of the law give.
    law: f64,
    /// What the mean run gives: the papers' figure.
    mean_run: f64,
}

fn startups(scenario: &Scenario, strategy: &str, law: Law, seeds: u64, skip: usize) -> Vec<Startup> {
    let pieces = (scenario.content.length / scenario.content.piece_length) as u32;
    let mut runs = Vec::new();
    for seed in 1..=seeds {
        let mut log = Verified::default();
        let outcome = outcome(scenario, strategy, seed, &mut log);
        for (nth, peer) in outcome.peers.iter().enumerate().skip(skip) {
            let Some(download) = peer.download else { continue };
            let mut there = vec![Duration::MAX; pieces as usize];
            log.0[nth].iter().for_each(|&(at, piece)| there[piece as usize] = at - peer.arrived);
            runs.push((there, download));
        }
    }
    let hour = Duration::from_secs(3600);
    let orders: Vec<Vec<Duration>> = (0..200)
        .map(|seed| {
            let mut there = vec![Duration::ZERO; pieces as usize];
            let times = (1..=pieces).map(|nth| hour * nth / pieces);
            law.order(pieces, seed).into_iter().zip(times).for_each(|(piece, at)| there[piece as usize] = at);
            there
        })
        .collect();
    let part = |startup: Duration, download: Duration| startup.as_secs_f64() / download.as_secs_f64();
    let of = |playing: f64| Startup {
        playing,
        simulated: mean(
            &runs
                .iter()
                .map(|(there, took)| part(startup_of(there, took.mul_f64(playing)), *took))
                .collect::<Vec<_>>(),
        ),
        law: mean(
            &orders
                .iter()
                .map(|there| part(startup_of(there, hour.mul_f64(playing)), hour))
                .collect::<Vec<_>>(),
        ),
        mean_run: part(law.startup(pieces, hour, hour.mul_f64(playing)), hour),
    };
    [0.5, 1.0, 2.0].into_iter().map(of).collect()
}

/// One leecher and four seeds: all pieces are to be had at any time, as the laws take it. What is left is that several
/// pieces are under way at once.
#[test]
fn start_up_is_the_laws_within_three_hundredths_of_the_download_when_all_pieces_are_there() {
    let mut scenario = scenario(Network::Fluid, 32 * MIB, vec![seeds(4, 128 * KIB), leechers(1, MIB)]);
    scenario.content.piece_length = 64 * KIB;
    for (strategy, law) in LAWS {
        for found in startups(&scenario, strategy, law, 8, 4) {
            let Startup { playing, simulated, law, mean_run } = found;
            assert!((simulated - law).abs() < 0.03, "{strategy}, {playing}: {simulated} and not {law}");
            assert!((0.0..0.06).contains(&(law - mean_run)), "{strategy}, {playing}: {law} and {mean_run}");
        }
    }
}

/// A crowd that comes at random. In order, Zipf and rarest first keep to their laws. Portion starts later than its law: that
/// takes rarest first as chance, but where all go through the film from its start the rarest pieces are those at its end.
/// They don't help the start at all, so the run grows by the in-order half alone.
#[test]
fn start_up_in_a_crowd_is_the_laws_but_for_portion() {
    let groups = vec![seeds(2, 256 * KIB), crowd(40, 0.1, 256 * KIB, MIB, Duration::from_secs(20))];
    let mut scenario = scenario(Network::Fluid, 32 * MIB, groups);
    scenario.content.piece_length = 64 * KIB;
    for (strategy, law) in LAWS {
        for found in startups(&scenario, strategy, law, 1, 12) {
            let apart = found.simulated - found.law;
            let margin = if strategy == "portion" { 0.05..0.35 } else { -0.08..0.08 };
            assert!(margin.contains(&apart), "{strategy}: {found:.3?}");
        }
    }
}
