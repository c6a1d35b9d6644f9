//! The UDP machine against a tracker played by hand.

use afflux_metainfo::{InfoHash, PeerId};

use super::*;
use crate::testing::epoch;

const SERVER: &str = "192.0.2.1:6969";

fn request(event: Event) -> AnnounceRequest {
    AnnounceRequest {
        info_hash: InfoHash([1; 20]),
        peer_id: PeerId([2; 20]),
        port: 0x1ae1,
        uploaded: 3,
        downloaded: 4,
        left: 5,
        event,
        numwant: None,
        key: 0x0102_0304,
        tracker_id: None,
    }
}

fn config(timeout_s: u64) -> Config {
    Config {
        server: SERVER.parse().unwrap(),
        request: request(Event::Started),
        path_and_query: String::new(),
        connection_id: None,
        timeout: Duration::from_secs(timeout_s),
    }
}

/// The one datagram that waits.
fn sent(client: &mut Client) -> Vec<u8> {
    match client.poll_output() {
        Some(Output::Send(datagram)) => datagram,
        other => panic!("expected a datagram, got {other:?}"),
    }
}

fn answer(action: u32, request: &[u8], body: &[u8]) -> Vec<u8> {
    [&action.to_be_bytes()[..], &request[12..16], body].concat()
}

/// Brings a client to the announce; returns its datagram.
fn connect(client: &mut Client, now: Instant) -> Vec<u8> {
    let connect = sent(client);
    client.handle_datagram(client.config.server, &answer(0, &connect, &7u64.to_be_bytes()), now);
    sent(client)
}

const EMPTY_REPLY: [u8; 12] = [0, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 2];

#[test]
fn connect_then_announce_then_peers() {
    let now = epoch();
    let mut client = Client::new(config(15), 1, now);
    let connect = sent(&mut client);
    assert_eq!(connect.len(), 16);
    assert_eq!(&connect[..12], b"\x00\x00\x04\x17\x27\x10\x19\x80\x00\x00\x00\x00");
    client.handle_datagram(client.config.server, &answer(0, &connect, &7u64.to_be_bytes()), now);
    let announce = sent(&mut client);
    assert_eq!(announce.len(), 98);
    assert_eq!(announce[..12], [0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1]);
    assert_ne!(announce[12..16], connect[12..16], "every request has its own transaction");
    assert_eq!(announce[16..36], [1; 20]);
    assert_eq!(announce[36..56], [2; 20]);
    let numbers = [4u64, 5, 3].map(u64::to_be_bytes).concat();
    assert_eq!(announce[56..80], numbers, "downloaded, left, uploaded");
    assert_eq!(announce[80..84], [0, 0, 0, 2], "started");
    assert_eq!(announce[84..92], [0, 0, 0, 0, 1, 2, 3, 4]);
    assert_eq!(announce[92..98], [255, 255, 255, 255, 0x1a, 0xe1]);
    let body = [&EMPTY_REPLY[..], &[9, 9, 9, 9, 0, 80, 8, 8, 8, 8, 0, 0]].concat();
    client.handle_datagram(client.config.server, &answer(1, &announce, &body), now);
    let Some(Output::Done(Ok(reply))) = client.poll_output() else { panic!("no reply") };
    assert_eq!(reply.peers, ["9.9.9.9:80".parse().unwrap()]);
    assert_eq!((reply.interval.as_secs(), reply.incomplete, reply.complete), (1800, Some(1), Some(2)));
    assert_eq!((client.poll_output(), client.deadline()), (None, None));
}

#[test]
fn an_ipv6_server_sends_ipv6_peers() {
    let now = epoch();
    let mut client = Client::new(Config { server: "[2001:db8::9]:1".parse().unwrap(), ..config(15) }, 1, now);
    let announce = connect(&mut client, now);
    let mut body = EMPTY_REPLY.to_vec();
    body.extend_from_slice(&"2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets());
    body.extend_from_slice(&[0, 80]);
    client.handle_datagram(client.config.server, &answer(1, &announce, &body), now);
    let Some(Output::Done(Ok(reply))) = client.poll_output() else { panic!("no reply") };
    assert_eq!(reply.peers, ["[2001:db8::1]:80".parse().unwrap()]);
}

#[test]
fn a_fresh_connection_id_saves_a_round_trip_and_an_old_one_does_not() {
    let now = epoch();
    let mut client = Client::new(config(15), 1, now);
    connect(&mut client, now);
    let mut ids = ConnectionIds::default();
    let server = client.config.server;
    ids.remember(server, client.connection_id().unwrap(), now);
    let later = now + Duration::from_secs(59);
    let config_with = |at| Config { connection_id: ids.find(server, at), ..config(15) };
    assert_eq!(sent(&mut Client::new(config_with(later), 2, later)).len(), 98);
    let too_late = now + Duration::from_secs(60);
    assert_eq!(ids.find(server, too_late), None);
    assert_eq!(sent(&mut Client::new(config_with(too_late), 2, too_late)).len(), 16);
    ids.forget(server);
    assert_eq!(ids.find(server, now), None);
}

#[test]
fn a_refused_remembered_id_is_fetched_anew_once() {
    let now = epoch();
    let id = ConnectionId { id: 1, received_at: now };
    let mut client = Client::new(Config { connection_id: Some(id), ..config(15) }, 1, now);
    let announce = sent(&mut client);
    client.handle_datagram(client.config.server, &answer(3, &announce, b"who?"), now);
    let announce = connect(&mut client, now);
    client.handle_datagram(client.config.server, &answer(3, &announce, b"go away"), now);
    let rejected = Err(ReplyError::Rejected("go away".into()));
    assert_eq!(client.poll_output(), Some(Output::Done(rejected)));
}

#[test]
fn requests_are_repeated_as_bep_15_says() {
    let start = epoch();
    let mut client = Client::new(config(100_000), 1, start);
    let first = sent(&mut client);
    for at in [15, 45, 105] {
        let now = start + Duration::from_secs(at);
        assert_eq!(client.deadline(), Some(now));
        client.handle_timeout(now - Duration::from_millis(1));
        assert_eq!(client.poll_output(), None);
        client.handle_timeout(now);
        assert_eq!(sent(&mut client), first, "the same request, so that late answers count");
    }
}

#[test]
fn an_id_that_grows_old_in_the_wait_is_fetched_anew() {
    let start = epoch();
    let mut client = Client::new(config(100_000), 1, start);
    connect(&mut client, start);
    let mut lengths = Vec::new();
    for at in [15, 45, 105, 225] {
        client.handle_timeout(start + Duration::from_secs(at));
        lengths.push((at, sent(&mut client).len()));
    }
    assert_eq!(lengths, [(15, 98), (45, 98), (105, 16), (225, 16)]);
}

#[test]
fn an_attempt_ends_in_time() {
    let start = epoch();
    let mut client = Client::new(config(10), 1, start);
    sent(&mut client);
    let end = start + Duration::from_secs(10);
    assert_eq!(client.deadline(), Some(end));
    client.handle_timeout(end);
    assert_eq!(client.poll_output(), Some(Output::Done(Err(ReplyError::TimedOut))));
    client.handle_timeout(end + Duration::from_secs(60));
    assert_eq!((client.poll_output(), client.deadline()), (None, None));
}

#[test]
fn the_urls_path_is_sent_along() {
    let now = epoch();
    let with_path = |path: &str| {
        let mut client = Client::new(Config { path_and_query: path.into(), ..config(15) }, 1, now);
        connect(&mut client, now)[98..].to_vec()
    };
    assert_eq!(with_path("/dir?a=b&c=d"), b"\x02\x0c/dir?a=b&c=d", "the example of BEP 41");
    let long = "/".repeat(300);
    let options = with_path(&long);
    assert_eq!((options.len(), options[1], options[258]), (304, 255, 45));
    assert_eq!(with_path(&"/".repeat(limits::URL_DATA_BYTES_MAX + 1)), b"");
}

#[test]
fn remembered_ids_are_bounded() {
    let now = epoch();
    let mut ids = ConnectionIds::default();
    let id = |received_at| ConnectionId { id: 1, received_at };
    for port in 1..=1000 {
        ids.remember(SocketAddr::from(([1, 1, 1, 1], port)), id(now), now);
    }
    assert_eq!(ids.by_server.len(), limits::CONNECTION_IDS_MAX);
    let later = now + Duration::from_secs(61);
    let newest = SocketAddr::from(([2, 2, 2, 2], 1));
    ids.remember(newest, id(later), later);
    assert_eq!(ids.by_server.len(), 1, "stale ones make room");
    assert!(ids.find(newest, later).is_some());
}
