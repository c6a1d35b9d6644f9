//! Addresses good, bad and invented.

use super::*;
use crate::testing::epoch;

fn addr(number: u32) -> SocketAddr {
    let [_, a, b, c] = number.to_be_bytes();
    SocketAddr::from(([10, a, b, c], 6881))
}

fn roster() -> Roster {
    Roster::new(Limits::default(), 1)
}

fn text(addr: &str) -> SocketAddr {
    addr.parse().unwrap()
}

#[test]
fn addresses_where_nobody_can_be_are_refused() {
    let now = epoch();
    let mut roster = roster();
    let nowhere = [
        "1.2.3.4:0",
        "0.0.0.0:6881",
        "0.1.2.3:6881",
        "224.0.0.1:6881",
        "255.255.255.255:6881",
        "241.0.0.1:6881",
        "[::]:6881",
        "[ff02::1]:6881",
        "[::ffff:224.0.0.1]:6881",
        "[2001:db8::1]:0",
    ];
    for addr in nowhere {
        assert_eq!(roster.add(text(addr), Source::Given, now), Added::Refused, "{addr}");
    }
    assert_eq!(roster.counts().known, 0);
    assert_eq!(roster.deadline(), None);
}

#[test]
fn an_address_is_known_once_in_whichever_form() {
    let now = epoch();
    let mut roster = roster();
    assert_eq!(roster.add(text("1.2.3.4:5"), Source::Dht, now), Added::New);
    assert_eq!(roster.add(text("[::ffff:1.2.3.4]:5"), Source::Pex, now), Added::Known);
    assert_eq!(roster.next_dial(now), Some(text("1.2.3.4:5")));
    assert_eq!(roster.next_dial(now), None);
    roster.dialling(text("1.2.3.4:5"), now);
    assert_eq!(roster.counts().dialling, 1);
}

#[test]
fn given_peers_come_first_then_those_that_never_failed_then_the_latest() {
    let now = epoch();
    let mut roster = roster();
    roster.add(addr(1), Source::Tracker, now);
    assert_eq!(roster.next_dial(now), Some(addr(1)));
    roster.failed(addr(1), now);
    let now = now + Duration::from_secs(60);
    roster.add(addr(2), Source::Tracker, now);
    roster.add(addr(3), Source::Given, now);
    let now = now + Duration::from_secs(1);
    roster.add(addr(4), Source::Tracker, now);
    let order: Vec<_> = std::iter::from_fn(|| roster.next_dial(now)).collect();
    assert_eq!(order, [3, 4, 2, 1].map(addr));
}

#[test]
fn failures_double_the_wait_up_to_half_an_hour() {
    let mut now = epoch();
    let mut roster = roster();
    roster.add(addr(1), Source::Tracker, now);
    let mut expected = RETRY_MIN;
    for _ in 0..20 {
        assert_eq!(roster.next_dial(now), Some(addr(1)));
        roster.failed(addr(1), now);
        let wait = roster.deadline().unwrap() - now;
        assert!(wait >= expected && wait <= expected + expected / 4, "{wait:?} for {expected:?}");
        assert_eq!(roster.next_dial(now + expected - Duration::from_millis(1)), None);
        now += wait;
        expected = (expected * 2).min(RETRY_MAX);
    }
}

#[test]
fn a_peer_that_the_user_named_is_tried_again_within_seconds() {
    let now = epoch();
    let mut roster = roster();
    roster.add(addr(1), Source::Given, now);
    assert_eq!(roster.next_dial(now), Some(addr(1)));
    roster.failed(addr(1), now);
    let wait = roster.deadline().unwrap() - now;
    assert!(wait >= RETRY_MIN_GIVEN && wait < 2 * RETRY_MIN_GIVEN, "{wait:?}");
}

#[test]
fn half_open_dials_and_connections_are_bounded() {
    let now = epoch();
    let limits = Limits { connected_max: 5, dials_max: 3, ..Limits::default() };
    let mut roster = Roster::new(limits, 1);
    (1..20).for_each(|number| assert_eq!(roster.add(addr(number), Source::Tracker, now), Added::New));
    let mut dialled = Vec::new();
    while let Some(addr) = roster.next_dial(now) {
        dialled.push(addr);
    }
    assert_eq!(dialled.len(), 3);
    assert_eq!(roster.deadline(), None);
    dialled.iter().for_each(|&addr| roster.connected(addr, now).unwrap());
    // Three connected: two places are left.
    assert!(roster.next_dial(now).is_some() && roster.next_dial(now).is_some());
    assert_eq!(roster.next_dial(now), None);
    // Somebody dials us meanwhile; the last dial then finds no place.
    roster.accepted(addr(100), now).unwrap();
    roster.accepted(addr(101), now).unwrap();
    assert_eq!(roster.accepted(addr(102), now), Err(Refusal::Full));
    assert_eq!(roster.counts().connected, 5);
    roster.parted(addr(100), Fate::Useful, now);
    assert_eq!(roster.counts().connected, 4);
}

#[test]
fn one_host_cannot_take_all_places() {
    let now = epoch();
    let mut roster = roster();
    for port in 1..=10 {
        roster.add(SocketAddr::from(([9, 9, 9, 9], port)), Source::Pex, now);
        roster.add(SocketAddr::from(([127, 0, 0, 1], port)), Source::Given, now);
    }
    let dialled: Vec<_> = std::iter::from_fn(|| roster.next_dial(now)).collect();
    assert_eq!(dialled.iter().filter(|addr| addr.ip().is_loopback()).count(), 10);
    assert_eq!(dialled.len(), 13);
    assert_eq!(roster.admits(text("9.9.9.9:777"), now), Err(Refusal::PerAddress));
    assert!(roster.deadline().unwrap() > now, "no busy loop over those that must wait");
    roster.failed(dialled[12], now);
    assert_eq!(roster.admits(text("9.9.9.9:777"), now), Ok(()));
    // One IPv6 /64 is one host.
    for host in 1..=3 {
        roster.accepted(text(&format!("[2001:db8:1:2::{host}]:9")), now).unwrap();
    }
    assert_eq!(roster.accepted(text("[2001:db8:1:2:ffff::1]:9"), now), Err(Refusal::PerAddress));
    assert_eq!(roster.accepted(text("[2001:db8:1:3::1]:9"), now), Ok(()));
}

#[test]
fn a_peer_is_connected_once_per_address_and_port() {
    let now = epoch();
    let mut roster = roster();
    roster.add(addr(1), Source::Tracker, now);
    roster.next_dial(now);
    roster.connected(addr(1), now).unwrap();
    assert_eq!(roster.accepted(addr(1), now), Err(Refusal::Duplicate));
    assert_eq!(roster.connected(addr(1), now), Err(Refusal::Duplicate));
    assert_eq!(roster.counts(), Counts { known: 1, dialling: 0, connected: 1, banned: 0 });
}

#[test]
fn a_peer_that_dialled_us_from_its_listening_port_is_not_dialled() {
    let now = epoch();
    let mut roster = roster();
    roster.add(addr(1), Source::Tracker, now);
    roster.add(addr(2), Source::Given, now);
    assert_eq!(roster.next_dial(now), Some(addr(2)));
    roster.accepted(addr(1), now).unwrap();
    roster.accepted(addr(2), now).unwrap();
    assert_eq!(roster.next_dial(now), None);
    assert_eq!(roster.connected(addr(2), now), Err(Refusal::Duplicate));
    assert_eq!(roster.counts(), Counts { known: 2, dialling: 0, connected: 2, banned: 0 });
}

#[test]
fn a_flood_of_invented_addresses_displaces_nobody_better() {
    let now = epoch();
    let mut roster = Roster::new(Limits { known_max: 100, ..Limits::default() }, 1);
    roster.add(addr(1), Source::Given, now);
    (2..50).for_each(|number| {
        roster.add(addr(number), Source::Tracker, now);
    });
    for number in 1_000..5_000 {
        roster.add(addr(number), Source::Pex, now + Duration::from_secs(u64::from(number)));
        assert!(roster.counts().known <= 100);
    }
    for number in 1..50 {
        assert!(roster.known.contains_key(&addr(number)), "{number} was pushed out");
    }
    // The tracker's own news still come in, the oldest invented ones go.
    assert_eq!(roster.add(addr(60), Source::Tracker, now), Added::New);
    assert_eq!(roster.counts().known, 100);
}

#[test]
fn who_failed_is_forgotten_first_and_given_peers_never() {
    let now = epoch();
    let mut roster = Roster::new(Limits { known_max: 4, ..Limits::default() }, 1);
    roster.add(addr(1), Source::Given, now);
    roster.add(addr(2), Source::Tracker, now);
    roster.add(addr(3), Source::Pex, now);
    roster.add(addr(4), Source::Tracker, now);
    while roster.next_dial(now).is_some() {}
    roster.failed(addr(1), now);
    roster.failed(addr(2), now);
    roster.connected(addr(4), now).unwrap();
    assert_eq!(roster.add(addr(5), Source::Pex, now), Added::New);
    assert!(!roster.known.contains_key(&addr(2)), "the failed one went");
    roster.failed(addr(3), now);
    assert_eq!(roster.add(addr(6), Source::Given, now), Added::New);
    assert!(!roster.known.contains_key(&addr(3)));
    assert_eq!(roster.add(addr(7), Source::Given, now), Added::New);
    // Given ones and a connected one are left.
    assert_eq!(roster.add(addr(8), Source::Given, now), Added::Refused);
}

#[test]
fn a_banned_host_is_neither_dialled_nor_taken_until_the_ban_ends() {
    let now = epoch();
    let mut roster = roster();
    let (first, second) = (text("[2001:db8::1]:1"), text("[2001:db8::2]:2"));
    roster.add(first, Source::Given, now);
    roster.add(second, Source::Tracker, now);
    roster.ban(second.ip(), now);
    assert_eq!(roster.counts().known, 1, "the given one stays");
    assert_eq!(roster.next_dial(now), None);
    assert_eq!(roster.deadline(), Some(now + BAN));
    assert!(roster.is_banned(first.ip(), now));
    assert!(!roster.is_banned(text("[2001:db8:0:1::1]:1").ip(), now));
    assert_eq!(roster.add(first, Source::Given, now), Added::Refused);
    assert_eq!(roster.accepted(first, now), Err(Refusal::Banned));
    assert_eq!(roster.bans().count(), 1);
    let later = now + BAN;
    assert_eq!(roster.next_dial(later), Some(first));
    roster.ban(text("[::ffff:9.9.9.9]:1").ip(), now);
    assert!(roster.is_banned(text("9.9.9.9:1").ip(), now));
    roster.unban(text("9.9.9.9:1").ip());
    assert!(!roster.is_banned(text("9.9.9.9:1").ip(), now));
}

#[test]
fn bans_are_bounded_and_those_that_end_first_go() {
    let now = epoch();
    let mut roster = roster();
    for number in 0..BANS_MAX as u32 + 10 {
        roster.ban(addr(number).ip(), now + Duration::from_secs(u64::from(number)));
    }
    assert_eq!(roster.counts().banned as usize, BANS_MAX);
    assert!(!roster.is_banned(addr(0).ip(), now));
    assert!(roster.is_banned(addr(BANS_MAX as u32).ip(), now));
}

#[test]
fn fates_decide_how_soon_a_peer_is_dialled_again() {
    let start = epoch();
    let wait_after = |fate| {
        let mut roster = roster();
        roster.add(addr(1), Source::Tracker, start);
        roster.next_dial(start);
        roster.connected(addr(1), start).unwrap();
        roster.parted(addr(1), fate, start);
        assert_eq!(roster.counts().connected, 0);
        roster.deadline().map(|due| due - start)
    };
    assert!(wait_after(Fate::Useful).unwrap() < RETRY_MIN * 2);
    assert!(wait_after(Fate::Useless).unwrap() >= REST_USELESS);
    assert!(wait_after(Fate::Failed).unwrap() >= RETRY_MIN);
    assert_eq!(wait_after(Fate::Ourselves), None);
}

#[test]
fn we_never_dial_ourselves_twice() {
    let now = epoch();
    let mut roster = roster();
    roster.add(addr(1), Source::Tracker, now);
    roster.next_dial(now);
    roster.connected(addr(1), now).unwrap();
    roster.parted(addr(1), Fate::Ourselves, now);
    let later = now + BAN;
    assert_eq!(roster.add(addr(1), Source::Tracker, later), Added::Known);
    assert_eq!(roster.next_dial(later), None);
}

#[test]
fn the_same_seed_dials_in_the_same_order() {
    let now = epoch();
    let order = |seed| {
        let mut roster = Roster::new(Limits::default(), seed);
        (0..50).for_each(|number| assert_eq!(roster.add(addr(number), Source::Tracker, now), Added::New));
        std::iter::from_fn(|| roster.next_dial(now)).collect::<Vec<_>>()
    };
    assert_eq!(order(5), order(5));
    assert_ne!(order(5), order(6));
}

#[test]
fn who_rests_for_long_is_tried_again_soon_when_somebody_waits() {
    let now = epoch();
    let mut roster = roster();
    let (failed, useless, ours, banned) = (addr(1), addr(2), addr(3), addr(4));
    for addr in [failed, useless, ours, banned] {
        roster.add(addr, Source::Tracker, now);
        roster.dialling(addr, now);
    }
    for _ in 0..8 {
        roster.failed(failed, now);
        roster.dialling(failed, now);
    }
    roster.failed(failed, now);
    for (addr, fate) in [(useless, Fate::Useless), (ours, Fate::Ourselves), (banned, Fate::Useful)] {
        roster.connected(addr, now).unwrap();
        roster.parted(addr, fate, now);
    }
    roster.ban(banned.ip(), now);
    roster.hurry(now);
    assert_eq!(roster.next_dial(now), None, "nobody is hammered");
    let soon = now + RETRY_MIN + RETRY_MIN / 4;
    let mut dialled: Vec<SocketAddr> = std::iter::from_fn(|| roster.next_dial(soon)).collect();
    dialled.sort_unstable();
    assert_eq!(dialled, [failed, useless], "neither ourselves nor the banned");
}
