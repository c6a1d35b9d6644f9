//! The request depth on paths of different rates and delays, with and without a reader.

use std::time::Duration;

use afflux_metainfo::BLOCK_LENGTH;
use afflux_peer::Command;

use crate::pair::{Pair, Setup, Wanting, layout};

const MIB: u64 = 1 << 20;

/// A pair whose left side downloads all it can for `seconds`; returns the greatest and the last depth.
fn download(setup: Setup, reader: bool, seconds: u64) -> (Pair, u32, u32) {
    let (pieces, rate) = (setup.pieces, setup.rate);
    let mut pair = Pair::new(setup);
    // On a slow path the first bytes of a block come long before its last.
    pair.segment = if rate < Some(MIB) { 1448 } else { pair.segment };
    pair.open();
    pair.left.command(Command::ReaderWaiting(reader), pair.now);
    let mut wanting = Wanting::all(layout(pieces));
    let (mut greatest, mut last) = (0, 0);
    pair.run_with(Duration::from_secs(seconds), |side, now| {
        wanting.step(side, now);
        let outstanding = side.connection.outstanding();
        greatest = greatest.max(outstanding);
        // The tail of the torrent says nothing about the path.
        if side.connection.room() == 0 {
            last = outstanding;
        }
    });
    (pair, greatest, last)
}

fn received(pair: &Pair) -> u64 {
    pair.left.blocks.len() as u64 * u64::from(BLOCK_LENGTH)
}

#[test]
fn without_a_reader_the_queue_holds_a_round_trip_and_half_a_second() {
    let setup =
        Setup { pieces: 400, rate: Some(MIB), delay: Duration::from_millis(20), ..Default::default() };
    let (pair, _, last) = download(setup, false, 20);
    // 540 ms at 64 blocks/s, and one for the block that is always on its way into the window.
    assert!((30..=38).contains(&last), "{last}");
    assert!(received(&pair) > 19 * MIB, "{}", received(&pair));
}

#[test]
fn with_a_reader_it_holds_a_round_trip_and_50_ms_and_loses_little() {
    let setup =
        Setup { pieces: 400, rate: Some(MIB), delay: Duration::from_millis(20), ..Default::default() };
    let (pair, greatest, last) = download(setup, true, 20);
    // The shortest round trip holds the time of a block's own bytes: 40 ms and 16 ms.
    assert!((5..=8).contains(&last), "{last}");
    assert!(greatest <= 8, "{greatest}");
    assert!(received(&pair) > 18 * MIB, "{}", received(&pair));
}

#[test]
fn a_far_peer_is_reached_at_full_rate_even_with_a_reader() {
    for delay in [Duration::from_millis(100), Duration::from_millis(200)] {
        let setup = Setup { pieces: 600, rate: Some(2 * MIB), delay, ..Default::default() };
        let (pair, _, last) = download(setup, true, 20);
        // The bandwidth-delay product: what must be under way to fill the path.
        let product = (2.0 * MIB as f64 * delay.as_secs_f64() * 2.0 / f64::from(BLOCK_LENGTH)) as u32;
        assert!(last >= product, "{last} of {product}");
        assert!(received(&pair) > 14 * 2 * MIB, "{}", received(&pair));
    }
}

#[test]
fn on_loopback_it_grows_to_what_the_peer_queues() {
    let setup =
        Setup { pieces: 1000, rate: Some(700 * MIB), delay: Duration::from_micros(50), ..Default::default() };
    let (pair, greatest, _) = download(setup, false, 1);
    assert_eq!(greatest, 500, "the peer's reqq");
    assert_eq!(pair.left.blocks.len(), 4_000);
}

#[test]
fn a_slow_peer_is_asked_for_two_blocks() {
    let setup =
        Setup { pieces: 40, rate: Some(20 * 1024), delay: Duration::from_millis(50), ..Default::default() };
    let (_, _, last) = download(setup, false, 20);
    assert_eq!(last, 2);
}

#[test]
fn a_waiting_reader_makes_a_deep_queue_shallow_again() {
    let setup =
        Setup { pieces: 400, rate: Some(MIB), delay: Duration::from_millis(20), ..Default::default() };
    let mut pair = Pair::new(setup);
    pair.open();
    let mut wanting = Wanting::all(layout(400));
    pair.run_with(Duration::from_secs(5), |side, now| wanting.step(side, now));
    let deep = pair.left.connection.outstanding();
    pair.left.command(Command::ReaderWaiting(true), pair.now);
    pair.run_with(Duration::from_secs(1), |side, now| wanting.step(side, now));
    let shallow = pair.left.connection.outstanding();
    assert!(deep > 25 && shallow <= 8, "{deep} {shallow}");
}
