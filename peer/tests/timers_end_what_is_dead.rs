//! Keep-alives, silence, stalls, lateness: each timer fires when it must and not before.

use std::time::{Duration, Instant};

use afflux_metainfo::PieceIndex;
use afflux_peer::limits::{KEEP_ALIVE, KEEP_ALIVE_SPREAD, PEER_SILENT_MAX, TRANSMIT_STALL_MAX};
use afflux_peer::{CloseReason, Command, Connection, Direction, Event, Expect, Message, Reserved};

use crate::pair::{Pair, Setup, block, config, feed, handshake, layout, start, take_sent};

fn lonely(reserved: Reserved, now: Instant) -> Connection {
    let mut connection =
        Connection::new(config(Direction::Outgoing), &handshake(reserved), Some(layout(40)), None, 0, now);
    take_sent(&mut connection, now);
    connection
}

fn events(connection: &mut Connection) -> Vec<Event> {
    std::iter::from_fn(|| connection.poll_output()).collect()
}

/// Lets time pass until an event comes, answering nothing and sending all.
fn wait(connection: &mut Connection) -> (Instant, Vec<Event>) {
    for _ in 0..20 {
        let due = connection.deadline().expect("a living connection has a deadline");
        connection.handle_timeout(due);
        take_sent(connection, due);
        let seen = events(connection);
        if !seen.is_empty() {
            return (due, seen);
        }
    }
    panic!("nothing happened");
}

#[test]
fn an_idle_connection_says_that_it_lives() {
    let mut pair = Pair::new(Setup::default());
    pair.open();
    let before = pair.right.connection.facts(pair.now).totals.control_received;
    pair.run_for(KEEP_ALIVE * 5);
    let after = pair.right.connection.facts(pair.now).totals.control_received;
    assert_eq!((after - before) / 4, 5);
    assert!(!pair.right.events.iter().any(|event| matches!(event, Event::Closed(_))));
}

#[test]
fn keep_alives_are_spread_by_the_seed() {
    let now = start();
    let due = |seed| {
        let config = config(Direction::Outgoing);
        let mut connection =
            Connection::new(config, &handshake(Reserved::ours(true)), Some(layout(40)), None, seed, now);
        take_sent(&mut connection, now);
        connection.deadline().unwrap() - now
    };
    assert_ne!(due(1), due(5000));
    assert!(
        (0..20_000)
            .step_by(999)
            .all(|seed| (KEEP_ALIVE - KEEP_ALIVE_SPREAD..=KEEP_ALIVE).contains(&due(seed)))
    );
}

#[test]
fn a_silent_peer_is_closed() {
    let now = start();
    let mut connection = lonely(Reserved::ours(true), now);
    let (at, seen) = wait(&mut connection);
    assert_eq!((at - now, &seen[..]), (PEER_SILENT_MAX, &[Event::Closed(CloseReason::Silent)][..]));
    assert_eq!((connection.deadline(), connection.expects()), (None, Expect::Hold));
    assert_eq!(connection.handle_control(&[0; 4], at), Ok(0));
}

#[test]
fn a_driver_that_does_not_read_blames_nobody() {
    let now = start();
    let mut connection = lonely(Reserved::ours(true), now);
    feed(&mut connection, &Message::Unchoke, now).unwrap();
    connection.handle_command(Command::Request(block(0, 0)), now);
    take_sent(&mut connection, now);
    events(&mut connection);
    connection.set_reading(false, now);
    for _ in 0..5 {
        let due = connection.deadline().unwrap();
        connection.handle_timeout(due);
        take_sent(&mut connection, due);
        assert_eq!(events(&mut connection), []);
    }
    let later = connection.deadline().unwrap();
    connection.set_reading(true, later);
    let (at, seen) = wait(&mut connection);
    assert_eq!((at - later, seen[0].clone()), (Duration::from_secs(5), Event::Snubbed));
}

#[test]
fn a_peer_that_takes_nothing_is_closed() {
    let now = start();
    let mut connection = lonely(Reserved::ours(true), now);
    connection.handle_command(Command::Interested, now);
    for second in (0..120).step_by(10) {
        let at = now + Duration::from_secs(second);
        feed(&mut connection, &Message::KeepAlive, at).unwrap();
        connection.handle_timeout(at);
    }
    assert_eq!(events(&mut connection), []);
    connection.handle_timeout(now + TRANSMIT_STALL_MAX);
    assert_eq!(events(&mut connection), [Event::Closed(CloseReason::TransmitStalled)]);
}

#[test]
fn requests_lapse_after_the_peer_timeout_and_are_cancelled() {
    let now = start();
    let mut connection = lonely(Reserved::ours(true), now);
    feed(&mut connection, &Message::Unchoke, now).unwrap();
    connection.handle_command(Command::Request(block(0, 0)), now);
    connection.handle_command(Command::Request(block(0, 1)), now);
    take_sent(&mut connection, now);
    events(&mut connection);
    let late = connection.deadline().unwrap();
    assert_eq!(late - now, Duration::from_secs(5), "nothing is known of it but that it doesn't answer");
    connection.handle_timeout(late);
    assert_eq!(events(&mut connection), [Event::Snubbed]);
    let due = connection.deadline().unwrap();
    assert_eq!(due - now, Duration::from_secs(30));
    connection.handle_timeout(due);
    let lapsed = [Event::RequestLapsed(block(0, 0)), Event::RequestLapsed(block(0, 1))];
    assert_eq!(events(&mut connection), lapsed);
    let mut cancels = Vec::new();
    Message::Cancel(block(0, 0)).encode(&mut cancels);
    Message::Cancel(block(0, 1)).encode(&mut cancels);
    assert_eq!(take_sent(&mut connection, due), cancels);
    assert_eq!(connection.room(), 1, "a snubbed peer is asked for one block, to see whether it lives");
}

#[test]
fn bytes_that_still_come_keep_requests_alive() {
    let now = start();
    let mut connection = lonely(Reserved::ours(true), now);
    feed(&mut connection, &Message::Unchoke, now).unwrap();
    connection.handle_command(Command::Request(block(0, 0)), now);
    connection.handle_command(Command::Request(block(0, 1)), now);
    take_sent(&mut connection, now);
    let mut at = now + Duration::from_secs(20);
    feed(&mut connection, &Message::Piece(block(0, 0)), at).unwrap();
    // A very slow peer: 100 bytes in 20 seconds.
    for _ in 0..5 {
        at += Duration::from_secs(20);
        connection.handle_payload(100, at);
        connection.handle_timeout(at);
    }
    assert!(
        !events(&mut connection)
            .iter()
            .any(|event| matches!(event, Event::RequestLapsed(_) | Event::Closed(_)))
    );
    // Stopped in the middle, it blocks all that could come behind.
    connection.handle_timeout(at + Duration::from_secs(30));
    assert_eq!(events(&mut connection).last(), Some(&Event::Closed(CloseReason::PayloadStalled)));
}

#[test]
fn a_peer_later_than_its_own_history_is_snubbed_until_its_next_block() {
    let now = start();
    let mut connection = lonely(Reserved::ours(true), now);
    feed(&mut connection, &Message::Unchoke, now).unwrap();
    let mut at = now;
    let fetch = |connection: &mut Connection, number: u32, at: Instant| {
        feed(connection, &Message::Piece(block(number / 4, number % 4)), at).unwrap();
        connection.handle_payload(16384, at);
    };
    for number in 0..20 {
        connection.handle_command(Command::Request(block(number / 4, number % 4)), at);
        at += Duration::from_millis(100);
        fetch(&mut connection, number, at);
    }
    connection.handle_command(Command::Request(block(5, 0)), at);
    take_sent(&mut connection, at);
    events(&mut connection);
    let due = connection.deadline().unwrap();
    assert_eq!(
        due - at,
        Duration::from_secs(2),
        "twenty times its usual 100 ms, but never before two seconds"
    );
    connection.handle_timeout(due);
    assert_eq!(events(&mut connection), [Event::Snubbed]);
    assert!(connection.facts(due).snubbed);
    assert_eq!(connection.room(), 0);
    fetch(&mut connection, 20, due + Duration::from_secs(1));
    assert!(!connection.facts(due).snubbed && connection.room() > 1);
    assert!(connection.may_request(PieceIndex(0)));
}

#[test]
fn interest_that_comes_and_goes_quickly_is_not_taken_back_each_time() {
    let mut pair = Pair::new(Setup::default());
    pair.open();
    for _ in 0..500 {
        pair.left.command(Command::NotInterested, pair.now);
        pair.run_for(Duration::from_millis(50));
        pair.left.command(Command::Interested, pair.now);
        pair.run_for(Duration::from_millis(50));
    }
    assert_eq!(pair.right.violation, None);
    assert!(!pair.right.events.contains(&Event::NotInterested));
    pair.left.command(Command::NotInterested, pair.now);
    pair.run_for(Duration::from_secs(6));
    assert!(pair.right.events.contains(&Event::NotInterested));
}
