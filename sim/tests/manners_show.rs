//! Odd peers do what their manner says, and the others get their film all the same.

mod world;

use std::time::Duration;

use afflux_sim::scenario::{Arrival, Group, Limits, Manner, Network, Role, Scenario, Stay};
use afflux_sim::{Entry, Log, Outcome, What, run};
use world::{KIB, MIB, leechers, ms, scenario, seeds};

struct Kept(Vec<Entry>);

impl Log for Kept {
    fn entry(&mut self, entry: &Entry) {
        self.0.push(*entry);
    }
}

fn logged(scenario: &Scenario) -> (Outcome, Vec<Entry>) {
    let mut kept = Kept(Vec::new());
    let outcome = run(scenario, "rarest", 5, &mut kept, &|| false).expect("no invariant is broken");
    (outcome, kept.0)
}

fn fluid(groups: Vec<Group>) -> Scenario {
    scenario(Network::Fluid, 8 * MIB, groups)
}

fn odd(name: &str, manner: Manner, group: Group) -> Group {
    Group { name: name.to_owned(), manner, ..group }
}

#[test]
fn a_free_rider_takes_and_gives_nothing() {
    let riders = odd("riders", Manner::FreeRider, leechers(2, MIB));
    let (outcome, log) = logged(&fluid(vec![seeds(1, MIB), leechers(4, MIB), riders]));
    assert!(outcome.peers[1..5].iter().all(|peer| peer.download.is_some()));
    for (number, rider) in outcome.peers.iter().enumerate().skip(5) {
        assert!(!rider.counted && rider.received_bytes > 0 && rider.sent_bytes == 0, "{rider:?}");
        let unchokes =
            |entry: &&Entry| matches!(entry.what, What::Unchoke { .. }) && entry.peer == number as u32;
        assert_eq!(log.iter().filter(unchokes).count(), 0);
    }
}

#[test]
fn a_silent_peer_unchokes_everybody_and_its_requests_come_to_nothing() {
    let silent = odd("silent", Manner::Silent, seeds(1, MIB));
    let (outcome, log) = logged(&fluid(vec![silent, seeds(1, MIB), leechers(6, 4 * MIB)]));
    assert!(outcome.peers[2..].iter().all(|peer| peer.download.is_some()));
    assert_eq!(outcome.peers[0].sent_bytes, 0);
    let of = |wanted: fn(&What) -> bool| log.iter().filter(|entry| wanted(&entry.what)).count();
    let unchokes = log.iter().filter(|e| e.peer == 0 && matches!(e.what, What::Unchoke { .. })).count();
    assert_eq!(unchokes, 6);
    assert!(of(|what| matches!(what, What::Request { other: 0, .. })) > 0);
    assert_eq!(of(|what| matches!(what, What::Block { other: 0, .. } | What::Duplicate { other: 0, .. })), 0);
}

#[test]
fn what_a_corrupt_peer_sends_fails_and_it_is_banned() {
    let corrupt = odd("corrupt", Manner::Corrupt, seeds(1, MIB));
    let (outcome, log) = logged(&fluid(vec![corrupt, seeds(1, MIB), leechers(2, 4 * MIB)]));
    for number in 2..4 {
        let leecher = &outcome.peers[number as usize];
        assert!(leecher.download.is_some(), "{leecher:?}");
        assert!(leecher.received_bytes > 8 * MIB, "what failed came again: {leecher:?}");
        let mine = || log.iter().filter(|entry| entry.peer == number);
        assert!(mine().any(|entry| matches!(entry.what, What::Failed { .. })));
        let banned =
            mine().position(|entry| entry.what == What::Disconnect { other: 0 }).expect("it's banned");
        assert!(mine().skip(banned).all(|entry| !matches!(entry.what, What::Request { other: 0, .. })));
    }
}

#[test]
fn nobody_connects_to_peers_behind_a_nat() {
    let nat = Group { nat: true, ..leechers(3, MIB) };
    let (outcome, log) = logged(&fluid(vec![seeds(1, MIB), nat, leechers(2, MIB)]));
    assert!(outcome.peers[1..].iter().all(|peer| peer.download.is_some()));
    assert!(log.iter().all(|entry| !matches!(entry.what, What::Connect { other: 1..=3 })));
    let between = |entry: &Entry| {
        (1..=3).contains(&entry.peer) && matches!(entry.what, What::Block { other: 1..=3, .. })
    };
    assert!(!log.iter().any(between), "two of them can't reach each other");
}

#[test]
fn pieces_that_a_disk_loses_are_fetched_again() {
    let mut faulty = leechers(1, 4 * MIB);
    faulty.disk.faults = 0.3;
    let (outcome, log) = logged(&fluid(vec![seeds(1, 4 * MIB), faulty]));
    let lost = log.iter().filter(|entry| matches!(entry.what, What::Unstored { .. })).count() as u64;
    assert!(lost > 0 && outcome.peers[1].download.is_some());
    assert_eq!(outcome.peers[1].received_bytes, 8 * MIB + lost * 256 * KIB);
}

#[test]
fn peers_come_and_go_when_they_are_told_to() {
    let second = Duration::from_secs(1);
    let churn = Group { stay: Stay::Churn(second * 5), ..leechers(3, MIB) };
    let brief = Group { stay: Stay::For(second * 7), arrival: Arrival::At(second * 3), ..seeds(2, MIB) };
    let leaving = Group { stay: Stay::AfterDone(second * 2), ..leechers(2, 8 * MIB) };
    let late = Group { arrival: Arrival::Poisson { rate: 0.5 }, ..leechers(10, MIB) };
    let mut scenario = scenario(Network::Fluid, 2 * MIB, vec![churn, brief, leaving, late, seeds(1, MIB)]);
    scenario.limit = second * 60;
    let (outcome, _) = logged(&scenario);
    let stay = |at: usize| outcome.peers[at].left.map(|left| left - outcome.peers[at].arrived);
    let came = outcome.peers.iter().filter(|peer| peer.group == "leechers").count() - 3 - 2 - 10;
    let changes = 3.0 * outcome.elapsed.as_secs_f64() / 5.0;
    assert!(
        (changes / 2.0..changes * 2.0).contains(&(came as f64)),
        "{came} came: three places change hands every five seconds, {changes:.0} in all"
    );
    let named = |name: &str| {
        let found = outcome.peers.iter().enumerate().filter(|(_, peer)| peer.group == name);
        found.map(|(at, _)| at).collect::<Vec<_>>()
    };
    for at in named("seeds").into_iter().filter(|&at| outcome.peers[at].arrived == second * 3) {
        assert_eq!(stay(at), Some(second * 7));
    }
    let done_and_left = (0..outcome.peers.len())
        .filter(|&at| outcome.peers[at].download.is_some_and(|took| stay(at) == Some(took + second * 2)));
    assert!(done_and_left.count() >= 2);
}

#[test]
fn a_peers_own_limits_hold() {
    let limited = |up, down| {
        let mut seed = seeds(1, 4 * MIB);
        seed.limits = Limits { up, down: None };
        let mut leecher = leechers(1, 4 * MIB);
        leecher.limits = Limits { up: None, down };
        logged(&fluid(vec![seed, leecher])).0.peers[1].download.expect("it's done")
    };
    let (free, up, down) = (limited(None, None), limited(Some(MIB), None), limited(None, Some(MIB)));
    assert!(free < Duration::from_millis(3_500), "{free:?} without limits");
    for took in [up, down] {
        assert!((ms(7_700)..ms(9_000)).contains(&took), "{took:?} for 8 s worth");
    }
}

#[test]
fn a_leecher_that_has_half_fetches_half() {
    let half = Group { role: Role::Leecher { have: 0.5 }, ..leechers(1, MIB) };
    let (outcome, _) = logged(&fluid(vec![seeds(1, MIB), half]));
    assert_eq!(outcome.peers[1].received_bytes, 4 * MIB);
}
