//! How long a large run takes, and how much memory: `size [PEERS] [MIB] [SECONDS]`, 1,000 peers sharing 1 GiB for an hour of
//! virtual time if nothing else is said.

use std::time::{Duration, Instant};

use afflux_sim::scenario::{
    Access, Arrival, Content, Disk, Group, Limits, Manner, Network, Role, Scenario, Stay,
};

const MIB: u64 = 1024 * 1024;

fn main() {
    let mut figures = std::env::args().skip(1).map(|figure| figure.parse::<u64>().expect("a number"));
    let peers = figures.next().unwrap_or(1_000);
    let length = figures.next().unwrap_or(1_024) * MIB;
    let seconds = figures.next().unwrap_or(3_600);
    #[expect(clippy::disallowed_methods, reason = "an example measures itself")]
    let started = Instant::now();
    let outcome = afflux_sim::run(&scenario(peers, length, seconds), "rarest", 1, &mut (), &|| false);
    let outcome = outcome.expect("no invariant is broken");
    let took = started.elapsed();
    let done = outcome.peers.iter().filter(|peer| peer.download.is_some()).count();
    println!(
        "{peers} peers, {} MiB: {:.0} s of virtual time in {:.1} s, {} events, {:.2} us each; {done} have it all, \
         {:.1} GiB went over, uplinks {:.0} % used; {} MiB of memory at most",
        length / MIB,
        outcome.elapsed.as_secs_f64(),
        took.as_secs_f64(),
        outcome.events,
        took.as_secs_f64() * 1e6 / outcome.events as f64,
        outcome.delivered_bytes as f64 / (1024 * MIB) as f64,
        outcome.sent_bytes as f64 * 100.0 / outcome.uplink_bytes as f64,
        peak_mib(),
    );
}

/// A hundredth of the peers are seeds; the others come within a tenth of the time, on lines of 8 and 32 Mbit/s.
fn scenario(peers: u64, length: u64, seconds: u64) -> Scenario {
    let seeds = (peers / 100).max(1);
    let group = |name: &str, count: u64, role, arrival| Group {
        name: name.to_owned(),
        count: count as u32,
        role,
        manner: Manner::Honest,
        arrival,
        stay: Stay::Always,
        access: Access {
            up: MIB,
            down: 4 * MIB,
            latency: Duration::from_millis(20),
            loss: 0.0,
            queue: 64 * 1024,
        },
        limits: Limits::default(),
        disk: Disk { latency: Duration::ZERO, faults: 0.0 },
        nat: false,
        strategy: None,
        connections_max: 40,
        unchoke_slots: 4,
    };
    let spread = Arrival::Spread(Duration::from_secs(seconds / 10));
    Scenario {
        name: "size".to_owned(),
        about: String::new(),
        network: Network::Fluid,
        limit: Duration::from_secs(seconds),
        content: Content { length, piece_length: MIB, media_rate: MIB },
        groups: vec![
            group("seeds", seeds, Role::Seed, Arrival::At(Duration::ZERO)),
            group("leechers", peers - seeds, Role::Leecher { have: 0.0 }, spread),
        ],
    }
}

/// The most memory that this process ever had, as Linux tells it.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.map_or(0, |kib| kib / 1024)
}
