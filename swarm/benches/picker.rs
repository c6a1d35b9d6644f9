//! What requests cost the torrent's mind, in a swarm where every peer is busy.
//!
//! - `swarm/pick`: a peer has room for one more block; it is picked and asked for. Nothing else is timed.
//! - `swarm/block`: the whole turn: a report comes, the block is marked, the next is picked and asked for. A sixteenth of
//!   it is the end of a piece: it is verified, every peer is told, and the reader moves on.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use afflux_metainfo::{Bitfield, BlockRef, InfoHash, InfoHashes, Layout, PeerId, PieceIndex};
use afflux_peer::{Command, Event};
use afflux_swarm::{
    Config, Connected, Direction, Gauges, Kind, Output, PeerKey, ReaderKey, Report, Swarm, Window,
};
use criterion::{Criterion, criterion_group, criterion_main};

const PIECE: u64 = 256 * 1024;
const BLOCKS: u32 = 16;
const DEPTH: u32 = 20;

struct World {
    swarm: Swarm,
    now: Instant,
    keys: Vec<PeerKey>,
    asked: Vec<VecDeque<BlockRef>>,
    received: Vec<u8>,
    turn: usize,
    reader: Reader,
    position: u64,
    length: u64,
}

/// What readers there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// None: rarest first.
    Absent,
    /// It plays: 4 MiB have deadlines, 64 MiB are read ahead, and what comes beyond is rarest first.
    Plays,
    /// It waits, and all that is asked for has a deadline: the urgent band's whole cost.
    Waits,
}

impl World {
    /// Every tenth peer is a seed, the others have a random half of the pieces.
    fn new(peers: u32, pieces: u32, reader: Reader) -> Self {
        let length = u64::from(pieces) * PIECE;
        let layout =
            Arc::new(Layout::new(PIECE, [(vec!["film".to_owned()], length, false)]).expect("a sound layout"));
        let config = Config {
            peers_max: 1_000,
            open_bytes_max: 1 << 30,
            ..Config::new(PeerId(*b"-AF0100-000000000000"))
        };
        let info = Some((layout, Bitfield::new(pieces)));
        let now = start();
        let swarm = Swarm::new(config, InfoHashes::V1(InfoHash([1; 20])), info, 1, now);
        let received = vec![0; pieces as usize];
        let mut world = Self {
            swarm,
            now,
            keys: Vec::new(),
            asked: Vec::new(),
            received,
            turn: 0,
            reader,
            position: 0,
            length,
        };
        world.want();
        (0..peers).for_each(|nth| world.join(nth, pieces));
        world
    }

    /// The reader's window, where it is now.
    fn want(&mut self) {
        if self.reader == Reader::Absent {
            return;
        }
        let waits = self.reader == Reader::Waits;
        let urgent = if waits { 2 << 30 } else { 4 << 20 };
        let window = Window {
            position: self.position,
            urgent_end: self.position + urgent,
            soon_end: self.position + urgent.max(64 << 20),
            file_end: self.length,
            rate: Some(1 << 20),
            waiting: waits,
            kind: Kind::Play,
        };
        self.swarm.want(ReaderKey(1), window, self.now);
        self.drain();
    }

    fn join(&mut self, nth: u32, pieces: u32) {
        let addr = SocketAddr::from((Ipv4Addr::from(0x0a00_0001 + nth), 6881));
        let mut peer_id = [0; 20];
        peer_id[..4].copy_from_slice(&nth.to_be_bytes());
        let link = Connected { addr, direction: Direction::Incoming, peer_id: PeerId(peer_id), fast: true };
        let key = self.swarm.handle_connected(link, self.now).expect("there is room");
        let mut theirs = Bitfield::new(pieces);
        let mut noise = u64::from(nth) + 1;
        for piece in 0..pieces {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if nth.is_multiple_of(10) || noise >> 63 == 1 {
                theirs.insert(PieceIndex(piece));
            }
        }
        self.keys.push(key);
        self.asked.push(VecDeque::new());
        self.report(nth as usize, vec![Event::PiecesKnown(theirs), Event::Unchoked], DEPTH);
    }

    fn report(&mut self, nth: usize, events: Vec<Event>, depth: u32) {
        let outstanding = self.asked[nth].len() as u32;
        let gauges = Gauges {
            room: depth.saturating_sub(outstanding),
            outstanding,
            lingering: 0,
            round_trip: Duration::from_millis(30),
            delivery_rate: 1 << 20,
            download_rate: 1 << 20,
            upload_rate: 0,
        };
        let report = Report { events: events.into_iter(), gauges };
        self.swarm.handle_report(self.keys[nth], report, self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.swarm.poll_output() {
            match output {
                Output::Send(key, Command::Request(block)) => {
                    self.asked[key.index() as usize].push_back(block)
                }
                Output::Send(key, Command::Cancel(block)) => {
                    self.asked[key.index() as usize].retain(|asked| *asked != block);
                }
                _ => {}
            }
        }
    }

    /// The next peer in turn delivers a block, and gets as many others as `depth` allows. `None` if nobody has any left.
    fn block(&mut self, depth: u32) -> Option<usize> {
        for _ in 0..self.keys.len() {
            self.turn = (self.turn + 1) % self.keys.len();
            let Some(block) = self.asked[self.turn].pop_front() else { continue };
            self.now += Duration::from_micros(10);
            if self.swarm.deadline().is_some_and(|at| at <= self.now) {
                self.swarm.handle_timeout(self.now);
                self.drain();
            }
            let elapsed = Duration::from_millis(40);
            self.report(self.turn, vec![Event::BlockReceived { block, elapsed }], depth);
            let received = &mut self.received[block.index.as_usize()];
            *received += 1;
            if u32::from(*received) == BLOCKS {
                self.swarm.handle_verified(block.index, None, self.now);
                self.drain();
                self.advance();
            }
            return Some(self.turn);
        }
        None
    }

    /// The reader goes on, if there is something for it.
    fn advance(&mut self) {
        let end = self.swarm.contiguous_from(self.position);
        if end > self.position {
            self.position = end;
            self.want();
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]
fn start() -> Instant {
    Instant::now()
}

const SIZES: [(u32, u32); 2] = [(50, 1_000), (500, 100_000)];

const READERS: [(Reader, &str); 3] =
    [(Reader::Absent, ""), (Reader::Plays, ", a reader plays"), (Reader::Waits, ", a reader waits")];

/// How many peers make room before their picks are timed: the clock's own cost must not count.
const BATCH: u64 = 32;

fn per_pick(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("swarm/pick");
    for (peers, pieces) in SIZES {
        for (reader, with) in READERS {
            group.bench_function(format!("{peers} peers, {pieces} pieces{with}"), |bencher| {
                let mut world = World::new(peers, pieces, reader);
                bencher.iter_custom(|count| {
                    let mut elapsed = Duration::ZERO;
                    let mut picked = 0;
                    while picked < count {
                        let with_room: Vec<usize> = (0..BATCH).filter_map(|_| world.block(0)).collect();
                        let before: usize = with_room.iter().map(|&nth| world.asked[nth].len()).sum();
                        let since = start();
                        for &nth in &with_room {
                            world.report(nth, Vec::new(), world.asked[nth].len() as u32 + 1);
                        }
                        elapsed += since.elapsed();
                        let after: usize = with_room.iter().map(|&nth| world.asked[nth].len()).sum();
                        picked += after.saturating_sub(before) as u64;
                        if after <= before {
                            // All is asked for: that is another world's end, and no pick.
                            world = World::new(peers, pieces, reader);
                        }
                    }
                    elapsed.mul_f64(count as f64 / picked as f64)
                });
            });
        }
    }
    group.finish();
}

fn per_block(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("swarm/block");
    for (peers, pieces) in SIZES {
        for (reader, with) in READERS {
            let mut world = World::new(peers, pieces, reader);
            group.bench_function(format!("{peers} peers, {pieces} pieces{with}"), |bencher| {
                bencher.iter(|| {
                    if world.block(DEPTH).is_none() {
                        world = World::new(peers, pieces, reader);
                    }
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, per_pick, per_block);
criterion_main!(benches);
