//! BEP 9 between two machines, and what a peer has while the metadata is still unknown.

use std::sync::Arc;
use std::time::Duration;

use crate::pair::{Pair, Setup, Side, block, config, feed, handshake, layout, start};
use afflux_metainfo::{Bitfield, PieceIndex};
use afflux_peer::{Command, Connection, Direction, Event, Message, Reserved, Violation};
use bytes::Bytes;

fn metadata() -> Bytes {
    (0..40_000u32).map(|at| (at * 7) as u8).collect()
}

/// The left side of a pair, born without a layout.
fn pair_with_ignorant_left() -> Pair {
    let mut pair = Pair::new(Setup::default());
    let connection = Connection::new(
        config(Direction::Outgoing),
        &handshake(Reserved::ours(true)),
        None,
        None,
        1,
        pair.now,
    );
    pair.left = Side::new(connection, Bitfield::new(0));
    pair
}

#[test]
fn pieces_of_metadata_arrive_and_the_peers_pieces_are_known_afterwards() {
    let mut pair = pair_with_ignorant_left();
    pair.right.connection.set_metadata(metadata());
    pair.open();
    pair.right.command(Command::DontHave(PieceIndex(5)), pair.now);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.left.connection.extensions().metadata_size, Some(40_000));
    for piece in 0..3 {
        pair.left.command(Command::RequestMetadata { piece }, pair.now);
    }
    pair.run_for(Duration::from_secs(1));
    let mut whole = Vec::new();
    for event in &pair.left.events {
        assert!(!matches!(event, Event::PiecesKnown(_) | Event::AllowedFast(_)), "not before the layout");
        if let Event::MetadataReceived { total_size: 40_000, data, .. } = event {
            whole.extend_from_slice(data);
        }
    }
    assert_eq!(whole, metadata());
    pair.left.connection.learn_layout(layout(40), pair.now).unwrap();
    pair.left.drain();
    let mut expected = Bitfield::full(40);
    expected.remove(PieceIndex(5));
    assert!(pair.left.events.contains(&Event::PiecesKnown(expected)));
    assert!(pair.left.events.iter().any(|event| matches!(event, Event::AllowedFast(_))));
    pair.left.command(Command::Request(block(0, 0)), pair.now);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.left.blocks.len(), 1);
}

#[test]
fn who_has_no_metadata_rejects_and_who_is_silent_counts_as_rejecting() {
    let mut pair = Pair::new(Setup::default());
    pair.open();
    pair.left.command(Command::RequestMetadata { piece: 0 }, pair.now);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.left.events.last(), Some(&Event::MetadataRejected { piece: 0 }));
    let mut lonely = Pair::new(Setup { delay: Duration::from_secs(3600), ..Default::default() }).left;
    let now = start();
    feed(&mut lonely.connection, &Message::Extended { id: 0, payload: b"d1:md11:ut_metadatai9eee" }, now)
        .unwrap();
    lonely.command(Command::RequestMetadata { piece: 4 }, now);
    let due = lonely.connection.deadline().unwrap();
    assert_eq!(due, now + Duration::from_secs(10));
    lonely.connection.handle_timeout(due);
    lonely.drain();
    assert_eq!(lonely.events.last(), Some(&Event::MetadataRejected { piece: 4 }));
}

#[test]
fn an_early_bitfield_is_judged_when_the_layout_comes() {
    let now = start();
    let ignorant =
        || Connection::new(config(Direction::Outgoing), &handshake(Reserved::ours(true)), None, None, 1, now);
    for (message, count, verdict) in [
        (Message::Bitfield(&[0xff; 5]), 40, Ok(())),
        (Message::Bitfield(&[0xff; 5]), 39, Err(Violation::BitfieldSpareBits)),
        (Message::Bitfield(&[0xff; 4]), 40, Err(Violation::BitfieldLength)),
        (Message::Have(PieceIndex(40)), 40, Err(Violation::PieceIndex(40))),
        (Message::Have(PieceIndex(39)), 40, Ok(())),
        (Message::HaveAll, 40, Ok(())),
    ] {
        let mut connection = ignorant();
        feed(&mut connection, &message, now).unwrap();
        assert_eq!(connection.poll_output(), None);
        assert_eq!(connection.learn_layout(layout(count), now), verdict, "{message:?}");
        assert_eq!(matches!(connection.poll_output(), Some(Event::PiecesKnown(_))), verdict.is_ok());
    }
}

#[test]
fn haves_are_told_once_the_layout_is_known() {
    let mut pair = pair_with_ignorant_left();
    pair.left.have = Bitfield::new(0);
    pair.open();
    assert!(pair.right.events.contains(&Event::PiecesKnown(Bitfield::new(40))));
    pair.left.connection.learn_layout(layout(40), pair.now).unwrap();
    let mut resumed = Bitfield::new(40);
    resumed.insert(PieceIndex(9));
    pair.left.command(Command::Advertise(Arc::new(resumed)), pair.now);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.right.events.last(), Some(&Event::Had(PieceIndex(9))));
}
