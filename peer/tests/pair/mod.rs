//! Two connections against each other: a virtual clock, links with delay and rate, reads cut at random
//! places.
//!
//! Each side is driven as a socket's task would drive it, and keeps what it was told. The world is one
//! queue of arrivals in virtual time; the same seed gives the same run.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use afflux_metainfo::{BLOCK_LENGTH, Bitfield, BlockRef, InfoHash, Layout, PeerId, PieceIndex};
use afflux_peer::{
    Command, Config, Connection, Direction, Event, Expect, Handshake, Message, Reserved, Violation,
};
use bytes::Bytes;

/// Some moment for virtual time to start from.
#[expect(clippy::disallowed_methods, reason = "virtual time needs some moment to start from")]
pub(crate) fn start() -> Instant {
    Instant::now()
}

/// Gives a machine one message.
pub(crate) fn feed(
    connection: &mut Connection,
    message: &Message<'_>,
    now: Instant,
) -> Result<(), Violation> {
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    match connection.handle_control(&bytes, now) {
        Ok(taken) => {
            assert_eq!(taken, bytes.len());
            Ok(())
        }
        Err(violation) => Err(violation),
    }
}

/// Takes out all that waits to be sent.
pub(crate) fn take_sent(connection: &mut Connection, now: Instant) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let before = all.len();
        let mut slices = [IoSlice::new(&[]); 64];
        let filled = connection.transmit_slices(&mut slices);
        slices[..filled].iter().for_each(|slice| all.extend_from_slice(slice));
        if all.len() == before {
            return all;
        }
        connection.transmitted(all.len() - before, now);
    }
}

/// A small generator of numbers, for cuts.
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % bound.max(1)
    }
}

/// A torrent of `pieces` pieces of four blocks, the last a little short.
pub(crate) fn layout(pieces: u64) -> Arc<Layout> {
    let piece_length = 4 * u64::from(BLOCK_LENGTH);
    Arc::new(
        Layout::new(piece_length, [(vec!["film.mkv".into()], pieces * piece_length - 1000, false)])
            .expect("sizes are possible"),
    )
}

/// The bytes of a block, different for each: its name, then a cycle of bytes that starts somewhere.
pub(crate) fn payload(block: BlockRef) -> Bytes {
    let cycle: [u8; 251] = std::array::from_fn(|at| at as u8);
    let start = (block.index.0 * 7 + block.begin / BLOCK_LENGTH) as usize % cycle.len();
    let mut bytes = [block.index.0.to_be_bytes(), block.begin.to_be_bytes()].concat();
    bytes.extend_from_slice(&cycle[start..]);
    while bytes.len() < block.length as usize {
        bytes.extend_from_slice(&cycle);
    }
    bytes.truncate(block.length as usize);
    bytes.into()
}

pub(crate) fn config(direction: Direction) -> Config {
    Config {
        direction,
        remote: ([80, 4, 4, 200], 6881).into(),
        reqq: 500,
        client: "Afflux/0.1.0".into(),
        listen_port: Some(6881),
        peer_timeout: Duration::from_secs(30),
        dht_port: Some(6881),
        upload_only: false,
    }
}

pub(crate) fn handshake(reserved: Reserved) -> Handshake {
    Handshake { reserved, info_hash: InfoHash([0xaa; 20]), peer_id: PeerId(*b"-AF0010-000000000000") }
}

/// Without BEP 6, with BEP 10.
pub(crate) const NO_FAST: Reserved = Reserved([0, 0, 0, 0, 0, 0x10, 0, 0]);

/// With neither.
pub(crate) const PLAIN: Reserved = Reserved([0; 8]);

/// One connection and what drives it.
pub(crate) struct Side {
    pub(crate) connection: Connection,
    pub(crate) events: Vec<Event>,
    /// Blocks that came whole, with their bytes.
    pub(crate) blocks: Vec<(BlockRef, Vec<u8>)>,
    /// What came and isn't taken yet.
    pub(crate) inbox: VecDeque<u8>,
    arriving: Vec<u8>,
    pub(crate) violation: Option<Violation>,
    /// What this side has, to be served.
    pub(crate) have: Bitfield,
}

impl Side {
    pub(crate) fn new(connection: Connection, have: Bitfield) -> Self {
        Self {
            connection,
            events: Vec::new(),
            blocks: Vec::new(),
            inbox: VecDeque::new(),
            arriving: Vec::new(),
            violation: None,
            have,
        }
    }

    pub(crate) fn command(&mut self, command: Command, now: Instant) {
        self.connection.handle_command(command, now);
        self.drain();
    }

    pub(crate) fn drain(&mut self) {
        while let Some(event) = self.connection.poll_output() {
            self.events.push(event);
        }
    }

    /// Takes what is in the inbox, in steps of random length.
    pub(crate) fn read(&mut self, random: &mut Random, now: Instant) {
        while !self.inbox.is_empty() && self.violation.is_none() {
            let bytes = self.inbox.make_contiguous();
            let length = 1 + random.below(bytes.len().min(40_000));
            match self.connection.expects() {
                Expect::Hold => break,
                Expect::Control => match self.connection.handle_control(&bytes[..length], now) {
                    Ok(taken) => drop(self.inbox.drain(..taken)),
                    Err(violation) => self.violation = Some(violation),
                },
                Expect::Payload { block, received, wanted } => {
                    let length = length.min((block.length - received) as usize);
                    let bytes: Vec<u8> = self.inbox.drain(..length).collect();
                    self.connection.handle_payload(length as u32, now);
                    if wanted {
                        self.arriving.extend_from_slice(&bytes);
                        if self.arriving.len() == block.length as usize {
                            self.blocks.push((block, std::mem::take(&mut self.arriving)));
                        }
                    }
                }
            }
            self.drain();
        }
    }

    /// Serves what is asked, out of `payload`.
    pub(crate) fn serve(&mut self, now: Instant) {
        while let Some(block) = self.connection.next_upload() {
            if self.have.contains(block.index) {
                let bytes = payload(block);
                let half = bytes.len() / 2;
                self.connection.send_block(block, [bytes.slice(..half), bytes.slice(half..)], now);
            } else {
                self.connection.refuse_upload(block, now);
            }
        }
    }

    /// Takes out up to `most` of the bytes that wait to be sent.
    pub(crate) fn write(&mut self, most: usize, now: Instant) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 64];
        let filled = self.connection.transmit_slices(&mut slices);
        let bytes: Vec<u8> =
            slices[..filled].iter().flat_map(|slice| slice.iter().copied()).take(most).collect();
        self.connection.transmitted(bytes.len(), now);
        self.drain();
        bytes
    }
}

/// A way from one side to the other.
struct Way {
    delay: Duration,
    /// Bytes per second; `None` is as fast as can be.
    rate: Option<u64>,
    free_at: Instant,
    flying: VecDeque<(Instant, Vec<u8>)>,
}

/// Two sides and the ways between them.
pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) left: Side,
    pub(crate) right: Side,
    ways: [Way; 2],
    random: Random,
    /// Bytes per write.
    pub(crate) segment: usize,
}

/// What a pair is made of.
pub(crate) struct Setup {
    pub(crate) pieces: u64,
    pub(crate) left_reserved: Reserved,
    pub(crate) right_reserved: Reserved,
    pub(crate) delay: Duration,
    pub(crate) rate: Option<u64>,
    pub(crate) seed: u64,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            pieces: 40,
            left_reserved: Reserved::ours(true),
            right_reserved: Reserved::ours(true),
            delay: Duration::from_millis(20),
            rate: None,
            seed: 1,
        }
    }
}

impl Pair {
    /// The left side has nothing and the right side all; neither has said so yet.
    pub(crate) fn new(setup: Setup) -> Self {
        let now = start();
        let layout = layout(setup.pieces);
        let count = layout.piece_count();
        let make = |direction, reserved, layout| {
            Connection::new(config(direction), &handshake(reserved), Some(layout), None, setup.seed, now)
        };
        let left = make(Direction::Outgoing, setup.right_reserved, layout.clone());
        let right = make(Direction::Incoming, setup.left_reserved, layout);
        let way = || Way { delay: setup.delay, rate: setup.rate, free_at: now, flying: VecDeque::new() };
        Self {
            now,
            left: Side::new(left, Bitfield::new(count)),
            right: Side::new(right, Bitfield::full(count)),
            ways: [way(), way()],
            random: Random(setup.seed),
            segment: 16 * 1024,
        }
    }

    /// The usual opening, left to want and right to serve.
    pub(crate) fn open(&mut self) {
        let now = self.now;
        let (left, right) = (Arc::new(self.left.have.clone()), Arc::new(self.right.have.clone()));
        self.left.command(Command::Advertise(left), now);
        self.left.command(Command::Interested, now);
        self.right.command(Command::Advertise(right), now);
        self.right.command(Command::Unchoke, now);
        self.run_for(Duration::from_millis(500));
    }

    /// Goes on for so long, calling `each` on every step.
    pub(crate) fn run_with(&mut self, time: Duration, mut each: impl FnMut(&mut Side, Instant)) {
        let end = self.now + time;
        loop {
            each(&mut self.left, self.now);
            self.exchange();
            let next = self.next_at().filter(|&at| at <= end);
            let Some(next) = next else { break };
            self.now = next.max(self.now + Duration::from_nanos(1));
            self.arrive();
        }
        self.now = end;
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        self.run_with(time, |_, _| {});
    }

    /// Lets both sides send what they have.
    fn exchange(&mut self) {
        self.right.serve(self.now);
        self.left.serve(self.now);
        for (side, way) in [&mut self.left, &mut self.right].into_iter().zip(&mut self.ways) {
            // A way that is busy is a full socket buffer.
            while way.free_at <= self.now {
                let bytes = side.write(self.segment, self.now);
                if bytes.is_empty() {
                    break;
                }
                let seconds = way.rate.map_or(0.0, |rate| bytes.len() as f64 / rate as f64);
                way.free_at = way.free_at.max(self.now) + Duration::from_secs_f64(seconds);
                way.flying.push_back((way.free_at + way.delay, bytes));
                side.serve(self.now);
            }
        }
    }

    fn next_at(&self) -> Option<Instant> {
        let flying = self.ways.iter().filter_map(|way| way.flying.front().map(|&(at, _)| at));
        let sides = [&self.left, &self.right];
        let free = sides.iter().zip(&self.ways).filter_map(|(side, way)| {
            (side.connection.pending_bytes() > 0 && way.free_at > self.now).then_some(way.free_at)
        });
        let timers = sides.iter().filter_map(|side| side.connection.deadline());
        flying.chain(free).chain(timers).min()
    }

    fn arrive(&mut self) {
        let Self { now, left, right, ways: [to_right, to_left], random, .. } = self;
        for (way, side) in [(to_right, right), (to_left, left)] {
            while way.flying.front().is_some_and(|&(at, _)| at <= *now) {
                if let Some((_, bytes)) = way.flying.pop_front() {
                    side.inbox.extend(bytes);
                }
            }
            side.read(random, *now);
            if side.connection.deadline().is_some_and(|due| due <= *now) {
                side.connection.handle_timeout(*now);
                side.drain();
            }
        }
    }
}

/// Asks for blocks in order, as many as there is room for.
pub(crate) struct Wanting {
    layout: Arc<Layout>,
    todo: VecDeque<BlockRef>,
    seen: usize,
}

impl Wanting {
    pub(crate) fn all(layout: Arc<Layout>) -> Self {
        let todo = layout.pieces().flat_map(|piece| layout.blocks(piece).collect::<Vec<_>>()).collect();
        Self { layout, todo, seen: 0 }
    }

    pub(crate) fn step(&mut self, side: &mut Side, now: Instant) {
        for event in &side.events[self.seen..] {
            if let Event::RequestReturned(block)
            | Event::RequestRejected(block)
            | Event::RequestLapsed(block) = event
            {
                self.todo.push_front(*block);
            }
        }
        self.seen = side.events.len();
        for _ in 0..side.connection.room() {
            if !self.todo.front().is_some_and(|block| side.connection.may_request(block.index)) {
                break;
            }
            if let Some(block) = self.todo.pop_front() {
                side.command(Command::Request(block), now);
            }
        }
    }

    pub(crate) fn is_done(&self, side: &Side) -> bool {
        let total: u32 = self.layout.pieces().map(|piece| self.layout.block_count(piece)).sum();
        side.blocks.len() == total as usize
    }
}

pub(crate) fn block(index: u32, number: u32) -> BlockRef {
    BlockRef { index: PieceIndex(index), begin: number * BLOCK_LENGTH, length: BLOCK_LENGTH }
}
