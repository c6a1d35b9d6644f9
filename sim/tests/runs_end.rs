//! Whole runs: who wants a film gets it, at the rate that the lines carry.

mod world;

use std::time::Duration;

use afflux_sim::PeerOutcome;
use afflux_sim::scenario::{Access, Network, Player, Role, Seeks, Stay};
use world::{MIB, group, leechers, ms, outcome, player, scenario, seeds, viewers};

#[test]
fn a_pair_reaches_its_lines_rate_within_a_hundredth() {
    let scenario = scenario(Network::Fluid, 100 * MIB, vec![seeds(1, MIB), leechers(1, 10 * MIB)]);
    let outcome = outcome(&scenario, 1);
    let took = outcome.peers[1].download.expect("it's done").as_secs_f64();
    assert!((100.0..101.0).contains(&took), "{took} s for 100 s worth");
}

#[test]
fn leechers_share_what_they_have() {
    let outcome = outcome(&scenario(Network::Fluid, 32 * MIB, vec![seeds(1, MIB), leechers(8, MIB)]), 1);
    for peer in &outcome.peers[1..] {
        let took = peer.download.expect("it's done");
        assert!(took < Duration::from_secs(80), "{took:?}: the seed alone would need 256 s");
        assert_eq!(peer.received_bytes, 32 * MIB);
    }
}

/// Whatever is sent comes or is under way, and whatever comes is kept or thrown away.
#[test]
fn every_byte_that_was_sent_is_accounted_for() {
    for network in [Network::Fluid, Network::Segment] {
        let mut churning = leechers(8, MIB);
        churning.stay = Stay::Churn(Duration::from_secs(8));
        let seeks = Seeks::Every(Duration::from_secs(2));
        let jumping = group("jumping", 3, Role::Viewer(Player { seeks, ..player() }), 4 * MIB);
        let mut scenario = scenario(network, 64 * MIB, vec![seeds(3, MIB), jumping, churning]);
        scenario.limit = Duration::from_secs(40);
        let outcome = outcome(&scenario, 1);
        let sum = |of: fn(&PeerOutcome) -> u64| outcome.peers.iter().map(of).sum::<u64>();
        let kept = sum(|peer| peer.received_bytes);
        // Each of the eleven that stay to the end may be in the middle of a block with each other one.
        let partial = 11 * 14 * 16 * 1024;
        let accounted = kept + outcome.duplicate_bytes;
        assert!(accounted <= outcome.came_bytes && outcome.came_bytes <= accounted + partial, "{outcome:?}");
        assert!(outcome.duplicate_bytes > 0, "jumps and partings cut blocks off");
        assert!(outcome.came_bytes < outcome.sent_bytes && outcome.sent_bytes < outcome.uplink_bytes);
        assert_eq!(outcome.sent_bytes, sum(|peer| peer.sent_bytes));
        assert!(outcome.delivered_bytes <= outcome.came_bytes);
    }
}

#[test]
fn a_viewer_of_a_fast_seed_begins_and_never_stalls() {
    let outcome =
        outcome(&scenario(Network::Fluid, 64 * MIB, vec![seeds(1, 4 * MIB), viewers(1, 4 * MIB)]), 1);
    let viewer = &outcome.peers[1];
    assert!(viewer.startup.expect("it has begun") < Duration::from_secs(3), "{viewer:?}");
    assert_eq!((viewer.stalls, viewer.on_time), (0, (256, 256)), "{viewer:?}");
}

#[test]
fn segments_carry_a_lines_rate_less_their_headers() {
    let scenario = scenario(Network::Segment, 20 * MIB, vec![seeds(1, MIB), leechers(1, 10 * MIB)]);
    let took = outcome(&scenario, 1).peers[1].download.expect("it's done").as_secs_f64();
    // 52 bytes of headers for 1448 of payload are 3.6 %; the rest is the start and the losses of a full queue.
    assert!((20.7..21.5).contains(&took), "{took} s for 20 s worth");
}

#[test]
fn fluid_and_segments_agree_on_a_small_swarm_within_a_tenth() {
    let groups = || vec![seeds(2, MIB), leechers(4, MIB)];
    let mean = |network| {
        let outcome = outcome(&scenario(network, 16 * MIB, groups()), 1);
        let times = outcome.peers[2..].iter().map(|peer| peer.download.expect("it's done").as_secs_f64());
        times.sum::<f64>() / 4.0
    };
    let (fluid, segments) = (mean(Network::Fluid), mean(Network::Segment));
    assert!((segments / fluid - 1.0).abs() < 0.1, "fluid {fluid} s, segments {segments} s");
}

/// What one connection carries over a lossy path: a segment's bytes per round trip, times 1.31 over the root of the loss
/// (Mathis et al., 1997, for random losses). That law leaves out the start, which is faster, and timeouts.
#[test]
fn a_lossy_path_carries_what_the_law_of_its_losses_says() {
    for (loss, millis) in [(0.002, 20), (0.01, 40)] {
        let mut seed = seeds(1, 16 * MIB);
        seed.access = Access { loss, latency: ms(millis), queue: MIB, ..seed.access };
        let mut leecher = leechers(1, 16 * MIB);
        leecher.access.latency = ms(0);
        let scenario = scenario(Network::Segment, 16 * MIB, vec![seed, leecher]);
        let took = outcome(&scenario, 1).peers[1].download.expect("it's done").as_secs_f64();
        let law = 1_448.0 * 1.31 / f64::sqrt(loss) / (0.002 * millis as f64);
        let measured = 16.0 * MIB as f64 / took;
        let ratio = measured / law;
        assert!((0.7..1.3).contains(&ratio), "{measured} B/s at {loss}, and the law says {law}");
    }
}

#[test]
fn two_flows_share_a_queue_about_equally() {
    let mut scenario = scenario(Network::Segment, 16 * MIB, vec![seeds(1, MIB), leechers(2, 4 * MIB)]);
    // So that they can't help each other.
    scenario.groups[1].nat = true;
    let outcome = outcome(&scenario, 1);
    let took: Vec<f64> =
        outcome.peers[1..].iter().map(|p| p.download.expect("it's done").as_secs_f64()).collect();
    assert!((took[0] / took[1] - 1.0).abs() < 0.15, "{took:?}");
    // 32 MiB over 1 MiB/s, headers included.
    assert!((32.0..36.0).contains(&took[0].max(took[1])), "{took:?}");
}
