use proptest::prelude::*;

use super::*;

const SESSION: SessionId = SessionId([1; 16]);

fn suspicions() -> (Suspicions, Instant) {
    let now = Instant::now();
    (Suspicions::new(SuspicionConfig::default(), now), now)
}

fn after(now: Instant, ms: u64) -> Instant {
    now + Duration::from_millis(ms)
}

#[test]
fn a_threshold_is_told_once_when_it_is_crossed() {
    let (mut suspicions, now) = suspicions();
    for n in 0..20 {
        assert_eq!(suspicions.handle_torrent_added("anna", after(now, n * 1000)), None, "{n}");
    }
    let sign = Sign { pattern: Pattern::TorrentsAdded, count: 21, action: Action::Warn };
    assert_eq!(suspicions.handle_torrent_added("anna", after(now, 21_000)), Some(sign));
    assert_eq!(suspicions.handle_torrent_added("anna", after(now, 22_000)), None);
    assert_eq!(suspicions.handle_torrent_added("ben", after(now, 22_000)), None, "another user");
    // It goes on: told again an hour later.
    let hour = 3_600_000;
    let signs =
        (0..60).filter_map(|n| suspicions.handle_torrent_added("anna", after(now, 22_000 + n * 120_000)));
    assert_eq!(signs.count(), 1);
    assert_eq!(
        suspicions.handle_torrent_added("anna", after(now, 22_000 + 5 * hour)),
        None,
        "all is forgotten"
    );
}

#[test]
fn what_is_refused_is_refused_for_its_time() {
    let (mut suspicions, now) = suspicions();
    let signs = (0..30).filter_map(|_| suspicions.handle_parse_failure("anna", now)).count();
    assert_eq!(signs, 1);
    let until = suspicions.refused_until("anna", Pattern::ParseFailures, now).unwrap();
    assert_eq!(until - now, Duration::from_secs(600));
    assert_eq!(suspicions.refused_until("anna", Pattern::ParseFailures, until), None);
    assert_eq!(suspicions.refused_until("anna", Pattern::StreamStarts, now), None);
    assert_eq!(suspicions.refused_until("ben", Pattern::ParseFailures, now), None);
}

#[test]
fn starts_and_ranges_have_their_own_periods() {
    let (mut suspicions, now) = suspicions();
    let zapping =
        (0..100).filter_map(|n| suspicions.handle_stream_start("anna", after(now, n * 6100))).count();
    assert_eq!(zapping, 0, "ten a minute");
    let player =
        (0..600).filter_map(|n| suspicions.handle_range_request(SESSION, after(now, n * 50))).count();
    assert_eq!(player, 0, "twenty a second");
    let flood = (0..600).filter_map(|n| suspicions.handle_range_request(SESSION, after(now, 60_000 + n * 5)));
    assert_eq!(flood.count(), 3, "one for each second of it");
}

#[test]
fn a_token_that_was_passed_on_is_revoked() {
    let (mut suspicions, now) = suspicions();
    let mut used =
        |address: &str, ms| suspicions.handle_token_used(SESSION, address.parse().unwrap(), after(now, ms));
    for address in [
        "192.0.2.1",
        "192.0.2.200",
        "::ffff:192.0.2.7",
        "2001:db8:1::1",
        "2001:db8:1:ffff::2",
        "198.51.100.1",
    ] {
        assert_eq!(used(address, 0), None, "{address}");
    }
    let sign = Sign { pattern: Pattern::ManyNetworks, count: 4, action: Action::Revoke };
    assert_eq!(used("203.0.113.1", 1000), Some(sign));
    assert_eq!(used("203.0.114.1", 2000), None, "told already");
    assert_eq!(used("192.0.2.1", 700_000), None, "the others are long ago");
}

#[test]
fn a_viewer_is_no_copy_and_a_copy_is() {
    const RATE: u64 = 1_000_000;
    let read = |speed: u64, minutes: u64| {
        let (mut suspicions, now) = suspicions();
        let mut signs = 0;
        for second in 0..minutes * 60 {
            let place = Place { file: 0, offset: second * speed * RATE };
            let sign = suspicions.handle_read(SESSION, place, speed * RATE, RATE, after(now, second * 1000));
            signs += u32::from(sign.is_some());
        }
        signs
    };
    assert_eq!(read(1, 120), 0);
    assert_eq!(read(2, 120), 0);
    assert_eq!(read(4, 9), 1, "half an hour of film within ten minutes");
    assert_eq!(read(4, 29), 3, "told once in ten minutes");
    assert_eq!(read(60, 1), 1);
}

#[test]
fn seeks_and_unknown_rates_are_no_copy() {
    let (mut suspicions, now) = suspicions();
    for n in 0..1000u64 {
        let place = Place { file: 0, offset: n % 2 * (1 << 30) };
        assert_eq!(suspicions.handle_read(SESSION, place, 1 << 26, 1_000_000, after(now, n)), None);
        let place = Place { file: 1, offset: n << 26 };
        assert_eq!(suspicions.handle_read(SessionId([2; 16]), place, 1 << 26, 0, after(now, n)), None);
    }
}

#[test]
fn as_many_are_remembered_as_there_is_room_for_and_the_idle_go_first() {
    let (mut suspicions, now) = suspicions();
    for _ in 0..20 {
        suspicions.handle_torrent_added("patient", now);
    }
    for n in 0..SUSPICION_USERS_MAX as u64 * 2 {
        suspicions.handle_torrent_added(&format!("user {n}"), after(now, n));
        suspicions.handle_range_request(SessionId(u128::from(n).to_be_bytes()), after(now, n));
        if n % 1000 == 0 {
            suspicions.handle_stream_start("patient", after(now, n));
        }
        let (users, sessions) = suspicions.tracked();
        assert!(users <= SUSPICION_USERS_MAX && sessions <= SUSPICION_SESSIONS_MAX);
    }
    assert!(
        suspicions.handle_torrent_added("patient", after(now, 60_000)).is_some(),
        "it was never idle for long"
    );
    let (_, sessions) = suspicions.tracked();
    suspicions.forget_session(SessionId(u128::from(SUSPICION_USERS_MAX as u64 * 2 - 1).to_be_bytes()));
    assert_eq!(suspicions.tracked().1, sessions - 1);
}

proptest! {
    /// Against a model that remembers every event.
    #[test]
    fn nobody_is_accused_of_less_than_the_threshold_nor_gets_away_with_much_more(
        steps in proptest::collection::vec(0u64..20_000, 1..200),
    ) {
        let (mut suspicions, mut now) = suspicions();
        let most = suspicions.config.stream_starts.most as usize;
        let mut events: Vec<Instant> = Vec::new();
        let mut quiet = now;
        for ms in steps {
            now = after(now, ms);
            events.push(now);
            let within = |window: Duration| events.iter().filter(|&&at| now - at < window).count();
            let sign = suspicions.handle_stream_start("anna", now);
            if sign.is_some() {
                prop_assert!(within(Duration::from_secs(60)) > most && now >= quiet);
                quiet = now + Duration::from_secs(60);
            } else {
                prop_assert!(now < quiet || within(Duration::from_millis(52_500)) <= most);
            }
        }
    }

    #[test]
    fn networks_are_bounded_and_counted_exactly(
        uses in proptest::collection::vec((0u64..100_000, any::<IpAddr>()), 0..100), few in 0u8..6,
    ) {
        let (mut suspicions, mut now) = suspicions();
        for (ms, address) in uses {
            now = after(now, ms);
            // Few networks, often.
            let address = if few > 0 { IpAddr::from([10, 0, ms as u8 % few, 1]) } else { address };
            let sign = suspicions.handle_token_used(SESSION, address, now);
            prop_assert!(sign.is_none_or(|sign| sign.count > 3 && sign.count <= NETWORKS_MAX as u32));
            prop_assert!(few == 0 || few > 3 || sign.is_none());
        }
    }

    #[test]
    fn no_read_panics(reads in proptest::collection::vec((any::<u32>(), any::<u64>(), any::<u64>(), any::<u64>()), 0..50)) {
        let (mut suspicions, now) = suspicions();
        for (file, offset, bytes, rate) in reads {
            suspicions.handle_read(SESSION, Place { file, offset }, bytes, rate, now);
        }
    }
}
