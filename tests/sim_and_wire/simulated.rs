//! The scenario in the simulator.

use std::time::Duration;

use afflux_sim::{Entry, Log, Outcome, Scenario, What, run};

use super::{
    DELAY, DOWNLOAD_BYTES, FILM_BYTES, FILM_RATE, KIB, PIECE_LENGTH, REQUEST_RATE, SEEK_AFTER, SEEK_TO,
    START_BUFFER, TRADE_LIMIT, TRADE_SEED_LIMIT, TRADERS, Viewing, median, seek_position,
};

/// The wire's link has a queue too, but stops its sender where a real one would drop: its segments are never lost.
const QUEUE_WITHOUT_DROPS: u64 = 256 * KIB;

/// Seconds that a download from seeds of these rates takes.
pub(crate) fn download(network: &str, rates: &[u64]) -> f64 {
    let scenario = scenario(network, DOWNLOAD_BYTES, rates, "role = \"leecher\"");
    let outcome = simulate(&scenario, 1, &mut ());
    last(&outcome).download.expect("it ends").as_secs_f64()
}

/// Seconds until those who trade with each other have it all, in the middle of them.
pub(crate) fn trade(seed: u64) -> f64 {
    let (seed_limit, limit, piece) = (TRADE_SEED_LIMIT / KIB, TRADE_LIMIT / KIB, PIECE_LENGTH / KIB);
    let toml = format!(
        r#"
name = "trade"
about = "One seed and a few who trade"
network = "fluid"
limit = "60 s"
[content]
length = "{DOWNLOAD_BYTES} B"
piece-length = "{piece} KiB"
media-rate = "1 MiB/s"
[[group]]
name = "seed"
role = "seed"
up = "1 GiB/s"
down = "1 GiB/s"
latency = "0 ms"
upload-limit = "{seed_limit} KiB/s"
[[group]]
name = "traders"
role = "leecher"
count = {TRADERS}
up = "1 GiB/s"
down = "1 GiB/s"
latency = "0 ms"
upload-limit = "{limit} KiB/s"
"#
    );
    let scenario = Scenario::parse(&toml).unwrap_or_else(|error| panic!("{}", error.render("trade.toml")));
    let outcome = simulate(&scenario, seed, &mut ());
    median(outcome.peers.iter().filter_map(|peer| peer.download).map(|took| took.as_secs_f64()))
}

/// What a viewer waits for.
pub(crate) fn viewing(network: &str, rates: &[u64]) -> Viewing {
    let viewer = format!(
        "role = \"viewer\"\nplayer = {{ start-buffer = \"{} s\", seeks = {{ at = [[\"{} s\", \"{} %\"]] }} }}",
        START_BUFFER.as_secs(),
        SEEK_AFTER.as_secs(),
        SEEK_TO * 100.0
    );
    let mut log = Moments::default();
    let outcome = simulate(&scenario(network, FILM_BYTES, rates, &viewer), 1, &mut log);
    let jump = log.jump.expect("it jumps");
    Viewing {
        first_byte: log.head.expect("the first piece comes").as_secs_f64(),
        start_up: last(&outcome).startup.expect("it starts").as_secs_f64(),
        seek_first_byte: log.place.expect("what it jumps to comes").saturating_sub(jump).as_secs_f64(),
        seek: last(&outcome).seeks[0].waited.as_secs_f64(),
    }
}

/// When what a viewer waits for is verified.
#[derive(Debug, Default)]
struct Moments {
    head: Option<Duration>,
    jump: Option<Duration>,
    place: Option<Duration>,
}

impl Log for Moments {
    fn entry(&mut self, entry: &Entry) {
        let moment = match entry.what {
            What::Verified { piece: 0 } => &mut self.head,
            What::Verified { piece } if u64::from(piece) == seek_position() / PIECE_LENGTH => &mut self.place,
            What::Seek { .. } => &mut self.jump,
            _ => return,
        };
        *moment = Some(entry.at);
    }
}

fn simulate(scenario: &Scenario, seed: u64, log: &mut dyn Log) -> Outcome {
    run(scenario, "deadline", seed, log, &|| false).expect("no invariant is broken")
}

/// The one who came last, behind the seeds.
fn last(outcome: &Outcome) -> &afflux_sim::PeerOutcome {
    outcome.peers.last().expect("somebody came")
}

/// Seeds of these rates, and one who takes.
fn scenario(network: &str, bytes: u64, rates: &[u64], leecher: &str) -> Scenario {
    let (piece, delay) = (PIECE_LENGTH / KIB, DELAY.as_millis());
    let (queue, media) = (QUEUE_WITHOUT_DROPS / KIB, FILM_RATE / KIB);
    let requests = REQUEST_RATE / KIB * rates.len() as u64;
    let seeds: String = rates
        .iter()
        .enumerate()
        .map(|(nth, rate)| {
            let up = rate / KIB;
            format!(
                r#"
[[group]]
name = "seed-{nth}"
role = "seed"
up = "{up} KiB/s"
down = "1 GiB/s"
latency = "{delay} ms"
queue = "{queue} KiB"
"#
            )
        })
        .collect();
    let toml = format!(
        r#"
name = "small"
about = "A few seeds and one who takes"
network = "{network}"
limit = "20 s"
[content]
length = "{bytes} B"
piece-length = "{piece} KiB"
media-rate = "{media} KiB/s"
{seeds}
[[group]]
name = "leecher"
{leecher}
up = "{requests} KiB/s"
down = "1 GiB/s"
latency = "0 ms"
"#
    );
    Scenario::parse(&toml).unwrap_or_else(|error| panic!("{}", error.render("small.toml")))
}
