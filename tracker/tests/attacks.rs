//! What hostile torrents, trackers and strangers try, and what becomes of it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use afflux_metainfo::{InfoHash, PeerId};
use afflux_tracker::http::{announce_url, parse_reply};
use afflux_tracker::udp::{Client, Config, Output};
use afflux_tracker::{
    AnnounceRequest, Event, Policy, Refused, ReplyError, Tiers, TrackerUrl, UrlError, limits,
};

#[expect(clippy::disallowed_methods)]
fn epoch() -> Instant {
    Instant::now()
}

fn request() -> AnnounceRequest {
    AnnounceRequest {
        info_hash: InfoHash([1; 20]),
        peer_id: PeerId([2; 20]),
        port: 6881,
        uploaded: 0,
        downloaded: 0,
        left: 1,
        event: Event::Started,
        numwant: Some(200),
        key: 1,
        tracker_id: None,
    }
}

#[test]
fn attack_21_an_announce_list_bomb_is_deduplicated_and_cut() {
    let now = epoch();
    let bomb: Vec<Vec<String>> = (0..10_000).map(|i| vec![format!("udp://victim{i}.example:80")]).collect();
    let mut tiers = Tiers::new(&bomb, false, 1, now);
    assert_eq!(std::iter::from_fn(|| tiers.due(now)).count(), limits::TRACKERS_MAX);

    let repeated = vec![vec!["http://a.example/announce".to_owned(); 1000]; 100];
    assert_eq!(Tiers::new(&repeated, false, 1, now).status().len(), 1);

    let nonsense: Vec<String> = (0..10_000).map(|i| format!("gopher://{i}.example")).collect();
    let tiers = Tiers::new(&[nonsense], false, 1, now);
    assert!(tiers.is_empty());
    assert_eq!(tiers.refused().len(), limits::REFUSED_MAX);
}

#[test]
fn attack_39_only_tracker_schemes_and_public_addresses_pass() {
    for text in
        ["file:///etc/passwd", "gopher://a.example/", "ftp://a.example/", "javascript:x", "ws://a.example/"]
    {
        assert_eq!(text.parse::<TrackerUrl>(), Err(UrlError::Scheme), "{text}");
    }
    // Spellings of loopback that some parsers take for addresses and others for names.
    for host in ["2130706433", "0x7f000001", "127.1", "0177.0.0.1", "127.0.0.0x1", "127.0.0.1.", "1.2.3.4.5"]
    {
        let url = format!("http://{host}/announce");
        assert_eq!(url.parse::<TrackerUrl>(), Err(UrlError::Host), "{url}");
    }
    let policy = Policy::default();
    for address in
        ["127.0.0.1:80", "[::ffff:127.0.0.1]:80", "[64:ff9b::a00:1]:80", "169.254.169.254:80", "0.0.0.0:80"]
    {
        assert!(policy.check(address.parse().unwrap()).is_err(), "{address}");
    }
    assert_eq!(policy.check("1.1.1.1:22".parse().unwrap()), Err(Refused::Port(22)));
    assert!(!"http://192.168.1.1/reboot.cgi".parse::<TrackerUrl>().unwrap().is_announce_path());
}

#[test]
fn attack_40_imitated_names_are_refused() {
    for host in ["xn--pple-43d.com", "tracker.XN--P1AI", "\u{0430}pple.com", "\u{ff41}.example"] {
        let url = format!("http://{host}/announce");
        assert_eq!(url.parse::<TrackerUrl>(), Err(UrlError::InternationalHost), "{url}");
    }
}

#[test]
fn attack_41_a_reply_beyond_its_size_is_refused() {
    let mut body = b"d5:peers1100000:".to_vec();
    body.resize(body.len() + 1_100_000, 1);
    body.push(b'e');
    assert!(matches!(parse_reply(&body), Err(ReplyError::Bencode(_))));
    let nested = [&b"d1:a"[..], &b"l".repeat(1000), &b"e".repeat(1000), b"e"].concat();
    assert!(matches!(parse_reply(&nested), Err(ReplyError::Bencode(_))));
}

#[test]
fn attack_42_numbers_in_a_reply_are_clamped_and_peers_cut() {
    for interval in ["0", "-1", "1", "-9223372036854775808"] {
        let reply = parse_reply(format!("d8:intervali{interval}e5:peers0:e").as_bytes()).unwrap();
        assert_eq!(reply.interval, limits::INTERVAL_MIN);
    }
    let reply =
        parse_reply(b"d8:intervali9223372036854775807e12:min intervali9223372036854775807e5:peers0:e")
            .unwrap();
    assert_eq!((reply.interval, reply.min_interval), (limits::INTERVAL_MAX, limits::INTERVAL_MAX));

    for (key, length, stride) in [("peers", 5, 6), ("peers", 7, 6), ("peers6", 17, 18), ("peers6", 19, 18)] {
        let body = format!("d{}:{key}{length}:{}e", key.len(), "x".repeat(length));
        assert_eq!(parse_reply(body.as_bytes()), Err(ReplyError::PeersLength { bytes: length, stride }));
    }

    let many = format!("d5:peers{}:{}e", 6 * 100_000, "\u{1}".repeat(6 * 100_000));
    assert_eq!(parse_reply(many.as_bytes()).unwrap().peers.len(), limits::PEERS_MAX);
    let many = format!("d5:peersl{}ee", "d2:ip7:1.1.1.14:porti1ee".repeat(20_000));
    assert_eq!(parse_reply(many.as_bytes()).unwrap().peers.len(), limits::PEERS_MAX);

    let body = b"d8:completei-1e10:incompletei99999999999e11:external ip3:abc5:peers12:\x01\x01\x01\x01\0\0\x01\x01\x01\x01\0\x01e";
    let reply = parse_reply(body).unwrap();
    assert_eq!((reply.complete, reply.incomplete, reply.external_ip), (None, None, None));
    assert_eq!(reply.peers, ["1.1.1.1:1".parse::<SocketAddr>().unwrap()]);
}

#[test]
fn attack_42_a_huge_tracker_id_is_not_sent_back() {
    let id = "x".repeat(limits::TRACKER_ID_BYTES_MAX + 1);
    let body = format!("d5:peers0:10:tracker id{}:{id}e", id.len());
    assert_eq!(parse_reply(body.as_bytes()).unwrap().tracker_id, None);
}

#[test]
fn a_tracker_cannot_smuggle_text_into_a_request() {
    let url: TrackerUrl = "http://a.example/announce".parse().unwrap();
    let request = AnnounceRequest { tracker_id: Some(b"x HTTP/1.1\r\nHost: b&c=#".to_vec()), ..request() };
    let text = announce_url(&url, &request);
    assert!(text.ends_with("&trackerid=x%20HTTP%2F1.1%0D%0AHost%3A%20b%26c%3D%23"), "{text}");
}

/// A client that waits for the answer to its connect request, and that request.
fn connecting(now: Instant) -> (Client, SocketAddr, Vec<u8>) {
    let server = SocketAddr::from(([192, 0, 2, 1], 6969));
    let config = Config {
        server,
        request: request(),
        path_and_query: String::new(),
        connection_id: None,
        timeout: Duration::from_secs(15),
    };
    let mut client = Client::new(config, 42, now);
    let Some(Output::Send(connect)) = client.poll_output() else { panic!("nothing sent") };
    (client, server, connect)
}

fn answer(action: u32, request: &[u8], body: &[u8]) -> Vec<u8> {
    [&action.to_be_bytes()[..], &request[12..16], body].concat()
}

#[test]
fn attack_43_strangers_and_wrong_transactions_are_ignored() {
    let now = epoch();
    let (mut client, server, connect) = connecting(now);
    let good = answer(0, &connect, &[7; 8]);
    let mut wrong_transaction = good.clone();
    wrong_transaction[7] ^= 1;
    client.handle_datagram(server, &wrong_transaction, now);
    client.handle_datagram("192.0.2.2:6969".parse().unwrap(), &good, now);
    client.handle_datagram("192.0.2.1:6970".parse().unwrap(), &good, now);
    for action in [1, 2, 4, u32::MAX] {
        client.handle_datagram(server, &answer(action, &connect, &[0; 100]), now);
    }
    for length in 0..good.len() {
        client.handle_datagram(server, &good[..length], now);
    }
    assert_eq!(client.poll_output(), None, "none of these counted");
    client.handle_datagram(server, &good, now);
    assert!(matches!(client.poll_output(), Some(Output::Send(_))), "the true answer still does");
}

#[test]
fn attack_43_short_and_uneven_announce_replies_do_not_count_as_peers() {
    let now = epoch();
    let (mut client, server, connect) = connecting(now);
    client.handle_datagram(server, &answer(0, &connect, &[7; 8]), now);
    let Some(Output::Send(announce)) = client.poll_output() else { panic!("nothing sent") };
    for length in 0..12 {
        client.handle_datagram(server, &answer(1, &announce, &vec![0; length]), now);
    }
    // A late copy of the connect answer carries an old transaction.
    client.handle_datagram(server, &answer(0, &connect, &[8; 8]), now);
    assert_eq!(client.poll_output(), None);
    client.handle_datagram(server, &answer(1, &announce, &[0; 12 + 5]), now);
    let uneven = ReplyError::PeersLength { bytes: 5, stride: 6 };
    assert_eq!(client.poll_output(), Some(Output::Done(Err(uneven))));
    client.handle_datagram(server, &answer(1, &announce, &[0; 12]), now);
    assert_eq!(client.poll_output(), None, "an attempt ends once");
}

#[test]
fn attack_43_an_error_ends_the_attempt_only_with_the_right_transaction() {
    let now = epoch();
    let (mut client, server, connect) = connecting(now);
    let error = answer(3, &connect, b"full\x1b[2J");
    client.handle_datagram("192.0.2.9:6969".parse().unwrap(), &error, now);
    assert_eq!(client.poll_output(), None);
    client.handle_datagram(server, &error, now);
    let rejected = Err(ReplyError::Rejected("full [2J".into()));
    assert_eq!(client.poll_output(), Some(Output::Done(rejected)));
}
