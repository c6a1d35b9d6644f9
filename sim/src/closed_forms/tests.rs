//! The formulas against the picking process itself, and against each other where they must meet.

use super::*;

const MIB: u64 = 1024 * 1024;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn pick(&mut self, law: Law, missing: &[u32]) -> usize {
        let any = |dice: &mut Self| (dice.unit() * missing.len() as f64) as usize;
        match law {
            Law::InOrder => 0,
            Law::Rarest => any(self),
            Law::Portion { p } => {
                if self.unit() < p {
                    0
                } else {
                    any(self)
                }
            }
            Law::Zipf { theta } => {
                let weight = |piece: u32| f64::from(piece - missing[0] + 1).powf(-theta);
                let sum: f64 = missing.iter().map(|&piece| weight(piece)).sum();
                let mut rest = self.unit() * sum;
                missing
                    .iter()
                    .position(|&piece| {
                        rest -= weight(piece);
                        rest < 0.0
                    })
                    .unwrap_or(missing.len() - 1)
            }
        }
    }
}

/// The mean run of the process itself after each piece.
fn played(law: Law, pieces: u32, times: u32) -> Vec<f64> {
    let mut dice = Dice(42);
    let mut sums = vec![0.0; pieces as usize + 1];
    for _ in 0..times {
        let mut missing: Vec<u32> = (0..pieces).collect();
        for sum in &mut sums[1..] {
            missing.remove(dice.pick(law, &missing));
            *sum += f64::from(missing.first().copied().unwrap_or(pieces));
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
    assert_eq!(Law::InOrder.time_of_run(9, 3, Duration::from_secs(3)), Duration::from_secs(3));
}
