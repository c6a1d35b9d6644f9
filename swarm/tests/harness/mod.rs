//! A swarm machine among fake peers, in virtual time: no wire, no bytes, only who asks whom for what and when it comes.
//!
//! A peer answers requests one after the other at its own rate, after its round trip. Storage verifies a piece
//! the moment its last block is there.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file has the harness as a module, and uses its own part"
)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use afflux_metainfo::{BLOCK_LENGTH, Bitfield, BlockRef, InfoHash, InfoHashes, Layout, PeerId, PieceIndex};
use afflux_peer::{Command, Event};
use afflux_swarm::{
    Config, Connected, Direction, Gauges, Kind, Output, Parting, PeerKey, ReaderKey, Report, Swarm, Window,
};

pub const KIB: u64 = 1024;
pub const MIB: u64 = 1024 * KIB;

/// As on the wire, for a peer that has never sent anything.
const SNUBBED_AFTER: Duration = Duration::from_secs(5);

/// How a fake peer behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It delivers what it's asked for.
    Honest,
    /// It delivers, and every block is wrong.
    Corrupt,
    /// It unchokes us and never answers.
    Silent,
    /// It answers every request with a reject.
    Rejecting,
}

pub struct FakePeer {
    pub key: Option<PeerKey>,
    pub addr: SocketAddr,
    pub pieces: Bitfield,
    pub rate: u64,
    pub round_trip: Duration,
    pub manner: Manner,
    pub delivered: u64,
    /// Waiting to be answered: the block, and when its request is there.
    queue: VecDeque<(BlockRef, Instant)>,
    /// The answer under way, and when its last byte is here.
    serving: Option<(BlockRef, Instant)>,
    oldest_asked: Option<Instant>,
    snubbed: bool,
    pub interested_told: bool,
}

impl FakePeer {
    fn outstanding(&self) -> u32 {
        (self.queue.len() + usize::from(self.serving.is_some())) as u32
    }
}

/// A swarm, its peers, its storage, its clock.
pub struct World {
    pub swarm: Swarm,
    pub layout: Arc<Layout>,
    pub begin: Instant,
    pub now: Instant,
    pub peers: Vec<FakePeer>,
    /// Everything that came out, with its time in milliseconds.
    pub log: Vec<(u128, Output)>,
    /// Blocks under way in storage: who sent them.
    stored: BTreeMap<PieceIndex, BTreeMap<u32, usize>>,
    pub verified_order: Vec<PieceIndex>,
    pub evicted: Vec<PieceIndex>,
    pub banned: Vec<IpAddr>,
    pub completed: bool,
    pub waiting: bool,
    /// How often each block was asked of anyone.
    pub requests: BTreeMap<BlockRef, u32>,
    pub cancels: u32,
    /// Peers whose links have to tell what became of a cancel.
    cancelled: BTreeSet<usize>,
    pub kept_bytes_max: u64,
    pub open_bytes_max: u64,
    /// Whether duplicates were ever stopped.
    pub breaker_seen: bool,
}

#[allow(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]
pub fn start() -> Instant {
    Instant::now()
}

pub fn config() -> Config {
    Config::new(PeerId(*b"-AF0100-000000000000"))
}

pub fn layout(piece_length: u64, length: u64) -> Arc<Layout> {
    Arc::new(
        Layout::new(piece_length, [(vec!["film.mkv".to_owned()], length, false)]).expect("a sound layout"),
    )
}

pub fn play(position: u64, file_end: u64) -> Window {
    Window {
        position,
        urgent_end: position + MIB,
        soon_end: position + 4 * MIB,
        file_end,
        rate: Some(MIB),
        waiting: true,
        kind: Kind::Play,
    }
}

impl World {
    pub fn new(config: Config, layout: Arc<Layout>, seed: u64) -> Self {
        let begin = start();
        let have = Bitfield::new(layout.piece_count());
        let hashes = InfoHashes::V1(InfoHash([7; 20]));
        let swarm = Swarm::new(config, hashes, Some((Arc::clone(&layout), have)), seed, begin);
        Self {
            swarm,
            layout,
            begin,
            now: begin,
            peers: Vec::new(),
            log: Vec::new(),
            stored: BTreeMap::new(),
            verified_order: Vec::new(),
            evicted: Vec::new(),
            banned: Vec::new(),
            completed: false,
            waiting: false,
            requests: BTreeMap::new(),
            cancels: 0,
            cancelled: BTreeSet::new(),
            kept_bytes_max: 0,
            open_bytes_max: 0,
            breaker_seen: false,
        }
    }

    /// A seed that unchokes us at once.
    pub fn seed(&mut self, rate: u64, round_trip_ms: u64, manner: Manner) -> usize {
        let pieces = Bitfield::full(self.layout.piece_count());
        self.join(pieces, rate, round_trip_ms, manner)
    }

    pub fn join(&mut self, pieces: Bitfield, rate: u64, round_trip_ms: u64, manner: Manner) -> usize {
        let nth = self.peers.len();
        let addr = SocketAddr::from((Ipv4Addr::new(10, 0, (nth / 250) as u8, (nth % 250) as u8 + 1), 6881));
        let mut peer_id = *b"-XX0001-000000000000";
        peer_id[12..20].copy_from_slice(&(nth as u64).to_be_bytes());
        let link = Connected { addr, direction: Direction::Incoming, peer_id: PeerId(peer_id), fast: true };
        let key = self.swarm.handle_connected(link, self.now).expect("there is room");
        self.peers.push(FakePeer {
            key: Some(key),
            addr,
            pieces: pieces.clone(),
            rate,
            round_trip: Duration::from_millis(round_trip_ms),
            manner,
            delivered: 0,
            queue: VecDeque::new(),
            serving: None,
            oldest_asked: None,
            snubbed: false,
            interested_told: false,
        });
        self.report(nth, vec![Event::PiecesKnown(pieces), Event::Unchoked]);
        nth
    }

    pub fn choke(&mut self, nth: usize) {
        let peer = &mut self.peers[nth];
        let blocks: Vec<_> = peer.serving.take().into_iter().chain(peer.queue.drain(..)).collect();
        let mut events = vec![Event::Choked];
        events.extend(blocks.into_iter().map(|(block, _)| Event::RequestRejected(block)));
        self.report(nth, events);
    }

    /// Nothing comes from anyone for so long; then all goes on where it was.
    pub fn halt_all(&mut self, pause: Duration) {
        for peer in &mut self.peers {
            peer.serving = peer.serving.map(|(block, at)| (block, at + pause));
            peer.queue.iter_mut().for_each(|(_, ready)| *ready += pause);
        }
        self.run_for(pause);
    }

    pub fn leave(&mut self, nth: usize) {
        if let Some(key) = self.peers[nth].key.take() {
            self.swarm.handle_disconnected(key, Parting::Closed, self.now);
            self.settle();
        }
    }

    pub fn want(&mut self, reader: u64, window: Window) {
        self.swarm.want(ReaderKey(reader), window, self.now);
        self.settle();
    }

    pub fn have(&self, piece: u32) -> bool {
        self.swarm.have().expect("the layout is known").contains(PieceIndex(piece))
    }

    /// Runs until `done` says so; panics after `limit_s` virtual seconds.
    pub fn run_until(&mut self, limit_s: u64, mut done: impl FnMut(&mut World) -> bool) {
        let end = self.now + Duration::from_secs(limit_s);
        self.settle();
        while !done(self) {
            assert!(
                self.now < end,
                "not done after {limit_s} s: {:?}{}",
                self.swarm.snapshot(self.now),
                self.tail()
            );
            self.step();
        }
    }

    fn tail(&self) -> String {
        let last = self.log.len().saturating_sub(30);
        self.log[last..].iter().map(|(at, output)| format!("\n{at:>6} {output:?}")).collect()
    }

    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.settle();
        while self.next_event() <= end {
            self.step();
        }
        self.now = end;
    }

    pub fn complete(&mut self, limit_s: u64) {
        self.run_until(limit_s, |world| world.completed);
    }

    pub fn millis(&self) -> u128 {
        self.now.duration_since(self.begin).as_millis()
    }

    /// Requests sent since a place in the log, in order.
    pub fn requests_since(&self, mark: usize) -> Vec<(PeerKey, BlockRef)> {
        let sent = self.log[mark..].iter();
        sent.filter_map(|(_, output)| match output {
            Output::Send(key, Command::Request(block)) => Some((*key, *block)),
            _ => None,
        })
        .collect()
    }

    pub fn cancels_since(&self, mark: usize) -> usize {
        self.log[mark..]
            .iter()
            .filter(|(_, output)| matches!(output, Output::Send(_, Command::Cancel(_))))
            .count()
    }

    fn next_event(&self) -> Instant {
        let peers = self.peers.iter().filter(|peer| peer.key.is_some());
        let arrivals = peers.clone().filter_map(|peer| peer.serving.map(|(_, at)| at));
        let snubs = peers
            .filter(|peer| peer.manner == Manner::Silent && !peer.snubbed)
            .filter_map(|peer| peer.oldest_asked.map(|at| at + SNUBBED_AFTER));
        let timers = self.swarm.deadline().into_iter();
        // A swarm that nobody is at has no timer.
        let at_rest = self.now + Duration::from_secs(1);
        arrivals.chain(snubs).chain(timers).min().unwrap_or(at_rest).max(self.now)
    }

    fn step(&mut self) {
        self.now = self.next_event();
        for nth in 0..self.peers.len() {
            if self.peers[nth].key.is_none() {
                continue;
            }
            if self.peers[nth].serving.is_some_and(|(_, at)| at <= self.now) {
                self.deliver(nth);
            }
            let peer = &mut self.peers[nth];
            let silent = peer.manner == Manner::Silent && !peer.snubbed;
            if silent && peer.oldest_asked.is_some_and(|at| at + SNUBBED_AFTER <= self.now) {
                peer.snubbed = true;
                self.report(nth, vec![Event::Snubbed]);
            }
        }
        if self.swarm.deadline().is_some_and(|at| at <= self.now) {
            self.swarm.handle_timeout(self.now);
        }
        self.settle();
    }

    fn deliver(&mut self, nth: usize) {
        let peer = &mut self.peers[nth];
        let Some((block, _)) = peer.serving.take() else { return };
        peer.delivered += u64::from(block.length);
        let new = self.stored.entry(block.index).or_default();
        new.entry(block.begin).or_insert(nth);
        self.begin_serving(nth);
        self.report(nth, vec![Event::BlockReceived { block, elapsed: Duration::from_millis(50) }]);
        self.verify(block.index);
    }

    fn begin_serving(&mut self, nth: usize) {
        let now = self.now;
        let peer = &mut self.peers[nth];
        if peer.serving.is_some() || peer.manner == Manner::Silent {
            return;
        }
        if let Some((block, ready)) = peer.queue.pop_front() {
            let took = Duration::from_secs_f64(f64::from(block.length) / peer.rate as f64);
            peer.serving = Some((block, now.max(ready) + took));
        }
    }

    fn verify(&mut self, piece: PieceIndex) {
        let whole = self.layout.block_count(piece) as usize;
        if self.stored.get(&piece).is_none_or(|blocks| blocks.len() < whole) {
            return;
        }
        let blocks = self.stored.remove(&piece).expect("just seen");
        let digest = |(begin, nth): (&u32, &usize)| {
            let mut digest = [0; 20];
            digest[..4].copy_from_slice(&piece.0.to_be_bytes());
            digest[4..8].copy_from_slice(&begin.to_be_bytes());
            digest[8] = if self.peers[*nth].manner == Manner::Corrupt { *nth as u8 + 1 } else { 0 };
            digest
        };
        let digests: Vec<_> = blocks.iter().map(digest).collect();
        if digests.iter().any(|digest| digest[8] != 0) {
            self.swarm.handle_failed(piece, &digests, self.now);
        } else {
            self.verified_order.push(piece);
            self.swarm.handle_verified(piece, Some(&digests), self.now);
        }
        self.settle();
    }

    /// What the link of the peer would say now.
    pub fn report(&mut self, nth: usize, events: Vec<Event>) {
        let peer = &self.peers[nth];
        let Some(key) = peer.key else { return };
        let outstanding = peer.outstanding();
        let slack = if self.waiting { 0.05 } else { 0.5 };
        let deep = peer.rate as f64 * (peer.round_trip.as_secs_f64() + slack) / f64::from(BLOCK_LENGTH);
        let depth = if peer.snubbed { 1 } else { (deep as u32).clamp(2, 500) };
        let rate = if peer.delivered > 0 { peer.rate } else { 0 };
        let gauges = Gauges {
            room: depth.saturating_sub(outstanding),
            outstanding,
            lingering: 0,
            round_trip: peer.round_trip,
            delivery_rate: rate,
            download_rate: rate,
            upload_rate: 0,
        };
        let report = Report { events: events.into_iter(), gauges };
        self.swarm.handle_report(key, report, self.now);
        self.settle();
    }

    /// Does what the swarm says until it has nothing more to say.
    pub fn settle(&mut self) {
        while let Some(output) = self.swarm.poll_output() {
            self.log.push((self.millis(), output.clone()));
            self.apply(output);
        }
        if let Some(nth) = self.cancelled.pop_first() {
            self.report(nth, Vec::new());
        }
        let snapshot = self.swarm.snapshot(self.now);
        self.kept_bytes_max = self.kept_bytes_max.max(snapshot.kept_bytes);
        self.open_bytes_max = self.open_bytes_max.max(snapshot.open_bytes);
        self.breaker_seen |= snapshot.duplicates_stopped_until.is_some();
    }

    fn apply(&mut self, output: Output) {
        match output {
            Output::Send(key, command) => {
                let Some(nth) = self.peers.iter().position(|peer| peer.key == Some(key)) else { return };
                self.obey(nth, command);
            }
            Output::Disconnect(key, _) => {
                for peer in self.peers.iter_mut().filter(|peer| peer.key == Some(key)) {
                    peer.key = None;
                }
            }
            Output::Ban(ip) => self.banned.push(ip),
            Output::Evict(piece) => self.evicted.push(piece),
            Output::Discard(piece) => drop(self.stored.remove(&piece)),
            Output::Completed => self.completed = true,
            Output::Dial(_) | Output::NeedPeers | Output::MetadataComplete(_) => {}
        }
    }

    fn obey(&mut self, nth: usize, command: Command) {
        let now = self.now;
        match command {
            Command::Request(block) => {
                assert!(self.layout.is_block(&block), "{block:?} is no block");
                assert!(self.peers[nth].pieces.contains(block.index), "the peer doesn't have {block:?}");
                *self.requests.entry(block).or_default() += 1;
                let peer = &mut self.peers[nth];
                if peer.manner == Manner::Rejecting {
                    self.report(nth, vec![Event::RequestRejected(block)]);
                    return;
                }
                peer.oldest_asked.get_or_insert(now);
                let ready = now + peer.round_trip;
                peer.queue.push_back((block, ready));
                self.begin_serving(nth);
            }
            Command::Cancel(block) => {
                self.cancels += 1;
                self.cancelled.insert(nth);
                let peer = &mut self.peers[nth];
                peer.queue.retain(|(queued, _)| *queued != block);
                if peer.serving.is_some_and(|(serving, _)| serving == block) {
                    peer.serving = None;
                }
                if peer.outstanding() == 0 {
                    peer.oldest_asked = None;
                }
                self.begin_serving(nth);
            }
            Command::ReaderWaiting(waiting) => self.waiting = waiting,
            Command::Interested => self.peers[nth].interested_told = true,
            Command::NotInterested => self.peers[nth].interested_told = false,
            _ => {}
        }
    }

    /// Blocks that more than one request was made for.
    pub fn asked_again(&self) -> BTreeSet<BlockRef> {
        self.requests.iter().filter(|(_, count)| **count > 1).map(|(block, _)| *block).collect()
    }
}
