//! The simulator beside the wire: the same small scenarios in `afflux-sim`, and with whole engines on loopback.
//!
//! Nothing here is compared with a figure known beforehand: both sides are measured, and held against each other. On the
//! wire medians of some runs count, as each hangs on how busy the machine is. What the margins leave room for, and where
//! the two don't agree, is in the simulator's README.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

#[path = "../engine/house.rs"]
#[expect(dead_code, reason = "the engine's tests use the rest")]
mod house;
mod simulated;
mod wire;

use std::time::Duration;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// What each seed sends per second: as much in all, evenly and not.
const EVEN: [u64; 4] = [512 * KIB; 4];
const UNEVEN: [u64; 4] = [1216 * KIB, 512 * KIB, 256 * KIB, 64 * KIB];
/// Between a seed and the leecher, one way.
const DELAY: Duration = Duration::from_millis(20);
/// What the leecher's own line carries to a seed: requests only.
const REQUEST_RATE: u64 = MIB;
const PIECE_LENGTH: u64 = 256 * KIB;
/// A download without a reader.
const DOWNLOAD_BYTES: u64 = 6 * MIB;

/// A film long enough for its far part not to be there by chance; the engine takes this rate where it knows none.
const FILM_BYTES: u64 = 64 * MIB;
const FILM_RATE: u64 = MIB;
const START_BUFFER: Duration = Duration::from_secs(2);
/// After so much playing the viewer jumps to this part of the film.
const SEEK_AFTER: Duration = Duration::from_secs(1);
const SEEK_TO: f64 = 0.7;

/// Traders, and the limits that they and their seed keep to by themselves.
const TRADERS: usize = 4;
const TRADE_SEED_LIMIT: u64 = 2 * MIB;
const TRADE_LIMIT: u64 = MIB;

/// Runs on the wire; odd, so that a median is one of them. What one leecher takes of seeds is the same in the simulator
/// whatever lots are drawn.
const WIRE_RUNS: usize = 3;
/// Traders meet by chance, so more runs are needed on either side.
const WIRE_TRADES: usize = 5;
const TRADES: u64 = 31;

/// How far apart downloads may be. Measured: 1 % (fluid), 4 % (segment, which counts headers).
const DOWNLOADS_APART: f64 = 0.10;
/// Measured: 3 %; single runs of either side are up to 10 % from their median.
const TRADES_APART: f64 = 0.15;
/// Waits of a viewer: this part, or this time. Measured: 30 ms, and 60 ms where the machine was busy.
const WAITS_APART: f64 = 0.15;
const WAITS_APART_SECONDS: f64 = 0.15;

const NETWORKS: [&str; 2] = ["fluid", "segment"];

/// What a viewer waited for, in seconds.
#[derive(Clone, Copy, Debug)]
struct Viewing {
    /// From opening to the first byte, and to the first frame.
    first_byte: f64,
    start_up: f64,
    /// From the jump to the first byte, and to the film going on.
    seek_first_byte: f64,
    seek: f64,
}

type Figure = (&'static str, fn(&Viewing) -> f64);

const FIGURES: [Figure; 4] = [
    ("first byte", |viewing| viewing.first_byte),
    ("start-up", |viewing| viewing.start_up),
    ("first byte after a seek", |viewing| viewing.seek_first_byte),
    ("seek", |viewing| viewing.seek),
];

fn seek_position() -> u64 {
    (FILM_BYTES as f64 * SEEK_TO) as u64
}

fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_takes_as_long_as_on_the_wire_within_a_tenth() {
    for rates in [EVEN, UNEVEN] {
        let (swarm, mut took) = (wire::Swarm::start(DOWNLOAD_BYTES, &rates).await, Vec::new());
        for _ in 0..WIRE_RUNS {
            took.push(swarm.download().await);
        }
        let real = median(took);
        for network in NETWORKS {
            let simulated = simulated::download(network, &rates);
            println!("{network} {rates:?}: {simulated:.3} s, on the wire {real:.3} s");
            assert!(
                (simulated / real - 1.0).abs() < DOWNLOADS_APART,
                "{network}: {simulated} s and {real} s"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_waits_as_long_as_on_the_wire() {
    for rates in [EVEN, UNEVEN] {
        let (swarm, mut viewings) = (wire::Swarm::start(FILM_BYTES, &rates).await, Vec::new());
        for _ in 0..WIRE_RUNS {
            viewings.push(swarm.viewing().await);
        }
        for (network, (name, figure)) in
            NETWORKS.into_iter().flat_map(|network| FIGURES.map(|figure| (network, figure)))
        {
            let real = median(viewings.iter().map(figure));
            let simulated = figure(&simulated::viewing(network, &rates));
            println!("{network} {rates:?}: {name} {simulated:.3} s, on the wire {real:.3} s");
            let margin = WAITS_APART_SECONDS.max(WAITS_APART * real);
            assert!((simulated - real).abs() < margin, "{network}, {name}: {simulated} s and {real} s");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_trade_under_their_own_limits_are_done_when_they_are_on_the_wire() {
    let mut took = Vec::new();
    for _ in 0..WIRE_TRADES {
        took.push(wire::trade().await);
    }
    let (real, simulated) = (median(took), median((1..=TRADES).map(simulated::trade)));
    println!("traders: {simulated:.3} s, on the wire {real:.3} s");
    assert!((simulated / real - 1.0).abs() < TRADES_APART, "{simulated} s and {real} s");
}
