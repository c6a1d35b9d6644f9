//! The peer wire under arbitrary bytes: its codec, its extension handshake, and a whole connection.
//!
//! Each function takes any input; a panic or a failed assertion is a finding.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use afflux_metainfo::{Bitfield, BlockIndex, BlockRef, InfoHash, Layout, PeerId, PieceIndex};
use afflux_peer::limits::{ANSWERS_WAITING_BYTES_MAX, EVENTS_WAITING_MAX, OUTSTANDING_MAX};
use afflux_peer::metadata::MetadataMessage;
use afflux_peer::wire::{Decoded, decode};
use afflux_peer::{
    Command, Config, Connection, Direction, Event, Expect, ExtensionHandshake, Handshake, Reserved,
};
use bytes::Bytes;

const PIECES: u32 = 50;

/// What is decoded is encoded to the same bytes, and a prefix never says more than the whole.
pub fn wire(data: &[u8]) {
    for bitfield_bytes in [None, Some(PIECES.div_ceil(8))] {
        let mut rest = data;
        while let Ok(Decoded::Message(message, length)) = decode(rest, bitfield_bytes) {
            assert!(length > 0 && length <= rest.len());
            let mut again = Vec::new();
            message.encode(&mut again);
            assert_eq!(again, rest[..length], "{message:?}");
            for cut in 0..length.min(32) {
                match decode(&rest[..cut], bitfield_bytes) {
                    Ok(Decoded::Needs(more)) => assert!(more > cut && more <= length),
                    other => panic!("{cut} of {length}: {other:?}"),
                }
            }
            rest = &rest[length..];
        }
    }
}

/// What is understood is within bounds, and is understood the same way again.
pub fn extension_handshake(data: &[u8]) {
    let mut first = ExtensionHandshake::default();
    if first.update(data).is_ok() {
        assert!(first.reqq.is_none_or(|reqq| (1..=OUTSTANDING_MAX).contains(&reqq)));
        assert!(first.client.as_ref().is_none_or(|name| !name.chars().any(char::is_control)));
        assert!(first.ut_metadata != Some(0) && first.lt_donthave != Some(0));
        let mut second = ExtensionHandshake::default();
        second.update(&first.encode()).expect("our own writing");
        assert_eq!(second, first);
    }
    if let Ok(message) = MetadataMessage::parse(data)
        && message != MetadataMessage::Unknown
    {
        let behind = if let MetadataMessage::Data { data, .. } = message { data } else { &[] };
        let again = [&message.encode_head()[..], behind].concat();
        assert_eq!(MetadataMessage::parse(&again), Ok(message));
    }
}

/// A connection that is fed the input, cut by its own first bytes, while it asks, serves and lets time pass.
pub fn connection(data: &[u8]) {
    let Some((&[flags, mut cut], mut rest)) = data.split_first_chunk::<2>() else { return };
    let mut world = World::new(flags);
    while !rest.is_empty() {
        cut = cut.wrapping_mul(5).wrapping_add(17);
        let length = (1 + usize::from(cut)).min(rest.len());
        match world.step(&rest[..length]) {
            Some(taken) => rest = &rest[taken..],
            None => break,
        }
    }
    world.finish();
}

struct World {
    connection: Connection,
    layout: Arc<Layout>,
    knows_layout: bool,
    now: Instant,
    next: u32,
    outstanding: VecDeque<BlockRef>,
    steps: u32,
}

impl World {
    fn new(flags: u8) -> Self {
        let now = Instant::now();
        let length = u64::from(PIECES) * 65_536 - 5_000;
        let layout =
            Arc::new(Layout::new(65_536, [(vec!["a".into()], length, false)]).expect("possible sizes"));
        let knows_layout = flags & 1 == 0;
        let reserved = match flags >> 1 & 3 {
            0 => Reserved::ours(true),
            1 => Reserved([0, 0, 0, 0, 0, 0x10, 0, 0]),
            2 => Reserved([0, 0, 0, 0, 0, 0, 0, 4]),
            _ => Reserved([0; 8]),
        };
        let config = Config {
            direction: if flags & 8 == 0 { Direction::Incoming } else { Direction::Outgoing },
            remote: ([80, 4, 4, 200], 6881).into(),
            reqq: 64,
            client: "Afflux/0.1.0".into(),
            listen_port: Some(6881),
            peer_timeout: Duration::from_secs(30),
            dht_port: Some(6881),
            upload_only: flags & 16 != 0,
        };
        let remote = Handshake { reserved, info_hash: InfoHash([0xaa; 20]), peer_id: PeerId([1; 20]) };
        let known = knows_layout.then(|| layout.clone());
        let mut connection = Connection::new(config, &remote, known, None, u64::from(flags), now);
        let have = Bitfield::full(if knows_layout { PIECES } else { 0 });
        connection.handle_command(Command::Advertise(Arc::new(have)), now);
        connection.handle_command(Command::Interested, now);
        if flags & 32 == 0 {
            connection.handle_command(Command::Unchoke, now);
        }
        connection.handle_command(Command::ReaderWaiting(flags & 64 != 0), now);
        connection.set_metadata(Bytes::from_static(&[7; 20_000]));
        Self { connection, layout, knows_layout, now, next: 0, outstanding: VecDeque::new(), steps: 0 }
    }

    /// Feeds some bytes; `None` when it is over.
    fn step(&mut self, bytes: &[u8]) -> Option<usize> {
        self.steps += 1;
        self.now += Duration::from_millis(u64::from(self.steps % 64));
        let taken = match self.connection.expects() {
            Expect::Hold => 0,
            Expect::Control => self.connection.handle_control(bytes, self.now).ok()?,
            Expect::Payload { block, received, wanted } => {
                assert!(received < block.length);
                assert!(!wanted || self.layout.is_block(&block));
                let length = bytes.len().min((block.length - received) as usize);
                self.connection.handle_payload(length as u32, self.now);
                length
            }
        };
        assert!(taken <= bytes.len());
        assert!(self.connection.pending_bytes() < ANSWERS_WAITING_BYTES_MAX * 2);
        self.drain();
        self.act()?;
        // Whatever held it up was polled and sent just now.
        let over = self.connection.deadline().is_none();
        (!over && (taken > 0 || self.connection.expects() != Expect::Hold)).then_some(taken)
    }

    fn drain(&mut self) {
        let mut seen = 0;
        while let Some(event) = self.connection.poll_output() {
            seen += 1;
            match event {
                Event::BlockReceived { block, .. }
                | Event::RequestRejected(block)
                | Event::RequestLapsed(block)
                | Event::RequestReturned(block) => {
                    let place = self.outstanding.iter().position(|asked| *asked == block);
                    self.outstanding.remove(place.expect("each request comes back once")).expect("its place");
                }
                Event::Had(piece)
                | Event::Lost(piece)
                | Event::Suggested(piece)
                | Event::AllowedFast(piece) => {
                    assert!(piece.0 < PIECES && self.knows_layout);
                }
                Event::PiecesKnown(pieces) => assert_eq!(pieces.length(), PIECES),
                _ => {}
            }
        }
        assert!(seen <= EVENTS_WAITING_MAX + OUTSTANDING_MAX as usize + 2);
    }

    /// Does what a torrent and a driver would do.
    fn act(&mut self) -> Option<()> {
        for _ in 0..self.connection.room().min(8) {
            self.next += 1;
            let piece = PieceIndex(self.next / 4 % PIECES);
            let block = self.layout.block(piece, BlockIndex(self.next % 4));
            if self.connection.may_request(piece) && !self.outstanding.contains(&block) {
                self.outstanding.push_back(block);
                self.connection.handle_command(Command::Request(block), self.now);
            }
        }
        while let Some(block) = self.connection.next_upload() {
            assert!(self.layout.contains(&block));
            self.connection.send_block(block, [Bytes::from(vec![0; block.length as usize])], self.now);
            if self.connection.pending_bytes() > 1 << 20 {
                break;
            }
        }
        match self.steps % 16 {
            3 if !self.knows_layout && self.steps > 32 => {
                self.knows_layout = true;
                self.connection.learn_layout(self.layout.clone(), self.now).ok()?;
            }
            5 => self.connection.handle_command(Command::RequestMetadata { piece: self.steps % 2 }, self.now),
            7 => self.connection.handle_command(Command::DontHave(PieceIndex(self.steps % PIECES)), self.now),
            11 => self.connection.handle_command(Command::Have(PieceIndex(self.steps % PIECES)), self.now),
            13 => self.connection.handle_command(Command::Choke, self.now),
            14 => self.connection.handle_command(Command::Unchoke, self.now),
            _ => {}
        }
        let due = self.connection.deadline().filter(|&due| due <= self.now);
        if due.is_some() {
            self.connection.handle_timeout(self.now);
        }
        self.send();
        self.drain();
        Some(())
    }

    fn send(&mut self) {
        loop {
            let mut slices = [IoSlice::new(&[]); 8];
            let filled = self.connection.transmit_slices(&mut slices);
            let length: usize = slices[..filled].iter().map(|slice| slice.len()).sum();
            if length == 0 {
                break;
            }
            self.connection.transmitted(length, self.now);
        }
        assert_eq!(self.connection.pending_bytes(), 0);
    }

    /// Lets all timers run out: every request comes back, and the connection ends.
    fn finish(&mut self) {
        for _ in 0..100 {
            let Some(due) = self.connection.deadline() else { break };
            self.now = self.now.max(due);
            self.connection.handle_timeout(self.now);
            self.send();
            self.drain();
        }
        assert_eq!(self.connection.deadline(), None, "silence ends every connection");
    }
}
