//! Dialling, refusing, serving, metadata: everything but payload.

mod harness;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use afflux_metainfo::{Bitfield, InfoHash, InfoHashes, PeerId, PieceIndex};
use afflux_peer::{Command, Event, ExtensionHandshake};
use afflux_swarm::{
    Config, Connected, Direction, Output, Parting, PeerKey, Reason, Refusal, Report, Source, Swarm,
};
use bytes::Bytes;
use harness::{KIB, MIB, Manner, World, config, layout, start};

fn addr(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 9, 0, last], 6881))
}

fn link(last: u8, direction: Direction) -> Connected {
    Connected { addr: addr(last), direction, peer_id: PeerId([last; 20]), fast: true }
}

fn drain(swarm: &mut Swarm) -> Vec<Output> {
    std::iter::from_fn(|| swarm.poll_output()).collect()
}

fn dials(outputs: &[Output]) -> usize {
    outputs.iter().filter(|output| matches!(output, Output::Dial(_))).count()
}

fn empty(config: Config) -> Swarm {
    let layout = layout(256 * KIB, 4 * MIB);
    let have = Bitfield::new(layout.piece_count());
    Swarm::new(config, InfoHashes::V1(InfoHash([1; 20])), Some((layout, have)), 1, start())
}

fn report(swarm: &mut Swarm, key: PeerKey, events: Vec<Event>, now: std::time::Instant) {
    swarm.handle_report(key, Report::of(events.into_iter(), 10, 0), now);
}

#[test]
fn half_open_dials_are_bounded_and_a_failure_makes_room() {
    let now = start();
    let mut swarm = empty(Config { dials_max: 3, ..config() });
    let addrs: Vec<_> = (1..=10).map(addr).collect();
    swarm.add_candidates(&addrs, Source::Tracker, now);
    let outputs = drain(&mut swarm);
    assert_eq!(dials(&outputs), 3);
    let Some(Output::Dial(first)) = outputs.iter().find(|o| matches!(o, Output::Dial(_))) else { panic!() };
    swarm.handle_dial_failed(*first, now);
    assert_eq!(dials(&drain(&mut swarm)), 1);
}

#[test]
fn a_private_torrent_takes_peers_from_its_trackers_alone() {
    let now = start();
    let mut swarm = empty(Config { private: true, ..config() });
    for source in [Source::Dht, Source::Pex, Source::Lsd] {
        swarm.add_candidates(&[addr(1)], source, now);
    }
    assert_eq!(dials(&drain(&mut swarm)), 0);
    swarm.add_candidates(&[addr(1)], Source::Tracker, now);
    assert_eq!(dials(&drain(&mut swarm)), 1);
}

#[test]
fn ourselves_and_twins_are_refused() {
    let now = start();
    let mut swarm = empty(config());
    let ourselves = Connected { peer_id: config().local_peer_id, ..link(1, Direction::Incoming) };
    assert_eq!(swarm.handle_connected(ourselves, now), Err(Refusal::Ourselves));
    swarm.handle_connected(link(2, Direction::Incoming), now).unwrap();
    let twin = Connected { addr: addr(3), ..link(2, Direction::Incoming) };
    assert_eq!(swarm.handle_connected(twin, now), Err(Refusal::Duplicate));
}

#[test]
fn a_peer_that_breaks_a_grave_rule_is_banned() {
    let now = start();
    let mut swarm = empty(config());
    let key = swarm.handle_connected(link(1, Direction::Incoming), now).unwrap();
    swarm.handle_disconnected(key, Parting::Violation { ban: true }, now);
    assert!(drain(&mut swarm).contains(&Output::Ban(addr(1).ip())));
    assert_eq!(swarm.handle_connected(link(1, Direction::Incoming), now), Err(Refusal::Banned));
}

#[test]
fn on_loopback_only_the_peer_itself_is_banned() {
    let now = start();
    let mut swarm = empty(config());
    let local = |last: u8| Connected {
        addr: SocketAddr::from(([127, 0, 0, 1], 6000 + u16::from(last))),
        ..link(last, Direction::Incoming)
    };
    let bad = swarm.handle_connected(local(1), now).unwrap();
    swarm.handle_connected(local(2), now).unwrap();
    swarm.handle_disconnected(bad, Parting::Violation { ban: true }, now);
    assert_eq!(swarm.snapshot(now).connected, 1);
    assert_eq!(swarm.handle_connected(local(1), now), Err(Refusal::Banned));
    swarm.handle_connected(local(3), now).unwrap();
}

#[test]
fn a_seed_gives_up_another_seed_when_places_are_short() {
    let now = start();
    let layout = layout(256 * KIB, 4 * MIB);
    let have = Bitfield::full(layout.piece_count());
    let config = Config { peers_max: 2, ..config() };
    let info = Some((Arc::clone(&layout), have.clone()));
    let mut swarm = Swarm::new(config, InfoHashes::V1(InfoHash([1; 20])), info, 1, now);
    let seed = swarm.handle_connected(link(1, Direction::Incoming), now).unwrap();
    report(&mut swarm, seed, vec![Event::PiecesKnown(have)], now);
    let leecher = swarm.handle_connected(link(2, Direction::Incoming), now).unwrap();
    report(&mut swarm, leecher, vec![Event::Interested], now);
    drain(&mut swarm);
    swarm.handle_connected(link(3, Direction::Incoming), now).unwrap();
    assert!(drain(&mut swarm).contains(&Output::Disconnect(seed, Reason::Useless)));
    swarm.handle_connected(link(4, Direction::Incoming), now).unwrap_err();
}

#[test]
fn an_interested_peer_gets_a_free_slot_at_once() {
    let now = start();
    let mut swarm = empty(config());
    let key = swarm.handle_connected(link(1, Direction::Incoming), now).unwrap();
    report(&mut swarm, key, vec![Event::Interested], now);
    assert!(drain(&mut swarm).contains(&Output::Send(key, Command::Unchoke)));
}

#[test]
fn nobody_is_served_by_a_torrent_that_does_not_serve() {
    let now = start();
    let mut swarm = empty(Config { serve: false, ..config() });
    let key = swarm.handle_connected(link(1, Direction::Incoming), now).unwrap();
    report(&mut swarm, key, vec![Event::Interested], now);
    for second in 0..100 {
        swarm.handle_timeout(now + Duration::from_secs(second));
    }
    assert!(!drain(&mut swarm).contains(&Output::Send(key, Command::Unchoke)));
}

#[test]
fn interest_follows_what_the_peer_has_and_we_miss() {
    let mut world = World::new(config(), layout(256 * KIB, MIB), 3);
    let mut one = Bitfield::new(4);
    one.insert(PieceIndex(2));
    let peer = world.join(one, MIB, 10, Manner::Honest);
    assert!(world.peers[peer].interested_told);
    world.run_until(5, |world| world.have(2));
    assert!(!world.peers[peer].interested_told);
    world.peers[peer].pieces.insert(PieceIndex(1));
    world.report(peer, vec![Event::Had(PieceIndex(1))]);
    assert!(world.peers[peer].interested_told);
    world.report(peer, vec![Event::Lost(PieceIndex(1))]);
    assert!(!world.peers[peer].interested_told);
}

#[test]
fn a_seed_that_loses_a_piece_is_asked_for_the_others_only() {
    let mut world = World::new(config(), layout(256 * KIB, MIB), 4);
    let peer = world.seed(MIB, 10, Manner::Honest);
    world.report(peer, vec![Event::Lost(PieceIndex(3))]);
    world.peers[peer].pieces.remove(PieceIndex(3));
    world.run_until(5, |world| world.verified_order.len() == 3);
    assert!(!world.have(3));
}

#[test]
fn pieces_that_do_not_exist_change_nothing() {
    let mut world = World::new(config(), layout(256 * KIB, MIB), 5);
    let peer = world.seed(MIB, 10, Manner::Honest);
    let nonsense = vec![
        Event::Had(PieceIndex(4)),
        Event::Lost(PieceIndex(u32::MAX)),
        Event::AllowedFast(PieceIndex(99)),
        Event::PiecesKnown(Bitfield::full(9)),
        Event::PiecesKnown(Bitfield::new(4)),
    ];
    world.report(peer, nonsense);
    world.complete(5);
}

#[test]
fn a_peer_may_sum_up_its_haves() {
    let mut world = World::new(config(), layout(256 * KIB, MIB), 7);
    let peer = world.join(Bitfield::new(4), MIB, 10, Manner::Honest);
    world.peers[peer].pieces = Bitfield::full(4);
    world.report(peer, vec![Event::Had(PieceIndex(2)), Event::PiecesKnown(Bitfield::full(4))]);
    world.complete(5);
}

#[test]
fn allowed_fast_pieces_are_asked_while_choked() {
    let mut world = World::new(config(), layout(256 * KIB, MIB), 6);
    let peer = world.seed(MIB, 10, Manner::Honest);
    world.choke(peer);
    let mark = world.log.len();
    world.report(peer, vec![Event::AllowedFast(PieceIndex(2))]);
    let requests = world.requests_since(mark);
    assert!(!requests.is_empty() && requests.iter().all(|(_, block)| block.index.0 == 2), "{requests:?}");
}

#[test]
fn metadata_comes_from_peers_then_the_download_goes_on() {
    let now = start();
    let info = Bytes::from(vec![b'x'; 20 * 1024]);
    let hash = InfoHash::of(&info);
    let mut swarm = Swarm::new(config(), InfoHashes::V1(hash), None, 1, now);
    let key = swarm.handle_connected(link(1, Direction::Incoming), now).unwrap();
    let handshake = ExtensionHandshake {
        metadata_size: Some(info.len() as u32),
        ut_metadata: Some(2),
        ..ExtensionHandshake::default()
    };
    report(&mut swarm, key, vec![Event::ExtensionsKnown(Box::new(handshake))], now);
    let mut complete = None;
    for _ in 0..10 {
        for output in drain(&mut swarm) {
            match output {
                Output::Send(key, Command::RequestMetadata { piece }) => {
                    let begin = piece as usize * 16 * 1024;
                    let data = info.slice(begin..info.len().min(begin + 16 * 1024));
                    let total_size = info.len() as u32;
                    report(&mut swarm, key, vec![Event::MetadataReceived { piece, total_size, data }], now);
                }
                Output::MetadataComplete(bytes) => complete = Some(bytes),
                _ => {}
            }
        }
    }
    assert_eq!(complete, Some(info));
    let layout = layout(256 * KIB, MIB);
    swarm.learn_layout(Arc::clone(&layout), Bitfield::new(4), now);
    report(&mut swarm, key, vec![Event::PiecesKnown(Bitfield::full(4)), Event::Unchoked], now);
    let outputs = drain(&mut swarm);
    assert!(outputs.iter().any(|o| matches!(o, Output::Send(_, Command::Advertise(_)))));
    assert!(outputs.iter().any(|o| matches!(o, Output::Send(_, Command::Request(_)))));
}

#[test]
fn more_addresses_are_asked_for_but_not_all_the_time() {
    let now = start();
    let mut swarm = empty(config());
    let mut asked = 0;
    for second in 0..300 {
        swarm.handle_timeout(now + Duration::from_secs(second));
        asked += drain(&mut swarm).iter().filter(|output| **output == Output::NeedPeers).count();
    }
    assert!((4..=6).contains(&asked), "{asked} times in five minutes");
}

/// Two swarms dial each other at the same time. Each sees the other's connection come in first and its own dial's end
/// after that.
#[test]
fn two_that_dial_each_other_keep_one_connection_and_it_is_the_same_one() {
    let now = start();
    let mut kept = Vec::new();
    for (own, other) in [(1, 2), (2, 1)] {
        let mut swarm = empty(Config { local_peer_id: PeerId([own; 20]), ..config() });
        swarm.add_candidates(&[addr(other)], Source::Tracker, now);
        assert_eq!(dials(&drain(&mut swarm)), 1);
        // It comes from where it listens.
        let incoming = swarm.handle_connected(link(other, Direction::Incoming), now).expect("there is room");
        drain(&mut swarm);
        let outgoing = swarm.handle_connected(link(other, Direction::Outgoing), now);
        let outputs = drain(&mut swarm);
        let closed = outputs.contains(&Output::Disconnect(incoming, Reason::Useless));
        assert_eq!(closed, outgoing.is_ok(), "one of the two: {outgoing:?} {outputs:?}");
        let dialler = if outgoing.is_ok() { own } else { other };
        kept.push(dialler);
        assert_eq!(swarm.snapshot(now).connected, 1);
    }
    assert_eq!(kept, [1, 1], "both keep what the lower id has dialled");
}

#[test]
fn a_borrowed_id_from_elsewhere_closes_nothing() {
    let now = start();
    let mut swarm = empty(Config { local_peer_id: PeerId([9; 20]), ..config() });
    swarm.handle_connected(link(1, Direction::Outgoing), now).expect("there is room");
    let thief = Connected { addr: addr(77), ..link(1, Direction::Incoming) };
    assert_eq!(swarm.handle_connected(thief, now), Err(Refusal::Duplicate));
    assert_eq!(swarm.snapshot(now).connected, 1);
}
