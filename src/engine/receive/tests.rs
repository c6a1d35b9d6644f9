//! A real connection, a real store in memory and a real socket on loopback; the peer is written by hand.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::mpsc as channel;

use afflux_metainfo::{InfoHash, PeerId, PieceIndex};
use afflux_peer::{Command, Config, Direction, Handshake, Message, Reserved};
use afflux_storage::Event as StorageEvent;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::super::testing::MemoryTorrent;
use super::*;

const PIECE: u32 = 16 * BLOCK_LENGTH;
/// Four pieces, the last of them short, with a short block at its end.
const TOTAL: usize = 3 * PIECE as usize + 40_000;
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// A small generator of repeatable numbers.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

struct Rig {
    ours: TcpStream,
    theirs: TcpStream,
    connection: Connection,
    receiver: Receiver,
    events: Vec<Event>,
    torrent: MemoryTorrent,
    told: channel::Receiver<StorageEvent>,
    data: Vec<u8>,
    now: Instant,
}

impl Rig {
    /// A link whose peer has everything and serves us.
    async fn new() -> Self {
        let mut dice = Dice(7);
        let data: Vec<u8> = (0..TOTAL).map(|_| dice.below(256) as u8).collect();
        let hashes = data.chunks(PIECE as usize).map(|piece| sha1_smol::Sha1::from(piece).digest().bytes());
        let (tell, told) = channel::channel();
        let notify = Arc::new(move |event| drop(tell.send(event)));
        let torrent = MemoryTorrent::new(PIECE.into(), TOTAL as u64, hashes.collect(), notify);

        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let theirs = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        theirs.set_nodelay(true).unwrap();
        let (ours, remote) = listener.accept().await.unwrap();
        let now = Instant::now();
        let config = Config {
            direction: Direction::Incoming,
            remote,
            reqq: 500,
            client: "test".into(),
            listen_port: None,
            peer_timeout: PATIENCE,
            dht_port: None,
            upload_only: false,
        };
        let handshake = Handshake {
            reserved: Reserved([0, 0, 0, 0, 0, 0, 0, 4]),
            info_hash: InfoHash([1; 20]),
            peer_id: PeerId([2; 20]),
        };
        let connection = Connection::new(config, &handshake, Some(Arc::clone(&torrent.layout)), None, 3, now);
        let (receiver, events) = (Receiver::default(), Vec::new());
        let mut rig = Self { ours, theirs, connection, receiver, events, torrent, told, data, now };
        rig.deliver(&encode(&[Message::HaveAll, Message::Unchoke])).await;
        assert!(rig.events.contains(&Event::Unchoked));
        rig.events.clear();
        rig
    }

    fn blocks(&self) -> Vec<BlockRef> {
        self.torrent
            .layout
            .pieces()
            .flat_map(|piece| self.torrent.layout.blocks(piece).collect::<Vec<_>>())
            .collect()
    }

    fn ask(&mut self, blocks: &[BlockRef]) {
        for &block in blocks {
            self.torrent.store.reserve(block).unwrap();
            self.connection.handle_command(Command::Request(block), self.now);
        }
    }

    /// A `piece` message, header and payload.
    fn piece(&self, block: BlockRef) -> Vec<u8> {
        let mut wire = encode(&[Message::Piece(block)]);
        let start = (self.torrent.layout.piece_offset(block.index) + u64::from(block.begin)) as usize;
        wire.extend_from_slice(&self.data[start..start + block.length as usize]);
        wire
    }

    fn pieces(&self, blocks: &[BlockRef]) -> Vec<u8> {
        blocks.iter().flat_map(|&block| self.piece(block)).collect()
    }

    async fn receive(&mut self, allowance: usize) -> Outcome {
        tokio::time::timeout(PATIENCE, self.ours.readable()).await.expect("something comes").unwrap();
        self.receive_now(allowance)
    }

    fn receive_now(&mut self, allowance: usize) -> Outcome {
        let mut turn = Turn {
            stream: &self.ours,
            connection: &mut self.connection,
            store: Some(&self.torrent.store),
            events: &mut self.events,
            now: self.now,
        };
        self.receiver.receive(&mut turn, allowance).unwrap()
    }

    /// Sends bytes and receives until all of them have been read.
    async fn deliver(&mut self, wire: &[u8]) {
        let mut sent = 0;
        let mut left = wire.len();
        while left > 0 {
            if sent < wire.len() {
                sent += self.theirs.try_write(&wire[sent..]).unwrap_or(0);
            }
            if let Outcome::Bytes(count) = self.receive(1 << 20).await {
                left -= count;
            }
        }
    }

    /// Whether every byte of these pieces is in the store, and right.
    fn assert_stored(&self, pieces: impl IntoIterator<Item = u32>) {
        for piece in pieces.into_iter().map(PieceIndex) {
            while !self.torrent.store.have(piece) {
                match self.told.recv_timeout(PATIENCE).expect("the piece is hashed") {
                    StorageEvent::Verified { .. } => {}
                    other => panic!("{other:?}"),
                }
            }
            let length = self.torrent.layout.length_of(piece);
            let parts =
                self.torrent.store.try_read_cached(piece, 0..length).expect("it's in memory").concat();
            let start = self.torrent.layout.piece_offset(piece) as usize;
            assert!(parts == self.data[start..start + length as usize], "piece {piece} differs");
        }
    }

    fn received(&self) -> Vec<BlockRef> {
        let received = self.events.iter().filter_map(|event| match event {
            Event::BlockReceived { block, .. } => Some(*block),
            _ => None,
        });
        received.collect()
    }
}

fn encode(messages: &[Message<'_>]) -> Vec<u8> {
    let mut wire = bytes::BytesMut::new();
    messages.iter().for_each(|message| message.encode(&mut wire));
    wire.to_vec()
}

#[tokio::test]
async fn blocks_in_order_land_without_a_copy() {
    let mut rig = Rig::new().await;
    let blocks = rig.blocks();
    rig.ask(&blocks);
    let wire = rig.pieces(&blocks);
    rig.deliver(&wire).await;
    rig.assert_stored(0..4);
    assert_eq!(rig.received(), blocks);
    assert_eq!(rig.receiver.copied_bytes, 0);
}

#[tokio::test]
async fn a_have_between_two_blocks_is_copied_and_counted_and_harms_nothing() {
    let mut rig = Rig::new().await;
    let blocks = rig.blocks();
    rig.ask(&blocks);
    // All in one read, so that the guess is really made and really wrong.
    let have = encode(&[Message::Have(PieceIndex(0))]);
    let wire = [rig.piece(blocks[0]), have, rig.piece(blocks[1])].concat();
    rig.theirs.write_all(&wire).await.unwrap();
    let mut left = wire.len();
    while left > 0 {
        if let Outcome::Bytes(count) = rig.receive(1 << 20).await {
            left -= count;
        }
    }
    assert_eq!(rig.received(), blocks[..2]);
    let copied = rig.receiver.copied_bytes;
    assert!(copied > 0 && copied < u64::from(2 * BLOCK_LENGTH), "{copied}");
    // The guess holds again from the next read on.
    let rest = rig.pieces(&blocks[2..]);
    rig.deliver(&rest).await;
    rig.assert_stored(0..4);
    assert_eq!(rig.receiver.copied_bytes, copied);
}

#[tokio::test]
async fn blocks_out_of_order_find_their_places() {
    let mut rig = Rig::new().await;
    let mut blocks = rig.blocks();
    rig.ask(&blocks);
    blocks.reverse();
    let wire = rig.pieces(&blocks);
    rig.deliver(&wire).await;
    rig.assert_stored(0..4);
    assert_eq!(rig.received(), blocks);
}

#[tokio::test]
async fn a_block_begun_by_a_copy_behind_other_targets_goes_on() {
    let mut rig = Rig::new().await;
    let blocks = rig.blocks();
    rig.ask(&blocks);
    // The third block comes first, in two parts: its beginning is copied while two others lie before it.
    let wire = rig.piece(blocks[2]);
    rig.deliver(&wire[..5_000]).await;
    rig.deliver(&wire[5_000..]).await;
    assert_eq!(rig.received(), [blocks[2]]);
    let others: Vec<BlockRef> = blocks.iter().copied().filter(|block| *block != blocks[2]).collect();
    let rest = rig.pieces(&others);
    rig.deliver(&rest).await;
    rig.assert_stored(0..4);
    assert!(!rig.events.iter().any(|event| matches!(event, Event::RequestReturned(_))));
}

#[tokio::test]
async fn a_read_that_is_followed_by_another_block_has_no_tail() {
    let mut rig = Rig::new().await;
    let blocks = rig.blocks();
    rig.ask(&blocks[..BLOCKS_PER_READ + 4]);
    let has_tail = |rig: &mut Rig, allowance| {
        // Looks before anything is there: the targets are laid out all the same.
        assert_eq!(rig.receive_now(allowance), Outcome::Empty);
        let parts = rig.receiver.layout(&rig.connection, allowance);
        parts.iter().any(|part| matches!(part, Part::Tail { .. }))
    };
    assert!(!has_tail(&mut rig, 1 << 20), "four blocks come behind a full read");
    assert!(!has_tail(&mut rig, 100_000), "more come than the rate allows");
    let wire = rig.pieces(&blocks[..BLOCKS_PER_READ]);
    rig.deliver(&wire).await;
    assert!(has_tail(&mut rig, 1 << 20), "behind the last block there may be anything");
    assert_eq!(rig.receiver.copied_bytes, 0);
}

#[tokio::test]
async fn a_block_that_nobody_reserved_comes_back_as_returned() {
    let mut rig = Rig::new().await;
    let blocks = rig.blocks();
    rig.connection.handle_command(Command::Request(blocks[0]), rig.now);
    rig.ask(&blocks[16..18]);
    let wire = [rig.piece(blocks[0]), rig.piece(blocks[16])].concat();
    rig.deliver(&wire).await;
    assert_eq!(rig.received(), [blocks[16]]);
    let returned = rig.events.iter().filter(|event| **event == Event::RequestReturned(blocks[0])).count();
    assert_eq!(returned, 1);
}

#[tokio::test]
async fn a_link_that_only_waits_leaves_a_block_to_whoever_is_quicker() {
    let mut rig = Rig::new().await;
    let blocks = rig.blocks();
    rig.ask(&blocks);
    assert_eq!(rig.receive_now(1 << 20), Outcome::Empty);
    assert_eq!(rig.receiver.targets.len(), BLOCKS_PER_READ);
    rig.receiver.rest(Some(&rig.torrent.store));
    assert!(rig.receiver.targets.is_empty(), "between turns its memory is anybody's");
    // A block under way stays where it is, until the link gives it up.
    let wire = rig.piece(blocks[0]);
    rig.deliver(&wire[..1_000]).await;
    rig.receiver.rest(Some(&rig.torrent.store));
    assert_eq!(rig.receiver.targets.len(), 1);
    rig.receiver.release(Some(&rig.torrent.store));
    assert!(rig.receiver.targets.is_empty());
    // What comes of it after that is thrown away, and said to be.
    let rest = [&wire[1_000..], &rig.piece(blocks[1])].concat();
    rig.deliver(&rest).await;
    assert!(rig.events.contains(&Event::RequestReturned(blocks[0])));
    assert_eq!(rig.received(), [blocks[1]]);
}

/// Whether the bytes lie in place or were copied, the torrent must not count a block that the store didn't take.
#[tokio::test]
async fn a_block_that_the_store_does_not_take_comes_back_as_returned() {
    let mut rig = Rig::new().await;
    let blocks = rig.blocks();
    rig.ask(&blocks[..2]);
    let wire = rig.pieces(&blocks[..2]);
    rig.deliver(&wire[..1_000]).await;
    rig.torrent.store.discard(PieceIndex(0));
    rig.ask(&blocks[16..17]);
    let rest = [&wire[1_000..], &rig.piece(blocks[16])].concat();
    rig.deliver(&rest).await;
    assert_eq!(rig.received(), [blocks[16]]);
    assert!(rig.events.contains(&Event::RequestReturned(blocks[0])), "{:?}", rig.events);
    assert!(rig.events.contains(&Event::RequestReturned(blocks[1])), "{:?}", rig.events);
}

#[tokio::test]
async fn what_a_holding_connection_does_not_take_is_kept() {
    let mut rig = Rig::new().await;
    let blocks = rig.blocks();
    rig.ask(&blocks);
    // So much waits to be sent that one more answer makes the connection hold.
    let most = afflux_peer::limits::ANSWERS_WAITING_BYTES_MAX;
    while rig.connection.pending_bytes() + 9 < most {
        rig.connection.handle_command(Command::Suggest(PieceIndex(0)), rig.now);
    }
    let questions = encode(&[Message::Request(blocks[0]), Message::Have(PieceIndex(1))]);
    let wire = [questions, rig.pieces(&blocks)].concat();
    let mut sent = rig.theirs.try_write(&wire).unwrap();
    while !matches!(rig.receive(1 << 20).await, Outcome::Held) {}
    assert!(!rig.receiver.held.is_empty());
    assert_eq!(rig.receive(1 << 20).await, Outcome::Held, "nothing is read on top of it");
    rig.connection.transmitted(rig.connection.pending_bytes(), rig.now);
    while rig.received().len() < blocks.len() {
        if sent < wire.len() {
            sent += rig.theirs.try_write(&wire[sent..]).unwrap_or(0);
        }
        rig.receive_now(1 << 20);
        tokio::task::yield_now().await;
    }
    rig.assert_stored(0..4);
    assert_eq!(rig.received(), blocks);
}

/// One stream of many kinds of messages, cut at many places: the store's content must not depend on the cuts.
#[tokio::test]
async fn however_the_stream_is_cut_the_store_has_the_same_bytes() {
    for seed in 1..=24 {
        let mut dice = Dice(seed);
        let mut rig = Rig::new().await;
        let mut blocks = rig.blocks();
        rig.ask(&blocks);
        match dice.below(3) {
            0 => {}
            1 => dice.shuffle(&mut blocks[3..9]),
            _ => dice.shuffle(&mut blocks),
        }
        let mut wire = Vec::new();
        for &block in &blocks {
            for _ in 0..dice.below(6).saturating_sub(3) {
                let between = [Message::KeepAlive, Message::Have(PieceIndex(2)), Message::Interested];
                wire.extend(encode(&between[dice.below(3)..][..1]));
            }
            wire.extend(rig.piece(block));
        }
        let mut rest = &wire[..];
        while !rest.is_empty() {
            let longest = [9, 400, 20_000, 300_000][dice.below(4)];
            let (part, behind) = rest.split_at(1 + dice.below(longest.min(rest.len())));
            rig.deliver(part).await;
            if dice.below(2) == 0 {
                rig.receiver.rest(Some(&rig.torrent.store));
            }
            rest = behind;
        }
        assert_eq!(rig.received(), blocks, "seed {seed}");
        rig.assert_stored(0..4);
    }
}
