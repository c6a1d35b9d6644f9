//! Players start by their rule, stall when they run dry, jump where they are told, and are measured right.

mod world;

use std::time::Duration;

use afflux_sim::scenario::{Group, Network, Player, Role, Scenario, Seeks, Stay};
use afflux_sim::stats::Metric;
use afflux_sim::{Outcome, PeerOutcome};
use world::{MIB, group, ms, outcome, player, scenario, seeds};

/// A viewer of 32 s of film, and a seed whose line is so many bytes per second.
fn watch(player: Player, rate: u64) -> PeerOutcome {
    let viewer: Group = group("viewer", 1, Role::Viewer(player), 16 * MIB);
    let outcome: Outcome = outcome(&scenario(Network::Fluid, 32 * MIB, vec![seeds(1, rate), viewer]), 3);
    outcome.peers[1].clone()
}

#[test]
fn playing_starts_once_the_start_rule_is_met_and_no_sooner() {
    for seconds in [1, 4] {
        let script = Player { start_buffer: Duration::from_secs(seconds), ..player() };
        let startup = watch(script, 2 * MIB).startup.expect("it has begun").as_secs_f64();
        // A second of film takes half a second; connecting and starting slowly come on top.
        let least = seconds as f64 / 2.0;
        assert!((least..least + 2.0).contains(&startup), "{startup} s for {seconds} s of film");
    }
}

#[test]
fn a_link_slower_than_the_film_makes_it_stall_for_as_long_as_is_missing() {
    let viewer = watch(player(), MIB * 3 / 4);
    assert!(viewer.stalls > 0, "{viewer:?}");
    let end = viewer.startup.expect("it has begun") + viewer.stalled + Duration::from_secs(32);
    let took = viewer.download.expect("it's done");
    // The last bytes come two seconds before they are shown, by the start rule; or they end the last stall.
    assert!(end > took && end < took + Duration::from_secs(6), "{end:?} {viewer:?}");
    let (on_time, all) = viewer.on_time;
    assert!(on_time < all && all == 128, "{viewer:?}");
}

#[test]
fn jumps_are_made_when_and_where_the_script_says() {
    let seeks = Seeks::At(vec![(Duration::from_secs(2), 0.75), (Duration::from_secs(4), 0.25)]);
    let viewer = watch(Player { seeks, ..player() }, 2 * MIB);
    assert_eq!(viewer.seeks.len(), 2, "{viewer:?}");
    assert!(viewer.seeks[0].waited > ms(100), "what it jumps to isn't there yet: {viewer:?}");
    // Two seconds at the start, two at three quarters, and all from a quarter on; a piece lasts a quarter of a second.
    assert!((112..=116).contains(&viewer.on_time.1), "{viewer:?}");
}

#[test]
fn a_seek_that_never_resumes_counts_as_given_up_at_the_end() {
    let seeks = Seeks::At(vec![(Duration::from_secs(2), 0.75)]);
    let viewer = group("viewer", 1, Role::Viewer(Player { seeks, ..player() }), 16 * MIB);
    // The only seed goes when the first seconds of the film have been played, and nobody else has the rest.
    let seed = Group { stay: Stay::For(Duration::from_secs(4)), ..seeds(1, MIB) };
    let staying =
        Scenario { limit: Duration::from_secs(60), ..scenario(Network::Fluid, 32 * MIB, vec![seed, viewer]) };
    let mut leaving = staying.clone();
    leaving.groups[1].stay = Stay::For(Duration::from_secs(20));
    for (scenario, until) in [(staying, 60), (leaving, 20)] {
        let outcome = outcome(&scenario, 3);
        let [seek] = outcome.peers[1].seeks[..] else { panic!("one seek is made: {outcome:?}") };
        let jumped = Duration::from_secs(until).saturating_sub(seek.waited);
        assert!(!seek.resumed && (ms(3_500)..ms(6_000)).contains(&jumped), "{seek:?} until {until} s");
        assert_eq!(Metric::Seek.of(&outcome), Some(f64::INFINITY));
    }
}

#[test]
fn a_player_that_wants_the_tail_first_waits_for_it() {
    let plain = watch(player(), MIB).startup.expect("it has begun");
    let tail = watch(Player { tail_first: true, ..player() }, MIB).startup.expect("it has begun");
    assert!(tail > plain, "{tail:?} with the tail, {plain:?} without");
}
