//! What a block costs the peer machine: its request, its header, its match; and the codec by itself.

use std::hint::black_box;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use afflux_metainfo::{BLOCK_LENGTH, Bitfield, BlockRef, InfoHash, Layout, PeerId, PieceIndex};
use afflux_peer::wire::decode;
use afflux_peer::{Command, Config, Connection, Direction, Handshake, Message, Reserved};
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const PIECES: u32 = 1024;

#[expect(clippy::disallowed_methods, reason = "virtual time needs some moment to start from")]
fn start() -> Instant {
    Instant::now()
}

fn connection(now: Instant) -> Connection {
    let layout = Layout::new(1 << 20, [(vec!["film".into()], u64::from(PIECES) << 20, false)])
        .expect("sizes are possible");
    let config = Config {
        direction: Direction::Outgoing,
        remote: ([127, 0, 0, 1], 6881).into(),
        reqq: 500,
        client: "Afflux/0.1.0".into(),
        listen_port: None,
        peer_timeout: Duration::from_secs(30),
        dht_port: None,
        upload_only: false,
    };
    let handshake =
        Handshake { reserved: Reserved::ours(false), info_hash: InfoHash([1; 20]), peer_id: PeerId([2; 20]) };
    Connection::new(config, &handshake, Some(Arc::new(layout)), None, 0, now)
}

fn feed(connection: &mut Connection, message: Message<'_>, now: Instant) {
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    connection.handle_control(&bytes, now).expect("an honest message");
}

fn nth(number: u32) -> BlockRef {
    let number = number % (PIECES * 64);
    BlockRef { index: PieceIndex(number / 64), begin: number % 64 * BLOCK_LENGTH, length: BLOCK_LENGTH }
}

fn send(connection: &mut Connection, now: Instant) {
    let mut slices = [IoSlice::new(&[]); 64];
    let filled = connection.transmit_slices(&mut slices);
    let length = slices[..filled].iter().map(|slice| slice.len()).sum();
    connection.transmitted(length, now);
}

fn codec(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec");
    group.throughput(Throughput::Elements(1));
    let mut wire = Vec::with_capacity(64);
    group.bench_function("request, there and back", |b| {
        b.iter(|| {
            wire.clear();
            Message::Request(black_box(nth(5))).encode(&mut wire);
            black_box(decode(&wire, Some(128))).is_ok()
        });
    });
    group.finish();
}

fn blocks(c: &mut Criterion) {
    let mut group = c.benchmark_group("connection");
    group.throughput(Throughput::Bytes(u64::from(BLOCK_LENGTH)));
    group.bench_function("block received, 250 outstanding", |b| {
        let mut now = start();
        let mut peer = connection(now);
        feed(&mut peer, Message::Unchoke, now);
        (0..250).for_each(|number| peer.handle_command(Command::Request(nth(number)), now));
        let (mut number, mut header) = (0u32, Vec::with_capacity(16));
        b.iter(|| {
            now += Duration::from_micros(20);
            header.clear();
            Message::Piece(nth(number)).encode(&mut header);
            black_box(peer.handle_control(&header, now)).ok();
            peer.handle_payload(BLOCK_LENGTH, now);
            while let Some(event) = peer.poll_output() {
                black_box(event);
            }
            peer.handle_command(Command::Request(nth(number + 250)), now);
            if number.is_multiple_of(32) {
                send(&mut peer, now);
            }
            number = number.wrapping_add(1);
        });
    });
    group.bench_function("block sent", |b| {
        let mut now = start();
        let mut peer = connection(now);
        peer.handle_command(Command::Advertise(Arc::new(Bitfield::full(PIECES))), now);
        peer.handle_command(Command::Unchoke, now);
        feed(&mut peer, Message::Interested, now);
        let payload = Bytes::from(vec![0; BLOCK_LENGTH as usize]);
        let (mut number, mut request) = (0u32, Vec::with_capacity(32));
        b.iter(|| {
            now += Duration::from_micros(20);
            request.clear();
            Message::Request(nth(number)).encode(&mut request);
            black_box(peer.handle_control(&request, now)).ok();
            while let Some(block) = peer.next_upload() {
                peer.send_block(block, [payload.clone()], now);
            }
            send(&mut peer, now);
            while let Some(event) = peer.poll_output() {
                black_box(event);
            }
            number = number.wrapping_add(1);
        });
    });
    group.finish();
}

criterion_group!(benches, codec, blocks);
criterion_main!(benches);
