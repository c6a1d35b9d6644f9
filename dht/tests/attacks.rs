//! What strangers may try, and what comes of it.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

mod net;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use afflux_dht::address::Family;
use afflux_dht::krpc::{Body, Message, Method, Query, Response, Want, code};
use afflux_dht::{Announce, Config, Contact, Lookup, Node, NodeId, Output, limits};
use afflux_metainfo::InfoHash;
use net::{FAIR, Net, hash, ip_of, v4, v6};

const STRANGER: NodeId = NodeId([0xab; 20]);
const ASK: Lookup = Lookup { announce: None, peers_enough: 100 };

/// One node and whoever writes to it.
struct Target {
    net: Net,
}

impl Target {
    fn new() -> Self {
        let mut net = Net::new(FAIR, 1);
        net.add(&Family::ALL, None);
        Self { net }
    }

    fn node(&mut self) -> &mut Node {
        &mut self.net.machines[0].node
    }

    fn id(&self) -> NodeId {
        self.net.machines[0].node.id(Family::V4)
    }

    /// The reply to a datagram from `from`, pings of the newcomer left out.
    fn send(&mut self, from: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
        let now = self.net.now;
        self.node().handle_datagram(from, bytes, now);
        let mut reply = None;
        while let Some(output) = self.node().poll_output() {
            if let Output::Send { to, bytes } = output
                && to == from
                && !matches!(Message::decode(&bytes).unwrap().body, Body::Query(_))
            {
                assert!(reply.replace(bytes).is_none(), "one reply to one query");
            }
        }
        reply
    }

    fn ask(&mut self, from: SocketAddr, method: Method<'_>) -> Option<Vec<u8>> {
        self.send(from, &query(b"tttt", method))
    }

    fn token(&mut self, from: SocketAddr, info_hash: InfoHash) -> Vec<u8> {
        let reply = self.ask(from, Method::GetPeers { info_hash, want: Want::default() }).unwrap();
        let Body::Response(response) = Message::decode(&reply).unwrap().body else { panic!("no response") };
        response.token.unwrap().to_vec()
    }

    fn announce(&mut self, from: SocketAddr, info_hash: InfoHash, port: u16) -> Option<Vec<u8>> {
        let token = self.token(from, info_hash);
        self.ask(from, Method::AnnouncePeer { info_hash, port: Some(port), token: &token })
    }

    fn pass(&mut self, time: Duration) {
        self.net.run_for(time);
    }
}

fn message<'a>(transaction: &'a [u8], body: Body<'a>) -> Message<'a> {
    Message { transaction, version: None, external: None, read_only: true, body }
}

fn query(transaction: &[u8], method: Method<'_>) -> Vec<u8> {
    message(transaction, Body::Query(Query { id: STRANGER, method })).encode()
}

fn error_code(reply: Option<Vec<u8>>) -> Option<i64> {
    let reply = reply?;
    match Message::decode(&reply).unwrap().body {
        Body::Error { code, .. } => Some(code),
        _ => None,
    }
}

fn stranger(number: u32) -> SocketAddr {
    (Ipv4Addr::from(0x5000_0001 + number * 256), 1000).into()
}

// Attack 47: floods.

#[test]
fn a_flood_from_one_address_is_cut_off_and_others_are_served() {
    let mut target = Target::new();
    let answered = (0..10_000).filter(|_| target.ask(stranger(1), Method::Ping).is_some()).count();
    assert!(answered <= limits::ADDRESS_BURST as usize, "{answered}");
    assert!(target.ask(stranger(2), Method::Ping).is_some());
    target.pass(Duration::from_secs(60));
    assert!(target.ask(stranger(1), Method::Ping).is_none(), "blocked for five minutes");
    target.pass(limits::ADDRESS_BLOCK);
    assert!(target.ask(stranger(1), Method::Ping).is_some());
}

#[test]
fn a_flood_from_everywhere_costs_a_bounded_upload() {
    let mut target = Target::new();
    let (mut sent, seconds) = (0, 6);
    for second in 0..seconds {
        for number in 0..3_000 {
            let method = Method::GetPeers { info_hash: hash(1), want: Want::default() };
            sent += target.ask(stranger(second * 3_000 + number), method).map_or(0, |reply| reply.len());
        }
        target.pass(Duration::from_secs(1));
    }
    let most = limits::REPLY_BURST_BYTES + (seconds + 1) * limits::REPLY_BYTES_PER_S;
    assert!(sent <= most as usize, "{sent} of {most}");
}

// Attack 48: amplification, and announces for others.

#[test]
fn no_reply_outweighs_its_query_by_more_than_the_factor() {
    let mut net = Net::joined(60, FAIR, 48);
    for machine in 0..60u16 {
        let options =
            Lookup { announce: Some(Announce { port: 1 + machine, implied: false }), peers_enough: 999 };
        net.complete(usize::from(machine), hash(1), options);
    }
    let holder = (0..60).max_by_key(|&m| net.machines[m].node.stats().peers_stored).unwrap();
    assert!(net.machines[holder].node.stats().peers_stored >= 50);
    let both = Want { v4: true, v6: true };
    let queries = [
        query(b"t", Method::Ping),
        query(b"t", Method::FindNode { target: STRANGER, want: both }),
        query(b"t", Method::GetPeers { info_hash: hash(1), want: Want::default() }),
        query(b"t", Method::GetPeers { info_hash: hash(1), want: both }),
        query(b"t", Method::Get { target: STRANGER, want: both }),
        b"d1:q4:vote1:t1:x1:y1:qe".to_vec(),
        b"d1:t1:x1:y1:qe".to_vec(),
    ];
    let mut replies = 0;
    for (number, query) in queries.iter().enumerate() {
        let from = stranger(7_000 + number as u32);
        let now = net.now;
        let node = &mut net.machines[holder].node;
        node.handle_datagram(from, query, now);
        while let Some(output) = node.poll_output() {
            if let Output::Send { to, bytes } = output
                && to == from
            {
                replies += 1;
                assert!(bytes.len() <= query.len() * limits::AMPLIFICATION_MAX);
                assert!(bytes.len() <= limits::REPLY_BYTES_MAX);
            }
        }
    }
    assert_eq!(replies, queries.len());
}

#[test]
fn an_announce_needs_the_token_of_its_own_address() {
    let mut target = Target::new();
    let (honest, thief) = (stranger(1), stranger(2));
    let token = target.token(honest, hash(1));
    for token in [&b""[..], b"aoeusnth", &token[..7], &[0; 100]] {
        let announce = Method::AnnouncePeer { info_hash: hash(1), port: Some(1), token };
        assert_eq!(error_code(target.ask(honest, announce)), Some(code::PROTOCOL));
    }
    let stolen = Method::AnnouncePeer { info_hash: hash(1), port: Some(1), token: &token };
    assert_eq!(error_code(target.ask(thief, stolen.clone())), Some(code::PROTOCOL));
    assert_eq!(target.node().stats().peers_stored, 0);
    assert_eq!(error_code(target.ask(honest, stolen)), None);
    assert_eq!(target.node().stats().peers_stored, 1);
}

#[test]
fn a_token_is_good_for_five_to_ten_minutes() {
    let mut target = Target::new();
    let token = target.token(stranger(1), hash(1));
    let announce = Method::AnnouncePeer { info_hash: hash(1), port: Some(1), token: &token };
    target.pass(Duration::from_secs(299));
    assert_eq!(error_code(target.ask(stranger(1), announce.clone())), None);
    target.pass(Duration::from_secs(301));
    assert_eq!(error_code(target.ask(stranger(1), announce)), Some(code::PROTOCOL));
}

#[test]
fn an_announce_without_a_token_is_a_protocol_error() {
    let mut target = Target::new();
    let bytes = b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:porti6881ee1:q13:announce_peer1:t2:aa1:y1:qe";
    assert_eq!(error_code(target.send(stranger(1), bytes)), Some(code::PROTOCOL));
    assert_eq!(target.node().stats().peers_stored, 0);
}

// Attack 49: poisoning the table and lookups.

#[test]
fn an_answer_from_elsewhere_than_we_asked_is_ignored() {
    let mut net = Net::new(FAIR, 49);
    net.add(&[Family::V4], None);
    let (router, now) = (stranger(1), net.now);
    let node = &mut net.machines[0].node;
    node.bootstrap(&[router], now);
    let Some(Output::Send { to, bytes }) = node.poll_output() else { panic!("nothing was asked") };
    assert_eq!(to, router);
    let transaction = Message::decode(&bytes).unwrap().transaction.to_vec();
    let answer = message(&transaction, Body::Response(Response::bare(STRANGER))).encode();
    for from in [ip_of(router, 1001), stranger(2)] {
        node.handle_datagram(from, &answer, now);
        assert_eq!((node.stats().nodes_v4, node.stats().unasked), (0, node.stats().unasked.max(1)));
    }
    node.handle_datagram(router, &answer, now);
    assert_eq!(node.stats().nodes_v4, 1);
    node.handle_datagram(router, &answer, now);
    assert_eq!(node.stats().unasked, 3, "the same answer twice");
}

#[test]
fn who_only_asks_is_in_no_table() {
    let mut target = Target::new();
    for number in 0..100 {
        let bytes = Message {
            read_only: false,
            ..message(b"t", Body::Query(Query { id: NodeId([number; 20]), method: Method::Ping }))
        };
        target.send(stranger(number.into()), &bytes.encode());
    }
    target.pass(Duration::from_secs(10));
    assert!(target.node().save().v4.is_empty());
    assert!(target.node().stats().queries_sent <= 200, "and they don't make us ping without end");
}

#[test]
fn strangers_cannot_send_us_to_our_own_network() {
    let mut net = Net::new(FAIR, 50);
    net.add(&Family::ALL, None);
    let now = net.now;
    let named = |named: SocketAddr| Contact { id: NodeId([named.port() as u8; 20]), addr: named };
    let near: Vec<SocketAddr> = [
        "127.0.0.1:1",
        "10.0.0.1:2",
        "192.168.1.1:3",
        "169.254.169.254:80",
        "0.0.0.0:5",
        "224.0.0.1:6",
        "9.9.9.9:0",
    ]
    .map(|addr| addr.parse().unwrap())
    .into();
    let near6: Vec<SocketAddr> = ["[::1]:1", "[fe80::1]:2", "[fd00::1]:3", "[::ffff:127.0.0.1]:4"]
        .map(|addr| addr.parse().unwrap())
        .into();
    let node = &mut net.machines[0].node;
    node.bootstrap(&[stranger(1)], now);
    let key = node.lookup(hash(1), ASK, now);
    let (mut asked, mut found) = (Vec::new(), Vec::new());
    while let Some(output) = node.poll_output() {
        let (to, bytes) = match output {
            Output::Send { to, bytes } => (to, bytes),
            Output::PeersFound { lookup, peers } => {
                assert_eq!(lookup, key);
                found.extend(peers);
                continue;
            }
            Output::LookupFinished { .. } | Output::Ready => continue,
        };
        asked.push(to);
        let transaction = Message::decode(&bytes).unwrap().transaction.to_vec();
        let answer = Response {
            nodes: Some(near.iter().copied().map(named).collect()),
            nodes6: Some(near6.iter().copied().map(named).collect()),
            values: near.iter().chain(&near6).copied().chain([stranger(9)]).collect(),
            token: Some(b"t"),
            id: STRANGER,
        };
        node.handle_datagram(to, &message(&transaction, Body::Response(answer)).encode(), now);
    }
    assert_eq!(found, [stranger(9)]);
    assert!(asked.iter().all(|&addr| addr == stranger(1)), "{asked:?}");
}

#[test]
fn local_nodes_may_name_local_nodes() {
    let mut net = Net::new(FAIR, 51);
    let lan = |number: u8| SocketAddr::from(([10, 0, 0, number], 6881));
    for number in 1..=20 {
        let config = Config { v6: false, ..Config::default() };
        let machine = net.add_with(config, None, None, [lan(number), v6(number.into())]);
        if number > 1 {
            net.bootstrap(machine, &[lan(1)]);
            net.run_for(Duration::from_millis(200));
        }
    }
    net.run_for(Duration::from_secs(10));
    let announce = Lookup { announce: Some(Announce { port: 7, implied: false }), peers_enough: 100 };
    net.complete(3, hash(1), announce);
    assert_eq!(net.complete(12, hash(1), ASK).0, [ip_of(lan(4), 7)]);
}

// Attack 50: filling the store.

#[test]
fn invented_torrents_dont_grow_the_store_beyond_its_bounds() {
    let mut target = Target::new();
    for number in 0..3_000u32 {
        let info_hash = InfoHash::of(&number.to_be_bytes());
        target.announce(stranger(number), info_hash, 1);
        if number % 50 == 0 {
            target.pass(Duration::from_secs(1));
        }
    }
    let stats = target.node().stats();
    assert_eq!(stats.torrents_stored, limits::TORRENTS_MAX);
    assert!(stats.peers_stored <= limits::STORE_PEERS_MAX);
    // What is near to us, and so ours to keep, still finds a place.
    let own = InfoHash(target.id().0);
    assert_eq!(error_code(target.announce(stranger(9_999), own, 1)), None);
    assert_eq!(target.node().stats().torrents_stored, limits::TORRENTS_MAX);
    // What is far doesn't.
    let far = InfoHash(target.id().0.map(|byte| !byte));
    assert_eq!(error_code(target.announce(stranger(9_998), far, 1)), Some(code::SERVER));
}

#[test]
fn one_torrent_keeps_a_bounded_number_of_peers() {
    let mut target = Target::new();
    for number in 0..2_000 {
        target.announce(stranger(number), hash(1), 1);
        if number % 20 == 0 {
            target.pass(Duration::from_secs(1));
        }
    }
    assert_eq!(target.node().stats().peers_stored, limits::TORRENT_PEERS_MAX);
}

#[test]
fn one_address_cannot_fill_the_store() {
    let mut target = Target::new();
    for number in 0..2_000u32 {
        target.announce(stranger(1), InfoHash::of(&number.to_be_bytes()), 1);
        target.pass(Duration::from_secs(1));
    }
    assert!(target.node().stats().peers_stored <= limits::STORE_PEERS_PER_ADDRESS_MAX);
}

// Attack 51: malformed messages.

#[test]
fn malformed_queries_get_error_203_and_all_else_silence() {
    let mut target = Target::new();
    let id = "2:id20:abcdefghij0123456789";
    let told = [
        "d1:q4:ping1:t2:aa1:y1:qe".to_owned(),
        "d1:ai1e1:q4:ping1:t2:aa1:y1:qe".to_owned(),
        "d1:ad2:id19:abcdefghij012345678e1:q4:ping1:t2:aa1:y1:qe".to_owned(),
        "d1:ad2:idl1:aee1:q4:ping1:t2:aa1:y1:qe".to_owned(),
        format!("d1:ad{id}e1:qi1e1:t2:aa1:y1:qe"),
        format!("d1:ad{id}6:target2:xxe1:q9:find_node1:t2:aa1:y1:qe"),
        format!("d1:ad{id}9:info_hashi5ee1:q9:get_peers1:t2:aa1:y1:qe"),
        format!(
            "d1:ad{id}9:info_hash20:mnopqrstuvwxyz1234564:port4:66665:token1:xe1:q13:announce_peer1:t2:aa1:y1:qe"
        ),
    ];
    for (number, text) in told.iter().enumerate() {
        let reply = target.send(stranger(number as u32), text.as_bytes()).expect(text);
        let reply = Message::decode(&reply).unwrap();
        assert_eq!(reply.transaction, b"aa");
        assert!(matches!(reply.body, Body::Error { code: code::PROTOCOL, .. }), "{text}");
    }
    let deep = [&b"d1:a"[..], &b"l".repeat(2_000), &b"e".repeat(2_000), b"1:t2:aa1:y1:qe"].concat();
    let silent: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"d".to_vec(),
        b"i5e".to_vec(),
        b"d1:y1:qe".to_vec(),
        b"d1:t0:1:y1:qe".to_vec(),
        b"d1:ti7e1:y1:qe".to_vec(),
        b"d1:t2:aa1:y1:ze".to_vec(),
        b"d1:t2:aae".to_vec(),
        b"d1:t2:aa1:y1:r".to_vec(),
        b"d1:t2:aa1:y1:re".to_vec(),
        b"d1:rd2:id20:mnopqrstuvwxyz1234565:nodes27:aaaaaaaaaaaaaaaaaaaaaaaaaaae1:t2:aa1:y1:re".to_vec(),
        [&b"d1:t99:"[..], &[b'a'; 99], b"1:y1:qe"].concat(),
        vec![b'd'; limits::DATAGRAM_BYTES_MAX + 1],
        deep,
    ];
    for (number, bytes) in silent.iter().enumerate() {
        assert_eq!(
            target.send(stranger(100 + number as u32), bytes),
            None,
            "{}",
            String::from_utf8_lossy(bytes)
        );
    }
    assert!(target.ask(stranger(500), Method::Ping).is_some(), "and the node goes on");
}

#[test]
fn an_unknown_method_is_error_204() {
    let mut target = Target::new();
    let bytes = b"d1:ad2:id20:abcdefghij0123456789e1:q4:vote1:t2:aa1:y1:qe";
    assert_eq!(error_code(target.send(stranger(1), bytes)), Some(code::METHOD_UNKNOWN));
}

#[test]
fn transaction_ids_of_any_short_length_come_back() {
    let mut target = Target::new();
    for length in 1..=16 {
        let transaction = vec![0xf0 | length as u8; length];
        let reply = target.send(stranger(length as u32), &query(&transaction, Method::Ping)).unwrap();
        assert_eq!(Message::decode(&reply).unwrap().transaction, transaction);
    }
}

// Attack 52: lies about our address.

#[test]
fn a_few_liars_dont_move_our_id() {
    let mut net = Net::joined(30, FAIR, 52);
    let own = net.machines[5].node.id(Family::V4);
    assert!(own.fits(v4(5).ip()));
    let node = &mut net.machines[5].node;
    let lie: SocketAddr = "6.6.6.6:6".parse().unwrap();
    for number in 0..30 {
        // All liars live in one network.
        let liar = SocketAddr::from(([80, 1, 1, number + 1], 1000));
        node.add_node(liar, net.now);
        while let Some(output) = node.poll_output() {
            if let Output::Send { to, bytes } = output
                && to == liar
            {
                let transaction = Message::decode(&bytes).unwrap().transaction.to_vec();
                let body = Body::Response(Response::bare(NodeId([number; 20])));
                let answer = Message { external: Some(lie), ..message(&transaction, body) };
                node.handle_datagram(liar, &answer.encode(), net.now);
            }
        }
    }
    assert_eq!(net.machines[5].node.id(Family::V4), own);
}
