//! The DHT under hostile input: one message, and a node among strangers.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use afflux_dht::krpc::{Body, Message};
use afflux_dht::{Announce, Config, Lookup, LookupKey, Node, Output, Saved, limits};
use afflux_metainfo::InfoHash;

/// Whatever is read as a message is written and read again as the same message.
pub fn krpc(data: &[u8]) {
    if let Ok(message) = Message::decode(data) {
        let bytes = message.encode();
        assert_eq!(Message::decode(&bytes).as_ref(), Ok(&message));
    }
    if let Ok(saved) = Saved::from_bytes(data) {
        assert_eq!(Saved::from_bytes(&saved.to_bytes()).as_ref(), Ok(&saved));
    }
}

/// A node that hears datagrams, the clock and commands in any order. Each step of the input is an operation, a
/// length and so many bytes. Answers are made to fit what the node last asked, so that they get past the check
/// of transaction ids.
pub fn dht_node(data: &[u8]) {
    let mut world = World::new();
    let mut rest = data;
    while let [operation, length, tail @ ..] = rest {
        let (content, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        world.step(*operation, content);
        rest = tail;
    }
    let saved = world.node.save();
    assert_eq!(Saved::from_bytes(&saved.to_bytes()).as_ref(), Ok(&saved));
}

struct World {
    node: Node,
    now: Instant,
    /// What was asked and may yet be answered.
    asked: VecDeque<(SocketAddr, Vec<u8>)>,
    lookups: Vec<LookupKey>,
}

impl World {
    fn new() -> Self {
        #[allow(clippy::disallowed_methods, reason = "any instant will do as the start of virtual time")]
        let now = Instant::now();
        let node = Node::new(Config::default(), None, None, 1, now);
        Self { node, now, asked: VecDeque::new(), lookups: Vec::new() }
    }

    fn step(&mut self, operation: u8, content: &[u8]) {
        let from = stranger(operation >> 3, content.len());
        match operation & 7 {
            0 => self.node.handle_datagram(from, content, self.now),
            1 => self.answer(operation & 8 == 0, content),
            2 => {
                let seconds = content.first().copied().map_or(1, u64::from);
                self.now += Duration::from_secs(seconds * seconds);
                self.node.handle_timeout(self.now);
            }
            3 => self.node.bootstrap(&[from], self.now),
            4 => {
                let announce =
                    content.first().map(|&port| Announce { port: port.into(), implied: port & 1 == 0 });
                let options = Lookup { announce, peers_enough: 4 };
                self.lookups.push(self.node.lookup(InfoHash::of(content), options, self.now));
            }
            5 => {
                if let Some(lookup) = self.lookups.pop() {
                    self.node.cancel(lookup);
                }
            }
            6 => self.node.add_node(from, self.now),
            _ => {
                if let Some(deadline) = self.node.deadline() {
                    self.now = self.now.max(deadline);
                    self.node.handle_timeout(self.now);
                }
            }
        }
        self.drain();
    }

    /// `content` as the `r` dictionary of an answer to the oldest query; if `honest`, behind an id that belongs
    /// to the address, so that the node goes on with whom it was told of.
    fn answer(&mut self, honest: bool, content: &[u8]) {
        let Some((to, transaction)) = self.asked.pop_front() else { return };
        let id = match to.ip() {
            IpAddr::V4(ip) => [ip.octets()[1]; 20],
            IpAddr::V6(ip) => [ip.octets()[3]; 20],
        };
        let head = if honest { [&b"d2:id20:"[..], &id].concat() } else { Vec::new() };
        let length = transaction.len();
        let tail = [format!("1:t{length}:").as_bytes(), &transaction, b"1:y1:re"].concat();
        self.node.handle_datagram(to, &[&b"d1:r"[..], &head, content, &tail].concat(), self.now);
    }

    fn drain(&mut self) {
        while let Some(output) = self.node.poll_output() {
            let Output::Send { to, bytes } = output else { continue };
            assert!(bytes.len() <= limits::REPLY_BYTES_MAX);
            assert_ne!(to.port(), 0);
            let message = Message::decode(&bytes).expect("what the node writes can be read");
            if matches!(message.body, Body::Query(_)) {
                self.asked.push_back((to, message.transaction.to_vec()));
                self.asked.truncate(64);
            }
        }
        let stats = self.node.stats();
        assert!(
            stats.queries_in_flight
                <= limits::QUERIES_MAX + 2 * limits::BUCKET_NODES_MAX * self.lookups.len()
        );
        assert!(stats.peers_stored <= limits::STORE_PEERS_MAX);
        assert!(self.node.deadline().is_some());
    }
}

fn stranger(number: u8, port: usize) -> SocketAddr {
    let ip: IpAddr = match number & 3 {
        0 => [80, number, 1, 1].into(),
        1 => [10, 0, 0, number].into(),
        2 => [0x2a01, u16::from(number), 0, 0, 0, 0, 0, 1].into(),
        _ => [127, 0, 0, 1].into(),
    };
    SocketAddr::new(ip, 1000 + port as u16)
}
