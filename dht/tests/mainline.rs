//! Our node among nodes of another implementation, over real sockets on loopback.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test against real nodes needs sockets and the clock"
)]
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]
#![allow(deprecated, reason = "the blocking face of mainline: these tests have no runtime")]

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use afflux_dht::{Announce, Config, Lookup, LookupKey, Node, Output};
use afflux_metainfo::InfoHash;
use mainline::{Dht, Id, Testnet};

/// Long enough for a machine under load; nothing here asserts how fast something is.
const PATIENCE: Duration = Duration::from_secs(30);

struct Driven {
    node: Node,
    socket: UdpSocket,
}

impl Driven {
    fn new(seed: u64) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let config = Config { v6: false, ..Config::default() };
        Self { node: Node::new(config, None, None, seed, Instant::now()), socket }
    }

    fn joined(testnet: &Testnet, seed: u64) -> Self {
        let mut driven = Self::new(seed);
        let routers: Vec<SocketAddr> = testnet.bootstrap.iter().map(|addr| addr.parse().unwrap()).collect();
        driven.node.bootstrap(&routers[..1], Instant::now());
        driven.until(|output| matches!(output, Output::Ready).then_some(()));
        driven
    }

    /// Runs the node until an output gives what is waited for.
    fn until<T>(&mut self, mut look: impl FnMut(&Output) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        let mut buffer = [0; 4096];
        loop {
            while let Some(output) = self.node.poll_output() {
                if let Output::Send { to, bytes } = &output {
                    self.socket.send_to(bytes, to).unwrap();
                }
                if let Some(found) = look(&output) {
                    return found;
                }
            }
            let now = Instant::now();
            assert!(now < end, "waited in vain: {:?}", self.node.stats());
            let wait =
                self.node.deadline().map_or(PATIENCE, |deadline| deadline.saturating_duration_since(now));
            self.socket.set_read_timeout(Some(wait.max(Duration::from_millis(1)))).unwrap();
            match self.socket.recv_from(&mut buffer) {
                Ok((length, from)) => self.node.handle_datagram(from, &buffer[..length], Instant::now()),
                Err(_) => self.node.handle_timeout(Instant::now()),
            }
        }
    }

    /// A whole lookup: its peers, and how many nodes took the announce.
    fn complete(&mut self, target: InfoHash, options: Lookup) -> (Vec<SocketAddr>, usize) {
        let ours: LookupKey = self.node.lookup(target, options, Instant::now());
        let mut found = Vec::new();
        let announced = self.until(|output| match output {
            Output::PeersFound { lookup, peers } if *lookup == ours => {
                found.extend(peers);
                None
            }
            Output::LookupFinished { lookup, announced, .. } if *lookup == ours => Some(*announced),
            _ => None,
        });
        (found, announced)
    }
}

fn testnet() -> Testnet {
    Testnet::builder(10).build().unwrap()
}

fn hash(seed: u8) -> (InfoHash, Id) {
    let hash = InfoHash::of(&[seed]);
    (hash, Id::from_bytes(hash.0).unwrap())
}

#[test]
fn we_find_what_a_mainline_node_announced() {
    let testnet = testnet();
    let (hash, id) = hash(1);
    testnet.nodes[3].announce_peer(id, Some(4242)).unwrap();
    let (found, _) = Driven::joined(&testnet, 1).complete(hash, Lookup::default());
    assert_eq!(found, [SocketAddr::from((Ipv4Addr::LOCALHOST, 4242))]);
}

#[test]
fn a_mainline_node_finds_what_we_announced() {
    let testnet = testnet();
    let (hash, id) = hash(2);
    let announce = Some(Announce { port: 4343, implied: false });
    let (_, announced) = Driven::joined(&testnet, 2).complete(hash, Lookup { announce, peers_enough: 100 });
    assert!(announced >= 4, "{announced}");
    let found: Vec<_> = testnet.nodes[5].get_peers(id).flatten().collect();
    assert!(found.iter().any(|peer| peer.port() == 4343), "{found:?}");
}

#[test]
fn a_mainline_node_joins_through_us_and_finds_what_we_store() {
    let mut ours = Driven::new(3);
    let us = ours.socket.local_addr().unwrap().to_string();
    let (hash, id) = hash(3);
    let theirs = std::thread::spawn(move || {
        let announcer =
            Dht::builder().server_mode().bootstrap(&[&us]).bind_address(Ipv4Addr::LOCALHOST).build();
        let announcer = announcer.unwrap();
        announcer.announce_peer(id, Some(4444)).unwrap();
        let asker = Dht::builder().bootstrap(&[us]).bind_address(Ipv4Addr::LOCALHOST).build().unwrap();
        asker.get_peers(id).flatten().next()
    });
    // The node runs for as long as they need it.
    let end = Instant::now() + PATIENCE;
    let mut buffer = [0; 4096];
    ours.socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    while !theirs.is_finished() && Instant::now() < end {
        if let Ok((length, from)) = ours.socket.recv_from(&mut buffer) {
            ours.node.handle_datagram(from, &buffer[..length], Instant::now());
        }
        ours.node.handle_timeout(Instant::now());
        while let Some(output) = ours.node.poll_output() {
            if let Output::Send { to, bytes } = output {
                ours.socket.send_to(&bytes, to).unwrap();
            }
        }
    }
    assert_eq!(theirs.join().unwrap().map(|peer| peer.port()), Some(4444));
    let (found, _) = ours.complete(hash, Lookup::default());
    assert_eq!(found, [SocketAddr::from((Ipv4Addr::LOCALHOST, 4444))], "our own store counts too");
}
