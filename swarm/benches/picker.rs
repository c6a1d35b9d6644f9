//! What one block costs the torrent's mind: a report comes, the block is marked, the next is picked and asked for.
//!
//! A sixteenth of each figure is the end of a piece: it is verified, and every peer is told.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use afflux_metainfo::{Bitfield, BlockRef, InfoHash, InfoHashes, Layout, PeerId, PieceIndex};
use afflux_peer::{Command, Event};
use afflux_swarm::{Config, Connected, Direction, Kind, Output, PeerKey, ReaderKey, Report, Swarm, Window};
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
}

impl World {
    /// Every tenth peer is a seed, the others have a random half of the pieces.
    fn new(peers: u32, pieces: u32, reader: bool) -> Self {
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
        let mut world = Self { swarm, now, keys: Vec::new(), asked: Vec::new(), received, turn: 0 };
        if reader {
            let window = Window {
                position: 0,
                urgent_end: 4 << 20,
                soon_end: 64 << 20,
                file_end: length,
                rate: Some(1 << 20),
                waiting: false,
                kind: Kind::Play,
            };
            world.swarm.want(ReaderKey(1), window, now);
        }
        (0..peers).for_each(|nth| world.join(nth, pieces));
        world
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
        self.report(nth as usize, vec![Event::PiecesKnown(theirs), Event::Unchoked]);
    }

    fn report(&mut self, nth: usize, events: Vec<Event>) {
        let outstanding = self.asked[nth].len() as u32;
        let report = Report {
            events: events.into_iter(),
            room: DEPTH.saturating_sub(outstanding),
            outstanding,
            round_trip: Duration::from_millis(30),
            download_rate: 1 << 20,
            upload_rate: 0,
        };
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

    /// The next peer in turn delivers a block. False if nobody has any left.
    fn block(&mut self) -> bool {
        for _ in 0..self.keys.len() {
            self.turn = (self.turn + 1) % self.keys.len();
            let Some(block) = self.asked[self.turn].pop_front() else { continue };
            self.now += Duration::from_micros(10);
            let elapsed = Duration::from_millis(40);
            self.report(self.turn, vec![Event::BlockReceived { block, elapsed }]);
            let received = &mut self.received[block.index.as_usize()];
            *received += 1;
            if u32::from(*received) == BLOCKS {
                self.swarm.handle_verified(block.index, None, self.now);
                self.drain();
            }
            return true;
        }
        false
    }
}

#[allow(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]
fn start() -> Instant {
    Instant::now()
}

fn per_block(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("swarm/block");
    for (peers, pieces, reader) in
        [(50, 1_000, false), (50, 1_000, true), (500, 100_000, false), (500, 100_000, true)]
    {
        let name = format!("{peers} peers, {pieces} pieces{}", if reader { ", a reader" } else { "" });
        let mut world = World::new(peers, pieces, reader);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                if !world.block() {
                    world = World::new(peers, pieces, reader);
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, per_block);
criterion_main!(benches);
