//! Scenarios for tests, made of a few figures.

#![allow(dead_code, unreachable_pub, reason = "each test file has this as a module, and uses its own part")]

use std::time::Duration;

use afflux_sim::scenario::{
    Access, Arrival, Content, Disk, Group, Limits, Manner, Network, Player, Role, Seeks, Stay,
};
use afflux_sim::{Outcome, Scenario, run};

pub const KIB: u64 = 1024;
pub const MIB: u64 = 1024 * KIB;

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub fn scenario(network: Network, length: u64, groups: Vec<Group>) -> Scenario {
    Scenario {
        name: "test".to_owned(),
        about: String::new(),
        network,
        limit: Duration::from_secs(3600),
        content: Content { length, piece_length: 256 * KIB, media_rate: MIB },
        groups,
    }
}

/// Peers with a line of so many bytes per second each way, 10 ms from the middle.
pub fn group(name: &str, count: u32, role: Role, rate: u64) -> Group {
    Group {
        name: name.to_owned(),
        count,
        role,
        manner: Manner::Honest,
        arrival: Arrival::At(Duration::ZERO),
        stay: Stay::Always,
        access: Access { up: rate, down: rate, latency: ms(10), loss: 0.0, queue: 64 * KIB },
        limits: Limits::default(),
        disk: Disk { latency: ms(1), faults: 0.0 },
        nat: false,
        strategy: None,
        connections_max: 50,
        unchoke_slots: 4,
    }
}

pub fn seeds(count: u32, rate: u64) -> Group {
    group("seeds", count, Role::Seed, rate)
}

pub fn leechers(count: u32, rate: u64) -> Group {
    group("leechers", count, Role::Leecher { have: 0.0 }, rate)
}

pub fn viewers(count: u32, rate: u64) -> Group {
    group("viewers", count, Role::Viewer(player()), rate)
}

pub fn player() -> Player {
    Player { start: 0.0, start_buffer: Duration::from_secs(2), tail_first: false, seeks: Seeks::None }
}

/// Runs with our own strategy.
pub fn outcome(scenario: &Scenario, seed: u64) -> Outcome {
    run(scenario, "deadline", seed, &mut (), &|| false).expect("no invariant is broken")
}
