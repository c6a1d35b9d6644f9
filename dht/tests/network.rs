//! Whole networks of nodes in virtual time.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

mod net;

use std::time::Duration;

use afflux_dht::address::Family;
use afflux_dht::{Announce, Config, Lookup, NodeId, Saved};
use net::{FAIR, Net, ROUGH, Weather, hash, ip_of, v4, v6};

const ANNOUNCE: Lookup =
    Lookup { announce: Some(Announce { port: 4000, implied: false }), peers_enough: 100 };
const ASK: Lookup = Lookup { announce: None, peers_enough: 100 };

#[test]
fn a_hundred_nodes_join_through_one() {
    let net = Net::joined(100, FAIR, 1);
    for (number, machine) in net.machines.iter().enumerate() {
        assert!(machine.ready, "machine {number}");
        assert!(machine.node.stats().nodes_v4 >= 16, "machine {number}: {:?}", machine.node.stats());
    }
    assert!(net.largest_datagram <= 1024, "{}", net.largest_datagram);
}

#[test]
fn what_is_announced_here_is_found_there() {
    let mut net = Net::joined(60, FAIR, 2);
    let (_, finished, _) = net.complete(7, hash(1), ANNOUNCE);
    assert_eq!(finished.announced, 8);
    for asker in [0, 23, 59] {
        let (found, _, took) = net.complete(asker, hash(1), ASK);
        assert_eq!(found, [ip_of(v4(7), 4000)], "asked by {asker}");
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
    let (found, ..) = net.complete(3, hash(2), ASK);
    assert!(found.is_empty());
}

#[test]
fn an_implied_port_is_the_one_the_datagram_came_from() {
    let mut net = Net::joined(20, FAIR, 3);
    let implied = Lookup { announce: Some(Announce { port: 0, implied: true }), peers_enough: 100 };
    net.complete(7, hash(1), implied);
    assert_eq!(net.complete(9, hash(1), ASK).0, [v4(7)]);
}

#[test]
fn announces_survive_loss_and_long_ways() {
    let mut net = Net::joined(60, ROUGH, 4);
    let (_, finished, _) = net.complete(7, hash(1), ANNOUNCE);
    assert!(finished.announced >= 4, "{finished:?}");
    for asker in [0, 23, 59] {
        let (found, _, took) = net.complete(asker, hash(1), ASK);
        assert_eq!(found, [ip_of(v4(7), 4000)], "asked by {asker}");
        assert!(took < Duration::from_secs(6), "{took:?}");
    }
}

#[test]
fn round_trips_beyond_every_slot_still_work() {
    let far = Weather { latency_ms_min: 350, latency_ms_max: 450, loss_percent: 0 };
    let mut net = Net::joined(20, far, 5);
    net.complete(7, hash(1), ANNOUNCE);
    assert_eq!(net.complete(9, hash(1), ASK).0, [ip_of(v4(7), 4000)]);
}

#[test]
fn a_lookup_stops_when_there_are_peers_enough() {
    let mut net = Net::joined(100, FAIR, 6);
    for seeder in 0..40 {
        net.complete(seeder, hash(1), ANNOUNCE);
    }
    let (all, thorough, _) = net.complete(50, hash(1), Lookup { announce: None, peers_enough: 1000 });
    assert_eq!(all.len(), 40);
    let (some, quick, _) = net.complete(50, hash(1), Lookup { announce: None, peers_enough: 1 });
    assert!(!some.is_empty());
    assert!(quick.nodes_asked < thorough.nodes_asked, "{quick:?} {thorough:?}");
    let early = Lookup { announce: ANNOUNCE.announce, peers_enough: 10 };
    let (_, early, _) = net.complete(52, hash(1), early);
    assert_eq!(early.announced, 8, "stopping early still announces");
}

#[test]
fn when_nodes_die_their_torrents_stay_and_lookups_stay_quick() {
    let mut net = Net::joined(100, FAIR, 7);
    net.complete(7, hash(1), ANNOUNCE);
    for dead in (0..100).filter(|number| number % 3 == 0) {
        net.kill(dead);
    }
    let (found, _, took) = net.complete(50, hash(1), ASK);
    assert_eq!(found, [ip_of(v4(7), 4000)]);
    assert!(took < Duration::from_secs(5), "{took:?}");
    // Half an hour later the dead are out of the tables.
    net.run_for(Duration::from_secs(30 * 60));
    let (_, finished, _) = net.complete(8, hash(2), ANNOUNCE);
    assert_eq!(finished.announced, 8);
    let (found, _, took) = net.complete(50, hash(2), ASK);
    assert_eq!(found, [ip_of(v4(8), 4000)]);
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn announces_expire() {
    let mut net = Net::joined(30, FAIR, 8);
    net.complete(7, hash(1), ANNOUNCE);
    net.run_for(Duration::from_secs(31 * 60));
    assert!(net.complete(9, hash(1), ASK).0.is_empty());
    assert!(net.machines.iter().all(|machine| machine.node.stats().peers_stored == 0));
}

#[test]
fn ipv6_is_a_network_of_its_own() {
    let mut net = Net::new(FAIR, 9);
    for number in 0..40 {
        net.add(&[Family::V6], None);
        if number > 0 {
            net.bootstrap(number, &[v6(0)]);
            net.run_for(Duration::from_millis(200));
        }
    }
    net.run_for(Duration::from_secs(20));
    let (_, finished, _) = net.complete(7, hash(1), ANNOUNCE);
    assert_eq!(finished.announced, 8);
    assert_eq!(net.complete(33, hash(1), ASK).0, [ip_of(v6(7), 4000)]);
    assert!(net.largest_datagram <= 1024, "{}", net.largest_datagram);
}

#[test]
fn a_dual_stack_node_finds_ipv6_through_ipv4_and_peers_of_both() {
    let mut net = Net::new(FAIR, 10);
    for number in 0..30 {
        net.add(&Family::ALL, None);
        if number > 0 {
            // Only the second machine is told an IPv6 address.
            net.bootstrap(number, &[v4(0)]);
            if number == 1 {
                net.bootstrap(number, &[v6(0)]);
            }
            net.run_for(Duration::from_millis(300));
        }
    }
    net.run_for(Duration::from_secs(60));
    for machine in &net.machines {
        let stats = machine.node.stats();
        assert!(stats.nodes_v4 >= 8 && stats.nodes_v6 >= 8, "{stats:?}");
    }
    net.complete(7, hash(1), ANNOUNCE);
    let (mut found, ..) = net.complete(22, hash(1), ASK);
    found.sort();
    assert_eq!(found, [ip_of(v4(7), 4000), ip_of(v6(7), 4000)]);
}

#[test]
fn a_saved_table_joins_without_a_router() {
    let mut net = Net::joined(40, FAIR, 11);
    let saved = net.machines[12].node.save();
    assert!(saved.v4.len() >= 16);
    let saved = Saved::from_bytes(&saved.to_bytes()).unwrap();
    let own = saved.ids;
    net.kill(0);
    net.kill(12);
    let again = net.add(&[Family::V4], Some(saved));
    assert_eq!(net.machines[again].node.save().ids, own);
    net.run_for(Duration::from_secs(10));
    assert!(net.machines[again].ready);
    assert!(net.machines[again].node.stats().nodes_v4 >= 16);
    net.complete(7, hash(1), ANNOUNCE);
    assert_eq!(net.complete(again, hash(1), ASK).0, [ip_of(v4(7), 4000)]);
}

#[test]
fn a_lookup_may_begin_before_anybody_is_known() {
    let mut net = Net::joined(20, FAIR, 12);
    net.complete(7, hash(1), ANNOUNCE);
    let fresh = net.add(&[Family::V4], None);
    let key = net.lookup(fresh, hash(1), ASK);
    net.run_for(Duration::from_secs(2));
    assert!(net.machines[fresh].finished.is_empty(), "it waits for a first node");
    net.bootstrap(fresh, &[v4(3)]);
    net.run_for(Duration::from_secs(3));
    assert_eq!(net.machines[fresh].found[&key], [ip_of(v4(7), 4000)]);
    let lonely = net.add(&[Family::V4], None);
    let key = net.lookup(lonely, hash(1), ASK);
    net.run_for(Duration::from_secs(20));
    assert_eq!(net.machines[lonely].finished[&key].nodes_asked, 0, "but not for ever");
}

#[test]
fn a_router_that_was_down_is_tried_again() {
    let mut net = Net::joined(20, FAIR, 13);
    net.machines[0].alive = false;
    let late = net.add(&[Family::V4], None);
    net.bootstrap(late, &[v4(0)]);
    net.run_for(Duration::from_secs(60));
    assert!(!net.machines[late].ready);
    net.machines[0].alive = true;
    net.run_for(Duration::from_secs(180));
    assert!(net.machines[late].ready);
}

#[test]
fn a_read_only_node_finds_peers_and_is_in_nobodys_table() {
    let mut net = Net::joined(30, FAIR, 14);
    net.complete(7, hash(1), ANNOUNCE);
    let config = Config { read_only: true, v6: false, ..Config::default() };
    let id = NodeId([0x3c; 20]);
    let shy = net.add_with(config, Some(id), None, [v4(500), v6(500)]);
    net.bootstrap(shy, &[v4(0)]);
    net.run_for(Duration::from_secs(60));
    assert_eq!(net.complete(shy, hash(1), ASK).0, [ip_of(v4(7), 4000)]);
    for machine in &net.machines {
        assert!(machine.node.save().v4.iter().all(|node| node.id != id));
    }
    assert_eq!(net.machines[shy].node.stats().replies_sent, 0);
}

#[test]
fn our_id_follows_the_address_that_many_see() {
    let net = Net::joined(40, FAIR, 15);
    let fitting = net.machines.iter().enumerate().filter(|(number, machine)| {
        machine.node.stats().external == Some(v4(*number).ip())
            && machine.node.id(Family::V4).fits(v4(*number).ip())
    });
    assert!(fitting.count() >= 38);
}

#[test]
fn a_cancelled_lookup_says_nothing_more() {
    let mut net = Net::joined(20, FAIR, 16);
    net.complete(7, hash(1), ANNOUNCE);
    let key = net.lookup(9, hash(1), ASK);
    net.machines[9].node.cancel(key);
    net.run_for(Duration::from_secs(10));
    assert!(!net.machines[9].finished.contains_key(&key));
    assert!(!net.machines[9].found.contains_key(&key));
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let mut net = Net::joined(30, ROUGH, 17);
        let (_, finished, took) = net.complete(7, hash(1), ANNOUNCE);
        (net.datagrams, finished.nodes_asked, took)
    };
    assert_eq!(run(), run());
}
