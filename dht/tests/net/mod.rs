//! A network of nodes in virtual time: latency, loss, death; everything from one seed.

#![allow(dead_code, reason = "each test binary uses its own part of this harness")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use afflux_dht::address::Family;
use afflux_dht::{Config, Lookup, LookupKey, Node, NodeId, Output, Saved};
use afflux_metainfo::InfoHash;

/// What a network does to datagrams.
#[derive(Clone, Copy)]
pub(crate) struct Weather {
    pub(crate) latency_ms_min: u64,
    pub(crate) latency_ms_max: u64,
    pub(crate) loss_percent: u64,
}

pub(crate) const FAIR: Weather = Weather { latency_ms_min: 10, latency_ms_max: 80, loss_percent: 0 };
pub(crate) const ROUGH: Weather = Weather { latency_ms_min: 20, latency_ms_max: 250, loss_percent: 10 };

pub(crate) struct Machine {
    pub(crate) node: Node,
    pub(crate) addrs: [Option<SocketAddr>; 2],
    pub(crate) alive: bool,
    pub(crate) ready: bool,
    pub(crate) found: BTreeMap<LookupKey, Vec<SocketAddr>>,
    pub(crate) finished: BTreeMap<LookupKey, Finished>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Finished {
    pub(crate) at: Instant,
    pub(crate) peers: usize,
    pub(crate) nodes_asked: usize,
    pub(crate) announced: usize,
}

pub(crate) struct Net {
    pub(crate) now: Instant,
    pub(crate) start: Instant,
    pub(crate) machines: Vec<Machine>,
    pub(crate) largest_datagram: usize,
    pub(crate) datagrams: u64,
    weather: Weather,
    by_addr: BTreeMap<SocketAddr, usize>,
    flight: BTreeMap<(Instant, u64), (SocketAddr, SocketAddr, Vec<u8>)>,
    sequence: u64,
    chance: u64,
}

#[allow(clippy::disallowed_methods, reason = "any instant will do as the start of virtual time")]
fn start() -> Instant {
    Instant::now()
}

/// Machine `number`'s address: each in a network of its own.
pub(crate) fn v4(number: usize) -> SocketAddr {
    let [high, low] = (number as u16).to_be_bytes();
    SocketAddr::new(Ipv4Addr::new(60 + high, low, 7, 9).into(), 6881)
}

pub(crate) fn v6(number: usize) -> SocketAddr {
    SocketAddr::new(Ipv6Addr::new(0x2a01, number as u16, 1, 1, 0, 0, 0, 1).into(), 6881)
}

pub(crate) fn hash(seed: u8) -> InfoHash {
    InfoHash::of(&[seed])
}

impl Net {
    pub(crate) fn new(weather: Weather, seed: u64) -> Self {
        let now = start();
        Self {
            now,
            start: now,
            machines: Vec::new(),
            largest_datagram: 0,
            datagrams: 0,
            weather,
            by_addr: BTreeMap::new(),
            flight: BTreeMap::new(),
            sequence: 0,
            chance: seed | 1,
        }
    }

    /// A network of `count` IPv4 machines that all joined through the first.
    pub(crate) fn joined(count: usize, weather: Weather, seed: u64) -> Self {
        let mut net = Self::new(weather, seed);
        for _ in 0..count {
            net.add(&[Family::V4], None);
        }
        for machine in 1..count {
            net.bootstrap(machine, &[v4(0)]);
            net.run_for(Duration::from_millis(200));
        }
        net.run_for(Duration::from_secs(30));
        net
    }

    pub(crate) fn add(&mut self, families: &[Family], saved: Option<Saved>) -> usize {
        let number = self.machines.len();
        let config = Config {
            v4: families.contains(&Family::V4),
            v6: families.contains(&Family::V6),
            ..Config::default()
        };
        self.add_with(config, None, saved, [v4(number), v6(number)])
    }

    pub(crate) fn add_with(
        &mut self,
        config: Config,
        id: Option<NodeId>,
        saved: Option<Saved>,
        addrs: [SocketAddr; 2],
    ) -> usize {
        let number = self.machines.len();
        let seed = self.random();
        let addrs = [config.v4.then_some(addrs[0]), config.v6.then_some(addrs[1])];
        let node = Node::new(config, id, saved, seed, self.now);
        for addr in addrs.into_iter().flatten() {
            self.by_addr.insert(addr, number);
        }
        self.machines.push(Machine {
            node,
            addrs,
            alive: true,
            ready: false,
            found: BTreeMap::new(),
            finished: BTreeMap::new(),
        });
        self.drain(number);
        number
    }

    pub(crate) fn bootstrap(&mut self, machine: usize, addrs: &[SocketAddr]) {
        let now = self.now;
        self.machines[machine].node.bootstrap(addrs, now);
        self.drain(machine);
    }

    pub(crate) fn lookup(&mut self, machine: usize, target: InfoHash, options: Lookup) -> LookupKey {
        let now = self.now;
        let key = self.machines[machine].node.lookup(target, options, now);
        self.drain(machine);
        key
    }

    /// Runs a lookup to its end and returns its peers, how it ended, and how long it took.
    pub(crate) fn complete(
        &mut self,
        machine: usize,
        target: InfoHash,
        options: Lookup,
    ) -> (Vec<SocketAddr>, Finished, Duration) {
        let began = self.now;
        let key = self.lookup(machine, target, options);
        for _ in 0..3000 {
            if let Some(&finished) = self.machines[machine].finished.get(&key) {
                let found = self.machines[machine].found.remove(&key).unwrap_or_default();
                return (found, finished, finished.at - began);
            }
            self.run_for(Duration::from_millis(20));
        }
        panic!("the lookup never ended");
    }

    /// Puts a datagram into the network, from whatever address it claims.
    pub(crate) fn inject(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let number = self.by_addr[&to];
        let now = self.now;
        self.machines[number].node.handle_datagram(from, bytes, now);
        self.drain(number);
    }

    pub(crate) fn kill(&mut self, machine: usize) {
        self.machines[machine].alive = false;
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let datagram = self.flight.first_key_value().map(|(&(when, _), _)| when);
            let timer = (0..self.machines.len())
                .filter(|&number| self.machines[number].alive)
                .filter_map(|number| Some((self.machines[number].node.deadline()?, number)))
                .min();
            let next = datagram.into_iter().chain(timer.map(|(when, _)| when)).min();
            let Some(next) = next.filter(|&next| next <= end) else { break };
            self.now = self.now.max(next);
            match timer {
                Some((when, number)) if datagram.is_none_or(|datagram| when < datagram) => {
                    let before = self.machines[number].node.deadline();
                    let now = self.now;
                    self.machines[number].node.handle_timeout(now);
                    assert!(self.machines[number].node.deadline() > before, "a timer that doesn't move on");
                    self.drain(number);
                }
                _ => self.deliver(),
            }
        }
        self.now = end;
    }

    fn deliver(&mut self) {
        let Some((_, (from, to, bytes))) = self.flight.pop_first() else { return };
        let Some(&number) = self.by_addr.get(&to) else { return };
        if self.machines[number].alive {
            let now = self.now;
            self.machines[number].node.handle_datagram(from, &bytes, now);
            self.drain(number);
        }
    }

    fn drain(&mut self, number: usize) {
        while let Some(output) = self.machines[number].node.poll_output() {
            let now = self.now;
            let machine = &mut self.machines[number];
            match output {
                Output::Send { to, bytes } => {
                    let family = usize::from(to.is_ipv6());
                    let from = machine.addrs[family].expect("a datagram of a family that is off");
                    self.send(from, to, bytes);
                }
                Output::PeersFound { lookup, peers } => {
                    machine.found.entry(lookup).or_default().extend(peers)
                }
                Output::LookupFinished { lookup, peers, nodes_asked, announced } => {
                    assert_eq!(peers, machine.found.get(&lookup).map_or(0, Vec::len));
                    let finished = Finished { at: now, peers, nodes_asked, announced };
                    assert!(machine.finished.insert(lookup, finished).is_none(), "a lookup that ends twice");
                }
                Output::Ready => machine.ready = true,
            }
        }
    }

    fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        self.largest_datagram = self.largest_datagram.max(bytes.len());
        self.datagrams += 1;
        if self.random() % 100 < self.weather.loss_percent {
            return;
        }
        let spread = self.weather.latency_ms_max - self.weather.latency_ms_min + 1;
        let latency = self.weather.latency_ms_min + self.random() % spread;
        self.sequence += 1;
        self.flight.insert((self.now + Duration::from_millis(latency), self.sequence), (from, to, bytes));
    }

    fn random(&mut self) -> u64 {
        // xorshift64*
        self.chance ^= self.chance >> 12;
        self.chance ^= self.chance << 25;
        self.chance ^= self.chance >> 27;
        self.chance.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }
}

pub(crate) fn ip_of(addr: SocketAddr, port: u16) -> SocketAddr {
    SocketAddr::new(addr.ip(), port)
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}
