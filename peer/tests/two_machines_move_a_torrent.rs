//! Whole conversations: everything arrives, whatever the cuts, with and without BEP 6.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::pair::{NO_FAST, PLAIN, Pair, Setup, Wanting, block, layout, payload};
use afflux_metainfo::{Bitfield, PieceIndex};
use afflux_peer::{Command, Event, Reserved};

#[test]
fn every_block_arrives_once_whatever_the_cuts_and_extensions() {
    for seed in 0..4 {
        for reserved in [Reserved::ours(true), NO_FAST, PLAIN] {
            let setup =
                Setup { left_reserved: reserved, right_reserved: reserved, seed, ..Default::default() };
            let mut pair = Pair::new(setup);
            pair.open();
            let mut wanting = Wanting::all(layout(40));
            pair.run_with(Duration::from_secs(20), |side, now| wanting.step(side, now));
            assert!(wanting.is_done(&pair.left), "{seed} {reserved:?}: {}", pair.left.blocks.len());
            assert!(pair.left.blocks.iter().all(|(block, bytes)| payload(*block) == bytes[..]));
            let distinct: BTreeSet<_> = pair.left.blocks.iter().map(|(block, _)| *block).collect();
            assert_eq!(distinct.len(), pair.left.blocks.len());
            let sent =
                pair.right.events.iter().filter(|event| matches!(event, Event::BlockSent { .. })).count();
            assert_eq!(sent, distinct.len());
            let facts = pair.left.connection.facts(pair.now);
            assert_eq!((facts.totals.wasted, facts.outstanding), (0, 0));
            assert_eq!((&pair.left.violation, &pair.right.violation), (&None, &None));
        }
    }
}

#[test]
fn what_each_side_has_is_told_and_understood() {
    for (reserved, told) in [(Reserved::ours(false), true), (PLAIN, false)] {
        let mut pair =
            Pair::new(Setup { left_reserved: reserved, right_reserved: reserved, ..Default::default() });
        pair.open();
        assert!(pair.left.events.contains(&Event::PiecesKnown(Bitfield::full(40))));
        // Without BEP 6, who has nothing says nothing.
        assert_eq!(pair.right.events.contains(&Event::PiecesKnown(Bitfield::new(40))), told);
        pair.left.command(Command::Have(PieceIndex(3)), pair.now);
        pair.left.command(Command::Have(PieceIndex(3)), pair.now);
        pair.run_for(Duration::from_secs(1));
        let had = pair.right.events.iter().filter(|event| **event == Event::Had(PieceIndex(3))).count();
        assert_eq!(had, 1);
    }
}

#[test]
fn extension_handshakes_tell_names_queues_and_addresses() {
    let mut pair = Pair::new(Setup::default());
    pair.open();
    let known = |events: &[Event]| {
        events.iter().find_map(|event| match event {
            Event::ExtensionsKnown(handshake) => Some(handshake.clone()),
            _ => None,
        })
    };
    let (left, right) = (known(&pair.left.events).unwrap(), known(&pair.right.events).unwrap());
    assert_eq!((left.client.as_deref(), left.reqq), (Some("Afflux/0.1.0"), Some(500)));
    assert_eq!(left.your_ip, Some("80.4.4.200".parse().unwrap()));
    // Only who dials tells its port: the other side's is known.
    assert_eq!((left.listen_port, right.listen_port), (None, Some(6881)));
    assert!(pair.left.events.contains(&Event::DhtPort(6881)));
    pair.right.command(Command::UploadOnly(true), pair.now);
    pair.run_for(Duration::from_secs(1));
    assert!(pair.left.connection.facts(pair.now).upload_only);
}

#[test]
fn a_choke_returns_requests_without_bep_6_and_rejects_them_with_it() {
    for reserved in [Reserved::ours(true), NO_FAST] {
        let mut pair = Pair::new(Setup {
            pieces: 1313,
            left_reserved: reserved,
            right_reserved: reserved,
            ..Default::default()
        });
        pair.open();
        for number in 0..4 {
            pair.left.command(Command::Request(block(20, number)), pair.now);
        }
        // The choke crosses the requests.
        pair.right.command(Command::Choke, pair.now);
        pair.run_for(Duration::from_secs(2));
        let back: Vec<_> = pair
            .left
            .events
            .iter()
            .filter(|event| matches!(event, Event::RequestRejected(_) | Event::RequestReturned(_)))
            .collect();
        assert_eq!(back.len(), 4);
        assert!(back.iter().all(|event| matches!(event, Event::RequestRejected(_)) == reserved.fast()));
        assert_eq!(pair.left.connection.outstanding(), 0);
        assert!(!pair.left.connection.may_request(PieceIndex(20)));
        pair.left.command(Command::Request(block(20, 0)), pair.now);
        assert_eq!(pair.left.events.last(), Some(&Event::RequestReturned(block(20, 0))));
        pair.right.command(Command::Unchoke, pair.now);
        pair.run_for(Duration::from_secs(1));
        pair.left.command(Command::Request(block(20, 0)), pair.now);
        pair.run_for(Duration::from_secs(1));
        assert_eq!(pair.left.blocks.len(), 1);
    }
}

#[test]
fn a_cancelled_block_that_comes_anyway_is_waste_and_no_fault() {
    for reserved in [Reserved::ours(true), NO_FAST] {
        let mut pair =
            Pair::new(Setup { left_reserved: reserved, right_reserved: reserved, ..Default::default() });
        pair.open();
        pair.left.command(Command::Request(block(1, 0)), pair.now);
        // The block is on its way when the cancel leaves.
        pair.run_for(Duration::from_millis(25));
        pair.left.command(Command::Cancel(block(1, 0)), pair.now);
        pair.run_for(Duration::from_secs(1));
        assert!(pair.left.blocks.is_empty());
        assert_eq!(pair.left.connection.facts(pair.now).totals.wasted, 16384);
        // Asked again it counts again.
        pair.left.command(Command::Request(block(1, 0)), pair.now);
        pair.run_for(Duration::from_secs(1));
        assert_eq!(pair.left.blocks.len(), 1);
        assert_eq!(pair.left.violation, None);
    }
}

#[test]
fn a_cancel_in_time_saves_the_block() {
    let mut pair = Pair::new(Setup::default());
    pair.open();
    pair.left.command(Command::Request(block(1, 0)), pair.now);
    pair.left.command(Command::Cancel(block(1, 0)), pair.now);
    // Cancelled and asked again in one turn: the reject is for the first.
    pair.left.command(Command::Request(block(1, 0)), pair.now);
    pair.run_for(Duration::from_secs(1));
    assert_eq!((pair.left.blocks.len(), pair.left.connection.facts(pair.now).totals.wasted), (1, 0));
    assert!(!pair.left.events.contains(&Event::RequestRejected(block(1, 0))));
}

#[test]
fn a_lost_piece_is_told_and_requests_for_it_come_back() {
    for reserved in [Reserved::ours(true), NO_FAST] {
        let mut pair =
            Pair::new(Setup { left_reserved: reserved, right_reserved: reserved, ..Default::default() });
        pair.open();
        pair.left.command(Command::Request(block(7, 1)), pair.now);
        pair.right.have.remove(PieceIndex(7));
        pair.right.command(Command::DontHave(PieceIndex(7)), pair.now);
        pair.right.command(Command::DontHave(PieceIndex(7)), pair.now);
        pair.run_for(Duration::from_secs(1));
        let lost = pair.left.events.iter().filter(|event| **event == Event::Lost(PieceIndex(7))).count();
        assert_eq!(lost, 1);
        let back = if reserved.fast() {
            Event::RequestRejected(block(7, 1))
        } else {
            Event::RequestReturned(block(7, 1))
        };
        assert!(pair.left.events.contains(&back));
        pair.right.have.insert(PieceIndex(7));
        pair.right.command(Command::Have(PieceIndex(7)), pair.now);
        pair.run_for(Duration::from_secs(1));
        assert_eq!(pair.left.events.last(), Some(&Event::Had(PieceIndex(7))));
    }
}

#[test]
fn allowed_fast_pieces_flow_to_a_choked_peer() {
    let mut pair = Pair::new(Setup { pieces: 1313, ..Default::default() });
    pair.left.command(Command::Advertise(Arc::new(Bitfield::new(1313))), pair.now);
    pair.left.command(Command::Interested, pair.now);
    pair.right.command(Command::Advertise(Arc::new(Bitfield::full(1313))), pair.now);
    pair.run_for(Duration::from_secs(1));
    let allowed: Vec<u32> = pair
        .left
        .events
        .iter()
        .filter_map(|event| match event {
            Event::AllowedFast(piece) => Some(piece.0),
            _ => None,
        })
        .collect();
    // The vector of BEP 6, for the address that the pair gives out.
    assert_eq!(allowed[..9], [1059, 431, 808, 1217, 287, 376, 1188, 353, 508]);
    assert!(pair.left.connection.room() > 0 && pair.left.connection.may_request(PieceIndex(431)));
    pair.left.command(Command::Request(block(431, 0)), pair.now);
    pair.left.command(Command::Request(block(432, 0)), pair.now);
    assert_eq!(pair.left.events.last(), Some(&Event::RequestReturned(block(432, 0))));
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.left.blocks.len(), 1);
    assert!(pair.left.connection.facts(pair.now).peer_choking);
}
