//! The formulas against the picking process itself, and against each other where they must meet.

use super::*;

const MIB: u64 = 1024 * 1024;

/// The mean run of the process itself after each piece.
fn played(law: Law, pieces: u32, times: u32) -> Vec<f64> {
    let mut sums = vec![0.0; pieces as usize + 1];
    for seed in 0..times {
        let mut there = vec![false; pieces as usize];
        let mut run = 0;
        for (sum, piece) in sums[1..].iter_mut().zip(law.order(pieces, seed.into())) {
            there[piece as usize] = true;
            run += there[run..].iter().take_while(|there| **there).count();
            *sum += run as f64;
        }
    }
    sums.into_iter().map(|sum| sum / f64::from(times)).collect()
}

/// The greatest difference to the process, as a part of the film.
fn worst(law: Law, pieces: u32) -> f64 {
    let (theory, process) = (law.runs(pieces), played(law, pieces, 400));
    let apart = theory.iter().zip(&process).map(|(theory, process)| (theory - process).abs());
    apart.fold(0.0, f64::max) / f64::from(pieces)
}

#[test]
fn runs_follow_the_process_within_four_percent_of_the_film() {
    for law in [
        Law::InOrder,
        Law::Rarest,
        Law::Portion { p: 0.5 },
        Law::Portion { p: 0.9 },
        Law::Zipf { theta: 1.25 },
    ] {
        let apart = worst(law, 150);
        assert!(apart < 0.04, "{law:?} is off by {:.1} %", apart * 100.0);
    }
}

#[test]
fn the_run_of_rarest_first_is_the_known_one() {
    for (count, run) in Law::Rarest.runs(100).into_iter().enumerate() {
        let known = count as f64 / (101 - count) as f64;
        assert!((run - known).abs() < 1e-9, "{count}: {run} and not {known}");
    }
}

#[test]
fn many_small_pieces_meet_the_formula_of_portion() {
    let (download, playing) = (Duration::from_secs(1000), Duration::from_secs(800));
    for p in [0.3, 0.5, 0.8] {
        let law = Law::Portion { p }.startup(20_000, download, playing);
        let formula = portion_startup(p, download, playing);
        assert!(law.abs_diff(formula) < Duration::from_secs(6), "{p}: {law:?} and not {formula:?}");
    }
}

#[test]
fn in_order_waits_for_what_download_takes_longer_than_playing() {
    let delay = Law::InOrder.startup(1000, Duration::from_secs(1000), Duration::from_secs(900));
    assert!(delay.abs_diff(Duration::from_secs(100)) <= Duration::from_secs(1), "{delay:?}");
    let quick = Law::InOrder.startup(1000, Duration::from_secs(500), Duration::from_secs(900));
    assert_eq!(quick, Duration::from_millis(500), "its first piece");
}

#[test]
fn the_closer_to_in_order_the_sooner_it_starts() {
    let (download, playing) = (Duration::from_secs(500), Duration::from_secs(900));
    let of = |law: Law| law.startup(200, download, playing);
    let ranked = [
        of(Law::InOrder),
        of(Law::Portion { p: 0.9 }),
        of(Law::Portion { p: 0.5 }),
        of(Law::Portion { p: 0.1 }),
        of(Law::Rarest),
    ];
    assert!(ranked.is_sorted(), "{ranked:?}");
    assert!(of(Law::Zipf { theta: 1.25 }) < of(Law::Zipf { theta: 0.5 }));
    assert!(of(Law::Rarest) > Duration::from_secs(300), "rarest first plays nearly at the end: {ranked:?}");
}

#[test]
fn a_start_waits_for_the_piece_that_is_latest_for_its_turn() {
    let seconds = |all: &[u64]| all.iter().copied().map(Duration::from_secs).collect::<Vec<_>>();
    let film = Duration::from_secs(4);
    assert_eq!(startup_of(&seconds(&[1, 2, 3, 4]), film), Duration::from_secs(1));
    assert_eq!(startup_of(&seconds(&[1, 9, 3, 4]), film), Duration::from_secs(8));
    assert_eq!(startup_of(&seconds(&[0, 0, 0, 2]), film), Duration::ZERO);
}

#[test]
fn an_order_has_every_piece_once() {
    for law in [Law::InOrder, Law::Rarest, Law::Portion { p: 0.5 }, Law::Zipf { theta: 1.25 }] {
        let mut order = law.order(100, 3);
        assert_eq!(order.is_sorted(), law == Law::InOrder);
        order.sort_unstable();
        assert!(order.into_iter().eq(0..100));
    }
}

#[test]
fn the_slowest_the_seed_or_everybody_is_the_bound() {
    let bound =
        |seed: u64, leechers: &[(u64, u64)]| distribution_time_min(100 * MIB, seed * MIB, leechers).as_secs();
    assert_eq!(bound(1, &[(50 * MIB, 50 * MIB); 3]), 100, "the seed sends it once");
    assert_eq!(bound(50, &[(50 * MIB, 2 * MIB), (50 * MIB, 50 * MIB)]), 50, "the slowest receives it");
    assert_eq!(bound(10, &[(MIB, 100 * MIB); 10]), 50, "1000 MiB at 20 MiB/s in all");
    assert_eq!(distribution_time_min(MIB, MIB, &[]), Duration::ZERO);
}

#[test]
fn a_population_is_bound_by_what_is_sent_or_received() {
    let population = Population {
        length: 100 * MIB,
        up: MIB,
        down: 10 * MIB,
        arrivals: 0.1,
        seeding: Duration::from_secs(20),
        always_up: MIB,
    };
    assert_eq!(population.download_time(), Duration::from_secs(70));
    assert!((population.leechers() - 7.0).abs() < 1e-9);
    let generous = Population { seeding: Duration::from_secs(500), ..population };
    assert_eq!(generous.download_time(), Duration::from_secs(10));
}

#[test]
fn senseless_figures_make_no_panic() {
    assert_eq!(distribution_time_min(MIB, 0, &[(0, 0)]), Duration::MAX);
    assert_eq!(Law::Rarest.runs(0), [0.0]);
    assert_eq!(Law::Zipf { theta: f64::NAN }.runs(3).len(), 4);
    assert_eq!(Law::InOrder.startup(0, Duration::MAX, Duration::ZERO), Duration::ZERO);
    assert_eq!(startup_of(&[], Duration::ZERO), Duration::ZERO);
    assert_eq!(Law::Zipf { theta: f64::NAN }.order(3, 1).len(), 3);
    assert_eq!(Law::InOrder.time_of_run(9, 3, Duration::from_secs(3)), Duration::from_secs(3));
}
