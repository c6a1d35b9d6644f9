//! The roster against plain lists of who is dialled and who is connected.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use afflux_swarm::roster::{Fate, Limits, Roster, Source};
use proptest::prelude::*;

use crate::epoch;

const LIMITS: Limits =
    Limits { known_max: 20, connected_max: 6, dials_max: 3, per_address_max: 2, per_loopback_max: 4 };

#[derive(Clone, Debug)]
enum Step {
    Add(SocketAddr, Source),
    Dial,
    Fail(prop::sample::Index),
    Connect(prop::sample::Index),
    Accept(SocketAddr),
    Part(prop::sample::Index, Fate),
    Ban(SocketAddr),
    Wait(u64),
}

/// Few hosts and ports, so that they meet.
fn addr() -> impl Strategy<Value = SocketAddr> {
    let ip = prop_oneof![
        (1u8..12).prop_map(|host| std::net::IpAddr::from([10, 0, 0, host])),
        Just(std::net::IpAddr::from([127, 0, 0, 1])),
        (1u16..4).prop_map(|host| std::net::IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, host])),
    ];
    (ip, 0u16..5).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

fn source() -> impl Strategy<Value = Source> {
    prop::sample::select(vec![Source::Given, Source::Tracker, Source::Dht, Source::Pex])
}

fn fate() -> impl Strategy<Value = Fate> {
    prop::sample::select(vec![Fate::Useful, Fate::Useless, Fate::Failed, Fate::Ourselves])
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (addr(), source()).prop_map(|(addr, source)| Step::Add(addr, source)),
        4 => Just(Step::Dial),
        2 => any::<prop::sample::Index>().prop_map(Step::Fail),
        3 => any::<prop::sample::Index>().prop_map(Step::Connect),
        2 => addr().prop_map(Step::Accept),
        3 => (any::<prop::sample::Index>(), fate()).prop_map(|(which, fate)| Step::Part(which, fate)),
        1 => addr().prop_map(Step::Ban),
        2 => (1u64..100_000).prop_map(Step::Wait),
    ]
}

/// Whose address is it: what the per-address bound counts.
fn host(addr: &SocketAddr) -> String {
    if addr.is_ipv6() { "the one /64".into() } else { addr.ip().to_string() }
}

proptest! {
    #[test]
    fn every_bound_holds_and_everyone_is_counted_once(steps in prop::collection::vec(step(), 1..200)) {
        let mut now = epoch();
        let mut roster = Roster::new(LIMITS, 1);
        let (mut dialling, mut connected) = (BTreeSet::new(), BTreeSet::new());
        let pick = |which: prop::sample::Index, set: &BTreeSet<SocketAddr>| {
            (!set.is_empty()).then(|| *which.get(&set.iter().copied().collect::<Vec<_>>()))
        };
        for step in steps {
            match step {
                Step::Add(addr, source) => { roster.add(addr, source, now); }
                Step::Dial => match roster.next_dial(now) {
                    Some(addr) => {
                        prop_assert!(!connected.contains(&addr), "connected already");
                        prop_assert!(!roster.is_banned(addr.ip(), now));
                        prop_assert!(dialling.insert(addr), "dialled twice at once");
                        prop_assert_ne!(addr.port(), 0);
                    }
                    None => prop_assert!(roster.deadline().is_none_or(|due| due > now), "a busy loop"),
                },
                Step::Fail(which) => if let Some(addr) = pick(which, &dialling) {
                    dialling.remove(&addr);
                    roster.failed(addr, now);
                },
                Step::Connect(which) => if let Some(addr) = pick(which, &dialling) {
                    dialling.remove(&addr);
                    if roster.connected(addr, now).is_ok() {
                        prop_assert!(connected.insert(addr));
                    }
                },
                Step::Accept(addr) => {
                    // It may well be one that we are dialling at this moment.
                    if roster.accepted(addr, now).is_ok() {
                        prop_assert!(connected.insert(addr));
                    }
                }
                Step::Part(which, fate) => if let Some(addr) = pick(which, &connected) {
                    connected.remove(&addr);
                    roster.parted(addr, fate, now);
                },
                Step::Ban(addr) => roster.ban(addr.ip(), now),
                Step::Wait(ms) => now += Duration::from_millis(ms),
            }
            let counts = roster.counts();
            prop_assert_eq!(counts.dialling as usize, dialling.len());
            prop_assert_eq!(counts.connected as usize, connected.len());
            prop_assert!(counts.known <= LIMITS.known_max);
            prop_assert!(counts.dialling <= LIMITS.dials_max && counts.connected <= LIMITS.connected_max);
            for addr in dialling.iter().chain(&connected) {
                let same = dialling.iter().chain(&connected).filter(|other| host(other) == host(addr)).count();
                let most = if addr.ip().is_loopback() { LIMITS.per_loopback_max } else { LIMITS.per_address_max };
                prop_assert!(same <= most as usize);
            }
        }
    }
}
