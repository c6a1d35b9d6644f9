//! What hostile peers do, a test each. The numbers are those of the project's list of attacks on the wire.
//!
//! Not here: 22 (slow handshakes) and 31 (doubles and ourselves), which whoever accepts and dials must see.

use std::sync::Arc;
use std::time::{Duration, Instant};

use afflux_metainfo::{Bitfield, BlockRef, Layout, PieceIndex};
use afflux_peer::limits::{
    ALLOWED_FAST_TAKEN_MAX, CHOKED_REQUESTS_MAX, EARLY_HAVES_MAX, EVENTS_WAITING_MAX,
    EXTENSION_HANDSHAKES_MAX, FLIPS_BURST_MAX, METADATA_REJECTS_MAX, UNREQUESTED_REJECTS_MAX,
};
use afflux_peer::{Command, Connection, Direction, Event, Expect, Message, Reserved, Severity, Violation};
use bytes::Bytes;

use crate::pair::{NO_FAST, PLAIN, block, config, feed, handshake, layout, payload, start, take_sent};

fn victim_of(reserved: Reserved, layout: Option<Arc<Layout>>) -> (Connection, Instant) {
    let now = start();
    (Connection::new(config(Direction::Incoming), &handshake(reserved), layout, None, 0, now), now)
}

/// A machine for a torrent of 40 pieces that speaks everything.
fn victim() -> (Connection, Instant) {
    victim_of(Reserved::ours(true), Some(layout(40)))
}

/// A machine that serves an interested peer.
fn serving() -> (Connection, Instant) {
    let (mut connection, now) = victim();
    connection.handle_command(Command::Advertise(Arc::new(Bitfield::full(40))), now);
    connection.handle_command(Command::Unchoke, now);
    feed(&mut connection, &Message::Interested, now).expect("a permitted message");
    take_sent(&mut connection, now);
    events(&mut connection);
    (connection, now)
}

fn events(connection: &mut Connection) -> Vec<Event> {
    std::iter::from_fn(|| connection.poll_output()).collect()
}

fn wire(message: Message<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    bytes
}

/// Feeds until it is a violation; returns after how many, and which.
fn until_violation(
    connection: &mut Connection,
    message: &Message<'_>,
    now: Instant,
    most: u32,
) -> (u32, Violation) {
    for count in 1..=most {
        if let Err(violation) = feed(connection, message, now) {
            return (count, violation);
        }
        events(connection);
        take_sent(connection, now);
    }
    panic!("{most} times, and no violation");
}

fn odd(index: u32, begin: u32, length: u32) -> BlockRef {
    BlockRef { index: PieceIndex(index), begin, length }
}

#[test]
fn attack_23_long_and_inexact_messages_end_it_before_they_are_buffered() {
    for (bytes, violation) in [
        (&[0xff, 0xff, 0xff, 0xff][..], Violation::MessageTooLong { length: u32::MAX }),
        (&[0, 0, 0, 2, 0], Violation::MessageLength { id: 0, length: 2 }),
        (&[0, 0, 0, 4, 4], Violation::MessageLength { id: 4, length: 4 }),
        (&[0, 2, 0, 0, 20], Violation::MessageLength { id: 20, length: 0x20000 }),
        (&[0, 0, 0x40, 0x0a, 7, 0, 0, 0, 0, 0, 0, 0, 0], Violation::BlockTooLong { length: 16385 }),
    ] {
        let (mut connection, now) = victim();
        assert_eq!(connection.handle_control(bytes, now), Err(violation));
        assert_eq!(connection.handle_control(&[0; 4], now), Ok(0), "it is over");
        assert_eq!((connection.expects(), connection.deadline()), (Expect::Hold, None));
    }
}

#[test]
fn attack_23_unknown_messages_are_passed_over_and_bounded() {
    let (mut connection, now) = victim();
    connection.handle_control(&[0, 0x10, 0, 0, 99], now).unwrap();
    for _ in 0..1023 {
        assert_eq!(connection.handle_control(&[0xff; 1024], now), Ok(1024));
    }
    assert_eq!(connection.handle_control(&[0xff; 1023], now), Ok(1023));
    feed(&mut connection, &Message::Have(PieceIndex(1)), now).unwrap();
    assert_eq!(events(&mut connection).last(), Some(&Event::Had(PieceIndex(1))));
    let mut last = Ok(());
    for _ in 0..20 {
        last = connection.handle_control(&[0, 0x10, 0, 0, 99], now).map(drop);
        if last.is_err() {
            break;
        }
        connection.handle_control(&vec![0; (1 << 20) - 1], now).unwrap();
    }
    assert_eq!(last, Err(Violation::UnknownFlood));
}

#[test]
fn attack_24_bitfields_are_exact_and_nothing_is_taken_back() {
    let full = [0xff; 5];
    for (messages, violation) in [
        (&[Message::Bitfield(&full[..4])][..], Violation::BitfieldLength),
        (&[Message::Bitfield(&[0xff; 6])], Violation::BitfieldLength),
        (&[Message::Bitfield(&full), Message::Bitfield(&full[..4])], Violation::BitfieldLength),
        (&[Message::Bitfield(&full), Message::HaveNone], Violation::PiecesToldTwice),
        (&[Message::Have(PieceIndex(0)), Message::HaveNone], Violation::PiecesToldTwice),
        (&[Message::HaveAll, Message::HaveNone], Violation::PiecesToldTwice),
        (&[Message::HaveNone, Message::HaveNone], Violation::PiecesToldTwice),
        (&[Message::Have(PieceIndex(40))], Violation::PieceIndex(40)),
        (&[Message::Have(PieceIndex(u32::MAX))], Violation::PieceIndex(u32::MAX)),
        (&[Message::Suggest(PieceIndex(40))], Violation::PieceIndex(40)),
        (&[Message::AllowedFast(PieceIndex(40))], Violation::PieceIndex(40)),
        (&[Message::Extended { id: 2, payload: &[0, 0, 0, 40] }], Violation::PieceIndex(40)),
    ] {
        let (mut connection, now) = victim();
        let (last, before) = messages.split_last().unwrap();
        before.iter().for_each(|message| feed(&mut connection, message, now).unwrap());
        assert_eq!(feed(&mut connection, last, now), Err(violation), "{messages:?}");
    }
    let (mut connection, now) = victim_of(Reserved::ours(true), Some(layout(39)));
    assert_eq!(feed(&mut connection, &Message::Bitfield(&full), now), Err(Violation::BitfieldSpareBits));
}

#[test]
fn attack_24_repeated_haves_and_losses_are_told_once() {
    let (mut connection, now) = victim();
    for _ in 0..3 {
        feed(&mut connection, &Message::Have(PieceIndex(7)), now).unwrap();
    }
    for _ in 0..3 {
        feed(&mut connection, &Message::Extended { id: 2, payload: &[0, 0, 0, 7] }, now).unwrap();
    }
    let expected =
        [Event::PiecesKnown(Bitfield::new(40)), Event::Had(PieceIndex(7)), Event::Lost(PieceIndex(7))];
    assert_eq!(events(&mut connection), expected);
}

#[test]
fn later_bitfields_and_have_alls_count_as_the_haves_that_they_stand_for() {
    let (mut connection, now) = victim();
    let told =
        [Message::HaveNone, Message::Have(PieceIndex(7)), Message::Bitfield(&[0, 0b1100_0001, 0, 0, 0])];
    told.iter().for_each(|message| feed(&mut connection, message, now).unwrap());
    let mut known = Bitfield::new(40);
    [7, 8, 9, 15].into_iter().for_each(|piece| _ = known.insert(PieceIndex(piece)));
    let expected =
        [Event::PiecesKnown(Bitfield::new(40)), Event::Had(PieceIndex(7)), Event::PiecesKnown(known)];
    assert_eq!(events(&mut connection), expected);
    feed(&mut connection, &Message::HaveAll, now).unwrap();
    assert_eq!(events(&mut connection), [Event::PiecesKnown(Bitfield::full(40))]);
    let (mut unaware, now) = victim_of(Reserved::ours(true), None);
    told.iter().for_each(|message| feed(&mut unaware, message, now).unwrap());
    unaware.learn_layout(layout(40), now).unwrap();
    let known: Vec<u32> = events(&mut unaware)
        .iter()
        .find_map(|event| match event {
            Event::PiecesKnown(known) => Some(known.iter().map(|piece| piece.0).collect()),
            _ => None,
        })
        .unwrap();
    assert_eq!(known, [7, 8, 9, 15]);
}

#[test]
fn attack_24_early_haves_are_bounded() {
    let (mut connection, now) = victim_of(Reserved::ours(true), None);
    let (count, violation) =
        until_violation(&mut connection, &Message::Have(PieceIndex(1)), now, EARLY_HAVES_MAX as u32 + 1);
    assert_eq!((count as usize, violation), (EARLY_HAVES_MAX + 1, Violation::EarlyHaves));
    let (mut connection, now) = victim_of(Reserved::ours(true), None);
    let beyond = Message::Have(PieceIndex(2_097_152));
    assert_eq!(feed(&mut connection, &beyond, now), Err(Violation::PieceIndex(2_097_152)));
}

#[test]
fn attack_24_fast_messages_without_the_fast_extension_end_it() {
    for message in [
        Message::HaveAll,
        Message::HaveNone,
        Message::Suggest(PieceIndex(0)),
        Message::Reject(block(0, 0)),
        Message::AllowedFast(PieceIndex(0)),
    ] {
        let (mut connection, now) = victim_of(NO_FAST, Some(layout(40)));
        assert!(matches!(feed(&mut connection, &message, now), Err(Violation::FastNotAgreed { .. })));
    }
}

#[test]
fn attack_25_impossible_requests_are_rejected_and_counted() {
    for bad in [
        odd(40, 0, 16384),
        odd(u32::MAX, 0, 16384),
        odd(0, u32::MAX, 16384),
        odd(0, 65536, 1),
        odd(0, 65536 - 16384 + 1, 16384),
        odd(0, 0, 0),
        odd(0, 0, 16385),
        odd(0, 0, u32::MAX),
        odd(39, 49152, 16384),
    ] {
        let (mut connection, now) = serving();
        feed(&mut connection, &Message::Request(bad), now).unwrap();
        assert_eq!(connection.next_upload(), None);
        assert_eq!(take_sent(&mut connection, now), wire(Message::Reject(bad)), "{bad:?}");
        let (_, violation) = until_violation(&mut connection, &Message::Request(bad), now, 100);
        assert_eq!((violation, violation.severity()), (Violation::InvalidRequests, Severity::Ban));
    }
}

#[test]
fn attack_25_requests_while_choked_or_not_interested_are_rejected_and_end_at_300() {
    let (mut choked, now) = victim();
    choked.handle_command(Command::Advertise(Arc::new(Bitfield::full(40))), now);
    feed(&mut choked, &Message::Interested, now).unwrap();
    let (mut uninterested, _) = serving();
    feed(&mut uninterested, &Message::NotInterested, now).unwrap();
    let free: Vec<u32> = afflux_peer::fast::allowed_fast_set(
        std::net::Ipv4Addr::new(80, 4, 4, 200),
        &afflux_metainfo::InfoHash([0xaa; 20]),
        40,
        10,
    )
    .iter()
    .map(|piece| piece.0)
    .collect();
    let costly = (0..40).find(|piece| !free.contains(piece)).unwrap();
    for connection in [&mut choked, &mut uninterested] {
        take_sent(connection, now);
        feed(connection, &Message::Request(block(costly, 0)), now).unwrap();
        assert_eq!(take_sent(connection, now), wire(Message::Reject(block(costly, 0))));
        let (count, violation) = until_violation(connection, &Message::Request(block(costly, 0)), now, 1000);
        assert_eq!((count, violation), (CHOKED_REQUESTS_MAX, Violation::RequestsWhileChoked));
    }
}

#[test]
fn attack_25_requests_that_cross_our_choke_are_forgiven() {
    let (mut connection, now) = serving();
    connection.handle_command(Command::Choke, now);
    for number in 0..500 {
        feed(&mut connection, &Message::Request(block(number / 4 % 40, number % 4)), now).ok();
        take_sent(&mut connection, now);
    }
    assert_eq!(feed(&mut connection, &Message::KeepAlive, now), Ok(()));
}

#[test]
fn attack_26_a_request_flood_is_bounded_by_the_announced_queue() {
    let (mut connection, now) = serving();
    let request = Message::Request(block(0, 0));
    for _ in 0..500 {
        feed(&mut connection, &request, now).unwrap();
    }
    assert_eq!((connection.uploads_waiting(), connection.pending_bytes()), (500, 0));
    feed(&mut connection, &request, now).unwrap();
    assert_eq!(connection.uploads_waiting(), 500);
    assert_eq!(take_sent(&mut connection, now), wire(Message::Reject(block(0, 0))));
    let (_, violation) = until_violation(&mut connection, &request, now, 3000);
    assert_eq!(violation, Violation::RequestFlood);
}

#[test]
fn requests_that_crossed_a_dont_have_are_nobodys_fault_and_a_flood_is() {
    let (mut connection, now) = serving();
    let handshake = Message::Extended { id: 0, payload: b"d1:md11:lt_donthavei7eee" };
    feed(&mut connection, &handshake, now).unwrap();
    for piece in 0..20 {
        connection.handle_command(Command::DontHave(PieceIndex(piece)), now);
        for _ in 0..500 {
            feed(&mut connection, &Message::Request(block(piece, 0)), now).unwrap();
        }
        take_sent(&mut connection, now);
    }
    let request = Message::Request(block(0, 0));
    let (_, violation) = until_violation(&mut connection, &request, now, 3000);
    assert_eq!(violation, Violation::RequestFlood);
}

#[test]
fn attack_26_nothing_is_read_for_a_peer_that_takes_nothing() {
    let (mut connection, now) = serving();
    for number in 0..100 {
        feed(&mut connection, &Message::Request(block(number / 4, number % 4)), now).unwrap();
    }
    let mut read = 0;
    while let Some(block) = connection.next_upload() {
        read += block.length;
        connection.send_block(block, [payload(block)], now);
    }
    assert_eq!(read, 32 * 1024, "the lowest watermark");
    let sent = take_sent(&mut connection, now);
    assert_eq!(sent.len(), 2 * (13 + 16384));
    assert!(connection.next_upload().is_some());
}

#[test]
fn attack_26_answers_to_a_peer_that_does_not_read_stop_the_reading() {
    let (mut connection, now) = serving();
    let metadata = Bytes::from(vec![7; 1 << 20]);
    connection.set_metadata(metadata);
    let handshake = Message::Extended { id: 0, payload: b"d1:md11:ut_metadatai9eee" };
    feed(&mut connection, &handshake, now).unwrap();
    let request = wire(Message::Extended { id: 1, payload: b"d8:msg_typei0e5:piecei0ee" });
    let flood = request.repeat(20_000);
    let mut taken = 0;
    loop {
        match connection.handle_control(&flood[taken..], now) {
            Ok(0) | Err(_) => break,
            Ok(step) => taken += step,
        }
        events(&mut connection);
    }
    assert!(connection.pending_bytes() < 600 * 1024, "{}", connection.pending_bytes());
    assert_eq!(connection.expects(), Expect::Hold);
}

#[test]
fn attack_27_an_allowed_piece_is_served_three_times_and_no_more() {
    let (mut connection, now) = victim_of(Reserved::ours(true), Some(layout(1313)));
    connection.handle_command(Command::Advertise(Arc::new(Bitfield::full(1313))), now);
    feed(&mut connection, &Message::Interested, now).unwrap();
    let mut served = 0;
    for round in 0..5 {
        for number in 0..4 {
            feed(&mut connection, &Message::Request(block(1059, number)), now).unwrap();
            while let Some(block) = connection.next_upload() {
                served += 1;
                connection.send_block(block, [payload(block)], now);
                take_sent(&mut connection, now);
            }
        }
        assert_eq!(served, 4 * (round + 1).min(3));
    }
    feed(&mut connection, &Message::Request(block(1060, 0)), now).unwrap();
    assert_eq!(connection.next_upload(), None);
}

#[test]
fn attack_27_the_peers_own_allowances_are_bounded() {
    let (mut connection, now) = victim_of(Reserved::ours(true), Some(layout(1313)));
    for piece in (0..1313).chain(0..1313) {
        feed(&mut connection, &Message::AllowedFast(PieceIndex(piece)), now).unwrap();
    }
    assert_eq!(events(&mut connection).len(), ALLOWED_FAST_TAKEN_MAX);
}

#[test]
fn attack_28_payload_that_answers_no_request_is_waste() {
    let (mut connection, now) = victim();
    feed(&mut connection, &Message::Unchoke, now).unwrap();
    connection.handle_command(Command::Request(block(1, 0)), now);
    events(&mut connection);
    for stranger in
        [odd(1, 0, 16383), odd(1, 16384, 16384), odd(u32::MAX, 0, 100), odd(1, 1, 16384), odd(2, 0, 1)]
    {
        feed(&mut connection, &Message::Piece(stranger), now).unwrap();
        assert_eq!(connection.expects(), Expect::Payload { block: stranger, received: 0, wanted: false });
        connection.handle_payload(u32::MAX, now);
        assert_eq!(events(&mut connection), []);
    }
    feed(&mut connection, &Message::Piece(odd(1, 0, 0)), now).unwrap();
    assert_eq!(connection.expects(), Expect::Control, "an empty block has no payload to wait for");
    assert_eq!(connection.facts(now).totals.wasted, 16383 + 16384 + 100 + 16384 + 1);
    for duplicate in [false, true] {
        feed(&mut connection, &Message::Piece(block(1, 0)), now).unwrap();
        connection.handle_payload(16384, now);
        assert_eq!(events(&mut connection).is_empty(), duplicate);
    }
}

#[test]
fn attack_28_a_flood_of_strange_payload_ends_it() {
    let (mut connection, now) = victim();
    let mut blocks = 0;
    let violation = loop {
        match feed(&mut connection, &Message::Piece(block(1, 0)), now) {
            Ok(()) => connection.handle_payload(16384, now),
            Err(violation) => break violation,
        }
        blocks += 1;
        assert!(blocks < 100);
    };
    assert_eq!(violation, Violation::UnrequestedPayload);
    let (mut connection, now) = victim();
    let (count, _) = until_violation(&mut connection, &Message::Piece(odd(1, 0, 0)), now, 100_000);
    assert!(count > 1000, "empty ones cost their header");
}

#[test]
fn attack_28_blocks_in_any_order_are_matched() {
    let (mut connection, now) = victim();
    feed(&mut connection, &Message::Unchoke, now).unwrap();
    for number in 0..8 {
        connection.handle_command(Command::Request(block(number / 4, number % 4)), now);
    }
    events(&mut connection);
    assert_eq!(connection.predicted().next(), Some(block(0, 0)));
    for number in [7, 0, 3, 6, 1, 2, 5, 4] {
        feed(&mut connection, &Message::Piece(block(number / 4, number % 4)), now).unwrap();
        assert!(matches!(connection.expects(), Expect::Payload { wanted: true, .. }));
        connection.handle_payload(10_000, now);
        assert_eq!(events(&mut connection), []);
        connection.handle_payload(6384, now);
        assert!(matches!(events(&mut connection)[..], [Event::BlockReceived { .. }]));
    }
    assert_eq!(connection.outstanding(), 0);
}

#[test]
fn attack_29_strange_rejects_and_cancels_count_nothing_below_zero() {
    let (mut connection, now) = serving();
    feed(&mut connection, &Message::Cancel(block(0, 0)), now).unwrap();
    assert_eq!((connection.uploads_waiting(), connection.pending_bytes()), (0, 0));
    feed(&mut connection, &Message::Reject(block(0, 0)), now).unwrap();
    assert_eq!((connection.outstanding(), events(&mut connection)), (0, vec![]));
    let (count, violation) = until_violation(&mut connection, &Message::Reject(block(0, 0)), now, 10_000);
    assert_eq!((count, violation), (UNREQUESTED_REJECTS_MAX, Violation::UnrequestedRejects));
}

#[test]
fn attack_29_flapping_is_limited_and_honest_changes_are_not() {
    let (mut connection, now) = victim();
    let mut changes = 0;
    let violation = loop {
        let message = if changes % 2 == 0 { Message::Unchoke } else { Message::Choke };
        if let Err(violation) = feed(&mut connection, &message, now) {
            break violation;
        }
        changes += 1;
    };
    assert_eq!((changes, violation), (FLIPS_BURST_MAX, Violation::Flapping));
    let (mut connection, mut now) = victim();
    for change in 0..1000 {
        now += Duration::from_secs(5);
        let message = if change % 2 == 0 { Message::Unchoke } else { Message::Choke };
        feed(&mut connection, &message, now).unwrap();
    }
}

#[test]
fn attack_29_a_block_being_read_when_the_cancel_comes_is_answered_once() {
    let (mut connection, now) = serving();
    feed(&mut connection, &Message::Request(block(0, 0)), now).unwrap();
    let reading = connection.next_upload().unwrap();
    feed(&mut connection, &Message::Cancel(block(0, 0)), now).unwrap();
    connection.send_block(reading, [payload(reading)], now);
    connection.refuse_upload(reading, now);
    assert_eq!(take_sent(&mut connection, now), wire(Message::Reject(block(0, 0))));
}

#[test]
fn attack_32_extension_handshakes_are_bounded_and_clamped() {
    let (mut connection, now) = victim();
    let nested = [b"d1:a".to_vec(), b"l".repeat(1000), b"e".repeat(1001)].concat();
    let bomb = Message::Extended { id: 0, payload: &nested };
    assert_eq!(feed(&mut connection, &bomb, now), Err(Violation::MalformedExtension));
    let (mut connection, _) = victim();
    let many = [b"l".to_vec(), b"0:".repeat(30_000), b"e".to_vec()].concat();
    let bomb = Message::Extended { id: 0, payload: &many };
    assert_eq!(feed(&mut connection, &bomb, now), Err(Violation::MalformedExtension));
    let (mut connection, _) = victim();
    let odd = b"d1:md11:ut_metadatai0e11:lt_donthavei256ee13:metadata_sizei-1e4:reqqi2147483648e6:yourip1:xe";
    feed(&mut connection, &Message::Extended { id: 0, payload: odd }, now).unwrap();
    assert_eq!(connection.facts(now).reqq, 2000);
    assert_eq!(connection.extensions().metadata_size, None);
    connection.handle_command(Command::RequestMetadata { piece: 0 }, now);
    assert_eq!(events(&mut connection).last(), Some(&Event::MetadataRejected { piece: 0 }));
    let repeat = Message::Extended { id: 0, payload: b"de" };
    let (count, violation) = until_violation(&mut connection, &repeat, now, 1000);
    assert_eq!((count, violation), (EXTENSION_HANDSHAKES_MAX, Violation::HandshakeFlood));
    let (mut connection, _) = victim();
    feed(&mut connection, &Message::Extended { id: 255, payload: b"anything" }, now).unwrap();
    let (mut plain, _) = victim_of(PLAIN, Some(layout(40)));
    assert_eq!(plain.pending_bytes(), 0, "who doesn't speak BEP 10 isn't spoken to in it");
    feed(&mut plain, &Message::Extended { id: 0, payload: b"not bencode" }, now).unwrap();
}

#[test]
fn attack_33_metadata_must_be_asked_and_fit_its_first_size() {
    let fresh = || {
        let (mut connection, now) = victim_of(Reserved::ours(true), None);
        let handshake = b"d1:md11:ut_metadatai9ee13:metadata_sizei20000ee";
        feed(&mut connection, &Message::Extended { id: 0, payload: handshake }, now).unwrap();
        connection.handle_command(Command::RequestMetadata { piece: 1 }, now);
        events(&mut connection);
        (connection, now)
    };
    let data = |piece: u32, size: u32, length: usize| {
        let mut payload = format!("d8:msg_typei1e5:piecei{piece}e10:total_sizei{size}ee").into_bytes();
        payload.resize(payload.len() + length, 7);
        payload
    };
    let give = |connection: &mut Connection, payload: &[u8], now| {
        feed(connection, &Message::Extended { id: 1, payload }, now)
    };
    for wrong in
        [data(1, 20001, 20001 - 16384), data(1, 20000, 100), data(1, u32::MAX, 16384), data(1, 20000, 0)]
    {
        let (mut connection, now) = fresh();
        assert_eq!(give(&mut connection, &wrong, now), Err(Violation::MetadataSize));
    }
    let (mut connection, now) = fresh();
    give(&mut connection, &data(0, 20000, 16384), now).unwrap();
    assert_eq!(events(&mut connection), [], "not asked");
    give(&mut connection, &data(1, 20000, 20000 - 16384), now).unwrap();
    assert!(matches!(&events(&mut connection)[..], [Event::MetadataReceived { piece: 1, .. }]));
    give(&mut connection, &data(1, 20000, 20000 - 16384), now).unwrap();
    assert_eq!(events(&mut connection), [], "a second time");
    let other = Message::Extended { id: 0, payload: b"d13:metadata_sizei30000ee" };
    assert_eq!(feed(&mut connection, &other, now), Err(Violation::MetadataSize));
}

#[test]
fn attack_33_metadata_requests_are_served_a_few_times_and_then_end_it() {
    let (mut connection, now) = serving();
    connection.set_metadata(Bytes::from(vec![1; 20_000]));
    let hello = Message::Extended { id: 0, payload: b"d1:md11:ut_metadatai9eee" };
    feed(&mut connection, &hello, now).unwrap();
    take_sent(&mut connection, now);
    let request = Message::Extended { id: 1, payload: b"d8:msg_typei0e5:piecei0ee" };
    let mut served = 0;
    for _ in 0..20 {
        feed(&mut connection, &request, now).unwrap();
        served += usize::from(take_sent(&mut connection, now).len() > 16384);
    }
    assert_eq!(served, 8, "two pieces, four times");
    let (_, violation) = until_violation(&mut connection, &request, now, METADATA_REJECTS_MAX + 1);
    assert_eq!(violation, Violation::MetadataFlood);
}

#[test]
fn a_segment_full_of_messages_stops_at_the_bound_of_events() {
    let (mut connection, now) = victim_of(Reserved::ours(true), Some(layout(20_000)));
    let flood: Vec<u8> = (0..20_000).flat_map(|piece| wire(Message::Have(PieceIndex(piece)))).collect();
    let (mut taken, mut told) = (0, 0);
    while taken < flood.len() {
        taken += connection.handle_control(&flood[taken..], now).unwrap();
        if taken < flood.len() {
            assert_eq!(connection.expects(), Expect::Hold);
        }
        let seen = events(&mut connection).len();
        assert!(seen <= EVENTS_WAITING_MAX + 1);
        told += seen;
    }
    assert_eq!(told, 20_001);
}
